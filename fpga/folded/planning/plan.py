"""A folding of a net, and what it needs: multipliers, memory, clocks. All exact except the block RAMs."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from fpga.design.devices import Family, Resources
from fpga.design.interface import Part, format_text
from fpga.folded.graph.engines import Engine, Fold, engines
from fpga.folded.graph.lower import Graph
from fpga.folded.planning.choices import check_folds
from fpga.folded.planning.memories import memories
from fpga.folded.planning.timing import Timing, output_precedes_input, timing
from shared.integer import Program, bits

MULTIPLIER = 18
"""Bits of both inputs of a multiplier block; wider products take several."""

PASSING = 2
"""Elements in an unlimited queue in which nothing waits: one that leaves as the next arrives."""


@dataclass(frozen=True, eq=False)
class Plan:
    """A program, and how each of its layers is folded; everything else follows.

    A layer that `folds` does not name has one lane. Raises `ValueError` for a fold that does not divide its layer's
    channels, or a name that is no layer.
    """

    program: Program
    folds: Mapping[str, Fold]

    def __post_init__(self) -> None:
        check_folds(engines(self.program, {})[1], self.folds)

    @cached_property
    def graph_and_engines(self) -> tuple[Graph, tuple[Engine, ...]]:
        """The engines, and the graph that connects them."""
        return engines(self.program, self.folds)

    @cached_property
    def queues(self) -> Mapping[tuple[str, int], int]:
        """Depths of the queues in front of additions, by (engine, input).

        As deep as unlimited queues would fill, so a queue never stalls a stream. They exist where a stream forks, since
        its other readers must go on, and where one branch has a shorter delay than the other: its elements must be
        stored, or the stream that feeds both branches stalls.
        """
        graph, engines = self.graph_and_engines
        adding = [engine for engine in engines if engine.taps is None and len(engine.inputs) == 2]
        inputs = {(engine.node.name, i): name for engine in adding for i, name in enumerate(engine.node.inputs)}
        if not inputs:
            return {}
        waiting = timing(graph, engines, dict.fromkeys(inputs)).waiting
        forks = {at for at, name in inputs.items() if len(graph.readers(name)) + (name == graph.sink) > 1}
        return {at: 1 << max(n + 1, 15).bit_length() for at, n in waiting.items() if at in forks or n > PASSING}

    @cached_property
    def output_gated(self) -> bool:
        """Whether the output must be held back until its sample has begun."""
        return output_precedes_input(*self.graph_and_engines, self.queues)

    @cached_property
    def timing(self) -> Timing:
        """Latency, interval, and the fill of the queues."""
        return timing(*self.graph_and_engines, self.queues, self.output_gated)

    @property
    def latency(self) -> int:
        """Clocks from the first byte of a sample to the last of its result, if it meets an idle design."""
        return self.timing.latency

    @property
    def interval(self) -> int:
        """Clocks between samples that come as fast as they can."""
        return self.timing.interval

    def needs(self, family: Family) -> Resources:
        """Block RAMs and multiplier blocks, or the tables in their place."""
        bram = sum(memory.block_rams(family) for memory in memories(self.graph_and_engines[1], self.queues))
        return self.multiplying(family) + Resources(bram=bram)

    def multiplying(self, family: Family) -> Resources:
        """Multiplier blocks; where a family has none, an estimate of the tables that multiply instead."""
        engines = self.graph_and_engines[1]
        if family == "ice40":
            return Resources(lut=sum(_tables(engine) for engine in engines))
        return Resources(dsp=sum(blocks(engine) for engine in engines))

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """What each engine does, in order."""
        return tuple(_part(engine) for engine in self.graph_and_engines[1])


def blocks(engine: Engine) -> int:
    """Multiplier blocks of an engine."""
    x = engine.inputs[0]
    signed = bits(x) + (x.low >= 0)
    return _products(engine) * math.ceil(signed / MULTIPLIER) * math.ceil(engine.word / MULTIPLIER)


def _tables(engine: Engine) -> int:
    """A table and its carry for each pair of bits."""
    return _products(engine) * bits(engine.inputs[0]) * engine.word


def _products(engine: Engine) -> int:
    return engine.taps.multipliers if engine.taps is not None else 0


def _part(engine: Engine) -> Part:
    last, taps = engine.values[-1], engine.taps
    form = format_text(last)
    kind = type(engine.node.operation).__name__ if engine.node.operation is not None else _passing(engine)
    if taps is None:
        return Part(engine.node.name, kind, form, 0, 0, math.prod(engine.values[0].shape))
    macs = int(np.any(taps.weights, axis=1).sum()) * taps.multipliers * taps.positions
    return Part(engine.node.name, kind, form, macs, taps.multipliers, taps.clocks)


def _passing(engine: Engine) -> str:
    return "Reorder" if engine.taps is not None else "Requantise"


@dataclass(frozen=True)
class Utilisation:
    """The share of an engine's multipliers that does useful work."""

    name: str
    busy: float
    """Over the clocks for which it is busy."""
    interval: float
    """Over all clocks, at full rate."""


def utilisation(plan: Plan) -> tuple[Utilisation, ...]:
    """Multiplications / (lanes x clocks) of each engine that multiplies; `net`, the last, is all of them together.

    Weights that were left out as blocks of zeros do not count as work; zeros inside other blocks do.
    """
    parts = [part for part in plan.parts if part.lanes]
    shares = [_share(part.name, part.macs, part.lanes * part.cycles, part.lanes * plan.interval) for part in parts]
    macs, lanes = sum(part.macs for part in parts), sum(part.lanes for part in parts)
    busy = sum(part.lanes * part.cycles for part in parts)
    return (*shares, _share("net", macs, busy, lanes * plan.interval))


def _share(name: str, macs: int, busy: int, all_clocks: int) -> Utilisation:
    return Utilisation(name, macs / max(busy, 1), macs / max(all_clocks, 1))
