"""One problem of each domain for both solvers: a trained point, its menu, its price, and a count of gradient steps."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal, Self

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from shared import ADMM, Grouping, Menu, NonzeroPrice, Price, Relaxation, Solver, Sparsity, penalty
from shared.lab import JSON
from shared.training.loop import Schedule, descend, seeded
from shared.weights.task import ParameterTask

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
    selection_loss: Callable[[Tensor], float]
    rate: float
    gradients: int = 0

    def objective(self, x: Tensor) -> Tensor:
        self.gradients += 1
        return self.objective_of(x)

    def loss(self, x: Tensor) -> float:
        return self.selection_loss(x)

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

        def loss() -> Tensor:
            point = latent if free is None else torch.where(free, latent, x.detach())
            return self.objective(effective(point)) + extra(point)

        descend([latent], loss, Schedule(steps=steps, rate=self.rate, floor=self.rate))
        return latent.detach()


@dataclass(frozen=True, eq=False)
class Problem:
    """A trained point, and what it may become at what price."""

    x: Tensor
    menu: Menu
    price: Price
    objective: Callable[[Tensor], Tensor]
    """Of a training batch, or of all training data."""
    loss: Callable[[Tensor], float]
    """By which solvers compare points."""
    held_out: Callable[[Tensor], float]
    """By which methods are compared; solvers do not evaluate it."""
    rate: float
    rho: Mapping[str, float]
    """Of each solver, chosen on seeds below 100."""
    reprice: bool = False
    """Whether the target measures halfway, too."""
    on_menu: Callable[[Tensor, Tensor], Tensor] | None = None
    """`(x, z)` to the nearest point of the choice `z`, where tuning goes through rounding."""

    def solver(self, name: str) -> Solver:
        every = 2 if self.reprice else 1
        if name == "admm":
            steps = SEARCH // INNER
            return ADMM(rho=self.rho["admm"], growth=1.2, steps=steps, reprice_every=steps // every, fine_tune=0)
        mode: Literal["softmax", "straight-through"] = "softmax" if name == "relaxation" else "straight-through"
        return Relaxation(
            rho=self.rho["relaxation"], steps=SEARCH, reprice_every=SEARCH // every, fine_tune=0, mode=mode
        )

    def compressed(self, name: str, budget: float) -> dict[str, JSON]:
        """The held-out loss and the measured price of one method's point, and what it took."""
        started, task = time.process_time(), CountedTask(self.objective, self.loss, self.rate)
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
        loss=task.loss,
        held_out=lambda x: float(task.objective(x[:, 0], "val").detach()),
        rate=0.03,
        rho={"admm": 0.03, "relaxation": 0.03},
        reprice=True,
    )


def receiver(seed: int, generator: torch.Generator) -> Problem:
    """Weights of the channel estimator in 4 bits or none, priced in bytes of the packed file."""
    from shared.weights.grid import weight_grid
    from shared.weights.packing import packed_price, rounded
    from wireless.ofdm.training.blocks import estimator_loss, train_estimator

    net = train_estimator(generator, Schedule(steps=1000))
    menu = weight_grid(net, 4)
    batches = ParameterTask(net, lambda forward, g: estimator_loss(forward, 512, g), generator, seed=1)
    large = replace(batches, batch_loss=lambda forward, g: estimator_loss(forward, 8192, g), seed=2)
    return Problem(
        x=batches.x,
        menu=menu,
        price=packed_price(net, 4),
        objective=batches.objective,
        loss=batches.loss,
        held_out=large.loss,
        rate=2e-3,
        rho={"admm": 1e-3, "relaxation": 1e-3},
        on_menu=lambda x, z: rounded(x, menu) * (z != 0),
    )


