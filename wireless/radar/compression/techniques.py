"""Every technique of compression by name: from a trained net to a smaller one, by equal training.

Pruning and code books go through `shared.compress`; fixed point is F8Net; small nets from scratch, with as many bytes
and with or without the large net as a teacher, are the controls.
"""

import copy
from bisect import bisect_left
from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

from torch import nn

from shared import BlockSparsity, ChannelSparsity
from shared.integer.packed import pack
from shared.training.loop import seeded
from wireless.radar.compression.code_book import code_book
from wireless.radar.compression.early_exit import early_exit
from wireless.radar.compression.pruning import factored, gradual, pruned
from wireless.radar.compression.work import Outcome, Work, converted, in_floats, in_integers
from wireless.radar.nets.iq import FIRST, WIDTHS, iq_net
from wireless.radar.nets.planes import Planes
from wireless.radar.training import Targets

Technique = Callable[[Work], Outcome]

_SINGLE = BlockSparsity(outputs=1)
_TILES = BlockSparsity(outputs=4, inputs=1)
_CHANNELS = ChannelSparsity()

STEPS = 50
"""Widths that are tried for a net of some size."""
FEW = 64
"""Windows that are enough to count the bytes of a net."""


def control(work: Work) -> Outcome:
    """The net as it is, trained for as long as the others."""
    return in_floats(work, work.trained(copy.deepcopy(work.net), work.epochs))


def sparse(solver: str, on: BlockSparsity | ChannelSparsity) -> Technique:
    """Blocks or channels dropped until the budget is met, and all epochs but one of training after it."""

    def technique(work: Work) -> Outcome:
        return in_floats(work, work.trained(pruned(work, solver, on), max(work.epochs - 1, 1)), _size(on))

    return technique


