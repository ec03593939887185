"""Super-resolution for milliseconds: shapes are searched under the predicted latency of compiled nets."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from mobile.build.compile_floats import compile_floats
from mobile.pricing.calibration import calibrated
from mobile.pricing.float_net import float_latency
from mobile.pricing.latency import Latency
from mobile.pricing.priced import WidthLatency
from shared.lab import Context
from vision.nets.onnx_file import to_onnx
from vision.pruning_search.price import WidthPrice
from vision.superres.experiment import SuperRes

RUNS = 15
"""Times that a net is run, one after the other."""
PASSES = 3
"""How often that is done; the least counts, as for the predictions: what else the machine does only adds."""


@dataclass(frozen=True, eq=False)
class TrunkLatency:
    """The latency of a net whose layers all have the same width, `(1,)`."""

    latency: WidthLatency
    layers: int
    unit: str = "ms"

    def expected(self, widths: Tensor) -> Tensor:
        """Milliseconds, differentiable in the width."""
        ms: Tensor = self.latency.expected(widths.expand(self.layers))
        return ms


class TimedSuperRes(SuperRes):
    """Search a net that enlarges pictures within a budget, beside bicubic, FSRCNN, ESPCN and other shapes.

    One cell is one seed: the supernet, the search, the chosen net, and every rival, trained for as many seconds. A
    budget in milliseconds is one of `qwedge compile --numbers float32` on this machine.
    """

    def latency(self, plane: tuple[int, int], context: Context) -> Callable[[nn.Module], WidthPrice]:
        # Kept, so that a cell that was stopped goes on with the same prices.
        text = context.stage("latency of this machine", lambda: calibrated(context.progress, "float32").to_json())
        latency = Latency.from_json(text)

        def priced(net: nn.Module) -> WidthPrice:
            whole = float_latency(net, (1, *plane), latency)
            layers = [layer for layer, group in whole.written.items() if group != "input"]  # the tail is a sum with it
            return TrunkLatency(whole.over(layers), len(layers))

        return priced

    def compiled_milliseconds(self, net: nn.Module, plane: tuple[int, int]) -> float:
        rng = np.random.default_rng(0)
        passes = [compile_floats(net, [(1, *plane)], rng, rounds=RUNS, count=1).times for _ in range(PASSES)]
        return min(times.net for times in passes if times is not None)

    def milliseconds(self, net: nn.Module, plane: tuple[int, int]) -> float:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        x = torch.zeros(1, 1, *plane)
        session = onnxruntime.InferenceSession(to_onnx(net, x), options, providers=["CPUExecutionProvider"])
        times = []
        for _ in range(RUNS * PASSES):
            began = time.perf_counter()
            session.run(None, {"image": x.numpy()})
            times.append(time.perf_counter() - began)
        return 1000 * min(times)
