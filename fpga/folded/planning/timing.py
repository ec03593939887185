"""The schedule of a folded design: the clock of every element and every group of taps.

Each event waits for a few others and a fixed number of clocks, so its time is the largest of theirs plus constants, and
the hardware's run is the least solution of these equations (Baccelli et al., Synchronization and Linearity, 1992,
section 2.5). Every event waits for earlier ones only: the lines of events are computed in turn, each as far as the
events that it waits for have been computed. Nothing here is an estimate: a test holds latency and interval to the
simulated hardware, clock by clock.
"""

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fpga.design.stream import Stream
from fpga.folded.graph.engines import Engine
from fpga.folded.graph.lower import Graph
from fpga.folded.graph.taps import Taps
from fpga.folded.graph.window import Window
from fpga.folded.rtl import gather, join
from fpga.folded.rtl.fifo import delay
from fpga.folded.rtl.sequencer import STAGES

Clocks = NDArray[np.int64]
Queues = Mapping[tuple[str, int], int | None]
"""Depths of the queues in front of additions, by (engine, input); `None` is unlimited."""

NEVER: Final = -(1 << 60)
"""The time of an event that nothing waits for."""


@dataclass(frozen=True)
class Timing:
    """Of a design whose input is always valid and whose output is always ready."""

    latency: int
    """Clocks from the first byte of the first sample to the last of its result."""
    interval: int
    """Clocks between results in the steady state."""
    waiting: Mapping[tuple[str, int], int]
    """The most elements that queue in front of an addition, by (engine, input)."""


