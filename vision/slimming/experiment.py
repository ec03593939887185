"""A net slimmed for budgets, beside scaled and random ones and published nets within them that get as much time."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from typing import Annotated, Any, Literal, NamedTuple, TypeVar, get_args

import torch
from pydantic import BeforeValidator, Field
from torch import nn

from shared.lab import JSON, Context, Experiment, Page, Row
from shared.training.device import device_of
from shared.training.epochs import NesterovCosine, Trainer
from shared.training.loop import seeded
from vision.data.augment import as_input
from vision.data.chosen import Chosen, ImageSettings
from vision.data.cifar10 import SHAPE
from vision.data.folders import CIFAR100, Labelled, hashes, load
from vision.nets.onnx_file import to_onnx
from vision.slimming.figures import Control
from vision.slimming.files import saved
from vision.slimming.judge import Judge
from vision.slimming.net import SlimNet, Supernet
from vision.slimming.page import page
from vision.slimming.plan import STEP, Operator, Plan
from vision.slimming.prices import NetPrice, PlanPrices, Shape, macs
from vision.slimming.rivals import FAMILIES, build, largest_within
from vision.slimming.search import best_within, filled, random, slimmed, uniform
from vision.training.evaluate import correct
from vision.training.stages import trained

CIFAR10 = "cifar10"
N = TypeVar("N", bound=nn.Module)
Budgets = Annotated[
    tuple[Annotated[float, Field(gt=0)], ...],
    BeforeValidator(lambda value: (value,) if isinstance(value, int | float) else value),
]
"""One number, or several: their nets come from one supernet."""


class SlimmingSettings(ImageSettings):
    """The largest net, its training, and the budgets."""

    data: str = Field(
        default=CIFAR10,
        description="cifar10, of `images`; cifar100, of QWEDGE_DATA; or a folder that has one for each class",
    )
    size: int = Field(default=32, ge=16, description="pixels per side to which pictures of a folder are scaled")
    stride: Literal[2, 4] = Field(default=2, description="pixels of an image's side beside those of the first map")
    macs: Budgets = Field(default=(0.5,), description="shares of the largest net's multiply-accumulates")
    budget_ms: Budgets = Field(
        default=(), description="instead of macs: milliseconds of the net as a library of floats, predicted"
    )
    runtime: Literal["qwedge", "onnxruntime"] = Field(
        default="qwedge", description="what milliseconds are of: `qwedge compile`, or ONNX Runtime on one thread"
    )
    widths: tuple[int, ...] = Field(default=(32, 64, 128), description="channels of the stages of the largest net")
    depths: tuple[int, ...] = Field(default=(2, 2, 4), description="blocks of its stages")
    attending: int = Field(default=2, ge=0, description="last blocks that are attention")
    controls: tuple[Control, ...] = Field(
        default=get_args(Control), description="nets within the same budgets, each trained too"
    )
    supernet: int = Field(default=8, gt=0, description="epochs of the supernet")
    tuning: int = Field(default=16, gt=0, description="epochs of a slimmed net; of controls more, for the search")
    batch: int = Field(default=64, gt=1, description="images of a training step")
    augment: Literal["shift", "trivial"] = Field(
        default="shift", description="training images are mirrored and shifted; trivial: after TrivialAugment too"
    )
    rate: float = Field(default=0.05, gt=0, description="highest learning rate")
    judged: int = Field(default=30, gt=0, description="validation images of each class by which plans are judged")

    def hashes(self) -> Mapping[str, str]:
        return super().hashes() if self.data == CIFAR10 else hashes(self.data)

    def labelled(self) -> Labelled:
        """The images, and what they are classified into."""
        if self.data != CIFAR10:
            return load(self.data, self.size, self.per_class, self.scored, self.part)
        chosen = self.chosen()
        return Labelled(chosen, SHAPE, 1 + int(chosen.train.labels.max()))

    def largest(self) -> Plan:
        """The net that is slimmed. Raises `ValueError` for stages that are not one of each."""
        if len(self.widths) != len(self.depths):
            raise ValueError(f"widths={self.widths} and depths={self.depths}: give one of each for every stage")
        if any(width % STEP or width < STEP for width in self.widths):
            raise ValueError(f"widths={self.widths}: needs multiples of {STEP}")
        if not self.depths or min(self.depths) < 0:
            raise ValueError(f"depths={self.depths}: needs a number of blocks for each stage, none below 0")
        *before, last = self.depths
        if self.attending > last:
            raise ValueError(f"attending={self.attending}: the last stage has {last} blocks")
        conv: Operator = "conv"
        attention: Operator = "attention"
        ending = (conv,) * (last - self.attending) + (attention,) * self.attending
        return Plan(self.widths, (*((conv,) * depth for depth in before), ending))


class Slimming(Experiment[SlimmingSettings]):
    """Slim a net for budgets of milliseconds: depths, widths and operators, beside published nets and simple cuts.

    One cell is one seed: the supernet, and at each budget the slimmed net, the same largest net scaled or cut by
    chance, and published nets scaled by width.
    """

    name = "slimming"
    version = 5  # until 4 slimmed nets began at random, and controls were not trained for the time of the search

    def cells(self, settings: SlimmingSettings) -> Sequence[SlimmingSettings]:
        settings.largest()
        if not settings.macs and not settings.budget_ms:
            raise ValueError("macs=() and no budget_ms: give one budget at least")
        if settings.data in (CIFAR10, CIFAR100) and settings.size != SHAPE[1]:
            raise ValueError(f"size={settings.size}: pictures of {settings.data} have {SHAPE[1]}; size is for folders")
        return settings.per_seed()

    def data(self, cell: SlimmingSettings) -> Mapping[str, str]:
        return cell.hashes()

    def run(self, cell: SlimmingSettings, context: Context) -> Mapping[str, JSON]:
        return _Cell(cell, context, self).result()

    def latency(self, cell: SlimmingSettings, context: Context) -> NetPrice:
        """Predicts the milliseconds of a net on this machine. `qwedge run` knows how; here it raises `ValueError`."""
        raise ValueError("budget_ms needs a latency: take `qwedge run slimming`, or macs")

    def milliseconds(self, cell: SlimmingSettings, net: nn.Module, shape: Shape) -> float:
        """Measured milliseconds of a net in the cell's runtime. `qwedge run` knows how; here it raises `ValueError`."""
        raise ValueError("budget_ms needs a compiler: take `qwedge run slimming`, or macs")

    def page(self, rows: Sequence[Row]) -> Page:
        return page(rows)


