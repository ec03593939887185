"""A net slimmed for budgets, beside scaled and random ones and published nets within them that get as much time."""

from collections.abc import Mapping, Sequence

from torch import nn

from shared.lab import JSON, Context, Experiment, Page, Row
from vision.data.cifar10 import SHAPE
from vision.data.folders import CIFAR100
from vision.slimming.cell import Cell
from vision.slimming.page import page
from vision.slimming.prices import NetPrice, Shape
from vision.slimming.settings import CIFAR10, SlimmingSettings


class Slimming(Experiment[SlimmingSettings]):
    """Slim a net for budgets of milliseconds: depths, widths and operators, beside published nets and simple cuts.

    One cell is one seed: the supernet, and at each budget the slimmed net, the same largest net scaled or cut by
    chance, and published nets scaled by width.
    """

    name = "slimming"
    version = 6  # 5 held no race, left parts of budgets unused and gave every net as many epochs, not seconds

    def cells(self, settings: SlimmingSettings) -> Sequence[SlimmingSettings]:
        settings.largest()
        if not settings.macs and not settings.budget_ms:
            raise ValueError("macs=() and no budget_ms: give one budget at least")
        if settings.data in (CIFAR10, CIFAR100) and settings.size != SHAPE[1]:
            raise ValueError(f"size={settings.size}: pictures of {settings.data} have {SHAPE[1]}; size is for folders")
        return settings.per_seed()

    def data(self, cell: SlimmingSettings) -> Mapping[str, str]:
        return cell.hashes()

    def run(self, cell: SlimmingSettings, context: Context) -> Mapping[str, JSON]:
        return Cell(cell, context, self).result()

    def latency(self, cell: SlimmingSettings, context: Context) -> NetPrice:
        """Predicts the milliseconds of a net on this machine. `qwedge run` knows how; here it raises `ValueError`."""
        raise ValueError("budget_ms needs a latency: take `qwedge run slimming`, or macs")

    def milliseconds(self, cell: SlimmingSettings, net: nn.Module, shape: Shape) -> float:
        """Measured milliseconds of a net in the cell's runtime. `qwedge run` knows how; here it raises `ValueError`."""
        raise ValueError("budget_ms needs a compiler: take `qwedge run slimming`, or macs")

    def page(self, rows: Sequence[Row]) -> Page:
        return page(rows)
