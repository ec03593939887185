"""Bytes to elements and back, at the two ends of a design."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Shape, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from fpga.design.stream import Stream

SAMPLES = 16
"""Bits of the count of samples in a design: more than any device can hold."""


def shape_at(end: Stream) -> Shape:
    """The type of an element on a wire."""
    return Shape(end.word, end.signed)


class FromBytes(wiring.Component):
    """Joins the bytes of each element, the lowest first. The last byte completes the element at once."""

    def __init__(self, end: Stream) -> None:
        self.end = end
        super().__init__({"input": In(stream.Signature(8)), "output": Out(stream.Signature(shape_at(end)))})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        width = self.end.width
        early, count = Signal(8 * (width - 1)), Signal(range(width))
        last = count == width - 1
        m.d.comb += [
            self.output.payload.eq(Cat(early, self.input.payload)[: self.end.word]),
            self.output.valid.eq(self.input.valid & last),
            self.input.ready.eq(self.output.ready | ~last),
        ]
        if width > 1:
            with m.If(self.input.valid & self.input.ready):
                m.d.sync += [early.eq(Cat(early, self.input.payload)[8:]), count.eq(Mux(last, 0, count + 1))]
        return m


class ToBytes(wiring.Component):
    """Splits each sign-extended element into bytes, the lowest first. The element is taken with its last byte."""

    def __init__(self, end: Stream) -> None:
        self.end = end
        super().__init__({"input": In(stream.Signature(shape_at(end))), "output": Out(stream.Signature(8))})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        width = self.end.width
        wide, count = Signal(Shape(8 * width, self.end.signed)), Signal(range(width))
        last = count == width - 1
        m.d.comb += [
            wide.eq(self.input.payload),
            self.output.payload.eq(wide.word_select(count, 8)),
            self.output.valid.eq(self.input.valid),
            self.input.ready.eq(self.output.ready & last),
        ]
        if width > 1:
            with m.If(self.output.valid & self.output.ready):
                m.d.sync += count.eq(Mux(last, 0, count + 1))
        return m


class OutputGate(wiring.Component):
    """Holds a result back until the first byte of its sample is in; `output` follows `input`, both of results.

    `begins` says that a sample's first byte is taken now; `bytes` are those of a result.
    """

    def __init__(self, bytes: int) -> None:
        self.bytes = bytes
        super().__init__({"input": In(stream.Signature(8)), "output": Out(stream.Signature(8)), "begins": In(1)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        begun, count = Signal(SAMPLES), Signal(range(self.bytes))
        ends = self.output.valid & self.output.ready & (count == self.bytes - 1)
        m.d.comb += [
            self.output.payload.eq(self.input.payload),
            self.output.valid.eq(self.input.valid & begun.any()),
            self.input.ready.eq(self.output.ready & begun.any()),
        ]
        m.d.sync += begun.eq(begun + self.begins - ends)
        with m.If(self.output.valid & self.output.ready):
            m.d.sync += count.eq(Mux(ends, 0, count + 1))
        return m
