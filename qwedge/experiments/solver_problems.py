"""One problem of each domain for both solvers: a trained point, its menu, its price, and a count of gradient steps."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy, pad

from shared import ADMM, Grouping, Levels, Menu, NonzeroPrice, Price, Product, Relaxation, Solver, Sparsity, penalty
from shared.lab import JSON

SEARCH: Final = 240
"""Gradient steps of a search: 12 steps of ADMM with 20 each, or as many of the relaxation."""
INNER: Final = 20
TUNING: Final = 300
NOISE: Final = 0.3
"""Standard deviation of what is added to pixels between 0 and 1."""


@dataclass(eq=False)
class CountedTask:
    """A `DifferentiableTask` whose x-update is `INNER` steps of Adam; it counts every gradient."""

    objective_of: Callable[[Tensor], Tensor]
    selection_loss: Callable[[Tensor], Tensor]
    rate: float
    gradients: int = 0

    def objective(self, x: Tensor) -> Tensor:
        self.gradients += 1
        return self.objective_of(x)

    def loss(self, x: Tensor) -> float:
        with torch.no_grad():
            return float(self.selection_loss(x))

    def fit(self, x: Tensor, anchor: Tensor, rho: float, free: Tensor | None = None) -> Tensor:
        return self.descend(lambda point: point, x, INNER, free, lambda point: penalty(point, anchor, rho))

    def descend(
        self,
        effective: Callable[[Tensor], Tensor],
        x: Tensor,
        steps: int,
        free: Tensor | None,
        extra: Callable[[Tensor], Tensor] = lambda point: point.new_zeros(()),
    ) -> Tensor:
        """`x` after steps of Adam on the objective at `effective(x)`; coordinates that are not `free` stay."""
        latent = x.detach().clone().requires_grad_()
        adam = torch.optim.Adam([latent], lr=self.rate)
        for _ in range(steps):
            point = latent if free is None else torch.where(free, latent, x.detach())
            adam.zero_grad()
            (self.objective(effective(point)) + extra(point)).backward()
            adam.step()
        return latent.detach()


@dataclass(frozen=True, eq=False)
class Problem:
    """A trained point, and what it may become at what price."""

    x: Tensor
    menu: Menu
    price: Price
    objective: Callable[[Tensor], Tensor]
    """Of a training batch, or of all training data."""
    selection_loss: Callable[[Tensor], Tensor]
    """By which solvers compare points."""
    held_out: Callable[[Tensor], float]
    """By which methods are compared; solvers do not evaluate it."""
    rate: float
    rho: float
    reprice: bool = False
    """Whether the target measures halfway, too."""
    on_menu: Callable[[Tensor, Tensor], Tensor] | None = None
    """`(x, z)` to the nearest point of the choice `z`, where tuning goes through rounding."""

    def solver(self, name: str) -> Solver:
        every = 2 if self.reprice else 1
        if name == "admm":
            steps = SEARCH // INNER
            return ADMM(rho=self.rho, growth=1.2, steps=steps, reprice_every=steps // every, fine_tune=0)
        mode: Literal["softmax", "straight-through"] = "softmax" if name == "relaxation" else "straight-through"
        steps = SEARCH // every
        return Relaxation(rho=self.rho, growth=1.1, steps=SEARCH, reprice_every=steps, fine_tune=0, mode=mode)

    def compressed(self, name: str, budget: float) -> dict[str, JSON]:
        """The held-out loss and the measured price of one method's point, and what it took."""
        started, task = time.process_time(), CountedTask(self.objective, self.selection_loss, self.rate)
        solver = ADMM(steps=0, fine_tune=0) if name == "once" else self.solver(name)
        price = self.price.reprice(self.x)
        solution = solver.solve(task, on=self.menu, price=price, budget=budget, x=self.x)
        tuned = self.tuned(task, solution.z, solution.x, solution.free, SEARCH + TUNING - task.gradients)
        candidates = [z for z in (solution.z, tuned) if self.price.measure(z) <= budget]
        z = min(candidates, key=task.loss)
        return {
            "loss": self.held_out(z),
            "price": self.price.measure(z),
            "converged": solution.converged,
            "gradients": task.gradients,
            "cpu_s": time.process_time() - started,
        }

    def tuned(self, task: CountedTask, z: Tensor, x: Tensor, free: Tensor, steps: int) -> Tensor:
        """The choice `z` after training: of its free coordinates, or through rounding with its zeros fixed."""
        if self.on_menu is None:
            return torch.where(free, task.descend(lambda point: point, z, steps, free), z)
        rounded = self.on_menu
        start = torch.where(z != 0, x, z)
        latent = task.descend(lambda point: point + (rounded(point, z) - point).detach(), start, steps, None)
        return rounded(latent, z)


def circuits(seed: int, generator: torch.Generator) -> Problem:
    """Angles of a classifier of digits 0 to 3 on four qubits, priced at `-log ESP` by the transpiler."""
    from quantum.circuits.ansatz import ansatz
    from quantum.compilation.levels import level_table
    from quantum.compvqc.baselines import random_starts
    from quantum.compvqc.menus import angle_levels
    from quantum.compvqc.prices import CompiledPrice
    from quantum.devices.target import device
    from quantum.tasks.classification import classification
    from quantum.tasks.data import load

    target, circuit = device("nairobi"), ansatz("line", 4, 4)
    task = classification(circuit, load("digits4", seed), encoding="amplitude")
    trained = task.train(random_starts(task, 1, generator))[0]
    return Problem(
        x=trained[:, None],
        menu=angle_levels(task.circuit, level_table(target)),
        price=CompiledPrice(task.circuit, task.readout, target, level_table(target)),
        objective=lambda x: task.objective(x[:, 0], "train"),
        selection_loss=lambda x: task.objective(x[:, 0], "train"),
        held_out=lambda x: float(task.objective(x[:, 0], "val").detach()),
        rate=0.03,
        rho=0.03,
        reprice=True,
    )