class Competitor(NamedTuple):
    """A net within a budget, before it is trained."""

    spelled: str
    price: float
    build: Callable[[], nn.Module]
    plan: Plan | None = None


class _Cell:
    """The stages of one cell."""

    def __init__(self, settings: SlimmingSettings, context: Context, experiment: Slimming) -> None:
        self.settings, self.context, self.experiment = settings, context, experiment
        self.largest = settings.largest()
        s, budgets = settings, len(set(settings.budget_ms or settings.macs))
        context.plan(s.supernet + 3 + budgets * (1 + len(s.controls)) * (s.tuning + 3))

    def result(self) -> Mapping[str, JSON]:
        s = self.settings
        full, budgets = self.prices(self.largest), self.budgets()
        if full <= budgets[0]:
            raise ValueError(f"budget {budgets[0]:g}: the largest net costs {full:.4g}; ask for less")
        least = Plan((STEP,) * len(s.widths), ((),) * len(s.widths))
        if self.prices(least) > budgets[-1]:
            raise ValueError(f"budget {budgets[-1]:g}: the least net costs {self.prices(least):.4g}; ask for more")
        controls = {budget: self.controls(budget) for budget in budgets}
        supernet = self.seeded("supernet", partial(Supernet, self.largest, **self.frame))
        learned: Any = self.after("supernet", supernet, s.supernet)
        shares = supernet.shares()
        search: Any = self.context.stage("slimming", lambda: self.course(supernet, budgets))
        search_s = search["cpu_s"] + cpu_seconds(learned)
        chosen = map(Plan.from_json_data, search["chosen"])
        slim: dict[float, Any] = {
            budget: self.answered("slimmed", budget, self.competitor(plan)._replace(build=partial(supernet.net, plan)))
            for budget, plan in zip(budgets, chosen, strict=True)
        }
        # Of all budgets together: the search is one, too.
        longer = 1 + search_s / sum(cpu_seconds(net["tuned"]) for net in slim.values())
        return {
            "data": {"name": self.images.about, "part": s.part, "trained_on": len(self.images.train.labels)},
            "classes": self.labelled.classes,
            "scored": len(self.images.scored.labels),
            "price": {"unit": "ms" if s.budget_ms else "MACs", "runtime": s.runtime, "largest": full},
            "largest": self.largest.to_json_data(),
            "searched": learned,
            "search_cpu_s": search_s,
            "course": search["steps"],
            "judged": search["judged"],
            "shares": shares,
            "budgets": [
                {"budget": budget, "nets": {"slimmed": slim[budget]} | self.trained(budget, controls[budget], longer)}
                for budget in budgets
            ],
        }

    def budgets(self) -> list[float]:
        """The largest first."""
        s = self.settings
        return sorted(set(s.budget_ms) or {share * self.prices(self.largest) for share in s.macs}, reverse=True)

    def controls(self, budget: float) -> Mapping[str, Competitor]:
        """The nets beside the slimmed one, without published ones that do not get so small."""
        asked, nets = self.settings.controls, dict[str, Competitor]()
        scaled = self.competitor(uniform(self.largest, self.prices, budget))
        nets |= {name: scaled for name in ("uniform", "uniform_longer") if name in asked}
        if "random" in asked:
            picked = self.context.stage(f"random plan within {budget:g}", lambda: self.random(budget).to_json_data())
            nets["random"] = self.competitor(Plan.from_json_data(picked))
        for family in (name for name in FAMILIES if name in asked):
            try:
                scale = largest_within(family, self.price_of, budget, self.labelled.classes)
            except ValueError:
                continue
            net = partial(build, family, scale, self.labelled.classes)
            blocks = f", {scale.left_out} blocks of each stage left out" if scale.left_out else ""
            nets[family] = Competitor(f"{scale.width:g} of its width{blocks}", self.price_of(net().eval()), net)
        return nets

    def competitor(self, plan: Plan) -> Competitor:
        net = partial(SlimNet, plan, **self.frame)
        return Competitor(plan.spelled(), self.prices(plan), net, plan)

    def trained(self, budget: float, nets: Mapping[str, Competitor], longer: float) -> dict[str, Mapping[str, JSON]]:
        return {
            name: self.answered(name, budget, net, 1.0 if name == "uniform" else longer) for name, net in nets.items()
        }

    def answered(self, name: str, budget: float, competitor: Competitor, longer: float = 1.0) -> Mapping[str, JSON]:
        """A net that is trained: what it costs, and how many of its answers are right."""
        title = f"{name} within {budget:g}"
        net = self.seeded(title, competitor.build)
        tuned = self.after(title, net, round(longer * self.settings.tuning))
        right = int(self.context.stage(f"{title}, counted", lambda: correct(net, self.images.scored)))
        measured = {}
        if self.settings.budget_ms:
            measured = {"measured_ms": self.context.stage(f"{title}, timed", lambda: self.milliseconds(net))}
        if name == "slimmed":
            self.context.stage(f"{title}, files", lambda: self.keep(net, budget))
        return {
            "spelled": competitor.spelled,
            **({"plan": competitor.plan.to_json_data()} if competitor.plan is not None else {}),
            "price": competitor.price,
            **measured,
            "macs": macs(net, self.labelled.shape),
            "parameters": sum(parameter.numel() for parameter in net.parameters()),
            "correct": right,
            "tuned": tuned,
        }

    def seeded(self, name: str, build: Callable[[], N]) -> N:
        seed = self.context.stage(f"{name}, first weights", lambda: int(self.context.rng.integers(2**62)))
        return seeded(build, torch.Generator().manual_seed(seed))

    def after(self, name: str, net: nn.Module, epochs: int) -> list[Mapping[str, JSON]]:
        """Trains the net; the results of each epoch."""
        s = self.settings
        trainer = Trainer(net, NesterovCosine(epochs, s.rate, warm=0.2, batch=s.batch))
        return trained(self.context, name, trainer, self.images.train, self.images.held_back, s.augment == "trivial")

    def course(self, supernet: Supernet, budgets: Sequence[float]) -> JSON:
        """The steps of slimming, the plan of each budget, how many plans were judged, and CPU seconds."""
        judges = self.images.held_back.first(self.settings.judged)
        x = as_input(torch.from_numpy(judges.pixels).to(device_of(supernet)))
        judge = Judge(supernet, x, torch.from_numpy(judges.labels).to(x.device))
        started, steps = time.process_time(), []
        for step in slimmed(self.largest, self.prices, judge, budgets[-1]):
            steps.append({**step._asdict(), "plan": step.plan.to_json_data()})
            note = f"slimming, {len(steps)}: {step.action}, {step.price:.4g} of {budgets[-1]:.4g}"
            self.context.progress(0, 0, note)
        best = {budget: best_within(judge.losses, self.prices, budget) for budget in budgets}
        chosen = [filled(plan, self.largest, self.prices, judge, budget) for budget, plan in best.items()]
        return {
            "steps": steps,
            "chosen": [plan.to_json_data() for plan in chosen],
            "judged": len(judge.losses),
            "cpu_s": time.process_time() - started,
        }

    def milliseconds(self, net: nn.Module) -> float:
        return self.experiment.milliseconds(self.settings, net, self.labelled.shape)

    def random(self, budget: float) -> Plan:
        return random(self.largest, self.prices, budget, self.context.rng)

    @cached_property
    def price(self) -> NetPrice:
        s = self.settings
        return self.experiment.latency(s, self.context) if s.budget_ms else macs

    def price_of(self, net: nn.Module) -> float:
        """Of a whole net."""
        return self.price(net, self.labelled.shape)

    @cached_property
    def prices(self) -> PlanPrices:
        return PlanPrices(self.price, **self.frame)

    def keep(self, net: nn.Module, budget: float) -> JSON:
        """A slimmed net as files."""
        assert isinstance(net, SlimNet)
        net.eval()
        self.context.artefact(f"net-{budget:.4g}.safetensors", saved(net))
        self.context.artefact(f"plan-{budget:.4g}.json", json.dumps(net.plan.to_json_data(), indent=1).encode())
        self.context.artefact(f"net-{budget:.4g}.onnx", to_onnx(net, torch.zeros(1, *self.labelled.shape)))
        return None

    @cached_property
    def labelled(self) -> Labelled:
        return self.settings.labelled()

    @property
    def images(self) -> Chosen:
        return self.labelled.images

    @property
    def frame(self) -> dict[str, int]:
        """What of a net is not its plan."""
        return {"image": self.labelled.shape[1], "classes": self.labelled.classes, "stride": self.settings.stride}


def cpu_seconds(epochs: Sequence[Mapping[str, Any]]) -> float:
    return sum(float(epoch["cpu_s"]) for epoch in epochs)
