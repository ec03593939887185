"""A generator whose widths and depth are searched for a budget under its teacher, beside nets trained for as long."""

import copy
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from types import MappingProxyType
from typing import Any, Literal, get_args

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from shared.exporters.litert_file import import_tensorflow, to_litert
from shared.lab import JSON, Context, Experiment, Page, Row
from shared.training.epochs import Trainer
from shared.training.loop import Net, seeded
from shared.weights.prices import MACs
from vision.data.crops import to_text
from vision.data.picture_folder import FolderSettings
from vision.nets.onnx_file import to_onnx
from vision.pruning_search.depth import kept_parts
from vision.pruning_search.gates import GatedNet, GateSettings
from vision.pruning_search.price import ScaledPrice, WidthPrice
from vision.pruning_search.schedule import GateSchedule
from vision.stylize.classical import classical
from vision.stylize.nets import STRIDE, Discriminator, Generator, Shape
from vision.stylize.page import page
from vision.stylize.pairs import Pair
from vision.stylize.pretrained import pretrained
from vision.stylize.quality import Style, quality, styled_bytes
from vision.stylize.search import (
    channels_price,
    chosen,
    gated_net,
    part_of,
    random_scores,
    shape_price,
    uniform_scores,
)
from vision.stylize.sources import Source, generated, hashes, load
from vision.stylize.stylizer import plain_net, stylizer, to_bytes
from vision.stylize.training import BATCH, Taught, epoch_of, trainer
from vision.training.stages import epochs, whole_epochs

Rival = Literal["uniform", "random"]
STEP_MS = {"pixel": 0.0015, "trained": 85.0, "teacher": 25.0}
"""CPU milliseconds of a training step: for each pixel of its patches, most of it the discriminator's, and for each
thousand million multiply-accumulates of the net that is trained and of the teacher.

Measured once on a core with AVX2, so that what is trained for as long does not depend on the machine; only their ratios
count, and rows hold the seconds that it took.
"""
CROP = 96
"""Pixels of the side of what the page shows."""


class StylizeSettings(FolderSettings):
    """The pairs, the budget, the training, and what the searched net is compared with."""

    macs: float = Field(default=0.1, gt=0, le=1, description="share of the teacher's multiply-accumulates")
    budget_ms: float | None = Field(
        default=None,
        gt=0,
        description="instead of macs: milliseconds for a picture of height x width, in the library that is compiled",
    )
    height: int = Field(default=256, gt=3, multiple_of=STRIDE, description="rows of a picture that is timed")
    width: int = Field(default=256, gt=3, multiple_of=STRIDE, description="its columns")
    channels: int = Field(default=16, gt=1, description="channels of the teacher at the whole side")
    blocks: int = Field(default=6, gt=1, description="residual blocks of the teacher")
    teaching: int = Field(default=400, gt=0, description="training steps of the teacher")
    search: int = Field(default=20, gt=0, description="training steps with gates")
    steps: int = Field(default=300, gt=0, description="training steps of the net that the search chose")
    size: int = Field(default=48, ge=8, multiple_of=STRIDE, description="side of a training patch")
    rate: float = Field(default=1e-3, gt=0, description="highest learning rate of Adam")
    search_rate: float = Field(default=5e-4, gt=0, description="highest rate of the weights in the search")
    gate_rate: float = Field(default=0.03, gt=0, description="highest rate of the gates' scores")
    weight: float = Field(default=60.0, gt=0, description="of the squared distance to the budget in the search's loss")
    minimum: int = Field(default=1, gt=0, description="channels of each layer and blocks that are kept at least")
    multiple: int = Field(
        default=1,
        gt=0,
        description="of which the chosen net's widths are multiples: 8 where kernels compute eight channels at once, "
        "as with AVX2; narrower layers take as long",
    )
    rivals: tuple[Rival, ...] = Field(default=get_args(Rival), description="nets that are trained for as long")
    litert: bool = Field(default=False, description="the chosen net as a LiteRT file too, by TensorFlow's converter")
    part: Literal["test", "validation"] = Field(default="test", description="pairs that are compared")
    data: str = Field(
        default="$QWEDGE_DATA/cuhk_sketch64",
        description="folder with folders A and B of pairs, or a folder of pictures that are styled here; $NAMES "
        "expanded; generated pictures where QWEDGE_DATA is not set",
    )


