"""What a budget in milliseconds is of: a machine and its runtime."""

from typing import Protocol

from torch import nn

from shared.lab import Context
from vision.slimming.prices import NetPrice, Shape
from vision.slimming.settings import SlimmingSettings


class Target(Protocol):
    """Predicts and measures milliseconds of nets."""

    def latency(self, cell: SlimmingSettings, context: Context) -> NetPrice:
        """Predicts the milliseconds of a net."""

    def milliseconds(self, cell: SlimmingSettings, net: nn.Module, shape: Shape) -> float:
        """Measured milliseconds of a net, of one input of `shape`."""
