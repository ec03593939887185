"""What is timed: one cell is one layer, net or family of nets."""

from typing import Literal

from pydantic import Field

from shared.lab import Seeded


class MobileSettings(Seeded):
    """What is timed."""

    part: Literal["layer", "net", "float net", "sparse float net", "int8 net", "two threads", "predictor"] = Field(
        description="a chain of layers, a net of both numbers, of floats, of floats with a quarter of its blocks, "
        "of integers dense and sparse, the same on two threads, or predictions"
    )
    subject: str = Field(description="a shape of the layers, a net, or the family of nets that is predicted")
    rounds: int = Field(default=25, gt=0, description="timed samples of each runtime")