class Stylize(Experiment[StylizeSettings]):
    """Search a net that gives pictures a style within a budget, beside its teacher and other shapes.

    One cell is one seed: the teacher, the search, the chosen net, and every rival, trained for as many seconds.
    """

    name = "stylize"
    version = 2

    def data(self, cell: StylizeSettings) -> Mapping[str, str]:
        return {} if cell.is_generated else hashes(cell.folder)

    def run(self, cell: StylizeSettings, context: Context) -> Mapping[str, JSON]:
        return _Cell(cell, context, self).result()

    def latency(self, plane: tuple[int, int], context: Context) -> Callable[[nn.Module], WidthPrice]:
        """Predicted milliseconds of any plain generator by its widths in the order of `Shape`, on this machine.

        `qwedge run` knows how; here it raises `ValueError`.
        """
        raise ValueError("budget_ms needs a latency: take `qwedge run stylize`, or macs")

    def milliseconds(self, net: nn.Module, plane: tuple[int, int]) -> float | None:
        """Measured milliseconds of a net in ONNX Runtime on one thread; None where it is not installed."""
        return None

    def compiled_milliseconds(self, nets: Sequence[nn.Module], plane: tuple[int, int]) -> list[float] | None:
        """Measured milliseconds of each net in the library that `budget_ms` is of, in turn; None without a compiler."""
        return None

    def page(self, rows: Sequence[Row]) -> Page:
        return page(rows)


