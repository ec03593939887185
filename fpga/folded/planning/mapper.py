"""Chooses how far each layer is folded: the smallest design that is fast enough, or the fastest that fits."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from fpga.design.devices import Device, Resources
from fpga.design.stream import ends
from fpga.folded.graph.engines import Fold, engines
from fpga.folded.planning.choices import Choice, choices, reused
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

    With `interval`: the fewest multipliers that keep it. With `latency`, or both: few, since layers are then made
    smaller one after the other, as far as the limits allow. With neither: the shortest interval for which the device
    has multipliers and block RAM. `reuse` fixes layers by name: how many products one multiplier does per output
    position, as in hls4ml; the others are chosen.

    All layers are folded alike, to the fewest multipliers with at most so many clocks: at full rate all then have their
    hands full.

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
        made = engines(program, {})[1]
        gathering = {engine.node.name: engine for engine in made if engine.taps is not None}
        for name in reuse:
            if name not in gathering:
                raise ValueError(f"reuse of {name!r}: no such layer; there are {', '.join(gathering) or 'none'}")
        self.fixed = {name: reused(gathering[name], factor) for name, factor in reuse.items()}
        self.layers = [_Layer(name, choices(e)) for name, e in gathering.items() if name not in reuse]
        paces = {choice.clocks for layer in self.layers for choice in layer.choices}
        floor = max((layer.choices[-1].clocks for layer in self.layers), default=0)
        self.paces = sorted(pace for pace in {floor, *paces} if pace >= floor)

    def at(self, pace: int) -> Plan:
        """Every layer with the fewest multipliers that take at most `pace` clocks."""
        return Plan(self.program, {**self.fixed, **{layer.name: layer.at(pace) for layer in self.layers}})

    def fastest(self) -> Plan:
        """The shortest interval that fits."""
        slowest = self.at(self.paces[-1])
        if short := self._lacking(slowest):
            raise ValueError(f"{self.device.name} lacks {short} even for one lane per layer: compress the net further")
        # A slower pace needs no more multipliers, but maybe more block RAMs, and these take the clocks of all elements.
        index = _first(len(self.paces), lambda i: not self._multipliers_lacking(self.paces[i]))
        return next(found for pace in self.paces[index:] if not self._lacking(found := self.at(pace)))

    def smallest(self, interval: int | None, latency: int | None) -> Plan:
        """Few multipliers within the limits; the fewest there are if only the interval is limited."""

        def meets(plan: Plan) -> bool:
            # An engine that is busy for longer than an interval answers without the clocks of every element.
            if interval is not None and max(part.cycles for part in plan.parts) > interval:
                return False
            return (interval is None or plan.interval <= interval) and (latency is None or plan.latency <= latency)

        if short := self._multipliers_short(interval):
            raise ValueError(self._too_large(short, interval, latency))
        best = self.at(self.paces[0])
        if not meets(best):
            raise ValueError(self._too_slow(best, interval, latency))
        index = _first(len(self.paces), lambda i: not meets(self.at(self.paces[i])))
        found = self._shaved(self.at(self.paces[max(index - 1, 0)]), meets)
        if short := self._lacking(found):
            raise ValueError(self._too_large(short, interval, latency))
        return found

    def _shaved(self, found: Plan, meets: Callable[[Plan], bool]) -> Plan:
        """Layers that need not be as fast as the others, as in front of a latency, get fewer multipliers."""
        for layer in self.layers:
            for choice in layer.choices:
                smaller = Plan(self.program, {**found.folds, layer.name: choice.fold})
                if choice.fold == found.folds[layer.name] or meets(smaller):
                    found = smaller
                    break
        return found

    def _multipliers_short(self, interval: int | None) -> str:
        """What any folding lacks that is busy for `interval` clocks at most."""
        enough = [pace for pace in self.paces if interval is not None and pace <= interval]
        return self._multipliers_lacking(enough[-1]) if enough else ""

    def _multipliers_lacking(self, pace: int) -> str:
        return self._excess(self.at(pace).multiplying(self.device.family))

    def _lacking(self, plan: Plan) -> str:
        """What a plan needs beyond the device, in words; empty if it fits."""
        return self._excess(plan.needs(self.device.family))

    def _excess(self, needs: Resources) -> str:
        holds = self.device.holds
        over = needs.lacking(replace(holds, lut=holds.lut * TABLES))
        short = ((over.dsp, "multipliers"), (over.lut, "tables to multiply with"), (over.bram, "block RAMs"))
        return " and ".join(f"{count:.0f} {what}" for count, what in short if count)

    def _too_slow(self, best: Plan, interval: int | None, latency: int | None) -> str:
        wanted = [f"{what}={n}" for what, n in (("interval", interval), ("latency", latency)) if n is not None]
        source, sink = ends(self.program)
        moved = max((source.bytes, "input bytes"), (sink.bytes, "output bytes"))
        stream = max((math.prod(v.shape), f"elements of {name!r}") for name, v in best.made[0].streams.items())
        count, what = max(moved, stream)
        return (
            f"{' and '.join(wanted)} clocks cannot be met: the fastest folding takes interval={best.interval}, "
            f"latency={best.latency}, and {count} {what} move one per clock: prune blocks, or shrink the net"
        )

    def _too_large(self, short: str, interval: int | None, latency: int | None) -> str:
        wanted = [f"{what}={n}" for what, n in (("interval", interval), ("latency", latency)) if n is not None]
        fits = self.fastest()
        return (
            f"{' and '.join(wanted)} clocks need more than {self.device.name} holds: {short} too many; prune blocks, "
            f"or allow interval={fits.interval} and latency={fits.latency}, which fit"
        )


def _first(count: int, holds: Callable[[int], bool]) -> int:
    """The first of `count` indices for which a monotone condition holds; `count` if there is none."""
    low, high = 0, count
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle + 1, high)
    return low
