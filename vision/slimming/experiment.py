"""A net slimmed for budgets, beside uniform scaling and random cuts of the same net, each trained as long."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache, cached_property, partial
from typing import Annotated, Any, TypeVar

import torch
from pydantic import BeforeValidator, Field
from torch import nn
from torch.nn.functional import cross_entropy

from shared.lab import JSON, Context, Experiment, Page, Row
from shared.training.device import device_of
from shared.training.epochs import NesterovCosine, Trainer
from shared.training.loop import seeded
from shared.weights.files import to_bytes
from shared.weights.prices import MACs
from vision.data.augment import as_input
from vision.data.chosen import Chosen, ImageSettings
from vision.data.cifar10 import SHAPE
from vision.nets.onnx_file import to_onnx
from vision.slimming.net import SlimNet, Supernet, judged_by_batches
from vision.slimming.page import page
from vision.slimming.plan import STEP, Operator, Plan
from vision.slimming.search import Price, best_within, random, slimmed, uniform
from vision.training.evaluate import correct
from vision.training.stages import trained

CLASSES = 10
SIDE = SHAPE[1]
N = TypeVar("N", bound=nn.Module)
Budgets = Annotated[
    tuple[Annotated[float, Field(gt=0)], ...],
    BeforeValidator(lambda value: (value,) if isinstance(value, int | float) else value),
]
"""One number, or several: their nets come from one supernet."""


class SlimmingSettings(ImageSettings):
    """The largest net, its training, and the budgets."""

    macs: Budgets = Field(default=(0.5,), description="shares of the largest net's multiply-accumulates")
    budget_ms: Budgets = Field(
        default=(), description="instead of macs: milliseconds of the net as a library of floats, predicted"
    )
    widths: tuple[int, ...] = Field(default=(32, 64, 128), description="channels of the stages of the largest net")
    depths: tuple[int, ...] = Field(default=(2, 2, 4), description="blocks of its stages")
    attending: int = Field(default=2, ge=0, description="last blocks that are attention")
    supernet: int = Field(default=8, gt=0, description="epochs of the supernet")
    tuning: int = Field(default=16, gt=0, description="epochs of every net of a plan, from scratch")
    batch: int = Field(default=64, gt=1, description="images of a training step")
    rate: float = Field(default=0.05, gt=0, description="highest learning rate")
    judged: int = Field(default=50, gt=0, description="validation images of each class by which plans are judged")

    def largest(self) -> Plan:
        """The net that is slimmed. Raises `ValueError` for stages that are not one of each."""
        if len(self.widths) != len(self.depths):
            raise ValueError(f"widths={self.widths} and depths={self.depths}: give one of each for every stage")
        if any(width % STEP for width in self.widths):
            raise ValueError(f"widths={self.widths}: needs multiples of {STEP}")
        *before, last = self.depths
        if self.attending > last:
            raise ValueError(f"attending={self.attending}: the last stage has {last} blocks")
        conv: Operator = "conv"
        attention: Operator = "attention"
        ending = (conv,) * (last - self.attending) + (attention,) * self.attending
        return Plan(self.widths, (*((conv,) * depth for depth in before), ending))


class Slimming(Experiment[SlimmingSettings]):
    """Slim a net for budgets of milliseconds: depths, widths and operators, beside uniform and random cuts.

    One cell is one seed: the supernet, and at each budget the slimmed net and the same largest net scaled or cut by
    chance.
    """

    name = "slimming"
    version = 2  # 1 searched anew for each budget, on a supernet that knew no narrower stages

    def cells(self, settings: SlimmingSettings) -> Sequence[SlimmingSettings]:
        settings.largest()
        return settings.per_seed()

    def data(self, cell: SlimmingSettings) -> Mapping[str, str]:
        return cell.hashes()

    def run(self, cell: SlimmingSettings, context: Context) -> Mapping[str, JSON]:
        return _Cell(cell, context, self).result()

    def latency(self, context: Context) -> Callable[[nn.Module], float]:
        """Predicts the milliseconds of a net on this machine. `qwedge run` knows how; here it raises `ValueError`."""
        raise ValueError("budget_ms needs a latency: take `qwedge run slimming`, or macs")

    def milliseconds(self, net: nn.Module) -> float:
        """Measured milliseconds of a net, compiled. `qwedge run` knows how; here it raises `ValueError`."""
        raise ValueError("budget_ms needs a compiler: take `qwedge run slimming`, or macs")

    def page(self, rows: Sequence[Row]) -> Page:
        return page(rows)


class _Cell:
    """The stages of one cell."""

    def __init__(self, settings: SlimmingSettings, context: Context, experiment: Slimming) -> None:
        self.settings, self.context, self.experiment = settings, context, experiment
        self.largest = settings.largest()
        context.plan(settings.supernet + 3 + len(settings.budget_ms or settings.macs) * 3 * (settings.tuning + 3))

    def result(self) -> Mapping[str, JSON]:
        s = self.settings
        full, budgets = self.price(self.largest), self.budgets()
        if full <= budgets[0]:
            raise ValueError(f"budget {budgets[0]:g}: the largest net costs {full:.4g}; ask for less")
        supernet = self.seeded("supernet", partial(Supernet, self.largest, image=SIDE, classes=CLASSES))
        learned: Any = self.after("supernet", supernet, s.supernet)
        shares = supernet.shares()
        search: Any = self.context.stage("slimming", lambda: self.course(supernet, budgets[-1]))
        losses = {Plan.from_json_data(plan): loss for plan, loss in search["judged"]}
        return {
            "data": {"name": self.images.about, "part": s.part, "trained_on": len(self.images.train.labels)},
            "scored": len(self.images.scored.labels),
            "price": {"unit": "ms" if s.budget_ms else "MACs", "largest": full},
            "largest": self.largest.to_json_data(),
            "searched": learned,
            "search_cpu_s": search["cpu_s"] + sum(epoch["cpu_s"] for epoch in learned),
            "course": search["steps"],
            "judged": len(losses),
            "shares": shares,
            "budgets": [self.at(budget, losses) for budget in budgets],
        }

    def budgets(self) -> list[float]:
        """The largest first."""
        s = self.settings
        return sorted(s.budget_ms or (share * self.price(self.largest) for share in s.macs), reverse=True)

    def at(self, budget: float, losses: Mapping[Plan, float]) -> Mapping[str, JSON]:
        """The nets at a budget."""
        picked = self.context.stage(f"random plan within {budget:g}", lambda: self.random_plan(budget).to_json_data())
        plans = {
            "slimmed": best_within(losses, self.price, budget),
            "uniform": uniform(self.largest, self.price, budget),
            "random": Plan.from_json_data(picked),
        }
        return {"budget": budget, "nets": {name: self.answered(name, plan, budget) for name, plan in plans.items()}}

    def answered(self, name: str, plan: Plan, budget: float) -> Mapping[str, JSON]:
        """A plan's net from scratch: what it costs, and how many of its answers are right."""
        title = f"{name} within {budget:g}"
        net = self.seeded(title, partial(SlimNet, plan, image=SIDE, classes=CLASSES))
        tuned = self.after(title, net, self.settings.tuning)
        right = int(self.context.stage(f"{title}, counted", lambda: correct(net, self.images.scored)))
        measured = {}
        if self.settings.budget_ms:
            ms = self.context.stage(f"{title}, timed", lambda: self.experiment.milliseconds(net))
            measured = {"measured_ms": ms}
        if name == "slimmed":
            self.context.stage(f"{title}, files", lambda: self.keep(net, plan, budget))
        return {
            "plan": plan.to_json_data(),
            "price": self.price(plan),
            **measured,
            "macs": macs(net),
            "parameters": sum(parameter.numel() for parameter in net.parameters()),
            "correct": right,
            "tuned": tuned,
        }

    def seeded(self, name: str, build: Callable[[], N]) -> N:
        seed = self.context.stage(f"{name}, first weights", lambda: int(self.context.rng.integers(2**62)))
        return seeded(build, torch.Generator().manual_seed(seed))

    def after(self, name: str, net: nn.Module, epochs: int) -> list[Mapping[str, JSON]]:
        """Trains the net; the results of each epoch."""
        trainer = Trainer(net, NesterovCosine(epochs, self.settings.rate, warm=0.2, batch=self.settings.batch))
        return trained(self.context, name, trainer, self.images.train, self.images.held_back)

    def course(self, supernet: Supernet, budget: float) -> JSON:
        """The steps of slimming, every plan that was judged with its loss, and CPU seconds."""
        judges = self.images.held_back.first(self.settings.judged)
        x = as_input(torch.from_numpy(judges.pixels).to(device_of(supernet)))
        labels = torch.from_numpy(judges.labels).to(x.device)
        losses: dict[Plan, float] = {}

        @torch.no_grad()
        def loss(plan: Plan) -> float:
            if plan not in losses:
                supernet.chosen = plan
                losses[plan] = float(cross_entropy(supernet(x), labels))
            return losses[plan]

        started, steps = time.process_time(), []
        judged_by_batches(supernet)
        for step in slimmed(self.largest, self.price, loss, budget):
            steps.append({**step._asdict(), "plan": step.plan.to_json_data()})
            note = f"slimming, {len(steps)}: {step.action}, {step.price:.4g} of {budget:.4g}"
            self.context.progress(0, 0, note)
        judged = [(plan.to_json_data(), lost) for plan, lost in losses.items()]
        return {"steps": steps, "judged": judged, "cpu_s": time.process_time() - started}

    def random_plan(self, budget: float) -> Plan:
        return random(self.largest, self.price, budget, self.context.rng)

    @cached_property
    def price(self) -> Price:
        """Of a plan, each computed once."""
        predict = self.experiment.latency(self.context) if self.settings.budget_ms else macs
        return cache(lambda plan: float(predict(SlimNet(plan, image=SIDE, classes=CLASSES).eval())))

    def keep(self, net: nn.Module, plan: Plan, budget: float) -> JSON:
        """A slimmed net as files."""
        net.eval()
        self.context.artefact(f"net-{budget:.4g}.safetensors", to_bytes(net))
        self.context.artefact(f"plan-{budget:.4g}.json", json.dumps(plan.to_json_data(), indent=1).encode())
        self.context.artefact(f"net-{budget:.4g}.onnx", to_onnx(net, torch.zeros(1, *SHAPE)))
        return None

    @cached_property
    def images(self) -> Chosen:
        return self.settings.chosen()


def macs(net: nn.Module) -> int:
    """Multiply-accumulates of one image."""
    return int(MACs(SHAPE).number_costs(net, (), None).double().sum())
