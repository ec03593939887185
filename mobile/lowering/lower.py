"""Lowers an integer program to kernel calls."""

from functools import singledispatchmethod
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mobile.lowering.anchors import MOST_FACTOR, Squares, anchored
from mobile.lowering.arena import plan
from mobile.lowering.calls import (
    UNCHANGED,
    Add,
    Convolve,
    Depthwise,
    Flatten,
    Layer,
    Lists,
    Lowered,
    Pool,
    Rounding,
    Shuffle,
    Spread,
    SpreadCall,
    View,
    pixel_block,
    rounding,
    rounds_up,
)
from mobile.lowering.choice import WorkPrice, choose
from mobile.lowering.formats import blocks, depthwise_lists, filled
from mobile.lowering.groups import ungrouped
from mobile.lowering.integer_walk import IntegerWalk, image
from mobile.lowering.lower_tokens import emit_token_operation
from mobile.lowering.shortcuts import shortcuts
from mobile.lowering.taps import taps
from mobile.lowering.work import Work, convolution, depthwise
from shared.integer import Subtract, operations
from shared.integer.geometry import plane
from shared.integer.program import Program


def lower(program: Program, price: WorkPrice | None = None, format: str | None = None) -> Lowered:
    """The program as kernel calls: a sum is rounded where it is computed, if nothing else reads it.

    `price` chooses the format of each layer; `format` (dense, 2x4, 1x4) fixes that of all. Operations that no output
    depends on are left out.

    Raises `ValueError` naming the operation that has no kernel, and the way out.
    """
    return _Lowering(program, price, format).lowered()


class _Joins(NamedTuple):
    """A value that is added to sums."""

    term: View
    shifts: tuple[int, int]
    constant: int


class _Walk(NamedTuple):
    """How a layer goes over its pixels, whatever the format of its weights."""

    name: str
    source: View | Spread
    offsets: NDArray[np.int32]
    """Bytes from a pixel to each tap: `(taps,)`."""
    plane: int
    """Bytes from four inputs to the next four."""
    pixels: int
    out: View
    bias: NDArray[np.int32]
    to: Rounding
    dense_macs: int
    joins: "_Joins | None"


