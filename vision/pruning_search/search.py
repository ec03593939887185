"""One call from a trained net, its data, a price and a budget to the net with the widths that the search chose."""

import copy
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss

from shared.core.task import Progress
from shared.training.data import Examples, Pairs, Shuffled
from shared.training.epochs import NesterovCosine, Trainer
from shared.weights.prices import NetPrice
from vision.pruning_search.gates import THRESHOLD, GatedNet, GateSettings
from vision.pruning_search.price import PairedPrice, WidthPrice
from vision.pruning_search.rebuild import narrowed, plain
from vision.pruning_search.rivals import equal_shares
from vision.pruning_search.space import ChannelSpace
from vision.pruning_search.widths import widths_within

SEARCH = NesterovCosine(epochs=9, rate=0.02, warm=0.0, decay=1e-4)
"""Of the paper, from a trained net."""
TUNING = NesterovCosine(epochs=40, rate=0.02, warm=0.0, decay=1e-4)
"""Of the net that was chosen."""

BALANCED = GateSettings(balanced=True)
SLACK = 0.005
"""The share of a budget that may be left before widths are exchanged for those that use more of it."""

Price = NetPrice | WidthPrice


@dataclass(frozen=True, eq=False)
class PrunedNet:
    """A net of chosen widths; `str()` is a table for people."""

    module: nn.Module
    """With its branches, in evaluation mode on the CPU, ready for use or further training."""
    kept: tuple[tuple[int, ...], ...]
    """The channels of the wide net that are left of each group."""
    sizes: tuple[int, ...]
    names: tuple[str, ...]
    """The layers that write each group."""
    unit: str
    full: float
    """The price of the wide net."""
    budget: float
    measured: float
    example: Tensor
    notes: tuple[str, ...] = ()

    def plain(self) -> nn.Module:
        """The net for use: blocks of branches as one layer, batch norms folded."""
        return plain(self.module, self.example)

    def to_json_data(self) -> dict[str, Any]:
        """The width specification: which channels of which layers are left."""
        groups = [
            {"written by": name, "size": size, "kept": list(kept)}
            for name, size, kept in zip(self.names, self.sizes, self.kept, strict=True)
        ]
        price = {"unit": self.unit, "full": self.full, "budget": self.budget, "measured": self.measured}
        return {"groups": groups, "price": price, "notes": list(self.notes)}

    def __str__(self) -> str:
        width = max(map(len, self.names))
        lines = [
            f"{name:{width}}  {len(kept)} of {size} channels"
            for name, size, kept in zip(self.names, self.sizes, self.kept, strict=True)
        ]
        price = f"{self.measured:,.6g} of {self.full:,.6g} {self.unit} ({self.measured / self.full:.1%})"
        return "\n".join((*lines, f"{price}, budget {self.budget:,.6g}", *(f"note: {note}" for note in self.notes)))


def search(
    net: nn.Module,
    data: tuple[Tensor, Tensor] | Examples,
    *,
    price: Price,
    budget: float,
    schedule: NesterovCosine = SEARCH,
    tuning: NesterovCosine | None = TUNING,
    gates: GateSettings = BALANCED,
    multiple: int = 1,
    skip: Collection[str] = (),
    loss: Callable[[Tensor, Tensor], Tensor] | None = None,
    seed: int = 0,
    device: str | None = None,
    progress: Progress | None = None,
) -> PrunedNet:
    """`net` with fewer channels, within `budget`, and trained further; `net` itself, best trained, is left as it is.

    Widths are learned by gates with gradients of the loss and of the price (`GatedNet`), then set to the budget exactly
    (`widths_within`), and the net of these widths is trained with `tuning`, unless that is None.

    - `data`: inputs `(n, *shape)` and targets `(n, ...)`, or an object with the methods of `Examples`.
    - `price`: `MACs(example)` or `Bytes()`, or a `WidthPrice` of the groups of `ChannelSpace.of(net, example)` in their
      order: `TablePrice` for measured kernels.
    - `budget`: up to 1, the share of the wide net's price; above, in the price's unit.
    - `multiple`: widths are multiples of this, as kernels like 8 or 16; `gates.minimum` channels are kept at least.
    - `skip`: names of layers that keep their outputs.
    - `loss`: of outputs and targets; by default cross entropy for integer targets and the mean square for others.

    Raises `ValueError` for a net or data that cannot be searched, and for a budget below the narrowest net.

    >>> from shared import MACs
    >>> generator = torch.Generator().manual_seed(0)
    >>> x = torch.randn(256, 8, generator=generator)
    >>> net = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 2))
    >>> short = NesterovCosine(epochs=4, rate=0.05, batch=32)
    >>> pruned = search(net, (x, (x[:, 0] > 0).long()), price=MACs((8,)), budget=0.5, schedule=short, tuning=short)
    >>> pruned.measured, pruned.module[0]
    (80.0, Linear(in_features=8, out_features=8, bias=True))
    """
    examples: Examples = Pairs(*data) if isinstance(data, tuple) else data
    generator = torch.Generator().manual_seed(seed)
    example, y = examples.batch(torch.arange(min(4, len(examples))), torch.Generator())
    loss = loss or (mse_loss if y.is_floating_point() else cross_entropy)
    batches = Shuffled(examples, schedule.batch, generator)
    gated = gated_net(net, example, price, budget, schedule.epochs * len(batches), gates, skip)
    chosen = settled(gated, example, multiple)  # says before any training where nothing meets the budget
    trainer = Trainer(gated, schedule, gated.penalised(loss), device)
    _train(trainer, batches, progress, "searching")
    chosen = settled(gated, example, multiple)
    if tuning is not None:
        trainer = Trainer(chosen.module, tuning, loss, device)
        _train(trainer, Shuffled(examples, tuning.batch, generator), progress, "training the narrow net")
        chosen.module.cpu().eval()
    return chosen


