"""Latency-driven slimming under the predicted time of compiled nets of floats, and their measured time."""

from collections.abc import Callable

import numpy as np
from torch import nn

from mobile.build.compile_floats import compile_floats
from mobile.pricing.calibration import calibrated
from mobile.pricing.latency import Latency
from mobile.pricing.net import net_latency
from shared.lab import Context
from vision.data.cifar10 import SHAPE
from vision.slimming.experiment import Slimming

ROUNDS = 101
"""Times that a net is run; the least counts, as for the predictions: what else the machine does only adds."""


class TimedSlimming(Slimming):
    """Slim a net for a budget of milliseconds: depths, widths and operators, beside uniform and random cuts.

    One cell is one seed: the supernet, the slimmed net, and the same largest net scaled or cut by chance. Milliseconds
    are those of `qwedge compile --numbers float32` on this machine.
    """

    def latency(self, context: Context) -> Callable[[nn.Module], float]:
        # Kept, so that a cell that was stopped goes on with the same prices.
        measure = calibrated(context.progress, "float32").to_json
        latency = Latency.from_json(context.stage("latency of this machine", measure))
        return lambda net: net_latency(net, SHAPE, latency, "float32").ms

    def milliseconds(self, net: nn.Module) -> float:
        times = compile_floats(net, [SHAPE], np.random.default_rng(0), rounds=ROUNDS).times
        assert times is not None
        return times.net
