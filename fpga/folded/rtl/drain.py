"""From sums side by side to a stream: they shift out one per clock, and each meets the bias of its channel."""

from typing import Any

from amaranth.hdl import Module, Mux, Shape, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from fpga.folded.graph.taps import Taps
from fpga.folded.rtl.frame import element


class Drain(wiring.Component):
    """Takes `sums` when `done`, not sooner than `lanes` clocks after the last, and emits one per clock.

    The first comes `stages(taps)` clocks later. The bias is added here and not in the lanes, so one adder does.
    """

    def __init__(self, total: Shape, taps: Taps) -> None:
        self.taps, self.total = taps, total
        super().__init__(
            {
                "done": In(1),
                "sums": In(taps.lanes * total.width),
                "valid": Out(1),
                "payload": Out(total),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        held, left = Signal(len(self.sums)), Signal(range(self.taps.lanes + 1))
        with m.If(self.done):
            m.d.sync += [held.eq(self.sums), left.eq(self.taps.lanes)]
        with m.Elif(left != 0):
            m.d.sync += [held.eq(held[self.total.width :]), left.eq(left - 1)]
        first = element(held, self.total, 0)
        if self.taps.bias is None:
            m.d.comb += [self.valid.eq(left != 0), self.payload.eq(first)]
        else:
            self._bias(m, left != 0, first)
        return m

    def _bias(self, m: Module, valid: Any, value: Any) -> None:
        biases = self.taps.bias
        assert biases is not None
        count = len(biases)
        m.submodules.biases = rom = Memory(shape=self.total, depth=max(count, 2), init=biases.tolist())
        read, channel = rom.read_port(), Signal(range(count))
        later, later_valid = Signal(self.total), Signal()
        m.d.comb += read.addr.eq(channel)
        with m.If(valid):
            m.d.sync += channel.eq(Mux(channel == count - 1, 0, channel + 1))
        m.d.sync += [later.eq(value), later_valid.eq(valid)]
        m.d.sync += [self.payload.eq(later + read.data), self.valid.eq(later_valid)]


def stages(taps: Taps) -> int:
    """Clocks from `done` to the first element."""
    return 1 if taps.bias is None else 3
