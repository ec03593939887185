"""Chooses how far each layer is folded: the smallest design that is fast enough, or the fastest that fits."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from fpga.design.devices import Device, Resources
from fpga.design.stream import ends
from fpga.folded.graph.engines import Fold, engines
from fpga.folded.graph.taps import taps
from fpga.folded.planning.choices import Choice, choices, fold_for_reuse, size
from fpga.folded.planning.memories import memories
from fpga.folded.planning.plan import Plan
from shared.integer import Program

TABLES: Final = 0.5
"""The share of a device's tables that may multiply, where there are no blocks for it."""


def plan(
    program: Program,
    device: Device,
    *,
    latency: int | None = None,
    interval: int | None = None,
    reuse: Mapping[str, int] | None = None,
) -> Plan:
    """The folding of a program for a device, in clocks per sample.

    With `interval`: the fewest multipliers that meet it. With `latency`, or both: few, since layers are then folded
    further one after the other, as far as the limits allow. With neither: the shortest interval for which the device
    has multipliers and block RAM. `reuse` fixes layers by name: how many products one multiplier does per output
    position, as in hls4ml; the others are chosen.

    All layers are folded alike, to the fewest multipliers with at most so many clocks: at full rate all multipliers are
    then fully utilised. Lanes share the program of a layer, so more multipliers may need fewer block RAMs: where those
    are short, layers get more than the clocks ask for.

    Raises `ValueError` if nothing fits, or a name or factor of `reuse` does not exist.
    """
    search = _Search(program, device, reuse or {})
    if interval is None and latency is None:
        return search.fastest()
    return search.smallest(interval, latency)


@dataclass(frozen=True)
class _Layer:
    """Its choices, the smallest first."""

    name: str
    choices: tuple[Choice, ...]

    def at(self, pace: int) -> Fold:
        return next(choice.fold for choice in self.choices if choice.clocks <= pace)


