"""A float net's predicted time as a function of widths: its kernel calls, and whose width each value has."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import singledispatchmethod
from typing import Literal

import torch
from torch import Tensor, nn

from mobile.lowering.calls import Call, Lowered
from mobile.lowering.float_work import FloatWork, Size, float_work, stated
from mobile.lowering.floats import (
    ArrangeFloats,
    BorderFloats,
    CombineFloats,
    ConvolveFloats,
    EmbedFloats,
    FloatCall,
    Floats,
    MultiplyFloats,
)
from mobile.lowering.lower_floats import lower_floats
from mobile.pricing.latency import Latency
from mobile.pricing.priced import NetLatency, PricedCall, Widths
from shared.importers.graph import TracedGraph


@dataclass(frozen=True)
class Form:
    """What of a value grows with the width of a group: a part of its channels, or its pixels, such as heads."""

    parts: tuple[tuple[str, int], ...]
    """Groups with the channels that each has of the value; a value of several was concatenated."""
    axis: Literal["channels", "pixels"] = "channels"


FIXED = Form(())
"""Of values that no width says anything of."""


def float_latency(net: nn.Module, example: Tensor | tuple[int, ...], latency: Latency) -> NetLatency:
    """As `mobile.pricing.net.net_latency`, of the library of floats."""
    graph = TracedGraph.of(net, example)
    lowered = lower_floats(graph)
    walk = _Forms(lowered)
    return NetLatency(
        latency,
        tuple(walk.priced(call) for call in lowered.calls),
        {name: width for name, width in walk.widths.items() if walk.root(name) == name},
        {name: walk.root(name) for name in walk.widths},
    )


class _Forms:
    """The form of every value, in the order of the calls; groups that meet in a sum become one."""

    def __init__(self, lowered: Lowered) -> None:
        self.widths: dict[str, int] = {}
        self.same: dict[str, str] = {}
        self.forms: dict[str, Form] = {}
        for value in lowered.inputs:
            name = value.name if self.widths else "input"
            self.widths[name] = value.channels
            self.forms[value.name] = Form(((name, value.channels),))
        for call in lowered.calls:
            assert isinstance(call, FloatCall)
            self.write(call, self.result(call))

    def root(self, group: str) -> str:
        """The group that stands for all that have its width."""
        while group in self.same:
            group = self.same[group]
        return group

    def of(self, value: Floats) -> Form:
        return self.forms.get(value.name, FIXED)

    def write(self, call: FloatCall, form: Form) -> None:
        """States the form of what a call writes, or of a part that is joined to those before it."""
        before, name = self.forms.get(call.writes.name), call.writes.name
        joins_channels = isinstance(call, ArrangeFloats) and len(call.channels) < call.writes.channels
        if before is not None and joins_channels:
            form = Form(before.parts + form.parts)
        elif before is not None:
            self.unite(before, form)
            form = before if before.parts else form
        self.forms[name] = form

    def unite(self, a: Form, b: Form) -> None:
        """Values that are added have the same widths."""
        for (first, _), (second, _) in zip(a.parts, b.parts, strict=False):
            earlier, *later = sorted({self.root(first), self.root(second)}, key=list(self.widths).index)
            self.same |= dict.fromkeys(later, earlier)

    @singledispatchmethod
    def result(self, call: FloatCall) -> Form:
        """The form of what a call writes: that of what it reads."""
        return self.of(call.reads[0])

    @result.register
    def _(self, call: ConvolveFloats) -> Form:
        form = self.group(call.layer.name, call.writes)
        for term in call.reads[1:]:
            self.unite(self.of(term), form)
        return form

    @result.register
    def _(self, call: BorderFloats) -> Form:
        return self.of(call.writes)

    @result.register
    def _(self, call: EmbedFloats) -> Form:
        return self.group(call.writes.name, call.writes)

    def group(self, name: str, value: Floats) -> Form:
        self.widths[name] = value.channels
        return Form(((name, value.channels),))

    @result.register
    def _(self, call: CombineFloats) -> Form:
        a, b = map(self.of, call.reads)
        self.unite(a, b)
        return a if a.parts else b

    @result.register
    def _(self, call: MultiplyFloats) -> Form:
        """As many matrices as heads; of one product, as many columns as the second value has."""
        a, b = map(self.of, call.reads)
        return replace(a if a.parts else b, axis="pixels") if call.writes.rows > 1 else b

    @result.register
    def _(self, call: ArrangeFloats) -> Form:
        """What grew grows on, along the axis on which its numbers are now."""
        source, form = call.reads[0], self.of(call.reads[0])
        per = source.columns * source.pitch if form.axis == "pixels" else 1
        size = source.rows if form.axis == "pixels" else source.pitch
        grown = torch.from_numpy(call.channels.astype("int64")) // per % size
        is_channels = len(grown.unique()) > 1 or len(call.channels) == 1
        ratio = min(len(call.channels), call.writes.channels) / source.channels
        parts = tuple((name, max(round(count * ratio), 1)) for name, count in form.parts)
        return Form(parts, "channels" if is_channels else "pixels")

    def priced(self, call: Call) -> PricedCall:
        """The call, whose work depends on the widths of what it reads and writes."""
        assert isinstance(call, FloatCall)
        values = (*call.reads, call.writes)
        groups = dict.fromkeys(self.root(name) for value in values for name, _ in self.of(value).parts)

        def works(widths: Widths, density: Tensor) -> Mapping[str, FloatWork]:
            return {"floats": float_work(call, self.sizes(widths), density)}

        layer = call.layer.name if call.layer is not None else call.writes.name
        return PricedCall(layer, tuple(groups), works)

    def sizes(self, widths: Widths) -> Callable[[Floats], Size]:
        """The sizes of values for other widths than those of the net."""

        def size(value: Floats) -> Size:
            form = self.of(value)
            if not form.parts:
                return stated(value)
            roots = [(self.root(name), count) for name, count in form.parts]
            whole = sum(count for _, count in form.parts)
            whole = max(whole, value.channels) if form.axis == "channels" else whole  # the rest has no group
            grown = 1 + sum((widths[root] / self.widths[root] - 1) * (count / whole) for root, count in roots)
            if form.axis == "pixels":
                return Size(value.channels, value.pixels * grown)
            return Size(value.channels * grown, value.pixels)

        return size
