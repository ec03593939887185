"""Where values lie in the arena: two that are needed at the same time do not overlap."""

from collections.abc import Mapping, Sequence

from mobile.lowering.calls import Call, Value

ALIGNMENT = 64
"""Bytes of a cache line, and of the widest vector."""


def plan(inputs: Sequence[Value], calls: Sequence[Call], outputs: Sequence[Value]) -> tuple[dict[str, int], int]:
    """The place of every value in bytes, and the size of the arena.

    A value lives from the call that writes it (inputs: from the beginning) to the last that reads it (outputs: to the
    end). The largest values are placed first, each at the lowest place where nothing that lives with it lies.
    """
    lives = _lives(inputs, calls, outputs)
    written = (value for call in calls for value in (call.writes, *call.scratch))
    values: Mapping[str, Value] = {value.name: value for value in (*inputs, *written)}
    places: dict[str, int] = {}
    for name in sorted(values, key=lambda name: (-values[name].bytes, name)):
        begin, end = lives[name]
        beside = sorted(
            (places[other], values[other].bytes)
            for other in places
            if lives[other][0] <= end and begin <= lives[other][1]
        )
        at = 0
        for place, size in beside:
            if at + values[name].bytes <= place:
                break
            at = max(at, -(-(place + size) // ALIGNMENT) * ALIGNMENT)
        places[name] = at
    return places, max(places[name] + values[name].bytes for name in values)


def _lives(inputs: Sequence[Value], calls: Sequence[Call], outputs: Sequence[Value]) -> dict[str, tuple[int, int]]:
    """First and last call of every value; inputs begin before all, outputs end behind all."""
    lives = {view.name: (-1, -1) for view in inputs}
    for step, call in enumerate(calls):
        begin, _ = lives.get(call.writes.name, (step, step))  # several calls may write one value, part by part
        lives[call.writes.name] = (begin, step)
        lives |= {value.name: (step, step) for value in call.scratch}
        for read in call.reads:
            if read.name in lives:  # constants lie elsewhere
                lives[read.name] = (lives[read.name][0], step)
    for view in outputs:
        lives[view.name] = (lives[view.name][0], len(calls))
    return lives
