"""One seed of the experiment: the wide net, the search, and every control from the same weights."""

import copy
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from typing import Any

import torch
from torch import Tensor, nn

from shared.core.admm import ADMM
from shared.core.relax import Relaxation
from shared.lab import JSON, Context
from shared.training.data import Shuffled
from shared.training.epochs import NesterovCosine, Trainer
from shared.training.loop import Schedule, seeded
from shared.weights.blocks import ChannelSparsity
from shared.weights.compress import compress
from shared.weights.compressed import fitted
from shared.weights.files import to_bytes
from shared.weights.prices import MACs
from vision.nets.onnx_file import to_onnx
from vision.pruning_search.gates import GateSettings
from vision.pruning_search.price import ScaledPrice, WidthPrice
from vision.pruning_search.rebuild import plain
from vision.pruning_search.rivals import RIVALS
from vision.pruning_search.search import PrunedNet, gated_net, pruned_net, width_price
from vision.pruning_search.settings import PruningSearchSettings
from vision.pruning_search.space import ChannelSpace
from vision.pruning_search.target import Target
from vision.pruning_search.widths import widths_within
from vision.training.stages import epochs

PROJECTIONS = 10
"""Of a solver of the core."""
CHOICES = 4
"""Of widths for a budget in milliseconds, at most."""
MET = 0.01
"""The share of a budget in milliseconds by which a measured time may miss it before widths are chosen again."""
CALIBRATION = 500
"""Training examples from which the number formats of a compiled net are; a tenth of them where it is only timed."""


