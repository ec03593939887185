"""Engines without a window: the sum of two streams, and elements that are only requantised."""

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from fpga.folded.rtl.fifo import Credits, Queue
from fpga.folded.rtl.requantise import Requantiser, wire
from shared.integer import Value

DEPTH = 16
"""Places of the queue behind, so many that a credit comes back before it is missed."""


class Join(wiring.Component):
    """Adds the streams of `inputs`, or takes the only one, then runs the tail; `values` as those of `Gather`.

    The stream with fewer fraction bits is shifted left first.
    """

    def __init__(self, inputs: Sequence[Value], values: Sequence[Value]) -> None:
        self.inputs, self.values = inputs, values
        ports = {f"input{i}": In(stream.Signature(wire(x))) for i, x in enumerate(inputs)}
        super().__init__({**ports, "output": Out(stream.Signature(wire(values[-1])))})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        ports = [getattr(self, f"input{i}") for i in range(len(self.inputs))]
        m.submodules.tail = tail = Requantiser(self.values)
        m.submodules.queue = queue = Queue(wire(self.values[-1]), DEPTH)
        m.submodules.credits = credits = Credits(DEPTH, 1)
        wiring.connect(m, queue.output, wiring.flipped(self.output))
        moves, moved, total = Signal(), Signal(), Signal(wire(self.values[0]))
        fraction = self.values[0].format.fraction
        terms = [port.payload << fraction - x.format.fraction for port, x in zip(ports, self.inputs, strict=True)]
        m.d.comb += moves.eq(credits.room & Cat(port.valid for port in ports).all())
        for port in ports:
            others = Cat(other.valid for other in ports if other is not port)
            m.d.comb += port.ready.eq(credits.room & others.all())
        m.d.sync += [total.eq(sum(terms[1:], start=terms[0])), moved.eq(moves)]
        m.d.comb += [
            tail.in_valid.eq(moved),
            tail.in_payload.eq(total),
            queue.input.valid.eq(tail.valid),
            queue.input.payload.eq(tail.payload),
            credits.take.eq(moves),
            credits.give.eq(queue.output.valid & queue.output.ready),
        ]
        return m


def stages(tail: int) -> int:
    """Clocks from taking an element to writing its result to the queue."""
    return 1 + tail * Requantiser.STAGES
