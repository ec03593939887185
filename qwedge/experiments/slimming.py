"""Latency-driven slimming under the predicted time of compiled nets of floats, and their measured time."""

import numpy as np
from torch import nn

from mobile.build.compile_floats import compile_floats
from mobile.pricing.calibration import calibrated
from mobile.pricing.latency import Latency
from mobile.pricing.net import net_latency
from shared.lab import Context
from vision.data.cifar10 import SHAPE
from vision.slimming.experiment import Slimming
from vision.slimming.prices import NetPrice

ROUNDS = 101
"""Times that a net is run; the least counts, as for the predictions: what else the machine does only adds."""


class TimedSlimming(Slimming):
    """Slim a net for a budget of milliseconds: depths, widths and operators, beside published nets and simple cuts.

    One cell is one seed: the supernet, and at each budget the slimmed net, the same largest net scaled or cut by
    chance, and published nets scaled by width. Milliseconds are those of `qwedge compile --numbers float32` on this
    machine.
    """

    def latency(self, context: Context) -> NetPrice:
        # Kept, so that a cell that was stopped goes on with the same prices.
        measure = calibrated(context.progress, "float32").to_json
        latency = Latency.from_json(context.stage("latency of this machine", measure))
        return lambda net, shape: net_latency(net, shape, latency, "float32").ms

    def milliseconds(self, net: nn.Module) -> float:
        times = compile_floats(net, [SHAPE], np.random.default_rng(0), rounds=ROUNDS).times
        assert times is not None
        return times.net