class Cell:
    """The stages of one cell."""

    def __init__(self, settings: PruningSearchSettings, context: Context, target: Target) -> None:
        self.settings, self.context, self.target = settings, context, target
        self.workload = target.workload(settings)
        tuned = sum(self.tuning(name) + 2 for name in ("search", *settings.controls))
        context.plan(settings.epochs + settings.search + tuned + 3)

    def tuning(self, name: str) -> int:
        """Epochs of a narrow net. A net by rule has more, in place of a search on the wide net."""
        s = self.settings
        return s.tuning + (round(s.search * s.exchange) if name in RIVALS else 0)

    def result(self) -> Mapping[str, JSON]:
        s, reached = self.settings, dict[str, JSON]()
        seed = self.context.stage("first weights", lambda: int(self.context.rng.integers(2**62)))
        wide = seeded(self.workload.build, torch.Generator().manual_seed(seed))
        self.space = ChannelSpace.of(wide, self.example)
        self.price, self.budget = self.priced(wide)  # weights do not matter yet
        any_scores = [torch.zeros(size) for size in self.space.sizes]
        widths_within(any_scores, self.price, self.budget, s.minimum, s.multiple)  # refuses a budget that none meets
        wide_epochs = self.after("wide", wide, s.epochs, s.rate, warm=0.2)
        reached["wide"] = self.reached("wide", wide)
        nets, times = dict[str, Any](), self.timed("wide", wide)
        controls, missing = self.controls(wide)
        for name in ("search", *controls):
            net, about = self.searched(wide) if name == "search" else self.controlled(name, wide)
            about["tuned"] = self.after(f"{name}, tuned", net, self.tuning(name), s.tuning_rate)
            reached[name] = self.reached(name, net)
            times |= self.timed(name, net)
            if name == "search":
                kept: Any = self.context.stage("files", partial(self.keep, net))
                about["reparam_error"] = kept["reparam_error"]
                missing |= kept["missing"]
            nets[name] = {**about, "macs": self.macs(net)}
        return {
            "data": {"name": self.workload.about, "part": s.part, "trained_on": len(self.workload.train)},
            "scored": self.workload.scored,
            "macs": self.macs(wide),
            "price": {"unit": self.price.unit, "wide": full_price(self.price, self.space), "budget": self.budget},
            "wide_epochs": wide_epochs,
            self.workload.key: reached,
            "nets": nets,
            **({"measured_ms": times} if times else {}),
            "missing": missing,
        }

    def controls(self, wide: nn.Module) -> tuple[list[str], dict[str, str]]:
        """Those that can be asked here, and why the others cannot."""
        s, missing = self.settings, dict[str, str]()
        for name in s.controls:
            if name in RIVALS:
                try:
                    RIVALS[name](wide, self.space, torch.Generator())
                except (ValueError, ModuleNotFoundError) as error:
                    missing[name] = str(error)
            elif s.ms is not None:
                missing[name] = "its blocks are channels, and a latency is one of widths"
            elif s.task != "classification":
                missing[name] = "asked for classification alone"
        return [name for name in s.controls if name not in missing], missing

    def priced(self, wide: nn.Module) -> tuple[WidthPrice, float]:
        """The price of widths, and the budget in its unit."""
        if self.settings.ms is not None:
            layers = [group.writers[0].path for group in self.space.groups]
            price = self.target.latency(plain(wide, self.example), layers, self.context)
            if full_price(price, self.space) <= self.settings.ms:
                raise ValueError(
                    f"ms={self.settings.ms:g}: the wide net takes {full_price(price, self.space):.4g} ms; ask for less"
                )
            return price, self.settings.ms
        price = width_price(wide, self.space, self.count)
        return price, self.settings.macs * full_price(price, self.space)

    def after(self, name: str, net: nn.Module, count: int, rate: float, warm: float = 0.0) -> list[Mapping[str, JSON]]:
        """Trains the net; the results of each epoch."""
        schedule = NesterovCosine(count, rate, warm=warm, batch=self.settings.batch)
        return self.trained(name, Trainer(net, schedule, self.workload.loss))

    def trained(self, name: str, trainer: Trainer) -> list[Mapping[str, JSON]]:
        work, batch = self.workload, self.settings.batch
        return epochs(
            self.context,
            name,
            trainer,
            lambda: Shuffled(work.train, batch, self.context.generator()),
            work.validated,
        )

    def searched(self, wide: nn.Module) -> tuple[nn.Module, dict[str, Any]]:
        s = self.settings
        schedule = NesterovCosine(s.search, s.search_rate, warm=0.0, batch=s.batch, decay=1e-4)
        gates = GateSettings(weight=s.weight, minimum=s.minimum, balanced=True)
        gated = gated_net(
            wide, self.example, self.price, self.budget / full_price(self.price, self.space), self.steps, gates
        )
        trainer = Trainer(gated, schedule, gated.penalised(self.workload.loss))
        course = self.trained("search", trainer)
        scores = torch.split(gated.scores.detach().cpu(), gated.space.sizes)
        self.chosen, about = self.pruned("search", gated.net, scores)
        return self.chosen.module, {**about, "searched": course}

    def controlled(self, name: str, wide: nn.Module) -> tuple[nn.Module, dict[str, Any]]:
        if name not in RIVALS:
            return self.solved(name, wide)
        seed = self.context.stage(f"{name}, chosen", lambda: int(self.context.rng.integers(2**62)))
        scores = RIVALS[name](wide, self.space, torch.Generator().manual_seed(seed))
        chosen, about = self.pruned(name, wide, scores)
        return chosen.module, about

    def pruned(self, name: str, net: nn.Module, scores: Sequence[Tensor]) -> tuple[PrunedNet, dict[str, Any]]:
        """The net of the channels of highest score within the budget, if it is one of milliseconds as measured."""
        s = self.settings

        def chosen(factor: float) -> PrunedNet:
            price = self.price if factor == 1 else ScaledPrice(self.price, factor)
            return pruned_net(net, self.space, price, self.budget, scores, self.example, s.minimum, s.multiple)

        pruned, about = (chosen(1.0), {}) if s.ms is None else self.met(name, chosen)
        widths = [len(part) for part in pruned.kept]
        named = {"names": list(pruned.names), "sizes": list(pruned.sizes), "widths": widths}
        return pruned, {**named, "measured": pruned.measured, **about}

    def met(self, name: str, chosen: Callable[[float], PrunedNet]) -> tuple[PrunedNet, dict[str, Any]]:
        """Of the nets `chosen` at prices times a factor, that whose measured time is nearest to the budget.

        The factor is what the choice before took over what its widths were predicted to take: laws of latency are off
        by about as much for a net a few channels wider.
        """
        factor, tried = 1.0, []
        for choice in range(1, CHOICES + 1):
            pruned = chosen(factor)
            [ms] = self.timed(f"{name}, choice {choice}", pruned.module).values()
            tried.append((abs(ms / self.budget - 1), choice, factor, pruned))
            if tried[-1][0] <= MET:
                break
            factor *= ms / pruned.measured
        _, choice, factor, pruned = min(tried)
        return pruned, {"refit": factor, "choice": choice}

    def solved(self, name: str, wide: nn.Module) -> tuple[nn.Module, dict[str, Any]]:
        """By a solver of the core, with as many training steps as the search, on norms that are fixed."""
        s, each = self.settings, max(self.steps // PROJECTIONS, 1)

        def compute() -> JSON:
            started = time.process_time()
            solver = (
                ADMM(rho=1e-2, growth=1.2, steps=PROJECTIONS, fine_tune=0)
                if name == "admm"
                else Relaxation(rho=1e-2, steps=self.steps, reprice_every=each, rate=0.02, fine_tune=0)
            )
            compressed = compress(
                wide,
                self.workload.train,
                on=ChannelSparsity(),
                price=self.count,
                budget=s.macs,
                solver=solver,
                schedule=Schedule(each, batch=s.batch),
                tuning=Schedule(0),
                seed=int(self.context.rng.integers(2**31)),
                progress=self.context.progress,
            )
            self.context.save_tensors(name, compressed.module.state_dict())
            return {"cpu_s": time.process_time() - started, "status": compressed.report.status}

        about: dict[str, Any] = self.context.stage(f"{name}, solved", compute)
        return fitted(copy.deepcopy(wide), self.context.load_tensors(name), name), about

    def keep(self, net: nn.Module) -> JSON:
        """The net that the search chose, as files: the largest difference of the plain net's answers, and what could
        not be written.
        """
        chosen = replace(self.chosen, module=net.eval())
        used, x = chosen.plain(), self.workload.shown
        with torch.no_grad():
            expected, actual = net(x), used(x)
        self.context.artefact("net.safetensors", to_bytes(used))
        self.context.artefact("widths.json", json.dumps(chosen.to_json_data(), indent=1).encode())
        self.context.artefact("net.onnx", to_onnx(used, x[:1]))
        missing = {}
        try:
            for name, data in self.target.library(self.settings, used, self.examples(CALIBRATION)).items():
                self.context.artefact(name, data)
        except ValueError as error:
            missing["library"] = str(error)
        return {"reparam_error": float((actual - expected).abs().max() / expected.abs().max()), "missing": missing}

    def timed(self, name: str, net: nn.Module) -> dict[str, float]:
        """Where the budget is one of milliseconds, those that were measured."""
        if self.settings.ms is None:
            return {}
        used, inputs = plain(net, self.example), self.examples(CALIBRATION // 10)
        return {name: self.context.stage(f"{name}, timed", lambda: self.target.milliseconds(used, inputs))}

    def reached(self, name: str, net: nn.Module) -> JSON:
        reached: JSON = self.context.stage(f"{name}, counted", lambda: self.workload.reached(net))
        return reached

    def examples(self, count: int) -> Tensor:
        """So many inputs of training, as training varies them."""
        train = self.workload.train
        picked = torch.linspace(0, len(train) - 1, min(count, len(train))).long()
        return train.batch(picked, torch.Generator().manual_seed(0))[0]

    def macs(self, net: nn.Module) -> int:
        """Multiply-accumulates of one example through the net for use."""
        return int(self.count.number_costs(plain(net, self.example), (), None).double().sum())

    @property
    def steps(self) -> int:
        """Of the search."""
        count = len(self.workload.train)
        return self.settings.search * (count // min(self.settings.batch, count))

    @cached_property
    def count(self) -> MACs:
        return MACs(self.example)

    @cached_property
    def example(self) -> Tensor:
        return self.examples(2)


def full_price(price: WidthPrice, space: ChannelSpace) -> float:
    """The price of the wide net."""
    return float(price.expected(torch.tensor(space.sizes, dtype=torch.float64)))
