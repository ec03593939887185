"""Functions of every number: the ReLU, which rounding is, and others, which become tables."""

from collections.abc import Callable
from functools import partial
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn import functional

from shared.f8net import token_steps as steps
from shared.f8net.builder import Builder
from shared.f8net.placed import Placed
from shared.f8net.scales import REAL
from shared.f8net.steps import Quantiser
from shared.importers.graph import TracedNode

UNSIGNED: Final = ("sigmoid", "hardsigmoid", "relu6")
FUNCTIONS: Final[dict[str, tuple[Callable[..., Tensor], dict[str, Any]]]] = {
    "sigmoid": (torch.sigmoid, {}),
    "hardsigmoid": (functional.hardsigmoid, {}),
    "hardswish": (functional.hardswish, {}),
    "silu": (functional.silu, {}),
    "gelu": (functional.gelu, {"approximate": "none"}),
    "tanh": (torch.tanh, {}),
    "elu": (functional.elu, {"alpha": 1.0}),
    "leakyrelu": (functional.leaky_relu, {"negative_slope": 0.01}),
    "mish": (functional.mish, {}),
    "softplus": (functional.softplus, {"beta": 1.0, "threshold": 20.0}),
}
"""Functions of one tensor with the defaults of their other arguments, in order."""


def relu(builder: Builder, node: TracedNode) -> None:
    """A sum is rounded to a format without a sign; what has none already passes."""
    whole = builder.whole(builder.value(node, node.inputs[0]))
    value = builder.values[whole.step]
    if value.source and not value.signed:
        builder.placed[node.name] = whole
        return
    builder.quantise(node.name, whole.step, signed=False)
    builder.placed[node.name] = Placed(node.name, whole.index)


def clipped(builder: Builder, node: TracedNode) -> None:
    """A ReLU with an upper end: rounded without a sign, then clipped."""
    most = 6.0 if node.plain_name == "relu6" else float(node.argument(2, "max_val", 1.0))
    whole = builder.whole(builder.value(node, node.inputs[0]))
    name = f"{node.name}_rectified"
    shape = builder.values[whole.step].shape
    builder.quantise(name, whole.step, signed=False)
    builder.ties.tie(node.name, name)
    builder.emit(
        node.name,
        (name,),
        lambda: steps.Clip(most, builder.quantisers[name], builder.scale(name)),
        shape,
        signed=False,
        source=name,
    )
    builder.placed[node.name] = Placed(node.name, whole.index)


def activation(builder: Builder, node: TracedNode) -> None:
    """A function of every number, which becomes a table."""
    name, channels = node.plain_name, 1
    function: Callable[[Tensor], Tensor]
    if name == "prelu":
        slopes = node.layer.weight if node.layer is not None else builder.evaluator.constant(node.call.args[1])
        builder.refuse(node, not isinstance(slopes, Tensor), "slopes that depend on the input", "use constants")
        assert isinstance(slopes, Tensor)
        channels, function = slopes.numel(), _Slopes(slopes)
    else:
        plain, defaults = FUNCTIONS[name]
        places = enumerate(defaults.items(), 1)
        function = partial(plain, **{key: node.argument(place, key, default) for place, (key, default) in places})
    source = builder.value(node, node.inputs[0])
    whole = Placed.plain(builder.plain(node.inputs[0]), node.shape) if channels > 1 else builder.whole(source)
    shape = builder.values[whole.step].shape
    operand = builder.narrow(whole.step)
    origin = builder.origin(operand)
    signed = name not in UNSIGNED

    def construct() -> Quantiser:
        scales = builder.scale(operand), builder.scale(node.name)
        built = steps.Activation(
            function,
            channels,
            builder.word,
            builder.fit,
            signed=signed,
            source=builder.format_of(origin),
            scales=scales,
        )
        builder.quantisers[node.name] = built
        return built

    builder.ties.tie(node.name, REAL)
    builder.emit(node.name, (operand,), construct, shape, signed, source=node.name)
    builder.order.append(node.name)
    builder.placed[node.name] = Placed(node.name, whole.index)


class _Slopes:
    """Numbers below zero times the slope of their channel, the second axis."""

    def __init__(self, slopes: Tensor) -> None:
        self.slopes = slopes

    def __call__(self, x: Tensor) -> Tensor:
        slopes = self.slopes.flatten().to(x.dtype).reshape(-1, *(1,) * (x.ndim - 2))
        return torch.where(x > 0, x, x * slopes)
