"""Latency-driven slimming under the predicted time of compiled nets of floats, and their measured time."""

import hashlib
from typing import Any

import numpy as np
import torch
from torch import nn

from mobile.build.compile_floats import compile_floats
from mobile.pricing.calibration import calibrated
from mobile.pricing.latency import Latency
from mobile.pricing.net import net_latency
from qwedge.experiments.runtimes import interleaved, onnx_runtime
from shared.lab import Context
from vision.nets.onnx_file import to_onnx
from vision.slimming.experiment import Slimming
from vision.slimming.prices import NetPrice, Shape
from vision.slimming.settings import SlimmingSettings

ROUNDS = 101
"""Times that a net is run; the least counts, as for the predictions: what else the machine does only adds."""


class TimedSlimming(Slimming):
    """Slim a net for a budget of milliseconds: depths, widths and operators, beside published nets and simple cuts.

    One cell is one seed: the supernet, and at each budget the slimmed net, the same largest net scaled or cut by
    chance, and published nets scaled by width. Milliseconds are those of `qwedge compile --numbers float32` on this
    machine, or of ONNX Runtime (`--set runtime=onnxruntime`).
    """

    def latency(self, cell: SlimmingSettings, context: Context) -> NetPrice:
        # Kept, so that a cell that was stopped goes on with the same prices.
        if cell.runtime == "onnxruntime":
            return _Measured(context)
        measure = calibrated(context.progress, "float32").to_json
        latency = Latency.from_json(context.stage("latency of this machine", measure))
        return lambda net, shape: net_latency(net, shape, latency, "float32").ms

    def milliseconds(self, cell: SlimmingSettings, net: nn.Module, shape: Shape) -> float:
        if cell.runtime == "onnxruntime":
            return onnx_runtime_ms(net, shape)
        times = compile_floats(net, [shape], np.random.default_rng(0), rounds=ROUNDS).times
        assert times is not None
        return times.net


class _Measured:
    """The price of a net by its time in ONNX Runtime, each measured once in a cell: for the blocks of a table."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.ms: dict[str, float] = {}

    def __call__(self, net: nn.Module, shape: Shape) -> float:
        name = hashlib.sha256(f"{shape} {net}".encode()).hexdigest()[:16]
        if name not in self.ms:
            self.ms[name] = self.context.checkpoint(f"time of {name}", lambda: onnx_runtime_ms(net, shape))
        return self.ms[name]


def onnx_runtime_ms(net: nn.Module, shape: Shape) -> float:
    """The least milliseconds of CPU time of one input in ONNX Runtime, on one thread."""
    x = torch.zeros(1, *shape)
    try:
        run = onnx_runtime(to_onnx(net, x), x.numpy())
    except ModuleNotFoundError as error:
        way_out = "runtime=onnxruntime needs it: pip install 'qwedge[mobile]'"
        raise ModuleNotFoundError(way_out, name=error.name) from None
    times: Any = interleaved({"net": run}, ROUNDS)["least_ms"]
    return float(times["net"])
