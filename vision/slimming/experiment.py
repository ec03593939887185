"""A net slimmed for a budget, beside uniform scaling and random cuts of the same net, each trained as long."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, cached_property, partial
from typing import TypeVar

import torch
from pydantic import Field
from torch import nn

from shared.lab import JSON, Context, Experiment, Page, Row
from shared.training.epochs import NesterovCosine, Trainer
from shared.training.loop import seeded
from shared.weights.files import to_bytes
from shared.weights.prices import MACs
from vision.data.chosen import Chosen, ImageSettings
from vision.data.cifar10 import SHAPE
from vision.nets.onnx_file import to_onnx
from vision.slimming.net import SlimNet, Supernet
from vision.slimming.page import page
from vision.slimming.plan import STEP, Operator, Plan
from vision.slimming.search import Price, Step, random, slimmed, uniform
from vision.training.evaluate import correct
from vision.training.stages import trained

CLASSES = 10
PLANS = ("slimmed", "uniform", "random")
SIDE = SHAPE[1]
N = TypeVar("N", bound=nn.Module)


class SlimmingSettings(ImageSettings):
    """The largest net, its training, and the budget."""

    macs: float = Field(default=0.5, gt=0, lt=1, description="share of the largest net's multiply-accumulates")
    budget_ms: float | None = Field(
        default=None, gt=0, description="instead of macs: milliseconds of the net as a library of floats, predicted"
    )
    widths: tuple[int, ...] = Field(default=(32, 64, 128), description="channels of the stages of the largest net")
    depths: tuple[int, ...] = Field(default=(2, 2, 4), description="blocks of its stages")
    attending: int = Field(default=2, ge=0, description="last blocks that are attention")
    supernet: int = Field(default=8, gt=0, description="epochs of the supernet")
    tuning: int = Field(default=8, gt=0, description="epochs of the slimmed net, from scratch")
    exchange: float = Field(
        default=2.5, ge=0, description="epochs that rivals have for one of the supernet, so that seconds are equal"
    )
    batch: int = Field(default=64, gt=1, description="images of a training step")
    rate: float = Field(default=0.05, gt=0, description="highest learning rate")
    judged: int = Field(default=50, gt=0, description="validation images of each class by which actions are judged")

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
    """Slim a net for a budget of milliseconds: depths, widths and operators, beside uniform and random cuts.

    One cell is one seed: the supernet, the slimmed net, and the same largest net scaled or cut by chance.
    """

    name = "slimming"
    version = 1

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
        tuned = sum(self.epochs(name) + 2 for name in PLANS)
        context.plan(settings.supernet + tuned + 4)

    def result(self) -> Mapping[str, JSON]:
        s = self.settings
        full, budget = self.price(self.largest), self.budget
        if full <= budget:
            raise ValueError(f"budget_ms={budget:g}: the largest net takes {full:.4g} ms; ask for less")
        supernet = self.seeded("supernet", partial(Supernet, self.largest, image=SIDE, classes=CLASSES))
        searched = self.after("supernet", supernet, s.supernet)
        course = self.context.stage("slimming", lambda: [step_data(step) for step in self.course(supernet)])
        picked = self.context.stage("random plan", lambda: self.random_plan().to_json_data())
        plans = {
            "slimmed": Plan.from_json_data(course[-1]["plan"]),
            "uniform": uniform(self.largest, self.price, budget),
            "random": Plan.from_json_data(picked),
        }
        return {
            "data": {"name": self.images.about, "part": s.part, "trained_on": len(self.images.train.labels)},
            "scored": len(self.images.scored.labels),
            "price": {"unit": "MACs" if s.budget_ms is None else "ms", "largest": full, "budget": budget},
            "largest": self.largest.to_json_data(),
            "searched": searched,
            "course": course,
            "shares": supernet.shares(),
            "nets": {name: self.answered(name, plan) for name, plan in plans.items()},
        }

    def epochs(self, name: str) -> int:
        """Epochs of a net. Rivals have more, in place of the supernet."""
        s = self.settings
        return s.tuning + (0 if name == "slimmed" else round(s.supernet * s.exchange))

    def answered(self, name: str, plan: Plan) -> Mapping[str, JSON]:
        """A plan's net from scratch: what it costs, and how many of its answers are right."""
        net = self.seeded(name, partial(SlimNet, plan, image=SIDE, classes=CLASSES))
        tuned = self.after(name, net, self.epochs(name))
        right = int(self.context.stage(f"{name}, counted", lambda: correct(net, self.images.scored)))
        measured = {}
        if self.settings.budget_ms is not None:
            ms = self.context.stage(f"{name}, timed", lambda: self.experiment.milliseconds(net))
            measured = {"measured_ms": ms}
        if name == "slimmed":
            self.context.stage("files", lambda: self.keep(net, plan))
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

    def course(self, supernet: Supernet) -> Iterator[Step]:
        """The steps of slimming, judged on validation images with the weights of the supernet."""
        judges = self.images.held_back.first(self.settings.judged)

        def accuracy(plan: Plan) -> float:
            supernet.chosen = plan
            return correct(supernet, judges) / len(judges.labels)

        for number, step in enumerate(slimmed(self.largest, self.price, accuracy, self.budget)):
            self.context.progress(0, 0, f"slimming, {number + 1}: {step.action}, {step.price:.4g} of {self.budget:.4g}")
            yield step
        supernet.chosen = None

    def random_plan(self) -> Plan:
        return random(self.largest, self.price, self.budget, self.context.rng)

    @cached_property
    def price(self) -> Price:
        """Of a plan, each computed once."""
        predict = macs if self.settings.budget_ms is None else self.experiment.latency(self.context)
        return cache(lambda plan: float(predict(SlimNet(plan, image=SIDE, classes=CLASSES).eval())))

    @cached_property
    def budget(self) -> float:
        s = self.settings
        return s.macs * self.price(self.largest) if s.budget_ms is None else s.budget_ms

    def keep(self, net: nn.Module, plan: Plan) -> JSON:
        """The slimmed net as files."""
        net.eval()
        self.context.artefact("net.safetensors", to_bytes(net))
        self.context.artefact("plan.json", json.dumps(plan.to_json_data(), indent=1).encode())
        self.context.artefact("net.onnx", to_onnx(net, torch.zeros(1, *SHAPE)))
        return None

    @cached_property
    def images(self) -> Chosen:
        return self.settings.chosen()


def step_data(step: Step) -> dict[str, JSON]:
    """A step as JSON data."""
    return {**step._asdict(), "plan": step.plan.to_json_data()}


def macs(net: nn.Module) -> int:
    """Multiply-accumulates of one image."""
    return int(MACs(SHAPE).number_costs(net, (), None).double().sum())
