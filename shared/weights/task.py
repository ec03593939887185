"""What a network is compressed for: its training loss, as a task over its weights one by one."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.func import functional_call

from shared import penalty
from wireless.ofdm.training.blocks import Schedule, descend

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
