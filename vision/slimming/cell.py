"""One seed of the experiment: the supernet, the candidates of each budget, and every control trained for as long."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from typing import Any, NamedTuple, TypeVar

import torch
from torch import nn

from shared.lab import JSON, Context
from shared.training.data import Shuffled
from shared.training.device import device_of
from shared.training.epochs import NesterovCosine, Trainer
from shared.training.loop import seeded
from vision.data.augment import Augmented, as_input
from vision.data.chosen import Chosen
from vision.data.cifar10 import Images
from vision.data.folders import Labelled
from vision.nets.onnx_file import to_onnx
from vision.slimming.files import saved
from vision.slimming.halving import rounds
from vision.slimming.judge import Judge
from vision.slimming.net import SlimNet, Supernet
from vision.slimming.plan import STEP, Plan
from vision.slimming.prices import NetPrice, PlanPrices, macs
from vision.slimming.rivals import FAMILIES, build, largest_within
from vision.slimming.search import best_within, filled, random, slimmed, uniform
from vision.slimming.settings import SlimmingSettings
from vision.slimming.target import Target
from vision.training.evaluate import correct
from vision.training.stages import trained

N = TypeVar("N", bound=nn.Module)
TIMED = 8
"""Training steps by which the time of an epoch is estimated."""


class Competitor(NamedTuple):
    """A net within a budget, before it is trained."""

    spelled: str
    price: float
    build: Callable[[], nn.Module]
    plan: Plan | None = None


class Racer(NamedTuple):
    """A candidate for the slimmed net of a budget, and its training."""

    title: str
    competitor: Competitor
    trainer: Trainer
    tuned: list[Mapping[str, JSON]]


class Cell:
    """The stages of one cell."""

    def __init__(self, settings: SlimmingSettings, context: Context, target: Target) -> None:
        self.settings, self.context, self.target = settings, context, target
        self.largest = settings.largest()
        s, budgets = settings, len(set(settings.budget_ms or settings.macs))
        context.plan(s.supernet + 3 + budgets * (1 + len(s.controls)) * (s.tuning + 4))

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
        search: Any = self.context.stage("slimming", lambda: self.course(supernet, budgets))
        chosen = dict(zip(budgets, map(Plan.from_json_data, search["chosen"]), strict=True))
        raced = {budget: self.raced(budget, self.candidates(chosen[budget], budget)) for budget in budgets}
        search_s = search["cpu_s"] + cpu_seconds(learned)
        whole_s = sum(cpu_seconds(nets["slimmed"]["tuned"]) for _, nets in raced.values())
        for budget, (race, nets) in raced.items():
            # One supernet and one course serve all budgets; each bears its part by the time of its training.
            slimmed_s = cpu_seconds(nets["slimmed"]["tuned"])
            longer_s = slimmed_s * (1 + search_s / whole_s) + race["dropped_cpu_s"]
            for name, net in controls[budget].items():
                nets[name] = self.trained(name, budget, net, slimmed_s if name == "uniform" else longer_s)
        return {
            "data": {"name": self.images.about, "part": s.part, "trained_on": len(self.images.train.labels)},
            "classes": self.labelled.classes,
            "scored": len(self.images.scored.labels),
            "price": {"unit": "ms" if s.budget_ms else "MACs", "runtime": s.runtime, "largest": full},
            "largest": self.largest.to_json_data(),
            "searched": learned,
            "search_cpu_s": search_s + sum(race["dropped_cpu_s"] for race, _ in raced.values()),
            "course": search["steps"],
            "judged": search["judged"],
            "shares": supernet.shares(),
            "budgets": [{"budget": budget, "race": race, "nets": nets} for budget, (race, nets) in raced.items()],
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
            nets["random"] = self.random("random plan", budget)
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

    def candidates(self, plan: Plan, budget: float) -> Mapping[str, Competitor]:
        """The plan of the course, uniform scaling, and random ones. None has weights before the race."""
        nets = {"course": self.competitor(plan)}
        if self.settings.candidates > 1:
            nets["uniform"] = self.competitor(uniform(self.largest, self.prices, budget))
        for number in range(1, self.settings.candidates - 1):
            nets[f"random {number}"] = self.random(f"random candidate {number}", budget)
        return nets

    def raced(self, budget: float, candidates: Mapping[str, Competitor]) -> tuple[dict[str, Any], dict[str, Any]]:
        """The race of a budget's candidates, and its winner, trained to the end, as the slimmed net."""
        scaled = self.competitor(uniform(self.largest, self.prices, budget))
        seconds = self.settings.tuning * self.epoch_s(f"training within {budget:g}", scaled)
        racers = {name: self.racer(name, budget, net, seconds) for name, net in candidates.items()}
        held = list(rounds(list(racers), lambda name, share: self.lost(racers[name], share), self.settings.racing))
        winner = held[-1].kept()[0] if held else next(iter(racers))
        race = {
            "candidates": {name: net.spelled for name, net in candidates.items()},
            "rounds": [each._asdict() for each in held],
            "winner": winner,
            "dropped_cpu_s": sum(cpu_seconds(racer.tuned) for name, racer in racers.items() if name != winner),
        }
        best = racers[winner]
        self.go_on(best, best.trainer.schedule.epochs)
        net = self.answered("slimmed", budget, best.competitor, best.trainer.net, best.tuned)
        self.context.stage(f"slimmed within {budget:g}, files", lambda: self.keep(best.trainer.net, budget))
        return race, {"slimmed": net}

    def racer(self, name: str, budget: float, competitor: Competitor, seconds: float) -> Racer:
        title = f"{name} raced within {budget:g}"
        net = self.seeded(title, competitor.build)
        epochs = max(1, round(seconds / self.epoch_s(title, competitor)))
        return Racer(title, competitor, self.trainer(net, epochs), [])

    def lost(self, racer: Racer, share: float) -> float:
        """The mean loss of the last epoch, after a share of the training.

        Each image was varied anew and came up a few times at most. So early it ranks nets better than the loss on the
        fewer images that are held back, with norms of running statistics (B. Ru et al., arXiv 2006.04492).
        """
        self.go_on(racer, max(1, int(share * racer.trainer.schedule.epochs)))
        loss: Any = racer.tuned[-1]["loss"]
        return float(loss)

    def go_on(self, racer: Racer, until: int) -> None:
        racer.tuned.extend(self.epochs(racer.title, racer.trainer, until))

    def trained(self, name: str, budget: float, competitor: Competitor, seconds: float) -> Mapping[str, JSON]:
        """A control, trained for so many seconds."""
        title = f"{name} within {budget:g}"
        net = self.seeded(title, competitor.build)
        tuned = self.after(title, net, max(1, round(seconds / self.epoch_s(title, competitor))))
        return self.answered(name, budget, competitor, net, tuned)

    def answered(
        self, name: str, budget: float, competitor: Competitor, net: nn.Module, tuned: Sequence[Mapping[str, JSON]]
    ) -> Mapping[str, JSON]:
        """What a trained net costs, and how many of its answers are right."""
        title = f"{name} within {budget:g}"
        right = int(self.context.stage(f"{title}, counted", lambda: correct(net, self.images.scored)))
        measured = {}
        if self.settings.budget_ms:
            measured = {"measured_ms": self.context.stage(f"{title}, timed", lambda: self.milliseconds(net))}
        return {
            "spelled": competitor.spelled,
            **({"plan": competitor.plan.to_json_data()} if competitor.plan is not None else {}),
            "price": competitor.price,
            **measured,
            "macs": macs(net, self.labelled.shape),
            "parameters": sum(parameter.numel() for parameter in net.parameters()),
            "correct": right,
            "tuned": list(tuned),
        }

    def seeded(self, name: str, build: Callable[[], N]) -> N:
        seed = self.context.stage(f"{name}, first weights", lambda: int(self.context.rng.integers(2**62)))
        return seeded(build, torch.Generator().manual_seed(seed))

    def epoch_s(self, title: str, competitor: Competitor) -> float:
        """CPU seconds of an epoch of a net's training, by a few steps of a copy."""

        def timed() -> float:
            trainer = self.trainer(seeded(competitor.build, torch.Generator()), 1)
            per_class = -(-TIMED * self.settings.batch // self.labelled.classes)
            some = Shuffled(self.augmented(self.images.train.first(per_class)), self.settings.batch, torch.Generator())
            trainer.run_epoch(some)  # what is set up once
            started = time.process_time()
            trainer.run_epoch(some)
            every = Shuffled(self.augmented(self.images.train), self.settings.batch, torch.Generator())
            return (time.process_time() - started) * len(every) / len(some)

        return float(self.context.checkpoint(f"{title}, an epoch timed", timed))

    def after(self, name: str, net: nn.Module, epochs: int) -> list[Mapping[str, JSON]]:
        """Trains the net; the results of each epoch."""
        return self.epochs(name, self.trainer(net, epochs), epochs)

    def trainer(self, net: nn.Module, epochs: int) -> Trainer:
        s = self.settings
        return Trainer(net, NesterovCosine(epochs, s.rate, warm=0.2, batch=s.batch))

    def epochs(self, name: str, trainer: Trainer, until: int) -> list[Mapping[str, JSON]]:
        """Trains up to an epoch; the results of each."""
        images, trivial = self.images, self.settings.augment == "trivial"
        return trained(self.context, name, trainer, images.train, images.held_back, trivial, until)

    def augmented(self, images: Images) -> Augmented:
        return Augmented(images, trivial=self.settings.augment == "trivial")

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
        return self.target.milliseconds(self.settings, net, self.labelled.shape)

    def random(self, title: str, budget: float) -> Competitor:
        def picked() -> JSON:
            return random(self.largest, self.prices, budget, self.context.rng).to_json_data()

        plan: Any = self.context.stage(f"{title} within {budget:g}", picked)
        return self.competitor(Plan.from_json_data(plan))

    @cached_property
    def price(self) -> NetPrice:
        s = self.settings
        return self.target.latency(s, self.context) if s.budget_ms else macs

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
