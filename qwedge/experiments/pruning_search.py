"""Pruning-as-Search as the command line runs it: every task, budgets in milliseconds, and a compiled library."""

from collections.abc import Mapping, Sequence

import numpy as np
from torch import Tensor, nn

from mobile.build.compile import Compiled, compile_program
from mobile.build.compile_floats import compile_floats
from mobile.pricing.calibration import calibrated
from mobile.pricing.latency import Latency
from mobile.pricing.net import net_latency
from mobile.runtime.compiler import CompilerError
from shared.f8net import F8Net
from shared.lab import Context
from vision.data.augment import PIXEL
from vision.data.cifar10 import SHAPE
from vision.pruning_search.cell import CHOICES
from vision.pruning_search.experiment import PruningSearch
from vision.pruning_search.price import WidthPrice
from vision.pruning_search.settings import PruningSearchSettings
from vision.pruning_search.workload import Workload
from vision.pruning_tasks.workloads import data_of, workload

ROUNDS = 101
"""Times that a net is run; the least counts, as for the predictions: what else the machine does only adds."""


class TimedPruningSearch(PruningSearch):
    """Learn the width of every layer for a budget, beside widths by rule and by the solvers of the core.

    One cell is one seed: the wide net, the search, and every control from the same weights. A budget in milliseconds
    is one of `qwedge compile` on this machine, of 8-bit integers, as the library of a classifier is; that of another
    task is of floats.
    """

    def data(self, cell: PruningSearchSettings) -> Mapping[str, str]:
        # Other rows than those of a budget that was met after one measurement.
        return {**data_of(cell), **({} if cell.ms is None else {"ms": f"the best of {CHOICES} choices"})}

    def workload(self, cell: PruningSearchSettings) -> Workload:
        if cell.ms is not None and cell.task != "classification":
            raise ValueError(f"ms is of classifiers in 8-bit integers: for task={cell.task!r} take macs")
        return workload(cell)

    def latency(self, wide: nn.Module, layers: Sequence[str], context: Context) -> WidthPrice:
        # Kept, so that a cell that was stopped goes on with the same prices.
        text = context.stage("latency of this machine", lambda: calibrated(context.progress).to_json())
        return net_latency(wide, SHAPE, Latency.from_json(text)).over(layers)

    def milliseconds(self, used: nn.Module, inputs: Tensor) -> float:
        times = _compiled(used, inputs, ROUNDS).times
        assert times is not None
        return times.net

    def library(self, cell: PruningSearchSettings, used: nn.Module, inputs: Tensor) -> Mapping[str, bytes]:
        try:
            compiled = (
                _compiled(used, inputs)
                if cell.task == "classification"
                else compile_floats(used, [tuple(inputs.shape[1:])], np.random.default_rng(0))
            )
        except CompilerError as error:
            raise ValueError(str(error)) from error
        return {**compiled.files, "net.so": compiled.shared_library}


def _compiled(used: nn.Module, inputs: Tensor, rounds: int = 0) -> Compiled:
    """A classifier of images as a library of 8-bit integers; all of its blocks are there, so no format is priced."""
    program = F8Net(used, shape=SHAPE, input=PIXEL).calibrate(inputs).eval().program()
    return compile_program(program, np.random.default_rng(0), format="dense", rounds=rounds)
