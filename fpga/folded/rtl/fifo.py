"""Queues between engines."""

from typing import Any

from amaranth.hdl import Module, Shape, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFO, SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

SHALLOW = 64
"""Queues up to this depth are tables, with a delay of one clock; deeper ones are block RAM, with two."""


class Queue(wiring.Component):
    """First in, first out. Ready and valid come from registers, so there is no combinational loop between engines."""

    def __init__(self, shape: Shape, depth: int) -> None:
        self.shape, self.depth = shape, depth
        super().__init__({"input": In(stream.Signature(shape)), "output": Out(stream.Signature(shape))})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        kind = SyncFIFO if self.depth <= SHALLOW else SyncFIFOBuffered
        m.submodules.fifo = fifo = kind(width=self.shape.width, depth=self.depth)
        m.d.comb += [
            fifo.w_data.eq(self.input.payload),
            fifo.w_en.eq(self.input.valid),
            self.input.ready.eq(fifo.w_rdy),
            self.output.payload.eq(fifo.r_data),
            self.output.valid.eq(fifo.r_rdy),
            fifo.r_en.eq(self.output.ready),
        ]
        return m


def delay(depth: int) -> int:
    """Clocks from writing to an empty queue to reading from it."""
    return 1 if depth <= SHALLOW else 2


class Credits(wiring.Component):
    """Counts the free places of a queue, those on their way to it included: `take` some, `give` one back.

    `room` says that as many as are taken at once are free. So engines never stall: every result they begin has a place.
    """

    def __init__(self, depth: int, taken: int) -> None:
        self.depth, self.taken = depth, taken
        super().__init__({"take": In(1), "give": In(1), "room": Out(1)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        free = Signal(range(self.depth + 1), init=self.depth)
        m.d.comb += self.room.eq(free >= self.taken)
        with m.If(self.take):
            m.d.sync += free.eq(free - self.taken + self.give)
        with m.Elif(self.give):
            m.d.sync += free.eq(free + 1)
        return m
