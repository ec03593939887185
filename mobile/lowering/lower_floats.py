"""Lowers a traced float net to kernel calls."""

from typing import Any, Final, NoReturn

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from mobile.lowering.arena import plan
from mobile.lowering.calls import Call, Layer, Lowered
from mobile.lowering.floats import (
    OUTPUTS,
    ActivateFloats,
    Bounds,
    CombineFloats,
    ConvolveFloats,
    CopyFloats,
    DepthwiseFloats,
    FlattenFloats,
    Floats,
    Function,
    PadFloats,
    PoolFloats,
    Window,
)
from mobile.lowering.groups import ungrouped
from shared.importers.graph import TracedGraph, TracedNode
from shared.integer.geometry import plane

_FUNCTIONS: Final[dict[str, Function]] = {
    "sigmoid": "sigmoid",
    "hardsigmoid": "hard_sigmoid",
    "hardswish": "hard_swish",
    "silu": "silu",
    "gelu": "gelu",
    "tanh": "tanh",
}
_WAY_OUT = "leave it to the host, or replace it by layers that have one"


def lower_floats(graph: TracedGraph) -> Lowered:
    """The net in evaluation mode as kernel calls; batch norms go into the layer before them, clamps too.

    Raises `ValueError` naming the operation that has no kernel and the way out, or weights that are not finite.
    """
    walk = _Walk(graph)
    for node in graph:
        if node.name not in walk.values:
            walk.take(node)
    inputs = tuple(walk.values[node.name] for node in graph.inputs)
    outputs = tuple(walk.values[name] for name in graph.outputs)
    places, arena = plan(inputs, walk.calls, outputs)
    if arena >= 2**31:
        raise ValueError(f"the net needs an arena of {arena:,} bytes: at most 2 GiB can be addressed")
    return Lowered(inputs, outputs, tuple(walk.calls), places, arena)