def receiver(seed: int, generator: torch.Generator) -> Problem:
    """Weights of the channel estimator in 4 bits or none, priced in bytes of the packed file."""
    from shared.training.loop import Schedule
    from shared.weights.grid import weight_grid
    from shared.weights.packing import packed_price, rounded
    from wireless.ofdm.training.blocks import estimator_loss, train_estimator

    net = train_estimator(generator, Schedule(steps=1000))
    run = _Blocks(net, {})
    menu = weight_grid(net, 4)

    def loss(x: Tensor, batch: int, generator: torch.Generator) -> Tensor:
        return estimator_loss(run.forward(x), batch, generator)

    def held_out(x: Tensor) -> float:
        with torch.no_grad():
            return float(loss(x, 8192, torch.Generator().manual_seed(2)))

    return Problem(
        x=run.x,
        menu=menu,
        price=packed_price(net, 4),
        objective=lambda x: loss(x, 512, generator),
        selection_loss=lambda x: loss(x, 2048, torch.Generator().manual_seed(1)),
        held_out=held_out,
        rate=2e-3,
        rho=1e-3,
        on_menu=lambda x, z: rounded(x, menu) * (z != 0),
    )


def fpga(seed: int, generator: torch.Generator) -> Problem:
    """Blocks of eight weights of a classifier of noisy digits, priced in clocks of a folded engine with eight lanes."""
    from sklearn.datasets import load_digits

    from fpga.pricing.menus import lane_blocks
    from fpga.pricing.prices import clocks
    from shared.training.loop import Schedule, descend, seeded

    images, labels = (torch.from_numpy(part) for part in load_digits(return_X_y=True))
    order = torch.randperm(len(labels), generator=generator)
    images, labels = images[order].float() / 16, labels[order]
    cut = len(labels) // 2

    def loss(forward: Callable[[Tensor], Tensor], part: slice, noise: torch.Generator) -> Tensor:
        clean = images[part]
        return cross_entropy(forward(clean + NOISE * torch.randn(clean.shape, generator=noise)), labels[part])

    def held_out(x: Tensor) -> float:
        with torch.no_grad():
            return float(loss(run.forward(x), slice(cut, None), torch.Generator().manual_seed(2)))

    train = slice(cut)
    net = seeded(lambda: nn.Sequential(*_layers(64, 32, 32), nn.Linear(32, 10)), generator)
    descend(list(net.parameters()), lambda: loss(net, train, generator), Schedule(steps=400, rate=1e-2))
    blocks = {"0.weight": lane_blocks((32, 64), 8), "2.weight": lane_blocks((32, 32), 8)}
    run = _Blocks(net, blocks)
    priced = [clocks(grouping.shape, 8).each for grouping in blocks.values()]
    each = tuple(price for layer in priced if isinstance(layer, tuple) for price in layer)
    rest = len(run.x) - len(each)
    return Problem(
        x=run.x,
        menu=Product((Sparsity(), Levels(())), (len(each), rest)),
        price=NonzeroPrice((*each, *(0.0,) * rest), unit="clocks"),
        objective=lambda x: loss(run.forward(x), train, generator),
        selection_loss=lambda x: loss(run.forward(x), train, torch.Generator().manual_seed(1)),
        held_out=held_out,
        rate=3e-3,
        rho=1e-2,
    )


def _layers(*widths: int) -> list[nn.Module]:
    return [layer for pair in pairwise(widths) for layer in (nn.Linear(*pair), nn.ReLU())]


class _Blocks:
    """The parameters of a net as one point: blocks of the named weights first, all others in rows as wide."""

    def __init__(self, net: nn.Module, blocks: Mapping[str, Grouping]) -> None:
        self.net, self.blocks = net, blocks
        self.others = {name: p.shape for name, p in net.named_parameters() if name not in blocks}
        values = {name: p.detach() for name, p in net.named_parameters()}
        chosen = [grouping.split(values[name]) for name, grouping in blocks.items()]
        size = max((part.shape[1] for part in chosen), default=1)
        rest = torch.cat([values[name].flatten() for name in self.others]) if self.others else torch.zeros(0)
        self.x = torch.cat([*chosen, pad(rest, (0, -len(rest) % size)).view(-1, size)])

    def forward(self, x: Tensor) -> Callable[..., Tensor]:
        """The net with the parameters `x`."""
        counts = [math.prod(grouping.shape) // x.shape[1] for grouping in self.blocks.values()]
        *chosen, rest = torch.split(x, [*counts, len(x) - sum(counts)])
        parts = {name: group.join(part) for (name, group), part in zip(self.blocks.items(), chosen, strict=True)}
        flat = torch.split(
            rest.flatten()[: sum(map(math.prod, self.others.values()))],
            [math.prod(shape) for shape in self.others.values()],
        )
        parts |= {name: part.view(shape) for (name, shape), part in zip(self.others.items(), flat, strict=True)}
        return lambda *inputs: functional_call(self.net, parts, inputs)


PROBLEMS: Final[Mapping[str, Callable[[int, torch.Generator], Problem]]] = {
    "circuits": circuits,
    "receiver": receiver,
    "fpga": fpga,
}
