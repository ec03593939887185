"""Layers of floats with weights: convolutions, linear layers, batch norms."""

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from mobile.lowering.calls import Layer
from mobile.lowering.float_walk import Walk
from mobile.lowering.floats import (
    OUTPUTS,
    Bounds,
    ConvolveFloats,
    DepthwiseFloats,
    Floats,
    PadFloats,
    Window,
)
from mobile.lowering.groups import ungrouped
from mobile.lowering.placed import Placed
from shared.importers.graph import TracedNode
from shared.integer.geometry import plane


class Weights(NamedTuple):
    """A weight `(outputs, inputs / groups, rows, columns)` and a bias `(outputs,)`, with the name of their layer."""

    name: str
    weight: NDArray[np.float32]
    bias: NDArray[np.float32]

    def behind(self, scale: NDArray[np.float32], shift: NDArray[np.float32]) -> "Weights":
        """As these, then times a scale and plus a shift of each output."""
        return Weights(self.name, self.weight * scale.reshape(-1, 1, 1, 1), self.bias * scale + shift)

    def require_finite(self) -> None:
        """Raises `ValueError` for NaN and infinite numbers."""
        if not (np.isfinite(self.weight).all() and np.isfinite(self.bias).all()):
            raise ValueError(f"{self.name!r} has weights that are not finite numbers: train it again, or repair them")


def convolution(walk: Walk, node: TracedNode) -> None:
    """A convolution of one or two axes, the batch norm and the clamp behind it included."""
    layer: Any = node.layer
    if layer is None:
        walk.refuse(node, "use a convolution that is a layer")
    weights, last = _folded(walk, node, _weights(node.path, layer.weight, layer.bias))
    source = walk.image(node)
    stride, dilation = plane(layer.stride, 1), plane(layer.dilation, 1)
    out, to = walk.clamped(last, Placed.image(last.name, node.shape))
    source = _padded(walk, node, source, layer, out.name)
    window = _window(source, weights.weight.shape[2:], stride, dilation)
    if 1 < layer.groups == source.channels == len(weights.weight):
        _depthwise(walk, source, out, window, weights, to)
    else:
        _convolve(walk, source, out, window, weights, layer.groups, to)
    walk.values[node.name] = walk.values[last.name]


