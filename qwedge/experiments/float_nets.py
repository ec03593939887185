"""Milliseconds of nets on pictures, in floating point on one thread: predicted by widths, and measured."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mobile.build.compile_floats import compile_floats
from mobile.pricing.calibration import calibrated
from mobile.pricing.latency import Latency
from mobile.pricing.priced import WidthLatency
from qwedge.experiments.runtimes import interleaved
from shared.lab import Context
from vision.nets.onnx_file import to_onnx

RUNS = 15
"""Times that a net is run, one after the other."""
PASSES = 3
"""How often that is done; the least counts, as for the predictions: what else the machine does only adds."""


@dataclass(frozen=True, eq=False)
class TiedLatency:
    """The latency of a net in which several layers have the same width: layer k the one at `places[k]`."""

    latency: WidthLatency
    places: tuple[int, ...]
    unit: str = "ms"

    def expected(self, widths: Tensor) -> Tensor:
        """Milliseconds, differentiable in the widths."""
        ms: Tensor = self.latency.expected(widths[list(self.places)])
        return ms


def kept_latency(context: Context) -> Latency:
    """The prices of this machine, kept, so that a cell that was stopped goes on with the same ones."""
    return Latency.from_json(
        context.stage("latency of this machine", lambda: calibrated(context.progress, "float32").to_json())
    )


def compiled_milliseconds(net: nn.Module, shape: tuple[int, ...]) -> float:
    """Of the library that `qwedge compile --numbers float32` makes; `shape` is `(C, H, W)`."""
    rng = np.random.default_rng(0)
    passes = [compile_floats(net, [shape], rng, rounds=RUNS, count=1).times for _ in range(PASSES)]
    return min(times.net for times in passes if times is not None)


def compiled_in_turn(nets: Sequence[nn.Module], shape: tuple[int, ...]) -> list[float]:
    """The same of several nets that take turns, so that what else the machine does meets all of them."""
    runs, x = {}, np.zeros((1, *shape), np.float32)
    for number, net in enumerate(nets):
        compiled = compile_floats(net, [shape], np.random.default_rng(0), count=1).net
        runs[str(number)] = partial(compiled.run, [x], [np.empty((1, *size), np.float32) for size in compiled.outputs])
    times: Any = interleaved(runs, RUNS)["least_ms"]
    return [times[name] for name in runs]


def onnx_milliseconds(net: nn.Module, shape: tuple[int, ...]) -> float:
    """Of ONNX Runtime; `shape` is `(C, H, W)`."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    x = torch.zeros(1, *shape)
    session = onnxruntime.InferenceSession(to_onnx(net, x), options, providers=["CPUExecutionProvider"])
    times = []
    for _ in range(RUNS * PASSES):
        began = time.perf_counter()
        session.run(None, {"image": x.numpy()})
        times.append(time.perf_counter() - began)
    return 1000 * min(times)
