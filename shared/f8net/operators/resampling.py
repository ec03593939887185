"""Pixel shuffles, enlargement by the nearest pixel, and other interpolation."""

from collections.abc import Sequence

from torch import Tensor, nn

from shared.f8net import token_steps as steps
from shared.f8net.builder import Builder
from shared.f8net.placed import Placed
from shared.f8net.steps import AbstractStep, PixelShuffle, Weighted
from shared.importers.graph import TracedNode
from shared.importers.interpolation import interpolation_options, interpolation_taps


def shuffle_factor(node: TracedNode) -> int:
    """Of a pixel shuffle, a layer or a function."""
    if isinstance(node.layer, nn.PixelShuffle):
        return node.layer.upscale_factor
    factor = node.call.kwargs.get("upscale_factor", node.call.args[-1])
    assert isinstance(factor, int)
    return factor


def nearest_factor(node: TracedNode, shape: Sequence[int]) -> int | None:
    """By what an interpolation by the nearest pixel enlarges an image on both sides; `None` for all others."""
    layer, kwargs = node.layer, node.call.kwargs
    mode = layer.mode if layer is not None else kwargs.get("mode", (*node.call.args, *("nearest",) * 4)[3])
    factor = node.shape[1] // shape[1] if len(shape) == 3 else 0
    is_whole = len(shape) == 3 and node.shape[1:] == (shape[1] * factor, shape[2] * factor)
    return factor if str(mode).startswith("nearest") and is_whole else None


def pixel_shuffle(builder: Builder, node: TracedNode) -> None:
    builder.passing(node, PixelShuffle(shuffle_factor(node)), builder.plain(node.inputs[0]))


def enlarge(builder: Builder, node: TracedNode) -> None:
    """Interpolation. By the nearest pixel each becomes a square: its channel repeated, then laid out."""
    operand = builder.plain(node.inputs[0])
    factor = nearest_factor(node, builder.values[operand].shape)
    if factor is None:
        _resize(builder, node)
        return
    builder.passing(node, PixelShuffle(factor), repeated(builder, f"{node.name}_repeated", operand, factor**2))


def repeated(builder: Builder, name: str, operand: str, times: int) -> str:
    """Each channel `times` in a row: a convolution by ones of kernel 1, which is exact."""
    source = builder.narrow(operand)
    value = builder.values[source]
    origin, (channels, *size) = builder.origin(source), value.shape
    ones = nn.Conv2d(channels, channels * times, 1, groups=channels, bias=False).requires_grad_(False)
    nn.init.ones_(ones.weight)
    builder.ties.tie(name, source)

    def construct() -> AbstractStep:
        scales = builder.scale(source), builder.scale(name)
        return Weighted(ones, None, builder.word, False, builder.fit, builder.format_of(origin), scales)

    builder.emit(name, (source,), construct, (channels * times, *size), value.signed)
    return name


def _resize(builder: Builder, node: TracedNode) -> None:
    """Interpolation of images: weighted sums of rows and of columns, as torch says."""
    options = interpolation_options(node)
    operand = builder.plain(node.inputs[0])
    shape = builder.values[operand].shape
    builder.refuse(node, len(shape) != 3, f"the shape {shape}", "give it images")
    axes = [interpolation_taps(size, axis, options) for axis, size in enumerate(shape[1:])]
    moves_only = all(weights.shape[1] == 1 and bool((weights == 1).all()) for _, weights in axes)
    resample(builder, node, operand if moves_only else builder.narrow(operand), axes, keeps=moves_only)


def resample(
    builder: Builder, node: TracedNode, operand: str, axes: list[tuple[Tensor, Tensor]], *, keeps: bool = False
) -> None:
    value = builder.values[operand]
    builder.ties.tie(node.name, operand)
    signed = value.signed or any(bool((weights < 0).any()) for _, weights in axes)
    rows, columns = axes
    source = value.source if keeps else None
    builder.emit(node.name, (operand,), lambda: steps.Resample(rows, columns), node.shape, signed, source=source)
    builder.placed[node.name] = Placed.plain(node.name, node.shape)
