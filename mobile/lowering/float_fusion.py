"""Calls of a float net that need not be: sums that a convolution adds at once, and copies with zeros around.

Each function takes a net's calls and returns fewer or cheaper ones that compute the same.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from mobile.lowering.floats import (
    Around,
    BorderFloats,
    Bounds,
    CombineFloats,
    ConvolveFloats,
    DepthwiseFloats,
    FloatCall,
    Floats,
    PadFloats,
    PoolFloats,
)

Values = tuple[Floats, ...]


def sums_joined(calls: Sequence[FloatCall], outputs: Values) -> list[FloatCall]:
    """A convolution whose result is read by a sum alone adds the other term, if that is there before it."""
    joined = list(calls)
    for call in calls:
        if not isinstance(call, CombineFloats) or call.joint != "add" or call.reads[0].pixels != call.reads[1].pixels:
            continue
        steps = [_last_writer(joined, read) for read in call.reads]
        place = max(range(2), key=lambda k: steps[k])
        value, other, step = call.reads[place], call.reads[1 - place], steps[place]
        layer = joined[step] if step >= 0 else None
        readers = [each for each in joined if value in each.reads]
        if (
            isinstance(layer, ConvolveFloats)
            and (layer.to, len(layer.reads)) == (Bounds(), 1)
            and readers == [call]
            and value not in outputs
            and _is_same_grid(value, other, call.writes, layer.writes)
        ):
            joined[step] = replace(layer, reads=(*layer.reads, other), writes=call.writes, to=call.to)
            joined.remove(call)
    return joined


def _last_writer(calls: Sequence[FloatCall], value: Floats) -> int:
    """The step of the last call that writes a value, -1 for inputs and constants."""
    return max((step for step, call in enumerate(calls) if call.writes.name == value.name), default=-1)


def _is_same_grid(*values: Floats) -> bool:
    return len({(value.channels, value.rows, value.columns) for value in values}) == 1


def zeros_around(inputs: Values, calls: Sequence[FloatCall], outputs: Values) -> tuple[Values, list[FloatCall]]:
    """Values that would be copied between zeros lie there from the beginning, if all that use them can do so."""
    pads: dict[str, list[PadFloats]] = defaultdict(list)
    for call in calls:
        if isinstance(call, PadFloats):
            pads[call.reads[0].name].append(call)
    kept = {value.name for value in outputs}
    around: dict[str, Around] = {}
    renamed: dict[str, str] = {}
    for name, copies in pads.items():
        value = copies[0].reads[0]
        widths = {copy.around for copy in copies}
        names = [copy.writes.name for copy in copies]
        if len(widths) > 1 or value.is_constant or kept & {name, *names}:
            continue
        if all(_takes_zeros(call, value) for call in calls):
            [around[name]] = widths
            renamed |= dict.fromkeys(names, name)

    def moved(value: Floats) -> Floats:
        if value.name in around:
            return replace(value, around=around[value.name])
        return replace(value, name=renamed[value.name]) if value.name in renamed else value

    result: list[FloatCall] = []
    written: set[str] = set()
    for value in inputs:
        if value.name in around:
            result.append(BorderFloats((), moved(value)))
            written.add(value.name)
    for call in calls:
        if call.writes.name in renamed:
            continue
        writes = moved(call.writes)
        if call.writes.name in around and call.writes.name not in written:
            result.append(BorderFloats((), writes))
            written.add(call.writes.name)
        result.append(_rebuilt(call, tuple(map(moved, call.reads)), writes))
    return tuple(map(moved, inputs)), result


def _takes_zeros(call: FloatCall, value: Floats) -> bool:
    """Whether a call works with zeros around a value, or does not use it."""
    uses = [each for each in (*call.reads, call.writes) if each.name == value.name]
    if not all(_is_same_grid(each, value) for each in uses):
        return False
    if not uses or isinstance(call, PadFloats):
        return call.writes.name != value.name
    if isinstance(call, ConvolveFloats):
        return call.reads[0].name != value.name or call.window.offsets.size == 1
    if isinstance(call, DepthwiseFloats):
        return call.reads[0].name != value.name
    return isinstance(call, CombineFloats | PoolFloats)


def _rebuilt(call: FloatCall, reads: Values, writes: Floats) -> FloatCall:
    """The call with other values; a single tap steps over the zeros between rows."""
    if reads == call.reads and writes == call.writes:
        return call
    changes: dict[str, Any] = {"reads": reads, "writes": writes}
    if isinstance(call, ConvolveFloats) and reads[0].row != call.reads[0].row:
        rows = call.window.row // call.reads[0].row
        changes["window"] = replace(call.window, row=rows * reads[0].row)
    return replace(call, **changes)


def inputs_packed(inputs: Values, calls: Sequence[FloatCall]) -> tuple[Values, list[FloatCall]]:
    """Inputs that convolutions alone read have no room for 16 channels: three are filled up to four."""
    packed = {value.name for value in inputs if all(_takes_packed(call, value) for call in calls)}

    def moved(value: Floats) -> Floats:
        return replace(value, packed=True) if value.name in packed else value

    result = []
    for call in calls:
        if call.writes.name in packed and isinstance(call, BorderFloats):
            call = replace(call, writes=moved(call.writes))
        elif isinstance(call, ConvolveFloats) and call.reads[0].name in packed:
            call = _repacked(call, (moved(call.reads[0]), *call.reads[1:]))
        result.append(call)
    return tuple(map(moved, inputs)), result


def _takes_packed(call: FloatCall, value: Floats) -> bool:
    uses = [read.name == value.name for read in call.reads]
    is_border = isinstance(call, BorderFloats) or call.writes.name != value.name
    return is_border and (not any(uses) or (isinstance(call, ConvolveFloats) and not any(uses[1:])))


def _repacked(call: ConvolveFloats, reads: Values) -> ConvolveFloats:
    before, after = call.reads[0].pitch, reads[0].pitch

    def place(floats: Any) -> Any:
        return floats // before * after + floats % before

    window = replace(
        call.window,
        row=place(call.window.row),
        step=place(call.window.step),
        offsets=place(call.window.offsets),
    )
    return replace(call, reads=reads, window=window, offsets=place(call.offsets))


def fused(inputs: Values, calls: Sequence[FloatCall], outputs: Values) -> tuple[Values, list[FloatCall]]:
    """All of these, in turn."""
    return inputs_packed(*zeros_around(inputs, sums_joined(calls, outputs), outputs))
