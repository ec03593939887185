"""A frame buffer: a stream goes in, words at any address of the last cells come out. Its zeros are the padding."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Shape, Signal, signed, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from fpga.folded.graph.window import Window


class FrameBuffer(wiring.Component):
    """Packs `width` elements into a word and writes it to the next cell, and the zeros of `window` in between.

    The cells are a ring of `window.cells`; addresses have one more bit than it needs, to distinguish ahead from behind.
    A cell is written only when it is less than the ring's length ahead of `released`. Address `a` can be read, by
    `enable` and one clock later `data`, once `a < written`.
    """

    def __init__(self, shape: Shape, window: Window, width: int) -> None:
        self.window, self.width = window, width
        bits = (window.cells - 1).bit_length() + 1
        super().__init__(
            {
                "input": In(stream.Signature(shape)),
                "written": Out(bits, init=window.lead),
                "released": In(bits),
                "address": In(bits),
                "enable": In(1),
                "data": Out(width * shape.width),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.memory = memory = Memory(shape=unsigned(len(self.data)), depth=self.window.cells, init=[])
        write, read = memory.write_port(), memory.read_port()
        m.d.comb += [
            read.addr.eq(self.address[:-1]),
            read.en.eq(self.enable),
            self.data.eq(read.data),
            write.addr.eq(self.written[:-1]),
        ]

        free, padding, word, full_word = Signal(), Signal(), Signal(len(self.data)), Signal()
        ahead = (self.written[-1] != self.released[-1]) & (self.written[:-1] == self.released[:-1])
        m.d.comb += [free.eq(~ahead), self.input.ready.eq(free & ~padding)]
        taken = self.input.valid & self.input.ready
        self._pack(m, taken, word, full_word)
        self._pad(m, taken & full_word, free, padding)
        m.d.comb += [write.en.eq((taken & full_word) | (padding & free)), write.data.eq(Mux(padding, 0, word))]
        with m.If(write.en):
            m.d.sync += self.written.eq(self.written + 1)
        return m

    def _pack(self, m: Module, taken: Any, word: Signal, full: Signal) -> None:
        """The elements before the last of a word wait in registers."""
        payload = self.input.payload.as_unsigned()
        if self.width == 1:
            m.d.comb += [word.eq(payload), full.eq(1)]
            return
        early, count = Signal(len(word) - len(payload)), Signal(range(self.width))
        m.d.comb += [word.eq(Cat(early, payload)), full.eq(count == self.width - 1)]
        with m.If(taken):
            m.d.sync += [early.eq(word[len(payload) :]), count.eq(Mux(full, 0, count + 1))]

    def _pad(self, m: Module, word_taken: Any, free: Signal, padding: Signal) -> None:
        """Counts words of a row and rows of a frame; behind each, it holds the stream to write zeros."""
        window = self.window
        if not window.side + window.below:
            return
        zeros = Signal(range(window.side + window.below + 1))
        m.d.comb += padding.eq(zeros != 0)
        with m.If(padding & free):
            m.d.sync += zeros.eq(zeros - 1)
        words, rows = window.pitch - window.side, window.size[0]
        word, row = Signal(range(words)), Signal(range(rows))
        with m.If(word_taken):
            m.d.sync += word.eq(word + 1)
            with m.If(word == words - 1):
                m.d.sync += [word.eq(0), row.eq(row + 1), zeros.eq(window.side)]
                with m.If(row == rows - 1):
                    m.d.sync += [row.eq(0), zeros.eq(window.side + window.below)]


def element(word: Any, shape: Shape, index: int) -> Any:
    """Element `index` of a word, as the number it stands for."""
    part = word[index * shape.width : (index + 1) * shape.width]
    return part.as_signed() if shape.signed else part


def shape_of(bits: int, is_signed: bool) -> Shape:
    """The type of a number on a wire."""
    return signed(bits) if is_signed else unsigned(bits)
