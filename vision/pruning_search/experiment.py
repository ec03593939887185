"""Widths that were learned against widths by rule, each net trained further for as many seconds."""

import copy
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from typing import Any, Literal, get_args

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from shared.core.admm import ADMM
from shared.core.relax import Relaxation
from shared.lab import JSON, Context, Experiment, Page, Row
from shared.training.epochs import NesterovCosine, Trainer
from shared.training.loop import Schedule, seeded
from shared.weights.blocks import ChannelSparsity
from shared.weights.compress import compress
from shared.weights.compressed import fitted
from shared.weights.files import to_bytes
from shared.weights.prices import MACs
from vision.data.augment import Augmented, as_input
from vision.data.chosen import Chosen, ImageSettings
from vision.data.cifar10 import SHAPE, Images
from vision.nets.onnx_file import to_onnx
from vision.nets.repvgg import RepVGG
from vision.nets.resnet import ResNet8
from vision.pruning_search.gates import GateSettings
from vision.pruning_search.page import page
from vision.pruning_search.price import WidthPrice
from vision.pruning_search.rebuild import plain
from vision.pruning_search.rivals import RIVALS
from vision.pruning_search.search import PrunedNet, gated_net, pruned_net, settled, width_price
from vision.pruning_search.space import ChannelSpace
from vision.training.evaluate import correct
from vision.training.stages import trained

SOLVERS = ("admm", "relaxation")
"""Of the core, over the menu that keeps or drops each channel."""
Control = Literal["uniform", "l1_group", "bn_gamma", "random", "admm", "relaxation"]
PROJECTIONS = 10
"""Of a solver of the core."""
CALIBRATION = 500
"""Training images from which the number formats of a compiled net are."""


class PruningSearchSettings(ImageSettings):
    """The net, its training, the budget, and what it is compared with."""

    macs: float = Field(default=0.25, gt=0, le=1, description="share of the multiply-accumulates that is kept")
    ms: float | None = Field(
        default=None,
        gt=0,
        description="instead of macs: milliseconds of the net as a library of 8-bit integers, predicted",
    )
    net: Literal["resnet8", "repvgg"] = Field(default="resnet8", description="the net whose widths are searched")
    width: int = Field(
        default=16, gt=1, description="channels of the first stage; the others have 2 and 4 times as many"
    )
    epochs: int = Field(default=10, gt=0, description="epochs of the wide net, from which everything starts")
    search: int = Field(default=2, gt=0, description="epochs of the search, on the wide net")
    tuning: int = Field(default=8, gt=0, description="epochs of the net that the search chose")
    exchange: float = Field(
        default=2.5, ge=0, description="epochs of a narrow net that controls by rule have for one of the search"
    )
    batch: int = Field(default=64, gt=1, description="images of a training step")
    rate: float = Field(default=0.1, gt=0, description="highest learning rate of the wide net")
    search_rate: float = Field(default=0.05, gt=0, description="learning rate of the search, of weights and gates")
    tuning_rate: float = Field(default=0.05, gt=0, description="highest learning rate of all narrow nets")
    weight: float = Field(
        default=60.0, gt=0, description="of the squared difference to the budget in the search's loss"
    )
    minimum: int = Field(default=2, gt=0, description="channels that every group keeps")
    multiple: int = Field(default=1, gt=0, description="widths are multiples of this")
    controls: tuple[Control, ...] = Field(
        default=get_args(Control), description="what chooses widths beside the search"
    )


class PruningSearch(Experiment[PruningSearchSettings]):
    """Learn the width of every layer for a budget, beside widths by rule and by the solvers of the core.

    One cell is one seed: the wide net, the search, and every control from the same weights.
    """

    name = "pruning_search"
    version = 1

    def data(self, cell: PruningSearchSettings) -> Mapping[str, str]:
        return cell.hashes()

    def run(self, cell: PruningSearchSettings, context: Context) -> Mapping[str, JSON]:
        return _Cell(cell, context, self).result()

    def latency(self, wide: nn.Module, layers: Sequence[str], context: Context) -> WidthPrice:
        """Predicted milliseconds of a plain net by the widths that `layers` write, on this machine.

        `qwedge run` knows how; here it raises `ValueError`.
        """
        raise ValueError("ms needs a latency: take `qwedge run pruning_search`, or macs")

    def milliseconds(self, used: nn.Module, images: Images) -> float:
        """Measured milliseconds of a plain net, compiled with number formats from `images`.

        `qwedge run` knows how; here it raises `ValueError`.
        """
        raise ValueError("ms needs a compiler: take `qwedge run pruning_search`, or macs")

    def page(self, rows: Sequence[Row]) -> Page:
        return page(rows)


