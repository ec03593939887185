"""How much work a call of a kernel of floats is; widths may be tensors with a gradient."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import singledispatch
from typing import NamedTuple

from torch import Tensor

from mobile.lowering.calls import Call
from mobile.lowering.floats import (
    OUTPUTS,
    ActivateFloats,
    ArrangeFloats,
    BorderFloats,
    CombineFloats,
    ConvolveFloats,
    DepthwiseFloats,
    EmbedFloats,
    FloatCall,
    Floats,
    MultiplyFloats,
    NormFloats,
    PadFloats,
    PoolFloats,
    ResampleFloats,
    SlopeFloats,
    SoftmaxFloats,
)
from mobile.lowering.work import Amount

NEAR = 2**18
"""Bytes that a call may read and write without leaving the second-level cache."""


class Size(NamedTuple):
    """Channels and pixels of a value, as numbers or as tensors."""

    channels: Amount
    pixels: Amount

    @property
    def blocks(self) -> Amount:
        """Of 16 channels: whole ones forward, their slope backward."""
        exact = self.channels / OUTPUTS
        if not isinstance(exact, Tensor):
            return -(-self.channels // OUTPUTS)
        return exact + (exact.detach().ceil() - exact.detach())

    @property
    def bytes(self) -> Amount:
        """In the arena."""
        return self.pixels * self.blocks * OUTPUTS * 4


Sizes = Callable[[Floats], Size]


@dataclass(frozen=True)
class FloatWork:
    """What the time of a call is linear in, but for the size of tiles, which depends on the instruction set."""

    kernel: str
    amounts: tuple[Amount, ...]
    tiled: tuple[Amount, ...] = ()
    """Amounts that every tile costs, such as its outputs and its products."""
    pixels: int = 0
    """That are walked in tiles."""
    singly: bool = False
    """Whether those behind the last tile are computed one by one where they are few; else they fill a tile."""

    def features(self, tile: int) -> tuple[Amount, ...]:
        """The numbers that the time is linear in, for tiles of `tile` pixels."""
        tiles, rest = divmod(self.pixels, tile)
        single = rest if self.singly and rest <= tile // 2 else 0
        walks = [tiles + (rest > single), *([single] if self.singly else [])]
        return (1.0, *self.amounts, *(count * amount for count in walks for amount in self.tiled))


def stated(value: Floats) -> Size:
    """The size of a value as it is."""
    return Size(value.channels, value.pixels)


@singledispatch
def float_work(call: Call, size: Sizes = stated, density: Amount | None = None) -> FloatWork:
    """The work of a call of a lowered float net, of its own sizes and blocks unless others are stated.

    `density` is the share of the 16x1 blocks of a layer that hold weights.
    """
    raise TypeError(f"{type(call).__name__} has no work of floats")


def _far(bytes: Amount) -> Amount:
    """Bytes beyond the cache."""
    beyond = bytes - NEAR
    return (beyond + abs(beyond)) / 2


@float_work.register
def _(call: ConvolveFloats, size: Sizes = stated, density: Amount | None = None) -> FloatWork:
    source, out = size(call.reads[0]), size(call.writes)
    taps = call.window.offsets.size
    if density is None:
        entries: Amount = len(call.offsets)
    else:
        entries = out.blocks * source.channels * taps * density * _share(call)
    terms = out.bytes * (len(call.reads) - 1)
    far = _far(source.bytes + out.bytes + terms)
    if out.pixels == 1:
        return FloatWork("convolve one", (out.blocks, entries, far, _far(68 * entries)))
    passes = -(-call.writes.pixels // call.block)
    amounts = (passes * entries, passes * _far(68 * entries), far, terms)
    return FloatWork("convolve", amounts, (out.blocks, entries), call.writes.pixels, singly=True)


def _share(call: ConvolveFloats) -> float:
    """Of a layer in groups, the part of its blocks that it would have without zero weights; of others 1."""
    inputs, outputs = call.reads[0].channels, call.writes.channels
    groups = round(inputs * outputs * call.window.offsets.size * call.writes.pixels / max(call.layer.dense_macs, 1))
    each = -(-outputs // groups)
    read = sum((min(begin + OUTPUTS, outputs) - 1) // each - begin // each + 1 for begin in range(0, outputs, OUTPUTS))
    return read / groups / -(-outputs // OUTPUTS)


@float_work.register
def _(call: DepthwiseFloats, size: Sizes = stated, density: Amount | None = None) -> FloatWork:
    out = size(call.writes)
    taps = len(call.weights)
    far = _far(size(call.reads[0]).bytes + out.bytes)
    return FloatWork("depthwise", (far,), (1.0, out.blocks, out.blocks * taps), call.writes.pixels)


@float_work.register
def _(call: BorderFloats, size: Sizes = stated, density: Amount | None = None) -> FloatWork:
    out = size(call.writes)
    pixels = call.writes.bytes // (4 * call.writes.pitch) - call.writes.pixels
    return FloatWork("border", (call.writes.rows, pixels * out.blocks))


@float_work.register(PadFloats)
@float_work.register(SlopeFloats)
@float_work.register(CombineFloats)
@float_work.register(ActivateFloats)
def _(call: FloatCall, size: Sizes = stated, density: Amount | None = None) -> FloatWork:
    out = size(call.writes)
    name = type(call).__name__.removesuffix("Floats").lower()
    kernel = f"{name} {call.function}" if isinstance(call, ActivateFloats) else name
    bytes = out.bytes + sum(size(read).bytes for read in call.reads)
    return FloatWork(kernel, (out.pixels * out.blocks, _far(bytes)))


@float_work.register
def _(call: PoolFloats, size: Sizes = stated, density: Amount | None = None) -> FloatWork:
    out = size(call.writes)
    numbers = out.pixels * out.blocks
    return FloatWork("pool", (out.pixels, numbers, numbers * call.size[0] * call.size[1]))


@float_work.register
def _(call: ResampleFloats, size: Sizes = stated, density: Amount | None = None) -> FloatWork:
    out = size(call.writes)
    numbers, taps = out.pixels * out.blocks, call.rows.places.shape[1] * call.columns.places.shape[1]
    return FloatWork("resample", (out.pixels, numbers, numbers * taps, _far(out.bytes)))


@float_work.register
def _(call: ArrangeFloats, size: Sizes = stated, density: Amount | None = None) -> FloatWork:
    source = size(call.reads[0])
    pixels = len(call.rows) * len(call.columns)
    part = source.channels * source.pixels / (call.reads[0].channels * call.reads[0].pixels)  # if widths have changed
    numbers = part * pixels * len(call.channels)
    kernel = "arrange together" if call.together else "arrange apart"
    return FloatWork(kernel, (pixels, numbers, _far(source.bytes + numbers * 4)))


@float_work.register(NormFloats)
@float_work.register(SoftmaxFloats)
@float_work.register(EmbedFloats)
def _(call: FloatCall, size: Sizes = stated, density: Amount | None = None) -> FloatWork:
    out = size(call.writes)
    kernel = type(call).__name__.removesuffix("Floats").lower()
    return FloatWork(kernel, (out.pixels, out.pixels * out.channels))


@float_work.register
def _(call: MultiplyFloats, size: Sizes = stated, density: Amount | None = None) -> FloatWork:
    out = size(call.writes)
    panels = out.blocks * out.pixels / call.writes.columns  # those of all matrices
    products = panels * call.inner
    kernel = "multiply one" if call.writes.columns == 1 else "multiply"
    return FloatWork(kernel, (products,), (panels, products), call.writes.columns)
