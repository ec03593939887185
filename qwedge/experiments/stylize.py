"""Stylization for milliseconds: shapes are searched under the predicted latency of compiled nets."""

from collections.abc import Callable, Sequence

from torch import nn

from mobile.pricing.float_net import float_latency
from qwedge.experiments.float_nets import TiedLatency, compiled_in_turn, kept_latency, onnx_milliseconds
from shared.lab import Context
from vision.pruning_search.price import WidthPrice
from vision.stylize.experiment import Stylize
from vision.stylize.search import LAYERS


class TimedStylize(Stylize):
    """Search a net that gives pictures a style within a budget, beside its teacher and other shapes.

    One cell is one seed: the teacher, the search, the chosen net, and every rival, trained for as many seconds. A
    budget in milliseconds is one of `qwedge compile --numbers float32` on this machine.
    """

    def latency(self, plane: tuple[int, int], context: Context) -> Callable[[nn.Module], WidthPrice]:
        latency = kept_latency(context)

        def priced(net: nn.Module) -> WidthPrice:
            whole = float_latency(net, (3, *plane), latency)
            inner = [layer for layer in whole.written if layer.startswith("blocks.") and ".first." in layer]
            layers = (*LAYERS, *inner)
            return TiedLatency(whole.over(layers), (*range(len(LAYERS)), *(len(LAYERS),) * len(inner)))

        return priced

    def compiled_milliseconds(self, nets: Sequence[nn.Module], plane: tuple[int, int]) -> list[float]:
        return compiled_in_turn(nets, (3, *plane))

    def milliseconds(self, net: nn.Module, plane: tuple[int, int]) -> float:
        return onnx_milliseconds(net, (3, *plane))