def step_by_step(on: BlockSparsity | ChannelSparsity, bits: int | None = None) -> Technique:
    """The smallest dropped in several steps, with training after each; in fixed point for the last tenth of all
    training, if it has `bits`: it is several times as slow.
    """

    def technique(work: Work) -> Outcome:
        net, left = gradual(work, on)
        if bits is None:
            return in_floats(work, work.trained(net, left), _size(on))
        last = max(work.epochs // 10, 1)
        net = work.trained(net, left - last) if left > last else net
        return in_integers(work, net, last, _words(net, bits))

    return technique


def low_rank(work: Work) -> Outcome:
    """Pointwise layers of lower rank between fewer channels, both found by ADMM."""
    net = pruned(work, "admm", _CHANNELS, factored(work.net))
    return in_floats(work, work.trained(net, max(work.epochs - 1, 1)))


def fixed(bits: int) -> Technique:
    """F8Net: 8-bit activations and weights of so many bits, but depthwise ones of 8, counted on the integers."""
    return lambda work: in_integers(work, copy.deepcopy(work.net), work.epochs, _words(work.net, bits))


def sparse_fixed(solver: str, on: BlockSparsity | ChannelSparsity, bits: int, *, taught: bool = False) -> Technique:
    """Dropped blocks or channels, then all training in fixed point, by labels or with the large net as a teacher."""

    def technique(work: Work) -> Outcome:
        net, targets = pruned(work, solver, on), work.taught if taught else None
        return in_integers(work, net, max(work.epochs - 1, 1), _words(net, bits), targets)

    return technique


def small(bits: int | None = None, *, taught: bool = False) -> Technique:
    """A net that has the budget's size as floats, trained from scratch; in few bits at the end, if it has `bits`."""

    def technique(work: Work) -> Outcome:
        most = work.budget * work.cost(work.net)
        net = _widest(work, lambda net: work.cost(net) <= most)
        if net is None:
            raise ValueError(f"budget={work.budget:g}: no net of its layers is as small")
        return _from_scratch(work, net, bits, work.taught if taught else None)

    return technique


def same_size(work: Work, technique: str, size: float) -> Outcome | None:
    """The control of a technique whose net takes `size` bytes: a dense one that takes no more, in numbers as the
    technique's are, trained from scratch. None where no net is as small.
    """
    bits = TECHNIQUES[technique].bits
    x = work.windows()[0][:FEW] if bits else None

    def fits(net: nn.Module) -> bool:
        if x is None or bits is None:
            return 4 * sum(parameter.numel() for parameter in net.parameters()) <= size
        return len(pack(converted(work, net, _words(net, bits), x).program())) <= size

    net = _widest(work, fits)
    return None if net is None else _from_scratch(work, net, bits)


def _from_scratch(work: Work, net: nn.Module, bits: int | None, targets: Targets | None = None) -> Outcome:
    """Trained for as long as the net and its compression together; in fixed point for the epochs of these."""
    if bits is None:
        return in_floats(work, work.trained(net, work.whole, targets))
    net = work.trained(net, max(work.whole - work.epochs, 1), targets)
    return in_integers(work, net, work.epochs, _words(net, bits), targets)


def _widest(work: Work, fits: Callable[[nn.Module], bool]) -> nn.Module | None:
    """The widest net that fits, of those whose layers are narrower than the net's by one factor."""

    def build(factor: float) -> nn.Module:
        return seeded(partial(narrower, work.net, work.classes, factor), work.generator)

    factors = [step / STEPS for step in range(1, STEPS + 1)]
    fitting = bisect_left(factors, True, key=lambda factor: not fits(build(factor)))
    return build(factors[fitting - 1]) if fitting else None


def narrower(net: nn.Module, classes: int, factor: float) -> nn.Sequential:
    """New layers as those of `net`, or else of the large net on raw samples, with `factor` of their channels."""
    if not Planes.suits(net):
        net = iq_net(classes, FIRST, WIDTHS)
    layers, inputs = list[nn.Module](), 2
    for layer in net.children():
        match layer:
            case nn.Conv1d():
                outputs = inputs if layer.groups > 1 else max(round(factor * layer.out_channels), 1)
                groups = inputs if layer.groups > 1 else 1
                sizes = layer.kernel_size[0], layer.stride[0], int(layer.padding[0])
                layers.append(nn.Conv1d(inputs, outputs, *sizes, groups=groups, bias=layer.bias is not None))
                inputs = outputs
            case nn.BatchNorm1d():
                layers.append(nn.BatchNorm1d(inputs))
            case nn.Linear():
                layers.append(nn.Linear(inputs, classes))
            case _:
                layers.append(copy.deepcopy(layer))
    return nn.Sequential(*layers)


class Entry(NamedTuple):
    """A technique, its words for people, and whether it needs a net that is a sequence of one-dimensional layers."""

    title: str
    compress: Technique
    sequential: bool = False
    bits: int | None = None
    """Of the weights in fixed point."""


TECHNIQUES: Mapping[str, Entry] = {
    "control": Entry("trained further", control),
    "magnitude": Entry("largest weights kept", sparse("once", _SINGLE)),
    "admm": Entry("weights pruned by ADMM", sparse("admm", _SINGLE)),
    "relaxation": Entry("weights pruned by relaxation", sparse("relaxation", _SINGLE)),
    "admm-blocks": Entry("blocks of 4 pruned by ADMM", sparse("admm", _TILES)),
    "relaxation-blocks": Entry("blocks of 4 pruned by relaxation", sparse("relaxation", _TILES)),
    "admm-channels": Entry("channels pruned by ADMM", sparse("admm", _CHANNELS), True),
    "relaxation-channels": Entry("channels pruned by relaxation", sparse("relaxation", _CHANNELS), True),
    "low-rank": Entry("ranks and channels pruned by ADMM", low_rank, True),
    "code-book": Entry("16 values in each layer, by ADMM", code_book),
    "gradual": Entry("smallest weights dropped in steps", step_by_step(_SINGLE)),
    "gradual-channels": Entry("smallest channels dropped in steps", step_by_step(_CHANNELS), True),
    "gradual-int8": Entry("smallest weights dropped in steps, 8 bits", step_by_step(_SINGLE, 8), True, 8),
    "gradual-int4": Entry("smallest weights dropped in steps, 4 bits", step_by_step(_SINGLE, 4), True, 4),
    "gradual-channels-int8": Entry("smallest channels dropped in steps, 8 bits", step_by_step(_CHANNELS, 8), True, 8),
    "gradual-channels-int4": Entry("smallest channels dropped in steps, 4 bits", step_by_step(_CHANNELS, 4), True, 4),
    "int8": Entry("8-bit fixed point, F8Net", fixed(8), True, 8),
    "int4": Entry("4-bit weights, depthwise ones 8", fixed(4), True, 4),
    "int3": Entry("3-bit weights, depthwise ones 8", fixed(3), True, 3),
    "sparse-int4": Entry("weights pruned by ADMM, 4 bits", sparse_fixed("admm", _SINGLE, 4), True, 4),
    "admm-int8": Entry("blocks of 4 pruned by ADMM, 8 bits", sparse_fixed("admm", _TILES, 8), True, 8),
    "channels-int8": Entry("channels pruned by ADMM, 8 bits", sparse_fixed("admm", _CHANNELS, 8), True, 8),
    "channels-int4": Entry("channels pruned by ADMM, 4 bits", sparse_fixed("admm", _CHANNELS, 4), True, 4),
    "taught-int4": Entry(
        "channels pruned by ADMM, 4 bits, taught", sparse_fixed("admm", _CHANNELS, 4, taught=True), True, 4
    ),
    "early-exit": Entry("an exit after two blocks", early_exit, True),
    "distilled": Entry("small, taught by the large net", small(taught=True)),
    "small": Entry("small, trained from scratch", small()),
    "small-int8": Entry("small, trained from scratch, 8 bits", small(8), bits=8),
    "small-int4": Entry("small, trained from scratch, 4 bits", small(4), bits=4),
}
"""By name."""
SWEEP = ("magnitude", "admm", "admm-channels", "int8", "int4", "small")
"""Techniques of a run whose settings name none: one of each kind, and their control."""


FROM_SCRATCH = ("distilled", "small", "small-int8", "small-int4")
"""Those that are small dense nets themselves, and need none beside them."""


def suits(technique: str, net: nn.Module) -> bool:
    """Whether a technique takes this net: fixed point, channels, ranks and exits are of sequences of layers."""
    return Planes.suits(net) or not TECHNIQUES[technique].sequential


def _size(on: BlockSparsity | ChannelSparsity) -> int:
    """Weights of a block for which a bit says whether it is there."""
    return on.outputs * on.inputs * on.positions if isinstance(on, BlockSparsity) else 1


def _words(net: nn.Module, bits: int) -> dict[str, int]:
    """Bits of the weights of each layer. Depthwise ones keep 8: they have few weights, on one grid for channels whose
    batch norms scale them differently.
    """
    return {
        name: bits
        for name, layer in net.named_modules()
        if isinstance(layer, nn.Linear) or (isinstance(layer, nn.Conv1d) and layer.groups == 1)
    }
