"""Every technique by name: from a trained net to a smaller one, by the same number of training examples.

Pruning goes through `shared.compress`; fixed point is F8Net; a small net from scratch and one that the large net
teaches are the controls.
"""

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import one_hot

from shared import ADMM, BlockSparsity, Bytes, ChannelSparsity, Relaxation, compress
from shared.core.solver import Solver
from shared.core.task import Progress
from shared.f8net import F8Net, keep_zeros
from shared.integer import audit
from shared.integer.files import to_json
from shared.training.loop import Schedule, seeded
from shared.weights.prices import MACs
from wireless.radar.nets.classifier import log_probabilities
from wireless.radar.nets.inputs import FORMAT, as_input
from wireless.radar.nets.iq import FIRST, WIDTHS, iq_net
from wireless.radar.training import Source, Targets, run_epoch, trainer

SEARCH_STEPS = 10
"""Projections, or steps of weights over entries, of a search."""
SEARCHED = 0.4
"""Share of the training examples that a search takes; the rest trains what is kept."""
CALIBRATION = 512
"""Windows from which the first number formats are calibrated."""


@dataclass(frozen=True, eq=False)
class Work:
    """What a technique starts from and may spend: `epochs` over `source`, in batches, at the `rate`."""

    net: nn.Module
    source: Source
    samples: int
    classes: int
    budget: float
    """Bytes that may be kept, as a share of the net's."""
    epochs: int
    whole: int
    """Epochs that training from scratch takes: those of the net, and these."""
    rate: float
    batch: int
    generator: torch.Generator
    progress: Progress | None = None

    @property
    def example(self) -> tuple[int, int]:
        return 2, self.samples


class Outcome(NamedTuple):
    """A compressed net, and what it costs."""

    answers: Callable[[NDArray[np.complex64]], NDArray[np.int64]]
    """The class of each window."""
    bytes: float
    macs: float
    """Multiply-accumulates of a window whose weight is not zero."""
    kept: float
    """Weights that are not zero, as a share of the net's."""
    program: str = ""
    """The integer program as JSON, where there is one."""


Technique = Callable[[Work], Outcome]


def control(work: Work) -> Outcome:
    """The net as it is, trained for as long as the others."""
    return _float(work, _trained(work, copy.deepcopy(work.net), work.epochs))


def small(work: Work) -> Outcome:
    """A net of the budget's size, trained from scratch for as long as the net and its compression together."""
    return _float(work, _trained(work, _smaller(work), work.whole))


def distilled(work: Work) -> Outcome:
    """A net of the budget's size, trained as long as `small` on the mean of the large one's answers and the labels
    (Hinton et al. 2015, at temperature 1)."""

    def targets(x: Tensor, y: Tensor) -> Tensor:
        with torch.no_grad():
            taught = torch.cat([work.net(part).softmax(1) for part in x.split(work.batch)])
        return (taught + one_hot(y, work.classes)) / 2

    return _float(work, _trained(work, _smaller(work), work.whole, targets))


def fixed(work: Work) -> Outcome:
    """F8Net: 8-bit weights and activations, counted on the integers."""
    return _integers(work, copy.deepcopy(work.net), work.epochs)


def pruned(solver: str, on: BlockSparsity | ChannelSparsity) -> Technique:
    """Blocks or channels dropped until the budget is met, by a solver of the core."""

    def technique(work: Work) -> Outcome:
        return _float(work, _pruned(work, solver, on, 1.0), _block(on))

    return technique


