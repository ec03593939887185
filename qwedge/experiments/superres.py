"""Super-resolution for milliseconds: shapes are searched under the predicted latency of compiled nets."""

from collections.abc import Callable, Sequence

from torch import nn

from mobile.pricing.float_net import float_latency
from qwedge.experiments.float_nets import TiedLatency, compiled_in_turn, kept_latency, onnx_milliseconds
from shared.lab import Context
from vision.pruning_search.price import WidthPrice
from vision.superres.experiment import SuperRes
from vision.superres.nets import Supernet
from vision.superres.upscaler import plain_net


class TimedSuperRes(SuperRes):
    """Search a net that enlarges pictures within a budget, beside bicubic, FSRCNN, ECBSR and other shapes.

    One cell is one seed: the supernet, its gates, a race of depths whose winner is trained further, and every rival,
    trained for as many seconds. A budget in milliseconds is one of `qwedge compile --numbers float32` on this machine.
    """

    def latency(self, plane: tuple[int, int], context: Context) -> Callable[[Supernet], WidthPrice]:
        latency = kept_latency(context)

        def priced(net: Supernet) -> WidthPrice:
            layers = [(layer, place) for place, each in enumerate(net.layers()) for layer in each]
            whole = float_latency(plain_net(net), (1, *plane), latency)
            return TiedLatency(whole.over([layer for layer, _ in layers]), tuple(place for _, place in layers))

        return priced

    def compiled_milliseconds(self, nets: Sequence[nn.Module], plane: tuple[int, int]) -> list[float]:
        return compiled_in_turn(nets, (1, *plane))

    def milliseconds(self, net: nn.Module, plane: tuple[int, int]) -> float:
        return onnx_milliseconds(net, (1, *plane))
