"""When everything happens in a folded design: clocks of every element and every group of taps, by max-plus recurrences.

Each event waits for a few others and a fixed number of clocks, so its time is the largest of theirs plus constants, and
the hardware's run is the least solution of these equations (Baccelli et al., Synchronization and Linearity, 1992,
section 2.5). A pass goes from the input to the output; what waits for something further down, for a free cell or a
credit, uses the times of the pass before, until nothing changes. Nothing here is an estimate: a test holds latency and
interval to the simulated hardware, clock by clock.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fpga.folded import gather, join
from fpga.folded.engines import Engine
from fpga.folded.fifo import delay
from fpga.folded.lower import Graph
from fpga.folded.sequencer import STAGES
from fpga.folded.window import Window
from fpga.stream import Stream

Clocks = NDArray[np.int64]

NEVER: Final = -(1 << 60)
"""The time that a wait for nothing ends."""
PASSES: Final = 100_000


@dataclass(frozen=True)
class Timing:
    """Of a design that is fed as fast as it takes, from a result that is taken at once."""

    latency: int
    """Clocks from the first byte of the first sample to the last of its result."""
    interval: int
    """Clocks between results once they come regularly."""
    waiting: Mapping[tuple[str, int], int]
    """The most elements that queue in front of an addition, by (engine, input)."""


def timing(graph: Graph, engines: tuple[Engine, ...], queues: Mapping[tuple[str, int], int | None]) -> Timing:
    """Of engines as `Circuit` wires them; a queue of depth `None` is endless."""
    samples = 4
    while True:
        run = _Run(graph, engines, queues, samples)
        run.settle()
        last = run.taken[graph.sink].reshape(samples, -1)[:, -1]
        steps = np.diff(last[samples // 2 - 1 :])
        if (steps == steps[0]).all() or samples >= 64:
            return Timing(int(last[0]), math.ceil(steps.mean()), run.waiting)
        samples *= 2


class _Run:
    """`taken[stream]`: the clock in which each element of each sample is taken by all who read it."""

    def __init__(
        self, graph: Graph, engines: tuple[Engine, ...], queues: Mapping[tuple[str, int], int | None], samples: int
    ) -> None:
        self.graph, self.engines, self.queues, self.samples = graph, engines, queues, samples
        sizes = {name: samples * math.prod(value.shape) for name, value in graph.streams.items()}
        self.offered = {name: np.full(n, NEVER) for name, n in sizes.items()}
        self.taken = {name: np.full(n, NEVER) for name, n in sizes.items()}
        self.gaps = {name: np.ones(n, np.int64) for name, n in sizes.items()}
        self.bounds: dict[tuple[str, int], Clocks | int] = {
            (node.name, i): NEVER for node in graph.nodes for i in range(len(node.inputs))
        }
        self.inputs = {node.name: node.inputs for node in graph.nodes}
        self.free: dict[str, Clocks] = {}
        self.waiting: dict[tuple[str, int], int] = {}
        for engine in engines:
            if engine.taps is not None:
                stream = engine.node.inputs[0]
                self.gaps[stream] = np.maximum(self.gaps[stream], _gaps(engine, len(self.gaps[stream])))
        source, sink = (Stream.of(graph.streams[name]) for name in (graph.source, graph.sink))
        self.gaps[graph.source] = np.maximum(self.gaps[graph.source], source.width)
        self.offered[graph.source][0] = source.width - 1
        self.sink_width = sink.width

    def settle(self) -> None:
        for _ in range(PASSES):
            before = [taken.copy() for taken in self.taken.values()]
            self._take(self.graph.source)
            for engine in self.engines:
                if engine.taps is None:
                    self._join(engine)
                else:
                    self._gather(engine)
                self._take(engine.node.output)
            if all((b == t).all() for b, t in zip(before, self.taken.values(), strict=True)):
                return
        raise AssertionError("the design does not settle: one of its queues is too short")

    def _take(self, name: str) -> None:
        """An element is taken once it is offered, all readers have room, and the one before is dealt with."""
        lower = self.offered[name]
        gaps = self.gaps[name]
        for (node, i), bound in self.bounds.items():
            if self.inputs[node][i] == name:
                lower = np.maximum(lower, bound)
        if name == self.graph.sink:
            lower, gaps = np.maximum(lower, self.offered[name] + self.sink_width - 1), np.maximum(gaps, self.sink_width)
        since = np.cumsum(gaps)
        self.taken[name] = np.maximum.accumulate(lower - since) + since

    def _offer(self, name: str, pushed: Clocks, depth: int) -> None:
        self.offered[name] = pushed + delay(depth)

    def _credit(self, name: str, depth: int, taken: int, starts: int) -> Clocks:
        """When each of `starts` groups of `taken` elements has its places in the queue of stream `name`."""
        needed = (np.arange(starts) + 1) * taken - depth - 1
        return np.where(needed >= 0, self.taken[name][np.maximum(needed, 0)] + 1, NEVER)

    def _join(self, engine: Engine) -> None:
        node, tail = engine.node, len(engine.node.tail)
        lower = self._credit(node.output, join.DEPTH, 1, len(self.taken[node.output]))
        for i, name in enumerate(node.inputs):
            queue = (node.name, i) in self.queues
            lower = np.maximum(lower, self.taken[name] + self._delay(node.name, i) if queue else self.taken[name])
        clock = np.arange(len(lower))
        moved = np.maximum.accumulate(lower - clock) + clock
        for i, name in enumerate(node.inputs):
            self.bounds[node.name, i] = self._queued(node.name, i, name, moved)
        self._offer(node.output, moved + join.stages(tail), join.DEPTH)

    def _delay(self, node: str, i: int) -> int:
        depth = self.queues[node, i]
        return delay(depth) if depth is not None else 1

    def _queued(self, node: str, i: int, name: str, moved: Clocks) -> Clocks:
        """When a stream may go on to an addition, directly or through a queue that must have room."""
        if (node, i) not in self.queues:
            return moved
        waiting = np.searchsorted(self.taken[name], moved, side="right") - np.arange(len(moved))
        self.waiting[node, i] = int(waiting.max())
        depth = self.queues[node, i]
        if depth is None:
            return np.full(len(moved), NEVER)
        return np.concatenate([np.full(min(depth, len(moved)), NEVER), moved[:-depth] + 1])

    def _gather(self, engine: Engine) -> None:
        node, taps, tail = engine.node, engine.taps, len(engine.node.tail)
        assert taps is not None
        window, name, frames = taps.window, node.inputs[0], self.samples
        cells = _cells(window, frames)
        bases = _bases(window, frames)
        free = self.bounds[node.name, 0]
        written = np.full(frames * window.frame, NEVER) if isinstance(free, int) else self.free[node.name].copy()
        written[cells - window.lead] = self.taken[name][taps.width - 1 :: taps.width]
        clock = np.arange(len(written))
        written = np.maximum.accumulate(written - clock) + clock

        ends = np.array([group[-1] for group in taps.offsets])
        address = (bases[:, None] + ends).ravel() - window.lead
        lower = np.where(address < 0, NEVER, written[np.maximum(address, 0)] + 1)
        depth = gather.queue_depth(taps, tail)
        lower = np.maximum(lower, self._credit(node.output, depth, taps.lanes, len(lower)))
        steps = np.tile(np.maximum(taps.counts, taps.lanes), len(bases))
        steps[0] = taps.counts[0]
        lower[0] = max(lower[0], STAGES + taps.counts[0] - 1)
        since = np.cumsum(steps)
        issued = np.maximum.accumulate(lower - since) + since

        pushed = (issued[:, None] + gather.stages(taps, tail) + np.arange(taps.lanes)).ravel()
        self._offer(node.output, pushed, depth)
        self._release(engine, bases, issued[taps.groups - 1 :: taps.groups], cells)

    def _release(self, engine: Engine, bases: Clocks, done: Clocks, cells: Clocks) -> None:
        """A cell is free once the window has left the one that is a ring's length behind."""
        taps = engine.taps
        assert taps is not None
        window = taps.window
        every = np.arange(self.samples * window.frame) + window.lead
        position = np.searchsorted(bases, every - window.cells, side="right")  # the first whose window is beyond it
        seen = np.concatenate([[NEVER], done + 1])
        free = seen[np.minimum(position, len(done))]
        self.free[engine.node.name] = free
        clock = np.arange(len(free))
        ready = (np.maximum.accumulate(free - clock) + clock)[cells - window.lead]
        self.bounds[engine.node.name, 0] = np.repeat(ready, taps.width)


def _cells(window: Window, frames: int) -> Clocks:
    """The address of each word that is not padding, in order."""
    words = window.pitch - window.side
    frame = np.arange(window.size[0])[:, None] * window.pitch + np.arange(words)
    return (np.arange(frames)[:, None] * window.frame + frame.ravel()).ravel() + window.lead


def _bases(window: Window, frames: int) -> Clocks:
    """The address of the first cell of each position of the window, in order."""
    rows = np.arange(window.rows) * window.stride[0] * window.pitch
    columns = np.arange(window.columns) * window.stride[1] * window.words
    frame = (rows[:, None] + columns).ravel()
    return (np.arange(frames)[:, None] * window.frame + frame).ravel()


def _gaps(engine: Engine, count: int) -> Clocks:
    """Clocks from an element to the next, in which the frame buffer may have to write zeros."""
    taps = engine.taps
    assert taps is not None
    cells = _cells(taps.window, count // (taps.width * taps.window.size[0] * (taps.window.pitch - taps.window.side)))
    gaps = np.ones(count, np.int64)
    gaps[taps.width :: taps.width] = np.diff(cells)
    return gaps
