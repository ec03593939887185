"""Layers to whose sums another value is added where they are computed."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from shared.integer import Add, Program
from shared.integer.operations import AbstractConvolution, AbstractWeighted, Operation


@dataclass(frozen=True)
class Shortcut:
    """`total` is the layer's sums, shifted left, and `term`, shifted left."""

    total: str
    term: str
    shifts: tuple[int, int]


def shortcuts(program: Program, taken: Collection[str]) -> Mapping[str, Shortcut]:
    """The layers whose sums are read by one addition alone, by name: of two such layers the later one.

    Additions of `taken` are computed otherwise.
    """
    live = program.live
    reads = Counter(name for operation in live for name in operation.inputs) + Counter(program.outputs)
    order = [*(input.name for input in program.inputs), *(operation.output for operation in live)]
    layers = {it.output: it for it in live if isinstance(it, AbstractWeighted) and reads[it.output] == 1}
    joined: dict[str, Shortcut] = {}
    for add in live:
        if not isinstance(add, Add) or add.output in taken:
            continue
        term, layer = sorted(add.inputs, key=order.index)
        fractions = [program.values[name].format.fraction for name in (layer, term)]
        shifts = max(fractions) - fractions[0], max(fractions) - fractions[1]
        if layer in layers and not _is_depthwise(program, layers[layer]) and max(shifts) < 32:
            joined[layer] = Shortcut(add.output, term, shifts)
    return joined


def _is_depthwise(program: Program, layer: Operation) -> bool:
    """Whether a kernel of its own computes it, which adds nothing."""
    channels = program.values[layer.inputs[0]].shape[0], program.values[layer.output].shape[0]
    return isinstance(layer, AbstractConvolution) and 1 < layer.groups == channels[0] == channels[1]