def timing(graph: Graph, engines: tuple[Engine, ...], queues: Queues, output_gated: bool = False) -> Timing:
    """Of engines as `Circuit` wires them; `output_gated` where `output_precedes_input`."""
    samples = 4
    while True:
        run = _Run(graph, engines, queues, samples)
        if output_gated:
            run.gate_output()
        run.settle()
        last = run.taken[graph.sink].times.reshape(samples, -1)[:, -1]
        steps = np.diff(last[samples // 2 - 1 :])
        if (steps == steps[0]).all() or samples >= 64:
            return Timing(int(last[0]), math.ceil(steps.mean()), run.waiting())
        samples *= 2


def output_precedes_input(graph: Graph, engines: tuple[Engine, ...], queues: Queues) -> bool:
    """Whether a result can begin before its sample does: windows in the padding, and zero weights, need no data."""
    run = _Run(graph, engines, queues, samples=2)
    source, sink = run.taken[graph.source], run.taken[graph.sink]
    never = _Line(np.ones(1, np.int64))
    source.wait(never, np.arange(len(source.times)) // (len(source.times) // 2) - 1)
    run.advance()
    return sink.computed > len(sink.times) // 2


class _Wait(NamedTuple):
    """Event `k` comes at least `plus[k]` clocks after event `event[k]` of another line, if that is not negative."""

    line: "_Line"
    event: Clocks
    top: Clocks
    """The largest index so far."""
    plus: Clocks

    def satisfied(self) -> int:
        """How many events have nothing more to wait for here."""
        return int(np.searchsorted(self.top, self.line.computed))

    def times(self, start: int, end: int) -> Clocks:
        index = self.event[start:end]
        return np.where(index < 0, NEVER, self.line.times[np.maximum(index, 0)] + self.plus[start:end])


class _Line:
    """Events in order, each at least its gap after the one before; the first `computed` have their `times`."""

    def __init__(self, gaps: Clocks) -> None:
        self.since = np.cumsum(gaps)
        self.times = np.full(len(gaps), NEVER)
        self.computed = 0
        self.waits: list[_Wait] = []
        self.readers: list[_Line] = []

    def wait(self, line: "_Line", index: Clocks, plus: int | Clocks = 0) -> None:
        line.readers.append(self)
        self.waits.append(_Wait(line, index, np.maximum.accumulate(index), np.broadcast_to(plus, index.shape)))

    def advance(self) -> bool:
        """Computes the events whose waits are satisfied; whether there were any."""
        start, end = self.computed, min(wait.satisfied() for wait in self.waits)
        if end <= start:
            return False
        lower = np.maximum.reduce([wait.times(start, end) for wait in self.waits]) - self.since[start:end]
        if start:
            lower[0] = max(lower[0], self.times[start - 1] - self.since[start - 1])
        self.times[start:end] = np.maximum.accumulate(lower) + self.since[start:end]
        self.computed = end
        return True


class _Run:
    """The lines of events of a design in which `samples` follow each other.

    `taken[stream]` are the clocks in which its elements are taken by all who read it, `moved[engine]` those in which an
    addition takes its. An addition without queues takes its inputs when they are taken from their streams, so these
    share a line.
    """

    def __init__(self, graph: Graph, engines: tuple[Engine, ...], queues: Queues, samples: int) -> None:
        self.graph, self.engines, self.queues, self.samples = graph, engines, queues, samples
        self.start = _Line(np.ones(1, np.int64))
        self.start.times[0], self.start.computed = 0, 1
        self.taken: dict[str, _Line] = {}
        self.moved: dict[str, _Line] = {}
        self.lines: list[_Line] = []
        self._join_lines()
        self._begin()
        for engine in engines:
            if engine.taps is None:
                self._join(engine)
            else:
                self._gather(engine, engine.taps)

    def settle(self) -> None:
        self.advance()
        if any(line.computed < len(line.times) for line in self.lines):
            raise AssertionError("the design does not settle: one of its queues is too short")

    def advance(self) -> None:
        """Computes all events that the events computed so far allow."""
        todo = deque(self.lines)
        while todo:
            line = todo.popleft()
            if line.advance():
                todo.extend(reader for reader in line.readers if reader not in todo)

    def gate_output(self) -> None:
        """Lets no result begin before the first byte of its sample is in (`harness.OutputGate`)."""
        source, sink = self.taken[self.graph.source], self.taken[self.graph.sink]
        inputs, outputs = (len(line.times) // self.samples for line in (source, sink))
        sample, element = np.divmod(np.arange(len(sink.times)), outputs)
        width = Stream.of(self.graph.streams[self.graph.sink]).width
        # The byte comes in the clock after the element before it is taken.
        sink.wait(source, np.where(element == 0, sample * inputs - 1, -1), 1 + width)
        sink.wait(self.start, _first(sink), width)

    def waiting(self) -> dict[tuple[str, int], int]:
        """The most elements that were in each queue."""
        most = {}
        for engine in self.engines:
            for i, name in enumerate(engine.node.inputs):
                if (engine.node.name, i) in self.queues:
                    moved = self.moved[engine.node.name].times
                    behind = np.searchsorted(self.taken[name].times, moved, side="right") - np.arange(len(moved))
                    most[engine.node.name, i] = int(behind.max())
        return most

    def _line(self, gaps: Clocks) -> _Line:
        line = _Line(gaps)
        self.lines.append(line)
        return line

    def _join_lines(self) -> None:
        """One line for all streams and additions that move together."""
        groups = [({name}, set[str]()) for name in self.graph.streams]
        for engine in self.engines:
            if engine.taps is None:
                name = engine.node.name
                read = {s for i, s in enumerate(engine.node.inputs) if (name, i) not in self.queues}
                joined = [group for group in groups if group[0] & read]
                groups = [group for group in groups if not group[0] & read]
                groups.append((set().union(*(s for s, _ in joined)), {name}.union(*(j for _, j in joined))))
        for streams, joins in groups:
            some = next(iter(streams), None) or next(e.node.output for e in self.engines if e.node.name in joins)
            line = self._line(np.maximum.reduce([self._gaps(name) for name in streams] or [self._ones(some)]))
            self.taken.update(dict.fromkeys(streams, line))
            self.moved.update(dict.fromkeys(joins, line))

    def _ones(self, stream: str) -> Clocks:
        return np.ones(self.samples * math.prod(self.graph.streams[stream].shape), np.int64)

    def _gaps(self, stream: str) -> Clocks:
        """Clocks from an element to the next: those of a byte stream, or of the zeros that a frame buffer writes."""
        gaps = self._ones(stream)
        for end in (self.graph.source, self.graph.sink):
            if end == stream:
                gaps = np.maximum(gaps, Stream.of(self.graph.streams[end]).width)
        for engine in self.engines:
            if engine.taps is not None and engine.node.inputs[0] == stream:
                padded = np.ones_like(gaps)
                padded[engine.taps.width :: engine.taps.width] = np.diff(_cells(engine.taps.window, self.samples))
                gaps = np.maximum(gaps, padded)
        return gaps

    def _begin(self) -> None:
        """The first byte comes at once."""
        source = self.taken[self.graph.source]
        source.wait(self.start, _first(source), Stream.of(self.graph.streams[self.graph.source]).width - 1)

    def _offer(self, output: str, line: _Line, index: Clocks, plus: int | Clocks, depth: int) -> None:
        """An element is available once it is through the queue behind an engine; then a result's bytes are sent."""
        last = Stream.of(self.graph.streams[output]).width - 1 if output == self.graph.sink else 0
        self.taken[output].wait(line, index, plus + delay(depth) + last)

    def _credit(self, line: _Line, output: str, depth: int, each: int) -> None:
        """`each` elements at a time need as many places in a queue."""
        line.wait(self.taken[output], (np.arange(len(line.times)) + 1) * each - depth - 1, 1)

    def _join(self, engine: Engine) -> None:
        node, moved = engine.node, self.moved[engine.node.name]
        self._credit(moved, node.output, join.DEPTH, 1)
        elements = np.arange(len(moved.times))
        for i, name in enumerate(node.inputs):
            if (node.name, i) in self.queues:
                depth = self.queues[node.name, i]
                moved.wait(self.taken[name], elements, 1 if depth is None else delay(depth))
                if depth is not None:
                    self.taken[name].wait(moved, elements - depth, 1)
        self._offer(node.output, moved, elements, join.stages(len(node.tail)), join.DEPTH)

    def _gather(self, engine: Engine, taps: Taps) -> None:
        node, tail, taken = engine.node, len(engine.node.tail), self.taken[engine.node.inputs[0]]
        bases, cells = _bases(taps.window, self.samples), _cells(taps.window, self.samples)
        steps = np.tile(np.maximum(taps.counts, taps.lanes), len(bases))
        steps[0] = taps.counts[0]
        issued = self._line(steps)
        ready, written = self._memory(taps.window, bases, issued, taps.groups)
        taken.wait(ready, np.repeat(cells, taps.width))
        words = np.full(len(written.times), -1)
        words[cells] = np.arange(len(cells)) * taps.width + taps.width - 1
        written.wait(taken, words)

        ends = np.array([group[-1] for group in taps.offsets])
        issued.wait(written, (bases[:, None] + ends).ravel() - taps.window.lead, 1)
        depth = gather.queue_depth(taps, tail)
        self._credit(issued, node.output, depth, taps.lanes)
        issued.wait(self.start, _first(issued), STAGES + int(taps.counts[0]) - 1)
        lanes = np.tile(np.arange(taps.lanes), len(steps))
        groups = np.repeat(np.arange(len(steps)), taps.lanes)
        self._offer(node.output, issued, groups, gather.stages(taps, tail) + lanes, depth)

    def _memory(self, window: Window, bases: Clocks, issued: _Line, groups: int) -> tuple[_Line, _Line]:
        """When the cells of a ring may be written, and when they are: zeros of the padding at once, data as it comes.

        A cell is free once the window has left the one that is a ring's length behind.
        """
        every = np.arange(self.samples * window.frame) + window.lead
        position = np.searchsorted(bases, every - window.cells, side="right")  # the first whose window is beyond it
        left = np.minimum(position, len(bases)) * groups - 1
        ready, written = self._line(np.ones_like(every)), self._line(np.ones_like(every))
        for line in (ready, written):
            line.wait(issued, left, 1)
        return ready, written


def _first(line: _Line) -> Clocks:
    """What makes only the first event of a line wait."""
    return np.where(np.arange(len(line.times)) == 0, 0, -1)


def _cells(window: Window, frames: int) -> Clocks:
    """The place of each word that is not padding, in order, counted from the first word of the first frame."""
    words = window.pitch - window.side
    frame = np.arange(window.size[0])[:, None] * window.pitch + np.arange(words)
    return (np.arange(frames)[:, None] * window.frame + frame.ravel()).ravel()


def _bases(window: Window, frames: int) -> Clocks:
    """The address of the first cell of each position of the window, in order."""
    rows = np.arange(window.rows) * window.stride[0] * window.pitch
    columns = np.arange(window.columns) * window.stride[1] * window.words
    frame = (rows[:, None] + columns).ravel()
    return (np.arange(frames)[:, None] * window.frame + frame).ravel()
