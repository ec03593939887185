"""Weight sharing: the weights of a layer take few values, which a code book lists; each weight is an index into it."""

import math
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from shared import ADMM, Levels, NonzeroPrice, Product, compress
from shared.training.loop import Schedule
from shared.weights.prices import MACs
from wireless.radar.compression.pruning import STEPS, UNTUNED
from wireless.radar.compression.work import Outcome, Work, answers_of, settled

VALUES: Final = 16
"""Of a layer: an index has 4 bits."""
_NO_PERIOD: Final = 1e9


def code_book(work: Work) -> Outcome:
    """ADMM draws each weight to a value of its layer's book; then the values are trained, the indices stay.

    As Han et al. 2016 (*Deep compression*, section 3), with ADMM in the place of one rounding. Bytes: an index for each
    weight, four for each value of a book and for each other number.
    """
    x, y = work.windows()
    between = max(len(y) // work.batch // STEPS, 1)
    weights = [layer.weight.detach().flatten() for _, layer in _layers(work.net)]
    books = [nearest_values(weight, VALUES) for weight in weights]
    menu = Product(
        [Levels(book.tolist(), _NO_PERIOD, keep=False) for book in books], [len(weight) for weight in weights]
    )
    net = compress(
        work.net,
        (x, y),
        on=menu,
        price=NonzeroPrice(),
        budget=1.0,  # every index costs the same, whichever it is
        solver=ADMM(rho=1e-3, growth=1.5, steps=STEPS, fine_tune=0),
        schedule=Schedule(between, work.batch, work.rate / 4, work.rate / 4),
        tuning=UNTUNED,
        seed=int(torch.randint(2**31, (), generator=work.generator)),
        progress=work.progress,
    ).module
    for (_, layer), book in zip(_layers(net), books, strict=True):
        share(layer, book)
    net = work.trained(net, max(work.epochs - 1, 1))
    indices = sum(math.ceil(len(weight) * math.log2(VALUES) / 8) for weight in weights)
    others = work.size - sum(map(len, weights))
    settled(net)
    macs = float(MACs(work.example).number_costs(net, (), None).sum())
    return Outcome(answers_of(net), indices + 4 * (sum(map(len, books)) + others), macs, 1.0, net)


def nearest_values(weight: Tensor, count: int, rounds: int = 50) -> Tensor:
    """At most `count` values, to the nearest of which the numbers of `weight` are close in squared distance, in order.

    Lloyd's algorithm from values that are evenly spaced, which keeps the few large weights a value of their own.

    >>> nearest_values(torch.tensor([0.0, 0.2, 0.1, 5.0, 5.2]), 2).tolist()
    [0.10000000149011612, 5.099999904632568]
    """
    values = torch.linspace(float(weight.min()), float(weight.max()), count, dtype=weight.dtype)
    for _ in range(rounds):
        nearest = (weight[:, None] - values).abs().argmin(1)
        sums = torch.zeros(len(values), dtype=weight.dtype).index_add_(0, nearest, weight)
        counts = torch.bincount(nearest, minlength=len(values))
        values = torch.where(counts > 0, sums / counts.clamp(min=1), values)
    return values[torch.bincount((weight[:, None] - values).abs().argmin(1), minlength=count) > 0]


def share(layer: nn.Module, book: Tensor) -> None:
    """Holds each weight of `layer` at the value of `book` that is nearest now; in training the values move."""
    assert isinstance(layer.weight, Tensor)
    indices = (layer.weight.detach()[..., None] - book).abs().argmin(-1)
    parametrize.register_parametrization(layer, "weight", _Book(book, indices), unsafe=True)


class _Book(nn.Module):
    def __init__(self, book: Tensor, indices: Tensor) -> None:
        super().__init__()
        self.book = nn.Parameter(book.clone())
        self.indices: Tensor
        self.register_buffer("indices", indices)

    def forward(self, weight: Tensor) -> Tensor:
        return self.book[self.indices]


def _layers(net: nn.Module) -> list[tuple[str, nn.Conv1d | nn.Conv2d | nn.Linear]]:
    return [
        (name, layer) for name, layer in net.named_modules() if isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Linear)
    ]
