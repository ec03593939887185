"""Super-resolution for milliseconds: shapes are searched under the predicted latency of compiled nets."""

from collections.abc import Callable

from torch import nn

from mobile.pricing.float_net import float_latency
from qwedge.experiments.float_nets import TiedLatency, compiled_milliseconds, kept_latency, onnx_milliseconds
from shared.lab import Context
from vision.pruning_search.price import WidthPrice
from vision.superres.experiment import SuperRes


class TimedSuperRes(SuperRes):
    """Search a net that enlarges pictures within a budget, beside bicubic, FSRCNN, ECBSR and other shapes.

    One cell is one seed: the supernet, the search, the chosen net, and every rival, trained for as many seconds. A
    budget in milliseconds is one of `qwedge compile --numbers float32` on this machine.
    """

    def latency(self, plane: tuple[int, int], context: Context) -> Callable[[nn.Module], WidthPrice]:
        latency = kept_latency(context)

        def priced(net: nn.Module) -> WidthPrice:
            whole = float_latency(net, (1, *plane), latency)
            # The tail is a sum with the input; all other layers have the width of the trunk.
            layers = [layer for layer, group in whole.written.items() if group != "input"]
            return TiedLatency(whole.over(layers), (0,) * len(layers))

        return priced

    def compiled_milliseconds(self, net: nn.Module, plane: tuple[int, int]) -> float:
        return compiled_milliseconds(net, (1, *plane))

    def milliseconds(self, net: nn.Module, plane: tuple[int, int]) -> float:
        return onnx_milliseconds(net, (1, *plane))
