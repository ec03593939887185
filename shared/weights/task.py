"""What a network is compressed for: its training loss, as a task over its weights one by one."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import pad

from shared.core.menus import Grouping
from shared.core.task import penalty
from shared.training.loop import Schedule, descend

Loss = Callable[[Callable[..., Tensor], torch.Generator], Tensor]


@dataclass(frozen=True, eq=False)
class Weights:
    """A `shared.Task` over all parameters of `net`, `(parameters, 1)`, in the order of `net.parameters()`.

    `draw(forward, generator)` is the loss of a fresh batch for a forward pass; `loss` draws the same one every time,
    from `seed`. `fit` runs `schedule` on batches drawn from `generator`.
    """

    net: nn.Module
    draw: Loss
    generator: torch.Generator
    seed: int
    schedule: Schedule = field(default_factory=lambda: Schedule(steps=60, rate=2e-3, floor=5e-4))

    @property
    def x(self) -> Tensor:
        return torch.cat([p.detach().flatten() for p in self.net.parameters()])[:, None]

    def forward(self, x: Tensor) -> Callable[..., Tensor]:
        """The network with the weights `x`."""
        parts: dict[str, Tensor] = {}
        start = 0
        for name, p in self.net.named_parameters():
            parts[name] = x[start : start + p.numel(), 0].view(p.shape)
            start += p.numel()
        return lambda *inputs: functional_call(self.net, parts, inputs)

    def loss(self, x: Tensor) -> float:
        with torch.no_grad():
            return float(self.draw(self.forward(x), torch.Generator().manual_seed(self.seed)))

    def fit(self, x: Tensor, anchor: Tensor, rho: float, free: Tensor | None = None) -> Tensor:
        latent = x.detach().clone().requires_grad_()
        held = x.detach()

        def loss() -> Tensor:
            point = latent if free is None else torch.where(free, latent, held)
            return self.draw(self.forward(point), self.generator) + penalty(point, anchor, rho)

        descend([latent], loss, self.schedule)
        return latent.detach()  # what is held has no gradient, and Adam leaves it exactly where it was

    def fit_on(self, grid: Callable[[Tensor], Tensor], x: Tensor, schedule: Schedule) -> Tensor:
        """Trains the weights `x` as seen through `grid`, whose gradient is taken as one (straight-through).

        Bengio et al. 2013, *Estimating or propagating gradients through stochastic neurons*. The result is on the grid.
        """
        latent = x.detach().clone().requires_grad_()

        def loss() -> Tensor:
            return self.draw(self.forward(latent + (grid(latent) - latent).detach()), self.generator)

        descend([latent], loss, schedule)
        return grid(latent.detach())


@dataclass(frozen=True, eq=False)
class Rows:
    """A `shared.Task` over the rows of every tensor of `net`, `(rows, longest row)`; `draw` as in `tasks.Weights`.

    A row is what makes one unit: the weights into it. A bias is a row of one number. Shorter rows end in zeros.
    """

    net: nn.Module
    draw: Loss
    generator: torch.Generator
    seed: int
    schedule: Schedule = field(default_factory=lambda: Schedule(steps=60, rate=2e-3, floor=5e-4))

    @property
    def groups(self) -> Mapping[str, Grouping]:
        return {name: Grouping.channel(tuple(p.shape)) for name, p in self.net.named_parameters()}

    @property
    def x(self) -> Tensor:
        rows = [self.groups[name].split(p.detach()) for name, p in self.net.named_parameters()]
        longest = max(part.shape[1] for part in rows)
        return torch.cat([pad(part, (0, longest - part.shape[1])) for part in rows])

    def parameters(self, x: Tensor) -> dict[str, Tensor]:
        """The tensors of a point, by name."""
        sizes = [p.shape[0] for p in self.net.parameters()]
        return {
            name: group.join(part[:, : group.split(p).shape[1]])
            for (name, p), group, part in zip(
                self.net.named_parameters(), self.groups.values(), torch.split(x, sizes), strict=True
            )
        }

    def forward(self, x: Tensor) -> Callable[..., Tensor]:
        """The network with the rows `x`."""
        parts = self.parameters(x)
        return lambda *inputs: functional_call(self.net, parts, inputs)

    def loss(self, x: Tensor) -> float:
        with torch.no_grad():
            return float(self.draw(self.forward(x), torch.Generator().manual_seed(self.seed)))

    def fit(self, x: Tensor, anchor: Tensor, rho: float, free: Tensor | None = None) -> Tensor:
        latent, held = x.detach().clone().requires_grad_(), x.detach()

        def loss() -> Tensor:
            point = latent if free is None else torch.where(free, latent, held)
            return self.draw(self.forward(point), self.generator) + penalty(point, anchor, rho)

        descend([latent], loss, self.schedule)
        return latent.detach()
