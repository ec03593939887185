"""The gather engine: one of it computes a weighted operation, a pool or a reordering.

    stream -> frame buffer -> lanes -> drain -> requantisers -> queue -> stream
                   ^ sequencer: which word next

The sequencer waits for data and for room in the queue; behind it nothing waits.
"""

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from fpga.folded.graph.taps import Taps
from fpga.folded.rtl import drain, lanes
from fpga.folded.rtl.drain import Drain
from fpga.folded.rtl.fifo import Credits, Queue
from fpga.folded.rtl.frame import FrameBuffer, shape_of
from fpga.folded.rtl.lanes import Lanes
from fpga.folded.rtl.requantise import Requantiser, wire
from fpga.folded.rtl.sequencer import Sequencer
from shared.integer import Value


class Gather(wiring.Component):
    """`values`: what is summed or compared, then what each step of the tail gives. `word`: bits of a weight."""

    def __init__(self, x: Value, values: Sequence[Value], word: int, taps: Taps) -> None:
        self.x, self.values, self.word, self.taps = x, values, word, taps
        super().__init__({"input": In(stream.Signature(wire(x))), "output": Out(stream.Signature(wire(values[-1])))})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        taps, x, total = self.taps, wire(self.x), wire(self.values[0])
        depth = queue_depth(taps, len(self.values) - 1)
        m.submodules.frame = frame = FrameBuffer(x, taps.window, taps.width)
        m.submodules.sequencer = sequencer = Sequencer(taps)
        m.submodules.lanes = unit = Lanes(x, shape_of(self.word, True), total, taps)
        m.submodules.drain = shift = Drain(total, taps)
        m.submodules.tail = tail = Requantiser(self.values)
        m.submodules.queue = queue = Queue(wire(self.values[-1]), depth)
        m.submodules.credits = credits = Credits(depth, taps.lanes)
        wiring.connect(m, wiring.flipped(self.input), frame.input)
        wiring.connect(m, queue.output, wiring.flipped(self.output))
        began = sequencer.issue & sequencer.last
        m.d.comb += [
            sequencer.written.eq(frame.written),
            frame.released.eq(sequencer.released),
            frame.address.eq(sequencer.address),
            frame.enable.eq(sequencer.issue),
            sequencer.room.eq(credits.room & self._apart(m, began)),
            unit.issue.eq(sequencer.issue),
            unit.tap.eq(sequencer.tap),
            unit.last.eq(sequencer.last),
            unit.word.eq(frame.data),
            shift.done.eq(unit.done),
            shift.sums.eq(unit.sums),
            tail.in_valid.eq(shift.valid),
            tail.in_payload.eq(shift.payload),
            queue.input.valid.eq(tail.valid),
            queue.input.payload.eq(tail.payload),
            credits.take.eq(began),
            credits.give.eq(queue.output.valid & queue.output.ready),
        ]
        return m

    def _apart(self, m: Module, began: Any) -> Any:
        """Groups end `lanes` clocks apart at least: so long does the drain take."""
        busy = Signal(range(self.taps.lanes))
        with m.If(began):
            m.d.sync += busy.eq(self.taps.lanes - 1)
        with m.Elif(busy != 0):
            m.d.sync += busy.eq(busy - 1)
        return busy == 0


def stages(taps: Taps, tail: int) -> int:
    """Clocks from issuing the last tap of a group to its first element at the queue."""
    return lanes.stages(taps) + drain.stages(taps) + tail * Requantiser.STAGES


def queue_depth(taps: Taps, tail: int) -> int:
    """Places for a group that is read, one that is being computed, and what is between the two."""
    return 1 << (2 * taps.lanes + stages(taps, tail) + 4 - 1).bit_length()
