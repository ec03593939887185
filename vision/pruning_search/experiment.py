"""Widths that were learned against widths by rule, each net trained further for as many seconds."""

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from shared.lab import JSON, Context, Experiment, Page, Row
from vision.pruning_search.cell import Cell
from vision.pruning_search.page import page
from vision.pruning_search.price import WidthPrice
from vision.pruning_search.settings import PruningSearchSettings
from vision.pruning_search.workload import Workload, classification


class PruningSearch(Experiment[PruningSearchSettings]):
    """Learn the width of every layer for a budget, beside widths by rule and by the solvers of the core.

    One cell is one seed: the wide net, the search, and every control from the same weights.
    """

    name = "pruning_search"
    version = 2  # 1 searched for longer, on gates that the price decided alone, and tuned for less

    def data(self, cell: PruningSearchSettings) -> Mapping[str, str]:
        return cell.hashes()

    def run(self, cell: PruningSearchSettings, context: Context) -> Mapping[str, JSON]:
        return Cell(cell, context, self).result()

    def workload(self, cell: PruningSearchSettings) -> Workload:
        """What the net is for. `qwedge run` knows every task; here all but classification raise `ValueError`."""
        if cell.task != "classification":
            raise ValueError(f"task={cell.task!r}: take `qwedge run pruning_search`, or classification")
        return classification(cell)

    def latency(self, wide: nn.Module, layers: Sequence[str], context: Context) -> WidthPrice:
        """Predicted milliseconds of a plain net by the widths that `layers` write, on this machine.

        `qwedge run` knows how; here it raises `ValueError`.
        """
        raise ValueError("ms needs a latency: take `qwedge run pruning_search`, or macs")

    def milliseconds(self, used: nn.Module, inputs: Tensor) -> float:
        """Measured milliseconds of a plain net, compiled with number formats from `inputs`, of training.

        `qwedge run` knows how; here it raises `ValueError`.
        """
        raise ValueError("ms needs a compiler: take `qwedge run pruning_search`, or macs")

    def library(self, cell: PruningSearchSettings, used: nn.Module, inputs: Tensor) -> Mapping[str, bytes]:
        """Files of a plain net, compiled with number formats from `inputs`: none, but for `qwedge run`.

        Raises `ValueError` where the net or the machine has no compiler, and says why.
        """
        return {}

    def page(self, rows: Sequence[Row]) -> Page:
        return page(rows)