def transposed(walk: Walk, node: TracedNode) -> None:
    """A transposed convolution: a convolution for each phase of its stride, whose results lie as squares of pixels.

    Result `stride * q + p - padding` is the sum over `m` of input `q - m` times weight `p + stride * m`; so the kernel
    of phase `p` has every `stride`-th weight, the last one first.
    """
    layer: Any = node.layer
    if layer is None or layer.groups != 1 or layer.padding_mode != "zeros" or set(layer.dilation) != {1}:
        walk.refuse(node, "use a layer without groups and dilation")
    weight = _weights(node.path, layer.weight.transpose(0, 1), layer.bias)
    stride, padding = plane(layer.stride, 1), plane(layer.padding, 0)
    taps = tuple(-(-size // step) for size, step in zip(weight.weight.shape[2:], stride, strict=True))
    filled = np.pad(
        weight.weight,
        ((0, 0), (0, 0), *((0, n * s - k) for n, s, k in zip(taps, stride, weight.weight.shape[2:], strict=True))),
    )
    outputs, inputs = filled.shape[:2]
    phases = filled.reshape(outputs, inputs, taps[0], stride[0], taps[1], stride[1])[:, :, ::-1, :, ::-1]
    phases = phases.transpose(0, 3, 5, 1, 2, 4).reshape(-1, inputs, *taps)
    parts = Weights(node.path, np.ascontiguousarray(phases), weight.bias.repeat(stride[0] * stride[1]))
    parts.require_finite()
    source = walk.image(node)
    size = tuple(n + k - 1 for n, k in zip((source.rows, source.columns), taps, strict=True))
    out = Placed.image(f"{node.name} phases", (len(phases), *size))
    wide = _wide(walk, source, (taps[0] - 1, taps[1] - 1), f"{node.name} padded")
    _convolve(walk, wide, out.memory, _window(wide, taps, (1, 1), (1, 1)), parts, 1, Bounds())
    squares = out.index.reshape(outputs, *stride, *size).permute(0, 3, 1, 4, 2)
    squares = squares.reshape(outputs, size[0] * stride[0], size[1] * stride[1])
    rows, columns = plane((1, *node.shape[1:]), 1)
    kept = squares[:, padding[0] : padding[0] + rows, padding[1] : padding[1] + columns]
    if kept.shape[1:] != (rows, columns):
        walk.refuse(node, "leave out output_padding beyond its kernel")
    walk.end(node, Placed(out.memory, kept.reshape(1, *node.shape)))


def linear(walk: Walk, node: TracedNode) -> None:
    """A linear layer on a vector, or on each token; as a function, its weight is a constant."""
    weight, bias = walk.option(node, 1, "weight", None), walk.option(node, 2, "bias", None)
    if weight is None:
        walk.refuse(node, "its weight depends on an input; use a matrix product")
    weights = _weights(node.path or node.name, weight, bias)
    weights, last = _folded(walk, node, weights) if len(node.shape) == 1 else (weights, node)
    source = walk.lines(node, walk.placed(node.inputs[0]))
    out, to = walk.clamped(last, Placed.lines(last.name, node.shape))
    _convolve(walk, source, out, _window(source, (1, 1), (1, 1), (1, 1)), weights, 1, to)
    walk.values[node.name] = walk.values[last.name]


def norm(walk: Walk, node: TracedNode) -> None:
    """A batch norm that no layer before it takes."""
    scale, shift = _scale(walk, node, node.layer)
    source = walk.image(node)
    out, to = walk.clamped(node, Placed.image(node.name, node.shape))
    weights = Weights(node.path, scale.reshape(-1, 1, 1, 1), shift)
    weights.require_finite()
    _depthwise(walk, source, out, _window(source, (1, 1), (1, 1), (1, 1)), weights, to)


def _weights(name: str, weight: Tensor, bias: Tensor | None) -> Weights:
    numbers = _numbers(weight)
    shift = np.zeros(len(numbers), np.float32) if bias is None else _numbers(bias)
    return Weights(name, numbers.reshape(*numbers.shape[:2], *plane((1, *numbers.shape[2:]), 1)), shift)


def _folded(walk: Walk, node: TracedNode, weights: Weights) -> tuple[Weights, TracedNode]:
    """With the batch norm that alone reads the layer, and the node whose result that is."""
    reader = walk.sole_reader(node)
    if reader is not None and isinstance(reader.layer, _BatchNorm):
        weights, node = weights.behind(*_scale(walk, reader, reader.layer)), reader
    weights.require_finite()
    return weights, node


def _scale(walk: Walk, node: TracedNode, layer: nn.Module | None) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What a batch norm multiplies by and adds, computed in double."""
    if not isinstance(layer, _BatchNorm) or layer.running_mean is None or layer.running_var is None:
        walk.refuse(node, "use a batch norm with running statistics, or a layer norm")
    scale = 1 / torch.sqrt(layer.running_var.double() + layer.eps)
    if layer.affine:
        scale = scale * layer.weight.double()
    shift = -layer.running_mean.double() * scale
    if layer.affine:
        shift = shift + layer.bias.double()
    return _numbers(scale), _numbers(shift)


def _padded(walk: Walk, node: TracedNode, source: Floats, layer: Any, name: str) -> Floats:
    if isinstance(layer.padding, str):
        walk.refuse(node, "pad by a number")
    top, left = plane(layer.padding, 0)
    if layer.padding_mode == "zeros" or (top, left) == (0, 0):
        return _wide(walk, source, (top, left), f"{name} padded")
    wide = Placed.image(f"{name} padded", (source.channels, source.rows + 2 * top, source.columns + 2 * left))
    index = Placed.image(source.name, (source.channels, source.rows, source.columns)).index.double()
    moved = functional.pad(index, (left, left, top, top), layer.padding_mode).long()
    return walk.arrange(source, moved, wide)


def _wide(walk: Walk, source: Floats, padding: tuple[int, int], name: str) -> Floats:
    """With zeros around."""
    if padding == (0, 0):
        return source
    wide = Floats(name, source.channels, source.rows + 2 * padding[0], source.columns + 2 * padding[1])
    walk.calls.append(PadFloats((source,), wide, *padding))
    return wide


def _depthwise(walk: Walk, source: Floats, out: Floats, window: Window, weights: Weights, to: Bounds) -> None:
    taps = _fill(weights.weight.reshape(len(weights.weight), -1).T)
    kind = "scale" if taps.shape[0] == 1 else "depthwise"
    reason = "each output reads one input: there are no blocks"
    size = taps.nbytes + out.pitch * 4 + window.offsets.nbytes
    dense = weights.weight.size * out.pixels
    executed, is_zero = taps.size * out.pixels, not weights.weight.any()
    layer = Layer(weights.name, kind, "dense", dense, executed, size, None, reason, is_zero)
    walk.calls.append(DepthwiseFloats((source,), out, window, taps, _fill(weights.bias), to, layer=layer))


def _convolve(
    walk: Walk, source: Floats, out: Floats, window: Window, weights: Weights, groups: int, to: Bounds
) -> None:
    """Entries by tap, then by input: neighbours in the weights are neighbours in the input."""
    weight = ungrouped(weights.weight, groups)
    every = (window.offsets[:, None] + np.arange(weight.shape[1])).ravel().astype(np.int32)
    blocks = _fill(weight.transpose(2, 3, 1, 0).reshape(len(every), -1)).reshape(len(every), -1, OUTPUTS)
    kept: NDArray[np.bool_] = np.any(blocks, 2).T  # (blocks, entries)
    first: NDArray[np.int32] = np.zeros(len(kept) + 1, np.int32)
    first[1:] = kept.sum(1).cumsum()
    block, entry = np.nonzero(kept)
    entries = np.ascontiguousarray(blocks[entry, block])
    layer = Layer(
        weights.name,
        _kind(weight.shape[2:], out.pixels),
        "dense" if kept.all() else "16x1",
        weights.weight.size * out.pixels,
        entries.size * out.pixels,
        entries.nbytes + entry.size * 4 + first.nbytes + out.pitch * 4,
        None,
        "every weight is zero: only the bias is computed; check that the net was trained"
        if not weight.any()
        else f"{kept.mean():.0%} of its 16x1 blocks hold weights, and only those are multiplied",
        not weight.any(),
    )
    bias = _fill(weights.bias)
    walk.calls.append(ConvolveFloats((source,), out, window, first, every[entry], entries, bias, to, layer=layer))


def _kind(kernel: tuple[int, ...], pixels: int) -> str:
    return "matrix product" if kernel == (1, 1) and pixels == 1 else f"{kernel[0]}x{kernel[1]} convolution"


def _numbers(tensor: Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = tensor.detach().to("cpu", torch.float32).numpy()
    return array


def _window(source: Floats, kernel: tuple[int, ...], stride: tuple[int, int], dilation: tuple[int, int]) -> Window:
    row = source.columns * source.pitch
    dy, dx = np.indices(kernel)
    offsets = dy * dilation[0] * row + dx * dilation[1] * source.pitch
    return Window(stride[0] * row, stride[1] * source.pitch, offsets.astype(np.int32).ravel())


def _fill(array: NDArray[np.float32]) -> NDArray[np.float32]:
    """Zeros behind the last axis, up to whole blocks of outputs."""
    widths = [(0, 0)] * (array.ndim - 1) + [(0, -array.shape[-1] % OUTPUTS)]
    return np.ascontiguousarray(np.pad(array, widths).astype(np.float32))
