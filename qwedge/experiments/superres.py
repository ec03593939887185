"""Super-resolution for milliseconds: shapes are searched under the predicted latency of compiled integer nets."""

import time
from collections.abc import Callable

import torch
from torch import nn

from mobile.pricing.calibration import calibrated
from mobile.pricing.latency import Latency
from mobile.pricing.net import net_latency
from shared.lab import Context
from vision.nets.onnx_file import to_onnx
from vision.pruning_search.price import WidthPrice
from vision.superres.experiment import SuperRes

RUNS = 15
"""Times that a net is run; the least counts: what else the machine does only adds."""


class TimedSuperRes(SuperRes):
    """Search a net that enlarges pictures within a budget, beside bicubic, FSRCNN, ESPCN and other shapes.

    One cell is one seed: the supernet, the search, the chosen net, and every rival, trained for as many seconds. A
    budget in milliseconds is one of `qwedge compile` on this machine.
    """

    def latency(self, plane: tuple[int, int], context: Context) -> Callable[[nn.Module], WidthPrice]:
        # Kept, so that a cell that was stopped goes on with the same prices.
        text = context.stage("latency of this machine", lambda: calibrated(context.progress).to_json())
        latency = Latency.from_json(text)
        # The convolutions: what adds the pixels themselves and lays the result out is left to the caller.
        return lambda net: net_latency(net.get_submodule("body"), (1, *plane), latency).over(["head"])

    def milliseconds(self, net: nn.Module, plane: tuple[int, int]) -> float | None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        x = torch.zeros(1, 1, *plane)
        session = onnxruntime.InferenceSession(to_onnx(net, x), options, providers=["CPUExecutionProvider"])
        times = []
        for _ in range(RUNS):
            began = time.perf_counter()
            session.run(None, {"image": x.numpy()})
            times.append(time.perf_counter() - began)
        return 1000 * min(times)
