"""A net of layers that read each other by name, as files of other frameworks describe it, in a form torch can trace."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

L = TypeVar("L", bound=nn.Module)


class Sum(nn.Module):
    """The sum of two values."""

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return a + b


class Joined(nn.Module):
    """The channels of several values, one behind the other."""

    def forward(self, *values: Tensor) -> Tensor:
        return torch.cat(values, 1)


class Zeros(nn.Module):
    """Zeros around images or lines, `before` and `behind` on each axis."""

    def __init__(self, before: Sequence[int], behind: Sequence[int]) -> None:
        super().__init__()
        sides = zip(reversed(before), reversed(behind), strict=True)
        self.padding = [each for pair in sides for each in pair]

    def forward(self, x: Tensor) -> Tensor:
        return functional.pad(x, self.padding)


class Function(nn.Module):
    """A function of values and constants: `operands` are its arguments, `None` in place of each value."""

    def __init__(self, function: Callable[..., Tensor], operands: Sequence[Tensor | None]) -> None:
        super().__init__()
        self.function, self.count = function, len(operands)
        for place, constant in enumerate(operands):
            if constant is not None:  # a parameter, since torch.fx traces no buffers
                self.register_parameter(f"constant{place}", nn.Parameter(constant, requires_grad=False))

    def forward(self, *values: Tensor) -> Tensor:
        rest = iter(values)
        names = (f"constant{place}" for place in range(self.count))
        return self.function(*(getattr(self, name) if hasattr(self, name) else next(rest) for name in names))


@dataclass(frozen=True)
class LayerNode:
    """A layer, what it reads, and what it is called."""

    layer: nn.Module
    inputs: tuple[str, ...]
    output: str


class LayerNet(nn.Module):
    """Layers in order, each a node; from one input to one output."""

    def __init__(self, input: str, nodes: Sequence[LayerNode], output: str) -> None:
        super().__init__()
        self.input, self.output = input, output
        self.layers = nn.ModuleDict()
        self.wiring: list[tuple[str, tuple[str, ...], str]] = []
        for node in nodes:
            name = re.sub(r"\W", "_", node.output, flags=re.ASCII)
            while name in self.layers or hasattr(self.layers, name):  # a ModuleDict has methods
                name += "_"
            self.layers[name] = node.layer
            self.wiring.append((name, node.inputs, node.output))

    def forward(self, x: Tensor) -> Tensor:
        values = {self.input: x}
        for name, inputs, output in self.wiring:
            values[output] = self.layers[name](*(values[source] for source in inputs))
        return values[self.output]


def linear(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    """A linear layer with these numbers; `weight` is `(out, in)`."""
    out, width = weight.shape
    layer = nn.Linear(width, out, bias=bias is not None, device="meta")
    return _filled(layer, weight, bias)


def convolution(
    weight: Tensor, bias: Tensor | None, stride: tuple[int, ...], padding: tuple[int, ...], groups: int
) -> nn.Conv1d | nn.Conv2d:
    """A convolution with these numbers; `weight` is `(out, in / groups, *kernel)`.

    Raises `ValueError` for other than one or two axes.
    """
    if weight.ndim not in (3, 4):
        raise ValueError(f"a convolution has one or two axes, its weight is {tuple(weight.shape)}")
    if groups < 1 or weight.shape[0] % groups:
        raise ValueError(f"{weight.shape[0]} outputs cannot be divided into {groups} groups")
    kind = nn.Conv1d if weight.ndim == 3 else nn.Conv2d
    layer = kind(
        weight.shape[1] * groups,
        weight.shape[0],
        tuple(weight.shape[2:]),  # type: ignore[arg-type]
        stride=stride,  # type: ignore[arg-type]
        padding=padding,  # type: ignore[arg-type]
        groups=groups,
        bias=bias is not None,
        device="meta",
    )
    return _filled(layer, weight, bias)


def transposed(
    weight: Tensor, bias: Tensor | None, stride: tuple[int, ...], padding: tuple[int, ...]
) -> nn.ConvTranspose1d | nn.ConvTranspose2d:
    """A transposed convolution with these numbers; `weight` is `(in, out, *kernel)`."""
    kind = nn.ConvTranspose1d if weight.ndim == 3 else nn.ConvTranspose2d
    inputs, outputs, *kernel = weight.shape
    layer = kind(inputs, outputs, tuple(kernel), stride, padding, bias=bias is not None, device="meta")  # type: ignore[arg-type]
    return _filled(layer, weight, bias)


def norm(axes: int, gamma: Tensor, beta: Tensor, mean: Tensor, variance: Tensor, eps: float) -> nn.Module:
    """A batch norm with these numbers, over values `(B, C)` or `(B, C, L)`, or of two axes."""
    layer = nn.BatchNorm2d(len(gamma), eps) if axes == 2 else nn.BatchNorm1d(len(gamma), eps)
    layer.load_state_dict({"weight": gamma, "bias": beta, "running_mean": mean, "running_var": variance}, strict=False)
    return layer


def pool(kind: str, size: tuple[int, ...], stride: tuple[int, ...], **options: Any) -> nn.Module:
    """A `max` or `average` pool over one or two axes, with options as torch calls them."""
    kinds = {
        ("max", 1): nn.MaxPool1d,
        ("max", 2): nn.MaxPool2d,
        ("average", 1): nn.AvgPool1d,
        ("average", 2): nn.AvgPool2d,
    }
    if (kind, len(size)) not in kinds:
        raise ValueError(f"a pool has one or two axes, its window is {size}")
    layer: nn.Module = kinds[kind, len(size)](size, stride, **options)
    return layer


def _filled(layer: L, weight: Tensor, bias: Tensor | None) -> L:
    state = {"weight": weight} | ({} if bias is None else {"bias": bias})
    layer.load_state_dict({name: tensor.to(torch.float32) for name, tensor in state.items()}, assign=True)
    return layer
