"""An integer program as hls4ml's own list of layers, with a precision for every number on the way."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared import integer
from shared.integer.catalogue import require_layers
from shared.integer.format import Format, Integers
from shared.integer.geometry import to_channels_last

AXES = {1: ("width",), 2: ("height", "width")}  # how hls4ml names them
SIDES = {1: (("left", "right"),), 2: (("top", "bottom"), ("left", "right"))}


@dataclass(frozen=True)
class Layer:
    """One layer of hls4ml: which value of the program it computes, its attributes, its precisions."""

    name: str
    """Unique even without case, and not a keyword of C++."""
    value: str
    """The name in the program."""
    attributes: dict[str, Any]
    precision: dict[str, str]
    order: NDArray[np.int64]
    """Element `i` of hls4ml's flat result is element `order[i]` of the program's: hls4ml has channels last."""

    def gather(self, integers: Integers) -> NDArray[np.int64]:
        """The program's `(B, *shape)` as hls4ml's `(B, elements)`."""
        return np.asarray(integers, np.int64).reshape(len(integers), -1)[:, self.order]

    def scatter(self, integers: Integers, shape: tuple[int, ...]) -> NDArray[np.int64]:
        """Undoes `gather`."""
        flat = np.empty((len(integers), self.order.size), np.int64)
        flat[:, self.order] = np.asarray(integers, np.int64).reshape(len(integers), -1)
        return flat.reshape(len(integers), *shape)


def fixed(format: Format, *, rounds: bool = False) -> str:
    """A format in the notation of Vivado's and Vitis's headers, which hls4ml translates for the others.

    >>> fixed(Format(8, 5, signed=False), rounds=True), fixed(Format(8, -2))
    ('ap_ufixed<8,3,AP_RND_CONV,AP_SAT>', 'ap_fixed<8,10>')
    """
    kind = "ap_fixed" if format.signed else "ap_ufixed"
    return f"{kind}<{format.word},{format.word - format.fraction}{',AP_RND_CONV,AP_SAT' if rounds else ''}>"


def layers(program: integer.Program, *, divides: bool = True) -> tuple[Layer, ...]:
    """The layers of a program, its input first, its output last, one per operation that the output needs.

    - A sum has the fewest bits that hold all it can reach, so nothing is rounded or lost before a `Requantise`.
    - `Requantise` is an activation whose result rounds ties to even and saturates; unsigned, a ReLU.
    - A grouped convolution becomes one with zeros between the groups.
    - An average pool becomes a convolution by ones, unless its window is a power of two and the backend `divides`
      exactly.
    - `Flatten` keeps hls4ml's order, channels fastest; the weights behind it are permuted instead.

    Raises `ValueError` naming the operation that hls4ml cannot compute alike, and the way out.
    """
    require_layers(program, "the layers of hls4ml")
    (input,) = program.inputs
    attributes: dict[str, Any] = {"class_name": "InputLayer", "input_shape": [*input.shape[1:], input.shape[0]]}
    first = Layer(
        f"s0_{input.name}", input.name, attributes, {"result": fixed(input.format)}, to_channels_last(input.shape)
    )
    converted = {input.name: first}
    for index, operation in enumerate(program.live, start=1):
        sources = tuple(converted[name] for name in operation.inputs)
        values = [program.values[name] for name in (*operation.inputs, operation.output)]
        layer, precision, order = _convert(operation, values, sources, divides)
        layer |= {"inputs": [source.name for source in sources], "data_format": "channels_last"}
        name = f"s{index}_{operation.output}"
        converted[operation.output] = Layer(name, operation.output, layer, precision, order)
    return tuple(converted.values())


_Converted = tuple[dict[str, Any], dict[str, str], NDArray[np.int64]]


def _convert(
    operation: integer.Operation, values: list[integer.Value], sources: tuple[Layer, ...], divides: bool
) -> _Converted:
    x, y = values[0], values[-1]
    if isinstance(operation, integer.Linear):
        weight = operation.weight.integers[:, sources[0].order]
        return _dense(operation, weight, y), _weighted(operation, y), np.arange(y.shape[0])
    if isinstance(operation, integer.AbstractConvolution):
        matrix = _grouped(operation.weight.integers, operation.groups)
        step = operation.weight.format.step
        attributes = _convolution(matrix * step, _bias(operation.bias), x, y, operation.stride, operation.padding)
        return attributes, _weighted(operation, y), to_channels_last(y.shape)
    if isinstance(operation, integer.AveragePool) and not (
        divides and math.prod(operation.size) == 1 << operation.bits
    ):
        ones = _grouped(np.ones((x.shape[0], 1, *operation.size)), x.shape[0])
        none = (0,) * len(operation.size)
        attributes = _convolution(ones * 2.0**-operation.bits, None, x, y, operation.stride, none)
        return attributes, _sums(y) | {"weight": fixed(Format(2, operation.bits))}, to_channels_last(y.shape)
    if isinstance(operation, integer.AveragePool):
        exact = _exact(y)
        whole = Format(exact.word + operation.bits, exact.fraction)  # the sum, before it is divided
        return _pool(operation, x, y), {"result": fixed(exact), "accum": fixed(whole)}, to_channels_last(y.shape)
    if isinstance(operation, integer.MaxPool):
        return _pool(operation, x, y), {"result": fixed(x.format), "accum": fixed(x.format)}, to_channels_last(y.shape)
    if isinstance(operation, integer.Clip):
        raise ValueError(f"hls4ml has no activation for Clip {operation.output!r}: use the open flow, csim=false")
    if isinstance(operation, integer.Requantise):
        kind = "linear" if operation.format.signed else "relu"
        precision = {"result": fixed(operation.format, rounds=True)}
        return {"class_name": "Activation", "activation": kind}, precision, sources[0].order
    if isinstance(operation, integer.Add):
        if not np.array_equal(sources[0].order, sources[1].order):
            raise ValueError(
                f"hls4ml: the terms of Add {operation.output!r} lie in different orders, one was flattened from "
                "channels first: add before the Flatten"
            )
        return {"class_name": "Merge", "op": "add"}, {"result": fixed(_exact(y))}, sources[0].order
    if isinstance(operation, integer.PixelShuffle):
        raise ValueError(f"hls4ml has no layer for PixelShuffle {operation.output!r}: use the open flow, unrolled")
    assert isinstance(operation, integer.Flatten)
    attributes = {"class_name": "Reshape", "target_shape": [math.prod(x.shape)]}
    return attributes, {"result": sources[0].precision["result"]}, sources[0].order


def _exact(value: integer.Value) -> Format:
    """The format of a sum and all its partial sums; signed, as hls4ml expects of sums."""
    return Format(integer.bits(value) + (value.low >= 0), value.format.fraction)


def _sums(y: integer.Value) -> dict[str, str]:
    return {"result": fixed(_exact(y)), "accum": fixed(_exact(y))}


def _weighted(operation: integer.AbstractWeighted, y: integer.Value) -> dict[str, str]:
    bias = {"bias": fixed(operation.bias.format)} if operation.bias else {}
    return _sums(y) | {"weight": fixed(operation.weight.format)} | bias


def _bias(bias: integer.Constant | None) -> NDArray[np.float64] | None:
    return None if bias is None else bias.format.from_integers(bias.integers)


def _dense(operation: integer.Linear, weight: NDArray[Any], y: integer.Value) -> dict[str, Any]:
    return {
        "class_name": "Dense",
        "n_in": weight.shape[1],
        "n_out": y.shape[0],
        "weight_data": np.ascontiguousarray(operation.weight.format.from_integers(weight).T),
        "bias_data": _bias(operation.bias),
    }


def _grouped(weight: NDArray[Any], groups: int) -> NDArray[np.float64]:
    """`(out, in / groups, *kernel)` as `(out, in, *kernel)`, zero between the groups."""
    out, width = len(weight) // groups, weight.shape[1]
    every = np.zeros((len(weight), width * groups, *weight.shape[2:]))
    for group in range(groups):
        rows = slice(group * out, (group + 1) * out)
        every[rows, group * width : (group + 1) * width] = weight[rows]
    return every


def _convolution(
    weight: NDArray[np.float64],
    bias: NDArray[np.float64] | None,
    x: integer.Value,
    y: integer.Value,
    stride: tuple[int, ...],
    padding: tuple[int, ...],
) -> dict[str, Any]:
    axes = len(x.shape) - 1
    layer: dict[str, Any] = {
        "class_name": f"Conv{axes}D",
        "n_chan": x.shape[0],
        "n_filt": y.shape[0],
        "weight_data": np.ascontiguousarray(np.moveaxis(weight, (0, 1), (-1, -2))),  # (*kernel, in, out)
        "bias_data": bias,
        "dilation": 1,
    }
    for index, name in enumerate(AXES[axes]):
        layer |= {f"in_{name}": x.shape[1 + index], f"out_{name}": y.shape[1 + index]}
        layer |= {f"filt_{name}": weight.shape[2 + index], f"stride_{name}": stride[index]}
    return layer | _padding(axes, lambda axis: padding[axis])


def _pool(operation: integer.AbstractPool, x: integer.Value, y: integer.Value) -> dict[str, Any]:
    axes = len(operation.size)
    kind = "Max" if isinstance(operation, integer.MaxPool) else "Average"
    layer: dict[str, Any] = {
        "class_name": f"{kind}Pooling{axes}D",
        "n_filt": x.shape[0],
        "padding": "valid",
        "count_pad": True,
    }
    names = AXES[axes]
    for index, name in enumerate(names):
        layer |= {f"pool_{name}": operation.size[index], f"stride_{name}": operation.stride[index]}
        first, last = ("n_in", "n_out") if axes == 1 else (f"in_{name}", f"out_{name}")
        layer |= {first: x.shape[1 + index], last: y.shape[1 + index]}
    return layer | _padding(axes, lambda axis: 0)


def _padding(axes: int, amount: Callable[[int], int]) -> dict[str, int]:
    return {f"pad_{side}": amount(axis) for axis, sides in enumerate(SIDES[axes]) for side in sides}
