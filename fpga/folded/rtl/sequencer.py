"""Which word an engine reads next: a program of taps, run for one window after the other."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from fpga.folded.graph.taps import Taps

STAGES = 3
"""Clocks before the first tap can be read; hidden, because the sequencer runs ahead of its data."""


class Sequencer(wiring.Component):
    """Issues a tap per clock, as soon as its word is written and, for the last of a group, as soon as there is `room`.

    Three stages wait for each other: the tap's number, its offset from the program, its address from window and offset.
    A position's words are released when its last tap is issued.
    """

    def __init__(self, taps: Taps) -> None:
        self.taps = taps
        self.bits = (taps.window.cells - 1).bit_length() + 1
        self.count = int(taps.counts.sum())
        super().__init__(
            {
                "written": In(self.bits),
                "room": In(1),
                "issue": Out(1),
                "address": Out(self.bits),
                "tap": Out(range(self.count)),
                "last": Out(1),
                "released": Out(self.bits),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        layout = data.StructLayout({"offset": unsigned(self.bits), "last": 1, "done": 1})
        m.submodules.program = program = Memory(shape=layout, depth=max(self.count, 2), init=self._words())
        fetch = program.read_port()
        advance, base, done = Signal(), Signal(self.bits), Signal()
        tap, fetched, decoded = Signal(range(self.count)), Signal(range(self.count)), Signal(range(self.count))
        valid = Signal(STAGES)
        step = Signal(layout)
        m.d.comb += [fetch.addr.eq(tap), fetch.en.eq(advance)]

        distance = Signal(self.bits)  # negative where the word is written
        m.d.comb += [
            distance.eq(self.address - self.written),
            self.issue.eq(valid[-1] & distance[-1] & (~self.last | self.room)),
            advance.eq(self.issue | ~valid[-1]),
        ]
        with m.If(advance):
            m.d.sync += [
                valid.eq(valid << 1 | 1),
                tap.eq(Mux(tap == self.count - 1, 0, tap + 1)),
                fetched.eq(tap),
                decoded.eq(fetched),
                step.eq(fetch.data),
                self.address.eq(base + step.offset),
                self.tap.eq(decoded),
                self.last.eq(step.last),
                done.eq(step.done),
            ]
            with m.If(step.done):  # 0 until the first tap is decoded
                self._move(m, base)
        with m.If(self.issue & done):
            m.d.sync += self.released.eq(base)
        return m

    def _words(self) -> list[dict[str, int]]:
        words = [{"offset": n, "last": n == group[-1], "done": 0} for group in self.taps.offsets for n in group]
        words[-1]["done"] = 1
        return words

    def _move(self, m: Module, base: Signal) -> None:
        """The window goes to the next column, the next row's begin or the next frame's begin."""
        window = self.taps.window
        column, row = Signal(range(window.columns)), Signal(range(window.rows))
        to_column, to_row, to_frame = window.steps
        with m.If(column != window.columns - 1):
            m.d.sync += [column.eq(column + 1), base.eq(base + to_column)]
        with m.Elif(row != window.rows - 1):
            m.d.sync += [column.eq(0), row.eq(row + 1), base.eq(base + to_row)]
        with m.Else():
            m.d.sync += [column.eq(0), row.eq(0), base.eq(base + to_frame)]