def pruned_fixed(solver: str, on: BlockSparsity | ChannelSparsity) -> Technique:
    """The same, with half of the training in 8-bit fixed point after it."""

    def technique(work: Work) -> Outcome:
        net = _pruned(work, solver, on, 0.5)
        for layer in net.modules():
            if isinstance(layer, nn.Conv1d | nn.Linear):
                keep_zeros(layer, layer.weight.detach() != 0)
        return _integers(work, net, max(work.epochs // 2, 1), _block(on))

    return technique


# With a batch norm behind each layer, a weight's size alone says little: the penalty is small and grows.
_ADMM = ADMM(rho=1e-3, growth=1.5, steps=SEARCH_STEPS, fine_tune=0)
_SINGLE = BlockSparsity(outputs=1)
_TILES = BlockSparsity(outputs=4, inputs=1)

TECHNIQUES: Mapping[str, tuple[str, Technique]] = {
    "control": ("trained further", control),
    "magnitude": ("largest weights kept", pruned("once", _SINGLE)),
    "admm": ("weights pruned by ADMM", pruned("admm", _SINGLE)),
    "admm-blocks": ("blocks of 4 pruned by ADMM", pruned("admm", _TILES)),
    "relaxation-blocks": ("blocks of 4 pruned by relaxation", pruned("relaxation", _TILES)),
    "admm-channels": ("channels pruned by ADMM", pruned("admm", ChannelSparsity())),
    "int8": ("8-bit fixed point, F8Net", fixed),
    "admm-int8": ("blocks of 4 pruned by ADMM, 8 bits", pruned_fixed("admm", _TILES)),
    "channels-int8": ("channels pruned by ADMM, 8 bits", pruned_fixed("admm", ChannelSparsity())),
    "distilled": ("small, taught by the large net", distilled),
    "small": ("small, trained from scratch", small),
}
"""By name: words for people, and the technique."""


def _trained(work: Work, net: nn.Module, epochs: int, targets: Targets | None = None) -> nn.Module:
    training = trainer(net, epochs, work.rate, work.batch)
    for _ in range(epochs):
        run_epoch(training, work.source, work.generator, work.progress, targets)
    return net.cpu().eval()


def _smaller(work: Work) -> nn.Module:
    """The net on raw samples whose layers are narrower by one factor, the widest within the budget."""
    most = work.budget * 4 * sum(parameter.numel() for parameter in work.net.parameters())
    for factor in np.arange(1.0, 0.0, -0.02):
        first, *widths = (max(round(factor * width), 1) for width in (FIRST, *WIDTHS))
        build = partial(iq_net, work.classes, first, widths)
        if 4 * sum(parameter.numel() for parameter in build().parameters()) <= most:
            return seeded(build, work.generator)
    raise ValueError(f"budget={work.budget:g}: no net on raw samples is as small")


def _pruned(work: Work, solver: str, on: BlockSparsity | ChannelSparsity, share: float) -> nn.Module:
    """Within the budget, by a share of the training that the others take."""
    windowed = work.source.windows(int(torch.randint(2**62, (), generator=work.generator)))
    x, y = as_input(windowed.samples), torch.from_numpy(windowed.labels)
    batches = max(int(share * work.epochs * len(y) / work.batch), 2 * SEARCH_STEPS)
    searched = max(int(SEARCHED * batches) // SEARCH_STEPS, 1)
    if solver == "once":
        chosen: Solver = ADMM(steps=0, fine_tune=0)
        tuned = batches
    else:
        chosen = _ADMM if solver == "admm" else Relaxation(steps=SEARCH_STEPS * searched, reprice_every=searched)
        tuned = batches - SEARCH_STEPS * searched
    compressed = compress(
        work.net,
        (x, y),
        on=on,
        price=Bytes(),
        budget=work.budget,
        solver=chosen,
        schedule=Schedule(searched, work.batch, work.rate / 4, work.rate / 4),
        tuning=Schedule(tuned, work.batch, work.rate / 2, 1e-5),
        seed=int(torch.randint(2**31, (), generator=work.generator)),
        progress=work.progress,
    )
    return compressed.module


def _float(work: Work, net: nn.Module, block: int = 1) -> Outcome:
    """Four bytes for each number that is not zero, and a bit for each block of a layer that has zeros."""
    sizes = [(weight.numel(), int(torch.count_nonzero(weight))) for weight in net.parameters()]
    taken = sum(4 * kept + _bitmap(all_, kept, block) for all_, kept in sizes)
    uses = MACs(work.example).number_costs(net, (), None)
    nonzero = torch.cat([parameter.detach().flatten() for parameter in net.parameters()]) != 0
    return Outcome(
        lambda samples: log_probabilities(net, samples).argmax(1), taken, float(uses[nonzero].sum()), _kept(work, sizes)
    )


def _integers(work: Work, net: nn.Module, epochs: int, block: int = 1) -> Outcome:
    """Trained in fixed point; a byte for each weight that is not zero, four for a bias, and a bit as above."""
    fixed = F8Net(net, shape=work.example, input=FORMAT)
    windowed = work.source.windows(int(torch.randint(2**62, (), generator=work.generator)))
    fixed.calibrate(as_input(windowed.samples[:CALIBRATION]))
    program = _trained(work, fixed, epochs).program()  # type: ignore[operator]
    audited = audit(program)
    audited.require(8)
    weights = [operation.weight.integers for operation in program.operations if hasattr(operation, "weight")]
    sizes = [(weight.size, int(np.count_nonzero(weight))) for weight in weights]
    biases = sum(count.bias_bytes for count in audited.counts)
    taken = biases + sum(kept + _bitmap(all_, kept, block) for all_, kept in sizes)
    # Below 2**24 every sum is exact in float32, and the net's answers are those of the program.
    exact = max(max(-value.low, value.high) for value in program.values.values()) < 2**24
    fixed = fixed if exact else fixed.double()

    def answers(samples: NDArray[np.complex64]) -> NDArray[np.int64]:
        logits = fixed(as_input(samples) if exact else as_input(samples).double())
        return np.asarray(logits.detach().argmax(1).numpy())

    return Outcome(answers, taken, float(audited.nonzero_macs), _kept(work, sizes), to_json(program))


def _block(on: BlockSparsity | ChannelSparsity) -> int:
    """Weights of a block; channels that are gone leave none."""
    return on.outputs * on.inputs * on.positions if isinstance(on, BlockSparsity) else 1


def _bitmap(all_: int, kept: int, block: int) -> int:
    """Bytes that say which blocks of a layer are there, if not all are."""
    return math.ceil(all_ / block / 8) if kept < all_ else 0


def _kept(work: Work, sizes: Sequence[tuple[int, int]]) -> float:
    return sum(kept for _, kept in sizes) / sum(parameter.numel() for parameter in work.net.parameters())
