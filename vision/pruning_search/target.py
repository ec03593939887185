"""What the widths are searched for: a task, and a machine that runs the net."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from torch import Tensor, nn

from shared.lab import Context
from vision.pruning_search.price import WidthPrice
from vision.pruning_search.settings import PruningSearchSettings
from vision.pruning_search.workload import Workload


class Target(Protocol):
    """Has the data of a task, predicts and measures milliseconds of nets, and compiles them."""

    def workload(self, cell: PruningSearchSettings) -> Workload:
        """What the net is for."""

    def latency(self, wide: nn.Module, layers: Sequence[str], context: Context) -> WidthPrice:
        """Predicted milliseconds of a plain net by the widths that `layers` write."""

    def milliseconds(self, used: nn.Module, inputs: Tensor) -> float:
        """Measured milliseconds of a plain net, compiled with number formats from `inputs`, of training."""

    def library(self, cell: PruningSearchSettings, used: nn.Module, inputs: Tensor) -> Mapping[str, bytes]:
        """Files of a plain net, compiled with number formats from `inputs`.

        Raises `ValueError` where the net or the machine has no compiler, and says why.
        """