class _Walk:
    def __init__(self, graph: TracedGraph) -> None:
        self.graph = graph
        self.calls: list[Call] = []
        self.values: dict[str, Floats] = {}

    def refuse(self, node: TracedNode, way_out: str = _WAY_OUT) -> NoReturn:
        raise ValueError(f"{node.title} has no kernel of floats: {way_out}")

    def value(self, node: TracedNode) -> Floats:
        if not 1 <= len(node.shape) <= 3:
            self.refuse(node, f"its result has the shape {node.shape}; give vectors, lines or images, channels first")
        return Floats(node.name, node.shape[0], *plane((1, *node.shape[1:]), 1))

    def take(self, node: TracedNode) -> None:
        """One operation: its calls, and the value that it computes."""
        if node.kind == "input":
            self.values[node.name] = self.value(node)
        elif node.kind in ("dropout", "identity"):
            self.values[node.name] = self.values[node.inputs[0]]
        elif node.kind in ("convolution", "linear", "norm"):
            self.weighted(node)
        elif node.kind == "activation":
            self.activation(node)
        elif node.kind == "pool" and node.layer is not None:
            self.pool(node, node.layer)
        elif node.kind == "concatenate":
            self.concatenate(node)
        elif node.kind == "flatten" and len(node.shape) == 1:
            self.calls.append(FlattenFloats((self.values[node.inputs[0]],), self.end(node)))
        elif len(node.inputs) == 2 and (node.kind == "add" or node.operation in ("mul", "imul")):
            self.combine(node)
        else:
            self.refuse(node)

    def end(self, node: TracedNode) -> Floats:
        """The value of a node, and of those that do nothing behind it."""
        self.values[node.name] = self.value(node)
        return self.values[node.name]

    def clamped(self, node: TracedNode) -> tuple[Floats, Bounds]:
        """The value of a node, clamped at once by the activation that alone reads it."""
        reader, to = self.graph.sole_reader(node.name), Bounds()
        if reader is not None and (bounds := _bounds(reader)) is not None:
            node, to = reader, bounds
        return self.end(node), to

    def weighted(self, node: TracedNode) -> None:
        layer: Any = node.layer
        name, source = node.path or node.name, self.values[node.inputs[0]]
        if node.kind == "norm":
            weight, bias = _scale(node, layer, self)
            weight = weight.reshape(-1, 1, 1, 1)
        else:
            weight = _numbers(layer.weight)
            bias = np.zeros(len(weight), np.float32) if layer.bias is None else _numbers(layer.bias)
            weight = weight.reshape(*weight.shape[:2], *plane((1, *weight.shape[2:]), 1))
        stride, padding, dilation, groups = (1, 1), (0, 0), (1, 1), len(weight) if node.kind == "norm" else 1
        if node.kind == "convolution":
            if layer.padding_mode != "zeros" or isinstance(layer.padding, str):
                self.refuse(node, "pad with zeros, by a number")
            stride, padding, dilation = plane(layer.stride, 1), plane(layer.padding, 0), plane(layer.dilation, 1)
            groups = layer.groups
        elif node.kind == "linear" and len(node.shape) != 1:
            self.refuse(node, "flatten its input first")
        behind = self.graph.sole_reader(node.name)
        if node.kind != "norm" and behind is not None and isinstance(behind.layer, _BatchNorm):
            scale, shift = _scale(behind, behind.layer, self)
            weight, bias = weight * scale.reshape(-1, 1, 1, 1), bias * scale + shift
            node = behind
        if not (np.isfinite(weight).all() and np.isfinite(bias).all()):
            raise ValueError(f"{name!r} has weights that are not finite numbers: train it again, or repair them")
        out, to = self.clamped(node)
        self.values[node.name] = out
        source = self.padded(source, padding, out.name)
        window = _window(source, weight.shape[2:], stride, dilation)
        if 1 < groups == source.channels == len(weight):
            self.depthwise(name, source, out, window, weight, bias, to)
        else:
            self.convolve(name, source, out, window, ungrouped(weight, groups), bias, to, weight.size)

    def padded(self, source: Floats, padding: tuple[int, int], name: str) -> Floats:
        if padding == (0, 0):
            return source
        rows, columns = source.rows + 2 * padding[0], source.columns + 2 * padding[1]
        wide = Floats(f"{name} padded", source.channels, rows, columns)
        self.calls.append(PadFloats((source,), wide, *padding))
        return wide

    def depthwise(
        self,
        name: str,
        source: Floats,
        out: Floats,
        window: Window,
        weight: NDArray[np.float32],
        bias: NDArray[np.float32],
        to: Bounds,
    ) -> None:
        taps = _fill(weight.reshape(len(weight), -1).T)
        pixels = out.rows * out.columns
        kind = "scale" if taps.shape[0] == 1 else "depthwise"
        reason = "each output reads one input: there are no blocks"
        size = taps.nbytes + out.pitch * 4 + window.offsets.nbytes
        dense = weight.size * pixels
        layer = Layer(name, kind, "dense", dense, taps.size * pixels, size, None, reason, not weight.any())
        self.calls.append(DepthwiseFloats((source,), out, window, taps, _fill(bias), to, layer=layer))

    def convolve(
        self,
        name: str,
        source: Floats,
        out: Floats,
        window: Window,
        weight: NDArray[np.float32],
        bias: NDArray[np.float32],
        to: Bounds,
        stated: int,
    ) -> None:
        """Entries by tap, then by input: neighbours in the weights are neighbours in the input."""
        inputs = weight.shape[1]
        every = (window.offsets[:, None] + np.arange(inputs)).ravel().astype(np.int32)
        blocks = _fill(weight.transpose(2, 3, 1, 0).reshape(len(every), -1)).reshape(len(every), -1, OUTPUTS)
        kept: NDArray[np.bool_] = np.any(blocks, 2).T  # (blocks, entries)
        first: NDArray[np.int32] = np.zeros(len(kept) + 1, np.int32)
        first[1:] = kept.sum(1).cumsum()
        block, entry = np.nonzero(kept)
        weights = np.ascontiguousarray(blocks[entry, block])
        pixels, share = out.rows * out.columns, float(kept.mean())
        shape = "x".join(map(str, weight.shape[2:]))
        kind = "matrix product" if weight.shape[2:] == (1, 1) and pixels == 1 else f"{shape} convolution"
        size = weights.nbytes + entry.size * 4 + first.nbytes + out.pitch * 4
        executed = weights.size * pixels
        layer = Layer(
            name,
            kind,
            "dense" if share == 1 else "16x1",
            stated * pixels,
            executed,
            size,
            None,
            "every weight is zero: only the bias is computed; check that the net was trained"
            if not weight.any()
            else f"{share:.0%} of its 16x1 blocks hold weights, and only those are multiplied",
            not weight.any(),
        )
        self.calls.append(
            ConvolveFloats((source,), out, window, first, every[entry], weights, _fill(bias), to, layer=layer)
        )

    def activation(self, node: TracedNode) -> None:
        x, bounds, function = self.values[node.inputs[0]], _bounds(node), _FUNCTIONS.get(_plain(node))
        if _plain(node) == "leakyrelu" and node.layer is not None:
            function, bounds = "leaky", Bounds(float(node.layer.negative_slope))  # type: ignore[arg-type]
        elif function == "gelu" and _argument(node, "approximate", "none") != "none":
            self.refuse(node, "use GELU without an approximation")
        if bounds is None and function is None:
            self.refuse(node)
        self.calls.append(ActivateFloats((x,), self.end(node), function or "clamp", bounds or Bounds()))

    def combine(self, node: TracedNode) -> None:
        a, b = (self.values[name] for name in node.inputs)
        if a.rows * a.columns < b.rows * b.columns:
            a, b = b, a
        is_one = b.rows * b.columns == 1 and len(node.shape) > 1
        if a.channels != b.channels or not ((a.rows, a.columns) == (b.rows, b.columns) or is_one):
            self.refuse(node, "give both terms one shape, or one of them one pixel")
        out, to = self.clamped(node)
        self.values[node.name] = out
        self.calls.append(CombineFloats((a, b), out, node.kind != "add", to))

    def concatenate(self, node: TracedNode) -> None:
        axis = node.call.kwargs.get("dim", node.call.args[1] if len(node.call.args) > 1 else 0)
        if axis not in (1, -len(node.shape)):
            self.refuse(node, "concatenate channels: axis 1")
        out, channel = self.end(node), 0
        for name in node.inputs:
            part = self.values[name]
            self.calls.append(CopyFloats((part,), out, channel))
            channel += part.channels

    def pool(self, node: TracedNode, layer: Any) -> None:
        x, out = self.values[node.inputs[0]], self.end(node)
        largest = "Max" in type(layer).__name__
        size, stride, padding = (x.rows, x.columns), (1, 1), (0, 0)
        if "Adaptive" not in type(layer).__name__:
            axes = len(node.shape) - 1
            size, stride, padding = (
                plane((each,) * axes if isinstance(each, int) else tuple(each), fill)
                for each, fill in ((layer.kernel_size, 1), (layer.stride, 1), (layer.padding, 0))
            )
            dilation = getattr(layer, "dilation", 1)
            if layer.ceil_mode or dilation not in (1, (1, 1), (1,)) or getattr(layer, "divisor_override", None):
                self.refuse(node, "leave out ceil_mode, dilation and divisor_override")
        elif out.rows * out.columns != 1:
            self.refuse(node, "use a pool with a window of its own")
        inside = not getattr(layer, "count_include_pad", True)
        self.calls.append(PoolFloats((x,), out, size, stride, padding, largest, inside))