def gated_net(
    net: nn.Module,
    example: Tensor,
    price: Price,
    budget: float,
    steps: int,
    gates: GateSettings = BALANCED,
    skip: Collection[str] = (),
) -> GatedNet:
    """A copy of `net` with gates, all of them open, for a search of `steps` steps."""
    if not budget > 0:
        raise ValueError(f"{budget=}: must be positive, up to 1 for a share of the wide net's price, else in its unit")
    net = copy.deepcopy(net).cpu().eval()
    space = ChannelSpace.of(net, example.cpu(), skip)
    bound = width_price(net, space, price)
    full = float(bound.expected(torch.tensor(space.sizes, dtype=torch.float64)))
    gated = GatedNet(net, space, bound, budget if budget <= 1 else budget / full, steps, gates)
    if gates.balanced:
        ranks = torch.cat(equal_shares(net, space, torch.Generator()))
        with torch.no_grad():
            gated.scores.copy_(THRESHOLD + (1 - THRESHOLD) * ranks)
    return gated


def width_price(net: nn.Module, space: ChannelSpace, price: Price) -> WidthPrice:
    """A price of whole nets as one of widths; one of widths stays as it is."""
    return price if callable(getattr(price, "expected", None)) else PairedPrice.of(net, space.groups, price)  # type: ignore[arg-type, return-value]


def settled(gated: GatedNet, example: Tensor, multiple: int = 1) -> PrunedNet:
    """The net of the widths that the scores ask for, within the budget."""
    scores, space = torch.split(gated.scores.detach().cpu(), gated.space.sizes), gated.space
    assert isinstance(space, ChannelSpace)
    return pruned_net(
        gated.net, space, gated.price, gated.share * gated.full, scores, example, gated.settings.minimum, multiple
    )


def pruned_net(
    net: nn.Module,
    space: ChannelSpace,
    price: WidthPrice,
    budget: float,
    scores: Sequence[Tensor],
    example: Tensor,
    minimum: int = 1,
    multiple: int = 1,
) -> PrunedNet:
    """`net` with the channels of highest score that the budget allows, not trained further."""
    widths = widths_within(scores, price, budget, minimum, multiple, SLACK)
    kept = [part.topk(n).indices.sort().values for part, n in zip(scores, widths, strict=True)]
    full, measured = (float(price.expected(torch.tensor(at, dtype=torch.float64))) for at in (space.sizes, widths))
    rounded = () if multiple == 1 else (f"widths are multiples of {multiple}, or whole groups",)
    return PrunedNet(
        module=narrowed(net, space, kept, example),
        kept=tuple(tuple(part.tolist()) for part in kept),
        sizes=tuple(space.sizes),
        names=tuple(space.names),
        unit=price.unit,
        full=full,
        budget=budget,
        measured=measured,
        example=example[:1].cpu(),
        notes=rounded,
    )


def _train(trainer: Trainer, batches: Shuffled, progress: Progress | None, title: str) -> None:
    for epoch in range(1, trainer.schedule.epochs + 1):
        trainer.run_epoch(batches)
        if progress is not None:
            progress(epoch, trainer.schedule.epochs, title)
