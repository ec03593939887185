"""The lanes of a gather engine: products of one word with weights, summed tap by tap; or the largest of a window."""

from typing import Any

import numpy as np
from amaranth.hdl import Cat, Module, Mux, Shape, Signal, unsigned
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from numpy.typing import NDArray

from fpga.folded.graph.taps import Taps
from fpga.folded.rtl.frame import element


class Lanes(wiring.Component):
    """Accumulates over the taps of a group; `sums` hold while `done`, `stages(taps)` clocks after its last tap.

    `issue`, `tap` and `last` come with the address that is read, `word` a clock later. The pipeline never
    stalls: the sequencer issues only when there is room for the result.
    """

    def __init__(self, x: Shape, weight: Shape, total: Shape, taps: Taps) -> None:
        self.x, self.weight, self.total, self.taps = x, weight, total, taps
        super().__init__(
            {
                "issue": In(1),
                "tap": In(range(int(taps.counts.sum()))),
                "last": In(1),
                "word": In(taps.width * x.width),
                "done": Out(1),
                "sums": Out(taps.lanes * total.width),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        multiply = self.taps.combine == "multiply"
        terms = self._products(m) if multiply else self._elements(m)
        issue, last = _delayed(m, self.issue, stages(self.taps)), _delayed(m, self.last, stages(self.taps))
        combine = self._largest if self.taps.combine == "max" else self._sum
        m.d.comb += [self.done.eq(issue & last), self.sums.eq(Cat(combine(m, t, issue, last) for t in terms))]
        return m

    def _elements(self, m: Module) -> list[Any]:
        word = _delayed(m, self.word, 1)
        return [element(word, self.x, j) for j in range(self.taps.width)]

    def _products(self, m: Module) -> list[Any]:
        weights = self._weights(m)
        word, lanes, width = _delayed(m, self.word, 1), self.taps.lanes, self.taps.width
        products = []
        for n in range(self.taps.multipliers):
            product = element(word, self.x, n % width) * element(weights, self.weight, n)
            products.append(_delayed(m, product, 1))
        if self.taps.elementwise:
            return products
        return [_tree(m, products[lane * width : (lane + 1) * width]) for lane in range(lanes)]

    def _weights(self, m: Module) -> Signal:
        """One memory word holds the weights of a tap; registered, since multipliers are slow behind a block RAM."""
        words = [_word(row, self.weight.width) for row in self.taps.weights]
        bits = self.taps.multipliers * self.weight.width
        m.submodules.weights = rom = Memory(shape=unsigned(bits), depth=max(len(words), 2), init=words)
        read = rom.read_port()
        m.d.comb += [read.addr.eq(self.tap), read.en.eq(self.issue)]
        return _delayed(m, read.data, 1)

    def _sum(self, m: Module, term: Any, issue: Signal, last: Signal) -> Any:
        so_far, total = Signal(self.total), Signal(self.total)
        m.d.comb += total.eq(so_far + term)
        with m.If(issue):
            m.d.sync += so_far.eq(total)
            with m.If(last):
                m.d.sync += so_far.eq(0)
        return total

    def _largest(self, m: Module, term: Any, issue: Signal, last: Signal) -> Any:
        so_far, total, fresh = Signal(self.total), Signal(self.total), Signal(init=1)
        m.d.comb += total.eq(Mux(fresh | (term > so_far), term, so_far))
        with m.If(issue):
            m.d.sync += [so_far.eq(total), fresh.eq(last)]
        return total


def stages(taps: Taps) -> int:
    """Clocks from issuing the last tap of a group to its sums."""
    if taps.combine != "multiply":
        return 2
    return 3 + (0 if taps.elementwise else (taps.width - 1).bit_length())


def _tree(m: Module, terms: list[Any]) -> Any:
    """The sum of some numbers, a register behind each addition."""
    while len(terms) > 1:
        pairs = [sum(terms[i + 1 : i + 2], start=terms[i]) for i in range(0, len(terms), 2)]
        terms = [_delayed(m, pair, 1) for pair in pairs]
    return terms[0]


def _delayed(m: Module, value: Any, clocks: int) -> Any:
    for _ in range(clocks):
        later = Signal.like(value) if isinstance(value, Signal) else Signal(value.shape())
        m.d.sync += later.eq(value)
        value = later
    return value


def _word(row: NDArray[np.int64], bits: int) -> int:
    """Integers side by side, the first lowest."""
    word = 0
    for place, n in enumerate(row.tolist()):
        word |= (n & ((1 << bits) - 1)) << place * bits
    return word