def _plain(node: TracedNode) -> str:
    """The name of an activation, however it is called: `ReLU`, `relu_` and `relu` alike."""
    return node.operation.lower().replace("_", "")


def _argument(node: TracedNode, name: str, default: Any) -> Any:
    return getattr(node.layer, name) if node.layer is not None else node.call.kwargs.get(name, default)


def _bounds(node: TracedNode) -> Bounds | None:
    """What an activation clamps to, if that is all it does."""
    name = _plain(node)
    if name == "relu":
        return Bounds(0.0)
    if name == "relu6":
        return Bounds(0.0, 6.0)
    if name == "hardtanh":
        return Bounds(float(_argument(node, "min_val", -1.0)), float(_argument(node, "max_val", 1.0)))
    return None


def _numbers(tensor: torch.Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = tensor.detach().to("cpu", torch.float32).numpy()
    return array


def _scale(node: TracedNode, layer: nn.Module, walk: _Walk) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What a batch norm multiplies by and adds, computed in double."""
    if not isinstance(layer, _BatchNorm) or layer.running_mean is None or layer.running_var is None:
        walk.refuse(node, "use a batch norm with running statistics")
    scale = 1 / torch.sqrt(layer.running_var.double() + layer.eps)
    if layer.affine:
        scale = scale * layer.weight.double()
    shift = -layer.running_mean.double() * scale
    if layer.affine:
        shift = shift + layer.bias.double()
    return _numbers(scale), _numbers(shift)


def _window(source: Floats, kernel: tuple[int, ...], stride: tuple[int, int], dilation: tuple[int, int]) -> Window:
    row = source.columns * source.pitch
    dy, dx = np.indices(kernel)
    offsets = dy * dilation[0] * row + dx * dilation[1] * source.pitch
    return Window(stride[0] * row, stride[1] * source.pitch, offsets.astype(np.int32).ravel())


def _fill(array: NDArray[np.float32]) -> NDArray[np.float32]:
    """Zeros behind the last axis, up to whole blocks of outputs."""
    widths = [(0, 0)] * (array.ndim - 1) + [(0, -array.shape[-1] % OUTPUTS)]
    return np.ascontiguousarray(np.pad(array, widths).astype(np.float32))
