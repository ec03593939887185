"""How much work a kernel call is, in the amounts that its time is linear in; widths may be tensors with a gradient."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import singledispatch
from typing import Any, Final

from mobile.kernels import LANES
from mobile.lowering import token_calls
from mobile.lowering.calls import Add, Call, Convolve, Depthwise, Flatten, Pool, Shuffle, SpreadCall, View

Amount = Any
"""A number, or a scalar tensor."""

TILED: Final = ("dense", "2x4", "1x4", "depthwise")
"""Kernels that go over vectors of pixels; the others go over elements."""


@dataclass(frozen=True)
class Work:
    """The amounts of one call of a kernel.

    Of tiled kernels, `rows` are planes of four outputs and `reads` groups of four products (of one output) that each
    pixel takes. Of the others, `rows` are rows of an image that are walked, once for each place in a window, and
    `reads` and `writes` pixels of four channels; of tiled ones, `writes` are pixels of a value that is added.
    """

    kernel: str
    rows: Amount
    reads: Amount
    writes: Amount = 0.0
    sums: Amount = 0.0
    """Pixels of four channels that are read or written as 32-bit sums."""
    singles: Amount = 0.0
    """Those of `reads` that are not added in pairs; see `mobile.lowering.pairs`."""
    pixels: int = 1
    """Of a plane, for tiled kernels."""


@singledispatch
def work(call: Call) -> Work:
    """The work of a call of a lowered net."""
    raise TypeError(f"{type(call).__name__} has no work")


@work.register
def _(call: Convolve) -> Work:
    to = call.writes
    added = [isinstance(read, View) and read.sums for read in call.reads[1:]]
    lists = call.lists
    return convolution(call.layer.format, to.planes, lists.groups, call.pixels, to.sums, lists.single_groups, added)


def convolution(
    format: str,
    planes: Amount,
    groups: Amount,
    pixels: int,
    sums: bool = False,
    singles: Amount = 0.0,
    added: Sequence[bool] = (),
) -> Work:
    """A convolution or matrix product that multiplies `groups` of four weights in all, `singles` of them alone.

    `sums` says whether 32-bit sums are written, `added` of a value that is added to them whether it is of such sums.
    """
    each = planes * pixels
    wide = each * (sums + sum(added))
    return Work(format, planes, groups, each * len(added), sums=wide, singles=singles, pixels=pixels)


@work.register
def _(call: Depthwise) -> Work:
    to = call.writes
    return depthwise(to.planes, len(call.lists.offsets), call.pixels, to.sums)


def depthwise(planes: Amount, taps: Amount, pixels: int, sums: bool = False) -> Work:
    """One output for each input; `taps` of all planes, those that fill up their fours included."""
    return Work("depthwise", planes, taps, sums=planes * pixels * sums, pixels=pixels)


@work.register
def _(call: SpreadCall) -> Work:
    to = call.writes
    return spread(to.source.planes, to.phases, to.rows, to.columns)


def spread(planes: Amount, phases: tuple[int, int], rows: int, columns: int) -> Work:
    """Padding and strides taken apart."""
    lines = planes * phases[0] * phases[1] * rows
    return Work("spread" if phases == (1, 1) else "spread strided", lines, lines * columns)


@work.register
def _(call: Pool) -> Work:
    to, read = call.writes, call.reads[0]
    return pool(to.planes, (to.rows, to.columns), call.size, (read.sums, to.sums))


def pool(planes: Amount, size: tuple[int, int], window: tuple[int, int], sums: tuple[bool, bool]) -> Work:
    """Pools of either kind; `sums` say whether 32-bit sums are read and written."""
    pixels = planes * size[0] * size[1]
    reads = pixels * window[0] * window[1]
    rows = planes * size[0] * window[0] * window[1]
    return Work("pool", rows, reads, pixels, sums=reads * sums[0] + pixels * sums[1])


@work.register
def _(call: Add) -> Work:
    to = call.writes
    return add(to.planes, (to.rows, to.columns), [read.sums for read in call.reads], to.sums)


def add(planes: Amount, size: tuple[int, int], reads: Sequence[bool], writes: bool) -> Work:
    """One value that is rounded, or the sum of two; for each value whether it is of 32-bit sums."""
    pixels = planes * size[0] * size[1]
    sums = pixels * (sum(reads) + writes)
    return Work(("round", "add")[len(reads) - 1], planes * size[0], pixels, pixels, sums=sums)


@work.register
def _(call: Shuffle) -> Work:
    to = call.writes
    anchor = [read.sums for read in call.reads[1:]]
    return shuffle(to.planes, (to.rows, to.columns), call.factor, (call.reads[0].sums, to.sums), anchor)


def shuffle(
    planes: Amount, size: tuple[int, int], factor: int, sums: tuple[bool, bool], anchor: Sequence[bool] = ()
) -> Work:
    """Channels as squares of pixels; `sums` and `anchor` say whether what is read, written and added is of 32 bits."""
    pixels = planes * size[0] * size[1]
    kernel = "shuffle" if sums[0] and factor % 2 == 0 else "shuffle apart"
    wide = sum(sums) + sum(anchor) / factor**2
    return Work(kernel, planes * size[0], pixels, pixels * len(anchor), sums=pixels * wide)


@work.register
def _(call: Flatten) -> Work:
    read = call.reads[0]
    return flatten(read.channels, (read.rows, read.columns))


def flatten(channels: Amount, size: tuple[int, int]) -> Work:
    """Channels one after the other."""
    return Work("flatten", channels, channels * size[0] * size[1])


@work.register(token_calls.Table)
@work.register(token_calls.Multiply)
@work.register(token_calls.Norm)
@work.register(token_calls.Softmax)
@work.register(token_calls.Embed)
def _(call: Call) -> Work:
    to = call.writes
    assert isinstance(to, View)
    kernel = type(call).__name__.lower()
    if isinstance(call, token_calls.Table) and len(call.tables) > 1:
        kernel = "table by channel"
    return elements(
        kernel,
        to.planes,
        (to.rows, to.columns),
        sum(isinstance(read, View) and read.sums for read in call.reads) + to.sums,
    )


def elements(kernel: str, planes: Amount, size: tuple[int, int], sums: int = 0) -> Work:
    """What is computed pixel by pixel; `sums` of the values that are read and written are of 32 bits."""
    pixels = planes * size[0] * size[1]
    return Work(kernel, planes * size[0], pixels, pixels, sums=pixels * sums)


@work.register
def _(call: token_calls.Fill) -> Work:
    return Work("fill", 1, call.data.size / 4, sums=call.writes.sums * call.data.size / 4)


@work.register
def _(call: token_calls.Rearrange) -> Work:
    numbers = float(call.runs[:, 2].sum())
    return Work(f"rearrange {call.each}", len(call.runs), numbers, sums=numbers * call.writes.sums)


@work.register
def _(call: token_calls.Resample) -> Work:
    to, x = call.writes, call.reads[0]
    rows, pixels = to.planes * to.rows, to.planes * to.rows * to.columns
    if call.only_moves:
        return Work("move pixels", rows, pixels, sums=pixels * to.sums)
    read = rows * x.columns * call.rows[0].shape[1]
    added = pixels * call.columns[0].shape[1]
    return Work("resample", rows, read, added, sums=read * x.sums + pixels * to.sums)


@work.register
def _(call: token_calls.Product) -> Work:
    to, inner = call.writes, -(-call.inner // 4)
    vectors = to.planes * to.rows * -(-to.columns // LANES)
    return Work("product", vectors, vectors * inner, to.planes * to.rows * inner, sums=vectors * LANES * to.sums)