class _Cell:
    """The stages of one cell."""

    def __init__(self, settings: StylizeSettings, context: Context, experiment: Stylize) -> None:
        self.settings, self.context, self.experiment = settings, context, experiment
        self.nets: dict[str, dict[str, Any]] = {}
        self.used: dict[str, nn.Module] = {}

    def result(self) -> Mapping[str, JSON]:
        s = self.settings
        if s.litert:
            import_tensorflow()  # before anything is trained
        seed = self.context.stage("first weights", lambda: int(self.context.rng.integers(2**62)))
        teacher = fresh(lambda: Generator(Shape.of(s.channels, s.blocks)), seed)
        self.judge = fresh(Discriminator, seed)
        price = self.price(teacher.shape)
        full = priced(price, teacher.shape)
        budget = s.macs * full if s.budget_ms is None else s.budget_ms
        if budget > full:
            raise ValueError(f"budget_ms={budget:g}: the teacher takes {full:.4g} ms; ask for less, or widen it")
        # Refuses a budget that nothing meets, before anything is trained.
        _, price = self.measured("first choice", price, lambda price: self.chosen(self.gated(teacher, price, budget)))
        self.add("identity", lambda pixels: pixels)  # first, as it refuses pictures that are too small to compare
        self.add("classical", classical, {"ms": self.classical_milliseconds()})

        taught = Taught(teacher, self.judge)
        spent = self.train("teacher", taught, s.teaching)
        self.add_net("teacher", teacher, {"steps": s.teaching, "cpu_s": spent, "priced": priced(price, teacher.shape)})

        gated = self.gated(copy.deepcopy(teacher), price, budget)
        searched = Taught(gated, copy.deepcopy(self.judge), teacher)
        spent = self.train("gates", searched, s.search, scores=gated.scores)
        ours, price = self.measured("choice", price, lambda price: self.chosen(gated, price))
        self.compared("search", ours, teacher, s.steps, price, spent)
        allowance = s.search * self.step_ms(teacher, teacher) + s.steps * self.step_ms(ours, teacher)
        for name in s.rivals:
            choose = partial(self.rival, self.scores(name, teacher), teacher, budget)
            rival, rival_price = self.measured(f"{name}, choice", price, choose)
            self.compared(name, rival, teacher, round(allowance / self.step_ms(rival, teacher)), rival_price)
        self.add("shipped", pretrained().styled)
        self.timed()
        self.keep(ours)
        return {
            "data": self.source.about,
            "part": s.part,
            "pictures": [pair.name for pair in self.scored],
            "price": {"unit": price.unit, "full": priced(price, teacher.shape), "budget": budget},
            "plane": [s.height, s.width],
            "nets": self.nets,
            "flicker": self.flicker(ours),
            "crops": self.crops,
        }

    def price(self, shape: Shape) -> WidthPrice:
        s = self.settings
        if s.budget_ms is not None:
            latency = self.experiment.latency((s.height, s.width), self.context)
            return shape_price(shape, lambda net: latency(plain_net(net)))
        macs = MACs((3, s.height, s.width))
        return shape_price(shape, lambda net: channels_price(net, macs))

    def gated(self, net: Generator, price: WidthPrice, budget: float) -> GatedNet:
        s = self.settings
        gates = GateSettings(weight=s.weight, minimum=s.minimum)
        return gated_net(net, price, min(budget / priced(price, net.shape), 1), s.search, gates)

    def chosen(self, gated: GatedNet, price: WidthPrice | None = None) -> Generator:
        return chosen(gated, price, self.settings.multiple)

    def measured(
        self, name: str, price: WidthPrice, choose: Callable[[WidthPrice], Generator]
    ) -> tuple[Generator, WidthPrice]:
        """What is chosen at a price: for a budget of milliseconds measured, and chosen again at the price, which is
        returned too, scaled to what it took.

        Laws are of kernels on planes of many sizes, and err by as much for all nets of one kind on one plane.
        """
        s, net = self.settings, choose(price)
        if s.budget_ms is None:
            return net, price
        plane, used = (s.height, s.width), plain_net(net)
        times: Any = self.context.stage(
            f"{name}, compiled", lambda: self.experiment.compiled_milliseconds([used], plane)
        )
        price = ScaledPrice.fitted(price, net.shape.sizes, times[0])
        return choose(price), price

    def rival(self, scores: Sequence[Tensor], teacher: Generator, budget: float, price: WidthPrice) -> Generator:
        return part_of(teacher, kept_parts(scores, price, budget, self.settings.minimum))

    def scores(self, name: Rival, teacher: Generator) -> list[Tensor]:
        if name == "uniform":
            return uniform_scores(teacher)
        seed = self.context.stage("random shape", lambda: int(self.context.rng.integers(2**62)))
        return random_scores(teacher, torch.Generator().manual_seed(seed))

    def train(self, name: str, net: Taught, steps: int, scores: Tensor | None = None) -> float:
        """CPU seconds; the net ends trained, in evaluation mode."""
        s = self.settings
        count, each = whole_epochs(steps)
        prepared = trainer(net, count, s.rate)
        if scores is not None:
            gated: Any = net.generator
            schedule = GateSchedule(count, s.search_rate, BATCH, decay=0.0, gate_rate=s.gate_rate, scores=scores)
            prepared = Trainer(net, schedule, gated.penalised(net.loss))
        pairs = self.source.train
        done = epochs(self.context, name, prepared, lambda: epoch_of(pairs, s.size, each, self.context.generator()))
        net.eval()
        return float(sum(epoch["cpu_s"] for epoch in done))  # type: ignore[misc]

    def compared(
        self, name: str, net: Generator, teacher: Generator, steps: int, price: WidthPrice, spent: float = 0.0
    ) -> None:
        """Trains a net under the teacher, and adds what it reaches to the result; `spent` are CPU seconds before."""
        seed = self.context.stage(f"{name}, adapter", lambda: int(self.context.rng.integers(2**62)))
        taught = fresh(lambda: Taught(net, copy.deepcopy(self.judge), teacher), seed)
        spent += self.train(name, taught, steps)
        self.add_net(name, net, {"steps": steps, "cpu_s": spent, "priced": priced(price, net.shape)})

    def add_net(self, name: str, net: Generator, about: Mapping[str, Any]) -> None:
        """What a net costs and reaches."""
        s, used = self.settings, plain_net(net)
        plane = (s.height, s.width)
        cost: dict[str, Any] = {"shape": net.shape.sizes, "macs": per_pixel(net) * s.height * s.width}
        cost["ms"] = self.context.stage(f"{name}, timed", lambda: self.experiment.milliseconds(used, plane))
        self.used[name] = used
        self.add(name, stylizer(net).styled, {**about, **cost})

    def add(self, name: str, style: Style, about: Mapping[str, Any] = MappingProxyType({})) -> None:
        """What a way of styling reaches."""
        reached: Any = self.context.stage(f"{name}, compared", lambda: quality(style, self.scored))
        self.nets[name] = {**about, **reached}
        self.crops[name] = to_text(styled_bytes(style, self.example.picture))

    def timed(self) -> None:
        """Adds the milliseconds of all compiled nets, which take turns."""
        nets, plane = list(self.used.values()), (self.settings.height, self.settings.width)
        times: Any = self.context.stage("compiled", lambda: self.experiment.compiled_milliseconds(nets, plane))
        for number, name in enumerate(self.used):
            self.nets[name]["compiled_ms"] = None if times is None else times[number]

    def classical_milliseconds(self) -> float:
        """CPU time of the classical stylizer, measured, the least of several."""
        s = self.settings
        pixels = np.random.default_rng(0).random((s.height, s.width, 3), np.float32)

        def measured() -> float:
            began = time.process_time()
            classical(pixels)
            return 1000 * (time.process_time() - began)

        return float(self.context.stage("classical, timed", lambda: min(measured() for _ in range(5))))

    def flicker(self, net: Generator) -> float:
        """The mean change, in levels of 256, between what a net makes of the same picture twice."""
        style = stylizer(net).styled
        first, second = (styled_bytes(style, self.example.picture).astype(int) for _ in range(2))
        return float(np.abs(first - second).mean())

    def keep(self, net: Generator) -> None:
        """The chosen net as files."""
        about: Mapping[str, JSON] = {"trained on": self.source.about, "steps": self.settings.steps}
        self.context.artefact("net.safetensors", to_bytes(net, about))
        file = to_onnx(plain_net(net), torch.zeros(1, 3, 8, 8), "styled", any_size=True)
        self.context.artefact("net.onnx", file)
        if self.settings.litert:
            x = torch.rand(1, 3, self.settings.height, self.settings.width)
            self.context.artefact("net.tflite", to_litert(plain_net(net), x, "styled"))

    def step_ms(self, net: Generator, teacher: Generator) -> float:
        """What a training step under the teacher takes, by `STEP_MS`."""
        pixels = BATCH * self.settings.size**2
        trained, taught = (pixels * per_pixel(each) / 1e9 for each in (net, teacher))
        return STEP_MS["pixel"] * pixels + STEP_MS["trained"] * trained + STEP_MS["teacher"] * taught

    @cached_property
    def crops(self) -> dict[str, str]:
        return {"truth": to_text(self.example.styled)}

    @cached_property
    def example(self) -> Pair:
        """Generated, so that no page shows a person or a picture of somebody's."""
        return generated(seed=7, count=3, side=CROP).test[0]

    @cached_property
    def source(self) -> Source:
        return generated() if self.settings.is_generated else load(self.settings.folder)

    @cached_property
    def scored(self) -> Sequence[Pair]:
        return self.source.test if self.settings.part == "test" else self.source.validation


def fresh(build: Callable[[], Net], seed: int) -> Net:
    """A net of first weights by `seed`."""
    return seeded(build, torch.Generator().manual_seed(seed))


def priced(price: WidthPrice, shape: Shape) -> float:
    """The price of a net of this shape."""
    return float(price.expected(torch.tensor(shape.sizes, dtype=torch.float64)))


def per_pixel(net: Generator) -> float:
    """Multiply-accumulates of a net for use, for each pixel."""
    used = plain_net(net)
    return float(MACs((3, 8, 8)).number_costs(used, (), None).double().sum()) / 64
