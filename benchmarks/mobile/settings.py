"""What is timed: one cell is one layer, net or family of nets."""

from typing import Literal

from pydantic import Field

from shared.lab import Seeded


class MobileSettings(Seeded):
    """What is timed."""

    part: Literal["layer", "net", "float net", "int8 net", "predictor"] = Field(
        description="a chain of layers, a net of both numbers, of floats, of integers dense and sparse, or predictions"
    )
    subject: str = Field(description="a shape of the layers, a net, or the family of nets that is predicted")
    rounds: int = Field(default=25, gt=0, description="timed samples of each runtime")