class _Cell:
    """The stages of one cell."""

    def __init__(self, settings: PruningSearchSettings, context: Context, experiment: PruningSearch) -> None:
        self.settings, self.context, self.experiment = settings, context, experiment
        # The core's blocks are channels, and a latency is one of widths.
        self.controls = [name for name in settings.controls if settings.ms is None or name in RIVALS]
        tuned = sum(self.tuning(name) + 2 for name in ("search", *self.controls))
        context.plan(settings.epochs + settings.search + tuned + 3)

    def tuning(self, name: str) -> int:
        """Epochs of a narrow net. A net by rule has more, in place of a search on the wide net."""
        s = self.settings
        return s.tuning + (round(s.search * s.exchange) if name in RIVALS else 0)

    def result(self) -> Mapping[str, JSON]:
        s = self.settings
        seed = self.context.stage("first weights", lambda: int(self.context.rng.integers(2**62)))
        wide = seeded(self.build, torch.Generator().manual_seed(seed))
        self.space = ChannelSpace.of(wide, self.example)
        self.price, self.budget = self.priced(wide)  # weights do not matter yet, and an impossible budget is refused
        wide_epochs = self.after("wide", wide, s.epochs, s.rate, warm=0.2)
        answers = {"wide": self.count("wide", wide)}
        nets, times = dict[str, Any](), self.timed("wide", wide)
        for name in ("search", *self.controls):
            net, about = self.searched(wide) if name == "search" else self.controlled(name, wide)
            about["tuned"] = self.after(f"{name}, tuned", net, self.tuning(name), s.tuning_rate)
            answers[name] = self.count(name, net)
            times |= self.timed(name, net)
            if name == "search":
                about["reparam_error"] = self.context.stage("files", partial(self.keep, net))
            nets[name] = {**about, "macs": macs(net)}
        return {
            "data": {"name": self.images.about, "part": s.part, "trained_on": len(self.images.train.labels)},
            "scored": len(self.images.scored.labels),
            "macs": macs(wide),
            "price": {"unit": self.price.unit, "wide": full_price(self.price, self.space), "budget": self.budget},
            "wide_epochs": wide_epochs,
            "correct": answers,
            "nets": nets,
            **({"measured_ms": times} if times else {}),
        }

    def priced(self, wide: nn.Module) -> tuple[WidthPrice, float]:
        """The price of widths, and the budget in its unit."""
        if self.settings.ms is not None:
            layers = [group.writers[0].path for group in self.space.groups]
            price = self.experiment.latency(plain(wide, self.example), layers, self.context)
            if full_price(price, self.space) <= self.settings.ms:
                raise ValueError(
                    f"ms={self.settings.ms:g}: the wide net takes {full_price(price, self.space):.4g} ms; ask for less"
                )
            return price, self.settings.ms
        price = width_price(wide, self.space, MACs(SHAPE))
        return price, self.settings.macs * full_price(price, self.space)

    def build(self) -> nn.Module:
        s = self.settings
        return ResNet8(s.width) if s.net == "resnet8" else RepVGG((s.width, 2 * s.width, 4 * s.width), (2, 2, 2))

    def after(self, name: str, net: nn.Module, epochs: int, rate: float, warm: float = 0.0) -> list[Mapping[str, JSON]]:
        """Trains the net; the results of each epoch."""
        trainer = Trainer(net, NesterovCosine(epochs, rate, warm=warm, batch=self.settings.batch))
        return trained(self.context, name, trainer, self.images.train, self.images.held_back)

    def searched(self, wide: nn.Module) -> tuple[nn.Module, dict[str, Any]]:
        s = self.settings
        schedule = NesterovCosine(s.search, s.search_rate, warm=0.0, batch=s.batch, decay=1e-4)
        steps = s.search * (len(self.images.train.labels) // min(s.batch, len(self.images.train.labels)))
        gates = GateSettings(weight=s.weight, minimum=s.minimum)
        gated = gated_net(
            wide, self.example, self.price, self.budget / full_price(self.price, self.space), steps, gates
        )
        trainer = Trainer(gated, schedule, gated.penalised(cross_entropy))
        epochs = trained(self.context, "search", trainer, self.images.train, self.images.held_back)
        chosen = settled(gated, self.example, s.multiple)
        self.chosen = chosen
        return chosen.module, {**self.about(chosen), "searched": epochs}

    def controlled(self, name: str, wide: nn.Module) -> tuple[nn.Module, dict[str, Any]]:
        if name in SOLVERS:
            return self.solved(name, wide)
        s = self.settings
        seed = self.context.stage(f"{name}, chosen", lambda: int(self.context.rng.integers(2**62)))
        scores = RIVALS[name](wide, self.space, torch.Generator().manual_seed(seed))
        chosen = pruned_net(wide, self.space, self.price, self.budget, scores, self.example, s.minimum, s.multiple)
        return chosen.module, self.about(chosen)

    def solved(self, name: str, wide: nn.Module) -> tuple[nn.Module, dict[str, Any]]:
        """By a solver of the core, with as many training steps as the search, on norms that are fixed."""
        s = self.settings
        steps = s.search * (len(self.images.train.labels) // s.batch)
        each = max(steps // PROJECTIONS, 1)

        def compute() -> JSON:
            started = time.process_time()
            solver = (
                ADMM(rho=1e-2, growth=1.2, steps=PROJECTIONS, fine_tune=0)
                if name == "admm"
                else Relaxation(rho=1e-2, steps=steps, reprice_every=each, rate=0.02, fine_tune=0)
            )
            compressed = compress(
                wide,
                Augmented(self.images.train),
                on=ChannelSparsity(),
                price=MACs(SHAPE),
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

    def about(self, chosen: PrunedNet) -> dict[str, Any]:
        widths = [len(part) for part in chosen.kept]
        return {"names": list(chosen.names), "sizes": list(chosen.sizes), "widths": widths, "measured": chosen.measured}

    def keep(self, net: nn.Module) -> JSON:
        """The net that the search chose, as files; the largest difference of the plain net's answers."""
        chosen = replace(self.chosen, module=net.eval())
        used = chosen.plain()
        x = as_input(torch.from_numpy(self.images.scored.pixels[:: max(len(self.images.scored.labels) // 100, 1)]))
        with torch.no_grad():
            expected, actual = net(x), used(x)
        self.context.artefact("net.safetensors", to_bytes(used))
        self.context.artefact("widths.json", json.dumps(chosen.to_json_data(), indent=1).encode())
        self.context.artefact("net.onnx", to_onnx(used, x[:1]))
        return float((actual - expected).abs().max() / expected.abs().max())

    def timed(self, name: str, net: nn.Module) -> dict[str, float]:
        """Where the budget is one of milliseconds, those that were measured."""
        if self.settings.ms is None:
            return {}
        used, images = plain(net, self.example), self.images.train.first(CALIBRATION // 10)
        return {name: self.context.stage(f"{name}, timed", lambda: self.experiment.milliseconds(used, images))}

    def count(self, name: str, net: nn.Module) -> int:
        return int(self.context.stage(f"{name}, counted", lambda: correct(net, self.images.scored)))

    @cached_property
    def images(self) -> Chosen:
        return self.settings.chosen()

    @cached_property
    def example(self) -> Tensor:
        return as_input(torch.from_numpy(self.images.train.pixels[:2]))


def full_price(price: WidthPrice, space: ChannelSpace) -> float:
    """The price of the wide net."""
    return float(price.expected(torch.tensor(space.sizes, dtype=torch.float64)))


def macs(net: nn.Module) -> int:
    """Multiply-accumulates of one image through the net for use."""
    used = plain(net, torch.zeros(1, *SHAPE))
    return int(MACs(SHAPE).number_costs(used, (), None).double().sum())