class _Lowering(IntegerWalk):
    def __init__(self, program: Program, price: WorkPrice | None, format: str | None) -> None:
        super().__init__(program)
        self.price, self.format = price, format
        self.anchored = anchored(program)
        self.within = {name for squares in self.anchored.values() for name in squares.within}
        self.shortcuts = shortcuts(program, self.within | self.anchored.keys())

    def lowered(self) -> Lowered:
        for input in self.program.inputs:
            self.views[input.name] = self.view(input.name)
        inputs = tuple(self.views[input.name] for input in self.program.inputs)
        computed = self.within | {shortcut.total for shortcut in self.shortcuts.values()}
        for operation in self.program.live:
            if operation.output not in self.rounded | computed:
                self._emit(operation)
        outputs = tuple(self.views[name] for name in self.program.outputs)
        places, arena = plan(inputs, self.calls, outputs)
        if arena >= 2**31:
            raise ValueError(f"the net needs an arena of {arena:,} bytes: at most 2 GiB can be addressed")
        return Lowered(inputs, outputs, tuple(self.calls), places, arena)

    @singledispatchmethod
    def _emit(self, operation: operations.Operation) -> None:
        emit_token_operation(self, operation)

    @_emit.register
    def _(self, operation: operations.AbstractWeighted) -> None:
        x = self.views[operation.inputs[0]]
        title = f"{type(operation).__name__} {operation.output!r}"
        if x.sums:
            raise ValueError(f"{title} multiplies {x.name!r}, which has more than 8 bits: requantise it to 8 first")
        weight = operation.weight.integers.astype(np.int64)
        if weight.min() < -128 or weight.max() > 127:
            raise ValueError(f"{title} has weights beyond -128 to 127: a signed format of 8 bits is needed")
        stride, padding, groups = (1, 1), (0, 0), 1
        if isinstance(operation, operations.AbstractConvolution):
            stride, padding = plane(operation.stride, 1), plane(operation.padding, 0)
            groups = operation.groups
        weight = weight.reshape(*weight.shape[:2], *image(weight.shape[2:]))
        bias = operation.bias_integers - x.zero * weight.sum((1, 2, 3))
        value = self.program.values[operation.output]
        rows, columns = image(value.shape[1:])
        source, at, pitch = taps(x, weight.shape[2:], stride, padding, (rows, columns), operation.output)
        if isinstance(source, Spread):
            self.calls.append(SpreadCall((x,), source))
        self.view(operation.output)  # refuses sums beyond 32 bits, whatever is added to them
        shortcut = self.shortcuts.get(operation.output)
        out, to = self.ends(shortcut.total if shortcut else operation.output, pitch, vectors=True)
        pixels = (rows - 1) * pitch + columns
        macs = weight.size * rows * columns
        rounds, joins = 0 if out.sums else rounds_up(to, out.zero), None
        if shortcut:
            term = self.views[shortcut.term]
            joins = _Joins(term, shortcut.shifts, _wrapped(rounds - (term.zero << shortcut.shifts[1])))
        else:
            bias = bias + rounds
        lanes = filled(bias, 0).astype(np.int64).astype(np.uint32).view(np.int32)  # modulo 2**32, as the kernels add
        plane_bytes = source.plane if isinstance(source, Spread) else source.stride * 4
        walk = _Walk(operation.output, source, at.ravel(), plane_bytes, pixels, out, lanes, to, macs, joins)
        if groups > 1 and groups == x.channels == len(weight):
            self.calls.append(self._depthwise(walk, weight))
        else:
            self.calls.append(self._convolve(walk, ungrouped(weight, groups)))

    def _depthwise(self, walk: "_Walk", weight: NDArray[np.int64]) -> Depthwise:
        lists = depthwise_lists(filled(weight.reshape(len(weight), -1), 0).astype(np.int8), walk.offsets, walk.plane)
        macs = lists.weights.size * walk.pixels
        work = depthwise(walk.out.planes, len(lists.offsets), walk.pixels, walk.out.sums)
        size = lists.weights.nbytes + lists.first.nbytes + lists.offsets.nbytes + walk.bias.nbytes
        layer = Layer(
            walk.name,
            kind="depthwise",
            format="dense",
            dense_macs=walk.dense_macs,
            executed_macs=macs,
            bytes=size,
            predicted_ms=self.price and self.price(work),
            reason="each output reads one input: there are no blocks",
            all_zero=not weight.any(),
        )
        return Depthwise((walk.source,), walk.out, walk.pixels, lists, walk.bias, walk.to, layer=layer)

    def _convolve(self, walk: "_Walk", weight: NDArray[np.int64]) -> Convolve:
        planes = np.arange(-(-weight.shape[1] // 4))
        offsets = (planes[:, None] * walk.plane + walk.offsets).astype(np.int32).ravel()
        block = pixel_block(walk.source, walk.pixels)

        added = [joins.term.sums] if (joins := walk.joins) else []

        def call(format: str, lists: Lists) -> Work:
            out = walk.out
            return convolution(format, out.planes, lists.groups, walk.pixels, out.sums, lists.single_groups, added)

        choice = choose(blocks(weight.astype(np.int8)), offsets, call, self.price, self.format)
        rows, columns = weight.shape[2:]
        layer = Layer(
            walk.name,
            kind="matrix product" if walk.pixels == 1 else f"{rows}x{columns} convolution",
            format=choice.format,
            dense_macs=walk.dense_macs,
            executed_macs=choice.lists.macs * walk.pixels,
            bytes=choice.lists.bytes + walk.bias.nbytes,
            predicted_ms=choice.predicted_ms,
            reason=choice.reason,
            all_zero=not weight.any(),
        )
        common = walk.out, walk.pixels, block, choice.lists, walk.bias, walk.to
        if joins is None:
            return Convolve((walk.source,), *common, layer=layer)
        return Convolve((walk.source, joins.term), *common, joins.shifts, joins.constant, layer=layer)

    @_emit.register
    def _(self, operation: operations.AbstractPool) -> None:
        x = self.views[operation.inputs[0]]
        out, to = self.ends(operation.output)
        largest = isinstance(operation, operations.MaxPool)
        self.calls.append(Pool((x,), out, plane(operation.size, 1), plane(operation.stride, 1), largest, to))

    @_emit.register(operations.Add)
    @_emit.register(Subtract)
    def _(self, operation: operations.Add | Subtract) -> None:
        if squares := self.anchored.get(operation.output):
            self._squares(operation.output, squares)
            return
        fractions = [self.program.values[name].format.fraction for name in operation.inputs]
        shifts = (max(fractions) - fractions[0], max(fractions) - fractions[1])
        if max(shifts) > 31:
            title = f"{type(operation).__name__} {operation.output!r}"
            raise ValueError(f"{title} shifts a term by {max(shifts)} bits: bring the formats closer")
        out, to = self.ends(operation.output)
        terms = tuple(self.views[name] for name in operation.inputs)
        self.calls.append(Add(terms, out, shifts, to, minus=isinstance(operation, Subtract)))

    def _squares(self, name: str, squares: Squares) -> None:
        terms = self.views[squares.image], self.views[squares.anchor]
        out, to = self.ends(name)
        self.calls.append(Shuffle(terms, out, squares.factor, squares.shifts, to))

    @_emit.register(operations.Requantise)
    @_emit.register(operations.Clip)
    def _(self, operation: operations.Requantise | operations.Clip) -> None:
        x = self.views[operation.inputs[0]]
        if isinstance(operation, operations.Requantise):
            to = rounding(self.program.values[x.name].format.fraction, operation.format)
        else:
            to = UNCHANGED.clipped(operation.low, operation.high)
        end, clip = operation.output, UNCHANGED
        if not isinstance(self.readers.get(end), operations.Requantise):
            end, clip = self.chain(end)
        self.round_on_the_way(operation.output, end)
        self.views[end] = self.view(end)
        to = to.clipped(max(clip.low, -(2**31)), min(clip.high, 2**31 - 1))
        self.calls.append(Add((x,), self.views[end], (0, 0), to))

    @_emit.register
    def _(self, operation: operations.PixelShuffle) -> None:
        if operation.factor > MOST_FACTOR:
            title = f"PixelShuffle {operation.output!r} enlarges by {operation.factor}"
            raise ValueError(f"{title}: at most {MOST_FACTOR} has a kernel, so use several")
        if squares := self.anchored.get(operation.output):
            self._squares(operation.output, squares)
            return
        x = self.views[operation.inputs[0]]
        self.views[operation.output] = self.view(operation.output)
        self.calls.append(Shuffle((x,), self.views[operation.output], operation.factor))

    @_emit.register
    def _(self, operation: operations.Flatten) -> None:
        x = self.views[operation.inputs[0]]
        self.views[operation.output] = self.view(operation.output)
        self.calls.append(Flatten((x,), self.views[operation.output]))


def _wrapped(n: int) -> int:
    """The integer of 32 bits that kernels add instead, modulo 2^32."""
    return (n + 2**31) % 2**32 - 2**31