def fpga(seed: int, generator: torch.Generator) -> Problem:
    """Blocks of eight weights of a classifier of noisy digits, priced in clocks of a folded engine with eight lanes."""
    from fpga.pricing.menus import lane_blocks
    from fpga.pricing.prices import clocks

    digits = _Digits.shuffled(generator)
    net = digits.classifier(generator)
    count = sum(math.prod(shape) // 8 for shape in HIDDEN)
    return digits.pruned(net, generator, lambda shape: lane_blocks(shape, 8), clocks((8 * count, 1), 8))


def f8net(seed: int, generator: torch.Generator) -> Problem:
    """Blocks of four weights of the same classifier, all of it in 8 bits, priced in multiplications."""
    from shared.f8net import F8Net
    from shared.integer.format import Format

    digits = _Digits.shuffled(generator)
    net = F8Net(digits.classifier(generator), shape=(64,), input=Format(8, 6, signed=True))
    net.calibrate(digits.noisy(digits.train, generator))
    digits.fit(net, generator, Schedule(steps=200))
    price = NonzeroPrice(each=4.0, unit="multiplications")
    return digits.pruned(net, generator, lambda shape: Grouping(shape, (4, 1)), price)


HIDDEN: Final = ((32, 64), (32, 32))
"""The weights of the classifier's hidden layers."""


@dataclass(frozen=True, eq=False)
class _Digits:
    """Scikit-learn's digits, half of them to train on and half held out; every batch is new noise on all of a half."""

    images: Tensor
    labels: Tensor

    @classmethod
    def shuffled(cls, generator: torch.Generator) -> Self:
        from sklearn.datasets import load_digits

        images, labels = (torch.from_numpy(part) for part in load_digits(return_X_y=True))
        order = torch.randperm(len(labels), generator=generator)
        return cls(images[order].float() / 16, labels[order])

    @property
    def train(self) -> slice:
        return slice(len(self.labels) // 2)

    @property
    def val(self) -> slice:
        return slice(len(self.labels) // 2, None)

    def noisy(self, part: slice, noise: torch.Generator) -> Tensor:
        clean = self.images[part]
        return clean + NOISE * torch.randn(clean.shape, generator=noise)

    def loss(self, forward: Callable[..., Tensor], part: slice, noise: torch.Generator) -> Tensor:
        return cross_entropy(forward(self.noisy(part, noise)), self.labels[part])

    def fit(self, net: nn.Module, generator: torch.Generator, schedule: Schedule) -> None:
        descend(list(net.parameters()), lambda: self.loss(net, self.train, generator), schedule)

    def classifier(self, generator: torch.Generator) -> nn.Module:
        def build() -> nn.Module:
            return nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 10))

        net = seeded(build, generator)
        self.fit(net, generator, Schedule(steps=400, rate=1e-2))
        return net

    def pruned(
        self,
        net: nn.Module,
        generator: torch.Generator,
        blocks: Callable[[tuple[int, ...]], Grouping],
        price: NonzeroPrice,
    ) -> Problem:
        """Each block of the hidden layers' weights kept or dropped; all other parameters are trained along."""

        def grouping(shape: tuple[int, ...]) -> Grouping:
            return blocks(shape) if shape in HIDDEN else Grouping.element(shape)

        select = {name for name, weight in net.named_parameters() if tuple(weight.shape) in HIDDEN}
        task = ParameterTask(
            net,
            lambda forward, g: self.loss(forward, self.train, g),
            generator,
            select=select,
            grouping=grouping,
            seed=1,
        )
        other = replace(task, batch_loss=lambda forward, g: self.loss(forward, self.val, g), seed=2)
        return Problem(
            x=task.x,
            menu=task.menu(Sparsity()),
            price=task.price(price),
            objective=task.objective,
            loss=task.loss,
            held_out=other.loss,
            rate=3e-3,
            rho={"admm": 0.1, "relaxation": 1e-3},
        )


PROBLEMS: Final[Mapping[str, Callable[[int, torch.Generator], Problem]]] = {
    "circuits": circuits,
    "receiver": receiver,
    "f8net": f8net,
    "fpga": fpga,
}