class _Search:
    def __init__(self, program: Program, device: Device, reuse: Mapping[str, int]) -> None:
        self.program, self.device = program, device
        gathering = {engine.node.name: engine for engine in engines(program, {})[1] if engine.taps is not None}
        for name in reuse:
            if name not in gathering:
                raise ValueError(f"reuse of {name!r}: no such layer; there are {', '.join(gathering) or 'none'}")
        self.block_rams: dict[tuple[str, Fold], int] = {}
        self.fixed = {name: fold_for_reuse(gathering[name], factor) for name, factor in reuse.items()}
        self.engines = gathering
        self.layers = [_Layer(name, choices(e)) for name, e in gathering.items() if name not in reuse]
        paces = {choice.clocks for layer in self.layers for choice in layer.choices}
        floor = max((layer.choices[-1].clocks for layer in self.layers), default=0)
        self.paces = sorted(pace for pace in {floor, *paces} if pace >= floor)

    def at(self, pace: int) -> Plan:
        """Every layer with the fewest multipliers that take at most `pace` clocks."""
        return Plan(self.program, {**self.fixed, **{layer.name: layer.at(pace) for layer in self.layers}})

    def fastest(self) -> Plan:
        """The shortest interval that fits, with all layers folded alike if that fits at all."""
        slowest = self.at(self.paces[-1])
        deficit = self._deficit(slowest)
        if deficit and (self._multiplier_deficit(self.paces[-1]) or not self._may_hold_weights(slowest)):
            raise ValueError(self._too_small(deficit))
        # A slower pace needs no more multipliers, but maybe more block RAMs, and those need the clocks of all elements.
        index = _first(len(self.paces), lambda i: not self._multiplier_deficit(self.paces[i]))
        alike = next((plan for pace in self.paces[index:] if not self._deficit(plan := self.at(pace))), None)
        fits = alike or self._saving(slowest)
        if fits is None:
            raise ValueError(self._too_small(deficit))
        return fits

    def smallest(self, interval: int | None, latency: int | None) -> Plan:
        """Few multipliers within the limits; the fewest there are if only the interval is limited."""

        def meets(plan: Plan) -> bool:
            # An engine that is busy for longer than an interval answers without the clocks of every element.
            if interval is not None and max(part.cycles for part in plan.parts) > interval:
                return False
            return (interval is None or plan.interval <= interval) and (latency is None or plan.latency <= latency)

        # Any folding that is busy for `interval` clocks at most has these multipliers or more.
        fast_enough = [pace for pace in self.paces if interval is not None and pace <= interval]
        if fast_enough and (deficit := self._multiplier_deficit(fast_enough[-1])):
            raise ValueError(self._too_large(deficit, interval, latency))
        best = self.at(self.paces[0])
        if not meets(best):
            raise ValueError(self._too_slow(best, interval, latency))
        index = _first(len(self.paces), lambda i: not meets(self.at(self.paces[i])))
        plan = self._shrunk(self.at(self.paces[max(index - 1, 0)]), meets)
        if not (deficit := self._deficit(plan)):
            return plan
        for pace in reversed(self.paces[: max(index - 1, 0)]):
            faster = self.at(pace)
            if self._in_words(faster.multiplying(self.device.family)):
                break
            if not self._deficit(faster) and meets(faster):
                return faster
        saving = self._saving(plan)
        if saving is None or not meets(saving):
            raise ValueError(self._too_large(deficit, interval, latency))
        return saving

    def _saving(self, plan: Plan) -> Plan | None:
        """A plan whose layers are as fast or faster, and that fits; `None` if none is reached.

        Step by step, the layer that saves most block RAMs for each multiplier gets more of these.
        """
        while self._deficit(plan):
            steps = []
            for layer in self.layers:
                fold = plan.folds[layer.name]
                sizes = [choice.fold for choice in layer.choices if size(choice.fold) > size(fold)]
                saved = [(self._block_rams(layer.name, fold) - self._block_rams(layer.name, to), to) for to in sizes]
                steps += [(n / (size(to) - size(fold)), layer.name, to) for n, to in saved if n > 0]
            plans = (Plan(self.program, {**plan.folds, name: to}) for _, name, to in sorted(steps, key=_gain))
            more = next((p for p in plans if not self._in_words(p.multiplying(self.device.family))), None)
            if more is None:
                return None
            plan = more
        return plan

    def _block_rams(self, layer: str, fold: Fold) -> int:
        """Block RAMs of an engine, without the queues in front of additions."""
        if (layer, fold) not in self.block_rams:
            engine = self.engines[layer]
            folded = replace(engine, taps=taps(engine.node, engine.inputs[0], fold.lanes, fold.width))
            needed = sum(memory.block_rams(self.device.family) for memory in memories((folded,), {}))
            self.block_rams[layer, fold] = needed
        return self.block_rams[layer, fold]

    def _may_hold_weights(self, slowest: Plan) -> bool:
        """Whether the weights that are not zero fit at all, in block RAMs and tables of 16 bits."""
        used = (e.taps.weights.size * e.word for e in slowest.graph_and_engines[1] if e.taps and e.taps.multipliers)
        return sum(used) <= self.device.capacity.bram * self.device.bram_bits + 16 * self.device.capacity.lut

    def _too_small(self, deficit: str) -> str:
        return f"{self.device.name} lacks {deficit} even for one lane per layer: compress the net further"

    def _shrunk(self, plan: Plan, meets: Callable[[Plan], bool]) -> Plan:
        """Layers that need not be as fast as the others, as in front of a latency, get fewer multipliers."""
        for layer in self.layers:
            for choice in layer.choices:
                smaller = Plan(self.program, {**plan.folds, layer.name: choice.fold})
                if choice.fold == plan.folds[layer.name] or meets(smaller):
                    plan = smaller
                    break
        return plan

    def _multiplier_deficit(self, pace: int) -> str:
        return self._in_words(self.at(pace).multiplying(self.device.family))

    def _deficit(self, plan: Plan) -> str:
        """What a plan needs beyond the device, in words; empty if it fits."""
        return self._in_words(plan.needs(self.device.family))

    def _in_words(self, needs: Resources) -> str:
        capacity = self.device.capacity
        deficit = needs.deficit(replace(capacity, lut=capacity.lut * TABLES))
        kinds = ((deficit.dsp, "multipliers"), (deficit.lut, "tables to multiply with"), (deficit.bram, "block RAMs"))
        return " and ".join(f"{count:.0f} {kind}" for count, kind in kinds if count)

    def _too_slow(self, best: Plan, interval: int | None, latency: int | None) -> str:
        source, sink = ends(self.program)
        moved = max((source.bytes, "input bytes"), (sink.bytes, "output bytes"))
        streams = best.graph_and_engines[0].streams
        stream = max((math.prod(value.shape), f"elements of {name!r}") for name, value in streams.items())
        count, what = max(moved, stream)
        return (
            f"{_limits(interval, latency)} clocks cannot be met: the fastest folding takes interval={best.interval}, "
            f"latency={best.latency}, and {count} {what} move one per clock: prune blocks, or shrink the net"
        )

    def _too_large(self, deficit: str, interval: int | None, latency: int | None) -> str:
        fits = self.fastest()
        return (
            f"{_limits(interval, latency)} clocks need more than {self.device.name} holds: {deficit} too many; prune "
            f"blocks, or allow interval={fits.interval} and latency={fits.latency}, which fit"
        )


def _limits(interval: int | None, latency: int | None) -> str:
    limits = (("interval", interval), ("latency", latency))
    return " and ".join(f"{name}={clocks}" for name, clocks in limits if clocks is not None)


def _gain(step: tuple[float, str, Fold]) -> float:
    return -step[0]


def _first(count: int, holds: Callable[[int], bool]) -> int:
    """The first of `count` indices for which a monotone condition holds; `count` if there is none."""
    low, high = 0, count
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle + 1, high)
    return low
