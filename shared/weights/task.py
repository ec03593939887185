"""The parameters of a net as a task of the core: its training loss over blocks of them."""

import copy
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor, nn
from torch.func import functional_call

from shared.core.menu import Menu
from shared.core.menus import Grouping
from shared.core.price import Price
from shared.core.task import penalty
from shared.training.loop import Schedule, descend
from shared.weights.layout import GroupingOf, Layout
from shared.weights.selection import SelectedMenu, SelectedPrice

Loss = Callable[[Callable[..., Tensor], torch.Generator], Tensor]


@dataclass(frozen=True, eq=False)
class ParameterTask:
    """A `shared.DifferentiableTask` over all parameters of `net`, in the order of `net.parameters()`.

    `batch_loss(forward, generator)` is the loss of a batch that `generator` samples, for a forward pass; `loss` takes
    the same batch every time, from `seed`. `fit` runs `schedule` on batches of `generator`.

    `grouping` says how a parameter falls into blocks: `Grouping.element` (each number), `Grouping.channel` (each
    output), or a `Layout` over all parameters. Shorter blocks end in zeros. `select` names the parameters that may be
    compressed, all by default: `menu` and `price` concern their blocks alone, the others are trained along.

    >>> from shared import ADMM, NonzeroPrice, Sparsity
    >>> net, x = nn.Linear(3, 1), torch.eye(3)
    >>> task = ParameterTask(
    ...     net,
    ...     lambda forward, generator: (forward(x) - torch.tensor([[2.0], [0.1], [1.0]])).square().sum(),
    ...     torch.Generator(),
    ...     Schedule(steps=200, rate=0.05),
    ...     select={"weight"},
    ... )
    >>> solution = ADMM().solve(task, on=task.menu(Sparsity()), price=task.price(NonzeroPrice()), budget=2, x=task.x)
    >>> int((task.apply(solution.z).weight != 0).sum())
    2
    """

    net: nn.Module
    batch_loss: Loss
    generator: torch.Generator
    schedule: Schedule = field(default_factory=lambda: Schedule(steps=60, rate=2e-3, floor=5e-4))
    select: Collection[str] | None = None
    grouping: GroupingOf | Layout = Grouping.element
    seed: int = 0

    def __post_init__(self) -> None:
        names = [name for name, _ in self.net.named_parameters()]
        if not names:
            raise ValueError(f"{type(self.net).__name__} has no parameters: there is nothing to compress")
        if unknown := sorted(set(self.select or ()) - set(names)):
            raise ValueError(f"the net has no parameter {unknown[0]!r}: it has {', '.join(names)}")

    @cached_property
    def layout(self) -> Layout:
        if isinstance(self.grouping, Layout):
            return self.grouping
        return Layout.of([tuple(p.shape) for p in self.net.parameters()], self.grouping)

    @property
    def x(self) -> Tensor:
        """The net's present parameters, `(blocks, size)`."""
        return self.layout.point(torch.cat([p.detach().flatten() for p in self.net.parameters()]))

    @cached_property
    def rows(self) -> Tensor:
        """`(blocks,)` bool: the blocks that have a number of a selected parameter."""
        chosen = [
            torch.full((p.numel(),), self.select is None or name in self.select, dtype=torch.bool)
            for name, p in self.net.named_parameters()
        ]
        return self.layout.point(torch.cat(chosen)).any(1)

    @property
    def size(self) -> int:
        """Of the largest selected block."""
        return int((self.layout.index[self.rows] >= 0).sum(1).max())

    def menu(self, menu: Menu) -> Menu:
        """`menu` for the selected blocks, `(selected, size)`; all other blocks are kept."""
        return menu if self.rows.all() else SelectedMenu(menu, self.rows, self.size)

    def price(self, price: Price) -> Price:
        """`price` of the selected blocks, `(selected, size)`; all other blocks are free."""
        return price if self.rows.all() else SelectedPrice(price, self.rows, self.size)

    def parameters(self, x: Tensor) -> dict[str, Tensor]:
        """The parameters at a point, by name."""
        named = dict(self.net.named_parameters())
        parts = torch.split(self.layout.flat(x), [p.numel() for p in named.values()])
        return {name: part.view(p.shape) for (name, p), part in zip(named.items(), parts, strict=True)}

    def forward(self, x: Tensor) -> Callable[..., Tensor]:
        """The net's forward pass at a point, differentiable in it."""
        parts = self.parameters(x)
        return lambda *inputs: functional_call(self.net, parts, inputs)

    def apply(self, x: Tensor) -> nn.Module:
        """A copy of the net at a point."""
        net = copy.deepcopy(self.net)
        net.load_state_dict(self.parameters(x.detach()), strict=False)
        return net

    def objective(self, x: Tensor) -> Tensor:
        """The loss of a fresh batch, differentiable in `x`."""
        return self.batch_loss(self.forward(x), self.generator)

    def loss(self, x: Tensor) -> float:
        with torch.no_grad():
            return float(self.batch_loss(self.forward(x), torch.Generator().manual_seed(self.seed)))

    def fit(self, x: Tensor, anchor: Tensor, rho: float, free: Tensor | None = None) -> Tensor:
        latent, held = x.detach().clone().requires_grad_(), x.detach()

        def loss() -> Tensor:
            point = latent if free is None else torch.where(free, latent, held)
            return self.objective(point) + penalty(point, anchor, rho)

        descend([latent], loss, self.schedule)
        return latent.detach()  # what is held has no gradient, and Adam leaves it exactly where it was

    def fit_on(self, grid: Callable[[Tensor], Tensor], x: Tensor, schedule: Schedule) -> Tensor:
        """Trains the point `x` through `grid`, whose gradient is taken as one (straight-through).

        Bengio et al. 2013, *Estimating or propagating gradients through stochastic neurons*. The result is on the grid.
        """
        latent = x.detach().clone().requires_grad_()
        descend([latent], lambda: self.objective(latent + (grid(latent) - latent).detach()), schedule)
        return grid(latent.detach())
