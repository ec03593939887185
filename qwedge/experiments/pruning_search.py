"""Pruning-as-Search for milliseconds: widths are learned under the predicted latency of compiled integer nets."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from mobile.build.compile import compile_program
from mobile.pricing.calibration import calibrated
from mobile.pricing.latency import Latency
from mobile.pricing.net import net_latency
from shared.f8net import F8Net
from shared.lab import Context
from vision.data.augment import PIXEL, as_input
from vision.data.cifar10 import SHAPE, Images
from vision.pruning_search.experiment import PruningSearch
from vision.pruning_search.price import WidthPrice

ROUNDS = 101
"""Times that a net is run; the least counts, as for the predictions: what else the machine does only adds."""


class TimedPruningSearch(PruningSearch):
    """Learn the width of every layer for a budget, beside widths by rule and by the solvers of the core.

    One cell is one seed: the wide net, the search, and every control from the same weights. A budget in milliseconds
    is one of `qwedge compile` on this machine.
    """

    def latency(self, wide: nn.Module, layers: Sequence[str], context: Context) -> WidthPrice:
        # Kept, so that a cell that was stopped goes on with the same prices.
        text = context.stage("latency of this machine", lambda: calibrated(context.progress).to_json())
        return net_latency(wide, SHAPE, Latency.from_json(text)).over(layers)

    def milliseconds(self, used: nn.Module, images: Images) -> float:
        x = as_input(torch.from_numpy(images.pixels))
        program = F8Net(used, shape=SHAPE, input=PIXEL).calibrate(x).eval().program()
        times = compile_program(program, np.random.default_rng(0), rounds=ROUNDS).times
        assert times is not None
        return times.net
