"""A net for super-resolution whose width and depth are searched for a budget, beside nets trained for as long."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from types import MappingProxyType
from typing import Any, Literal, get_args

import torch
from pydantic import Field
from torch import nn

from shared.exporters.litert_file import import_tensorflow, to_litert
from shared.lab import JSON, Context, Experiment, Page, Row
from shared.training.data import Shuffled
from shared.training.epochs import Trainer
from shared.training.loop import Net, seeded
from shared.weights.prices import MACs
from vision.data.crops import to_text
from vision.nets.onnx_file import to_onnx
from vision.pruning_search.gates import GatedNet, GateSettings
from vision.pruning_search.price import ScaledPrice, WidthPrice
from vision.pruning_search.rebuild import plain
from vision.pruning_search.schedule import GateSchedule
from vision.superres.nets import ABPN, ESPCN, FSRCNN, CollapsedNet, EdgeNet, PlainNet, Supernet, WideNet
from vision.superres.page import page
from vision.superres.patches import Pair, pair
from vision.superres.pretrained import SCALES, pretrained
from vision.superres.race import Training, raced
from vision.superres.search import channels_price, chosen, gated_net, shape_price, sizes_at, widest
from vision.superres.sources import Pictured, Source, generated
from vision.superres.training import BATCH, enlarged, epoch_of, log_l1, patch_error, quality, trainer
from vision.superres.upscaler import plain_net, to_bytes
from vision.training.stages import epochs, whole_epochs

Rival = Literal["uniform", "random", "ecbsr", "abpn", "fsrcnn", "espcn"]
PUBLISHED: Mapping[str, type[nn.Module]] = {"abpn": ABPN, "fsrcnn": FSRCNN, "espcn": ESPCN}
"""Rivals of one size, whatever the budget."""
STEP_MS: Mapping[type[nn.Module], tuple[float, float]] = {
    PlainNet: (2.1, 0.9),
    EdgeNet: (2.1, 0.9),
    CollapsedNet: (2.1, 0.9),
    WideNet: (0.12, 0.9),
    ABPN: (0.0, 1.1),
    FSRCNN: (0.0, 2.55),
    ESPCN: (0.0, 1.1),
}
"""CPU milliseconds of a training step, for each block, or each wide channel of the blocks of a WDSR, and for each
thousand multiply-accumulates of a pixel.

Measured once on a core with AVX2, where blocks of any branches take as long, so that what is trained for
as long does not depend on the machine; only their ratios count, and rows hold the seconds that it took.
"""
ECBSR_BLOCKS = 4
"""As in the smaller nets of its paper."""
RACE_PATCHES = 256
"""Of pictures held back, by whose error the race is decided: no more than a few training steps take."""
CROP = 32
"""Pixels of the side of what the page shows, before it is enlarged."""


class SuperResSettings(Pictured):
    """The pictures, the budget, the training, and what the searched net is compared with."""

    scale: Literal[2, 3, 4] = Field(default=2, description="how many times larger pictures become")
    macs: float = Field(default=0.35, gt=0, le=1, description="share of the supernet's multiply-accumulates")
    budget_ms: float | None = Field(
        default=None,
        gt=0,
        description="instead of macs: milliseconds for a picture of height x width, in the library that is compiled",
    )
    height: int = Field(default=360, gt=0, description="rows of the small picture that milliseconds are of")
    width: int = Field(default=640, gt=0, description="its columns")
    supernet: Literal["plain", "wdsr"] = Field(
        default="plain", description="blocks of 3x3 convolutions that become one each, or wide residual blocks"
    )
    channels: int = Field(default=24, gt=1, description="channels of the supernet")
    blocks: int = Field(default=10, gt=1, description="blocks of the supernet")
    pretrain: int = Field(default=300, gt=0, description="training steps of the supernet before the search")
    search: int = Field(default=200, gt=0, description="training steps with gates")
    race: int = Field(
        default=20,
        ge=0,
        description="training steps of the gates' choice until the worse half of all depths drops out, then twice as "
        "many, and so on; 0: no other depth is tried",
    )
    steps: int = Field(
        default=1000, gt=0, description="training steps of the gates' choice, or of another net for as long"
    )
    size: int = Field(default=24, gt=7, description="side of a training patch, before it is enlarged")
    rate: float = Field(default=2e-3, gt=0, description="highest learning rate of Adam")
    search_rate: float = Field(default=1e-3, gt=0, description="highest rate of the weights in the search")
    gate_rate: float = Field(default=0.01, gt=0, description="highest rate of the gates' scores")
    weight: float = Field(default=60.0, gt=0, description="of the squared distance to the budget in the search's loss")
    minimum: int = Field(default=2, gt=0, description="channels and blocks that are kept at least")
    rivals: tuple[Rival, ...] = Field(default=get_args(Rival), description="nets that are trained for as long")
    randoms: int = Field(default=1, gt=0, le=3, description="random depths, where random is among the rivals")
    timed: int = Field(
        default=0, ge=0, description="random shapes that are compiled and timed too, for a budget in milliseconds"
    )
    litert: bool = Field(default=False, description="the chosen net as a LiteRT file too, by TensorFlow's converter")
    part: Literal["test", "validation"] = Field(default="test", description="pictures that are compared")


class SuperRes(Experiment[SuperResSettings]):
    """Search a net that enlarges pictures within a budget, beside bicubic, FSRCNN, ECBSR and other shapes.

    One cell is one seed: the supernet, its gates, a race of depths whose winner is trained further, and every rival,
    trained for as many seconds.
    """

    name = "superres"
    version = 4

    def data(self, cell: SuperResSettings) -> Mapping[str, str]:
        return cell.hashes()

    def run(self, cell: SuperResSettings, context: Context) -> Mapping[str, JSON]:
        return _Cell(cell, context, self).result()

    def latency(self, plane: tuple[int, int], context: Context) -> Callable[[Supernet], WidthPrice]:
        """Predicted milliseconds of any net by its widths, on this machine.

        `qwedge run` knows how; here it raises `ValueError`.
        """
        raise ValueError("budget_ms needs a latency: take `qwedge run superres`, or macs")

    def milliseconds(self, net: nn.Module, plane: tuple[int, int]) -> float | None:
        """Measured milliseconds of a net in ONNX Runtime on one thread; None where it is not installed."""
        return None

    def compiled_milliseconds(self, nets: Sequence[nn.Module], plane: tuple[int, int]) -> list[float]:
        """Measured milliseconds of each net in the library that `budget_ms` is of; they take turns.

        `qwedge run` knows how; here it raises `ValueError`.
        """
        raise ValueError("budget_ms needs a compiler: take `qwedge run superres`, or macs")

    def page(self, rows: Sequence[Row]) -> Page:
        return page(rows)


class _Cell:
    """The stages of one cell."""

    def __init__(self, settings: SuperResSettings, context: Context, experiment: SuperRes) -> None:
        self.settings, self.context, self.experiment = settings, context, experiment
        self.refit = 1.0  # measured milliseconds over those that the laws predict
        self.nets: dict[str, dict[str, Any]] = {}
        self.raced: dict[str, dict[str, Any]] = {}

    def result(self) -> Mapping[str, JSON]:
        s = self.settings
        if s.litert:
            import_tensorflow()  # before anything is trained
        seed = self.context.stage("first weights", lambda: int(self.context.rng.integers(2**62)))
        wide = fresh(self.supernet, seed)
        full = priced(self.price(wide), wide)
        budget = s.macs * full if s.budget_ms is None else s.budget_ms
        if budget > full:
            raise ValueError(f"budget_ms={budget:g}: the supernet takes {full:.4g} ms; ask for less, or widen it")
        self.refitted_choice("first choice", self.gated(wide, budget))  # refuses a budget that nothing meets
        self.add("bicubic", None)  # first, as it refuses pictures that are too small to compare
        search = [self.trained("supernet", wide, s.pretrain)]
        gated = self.gated(wide, budget)
        search.append(self.trained("gates", gated, s.search))
        gates_net = self.refitted_choice("choice", gated)
        ours, dropped = self.race(gates_net, budget, seed)
        search += dropped
        self.compared("search", ours, search)
        allowance = sum(each.ms for each in (*search, ours))
        price = self.price(wide)
        for name, rival in self.rivals(budget):
            net = fresh(rival, seed)
            training = self.training(name, net, *whole_epochs(round(allowance / step_ms(net))))
            self.compared(name, training)
        if s.scale in SCALES:
            self.add("shipped", pretrained(s.scale).net)
        assert isinstance(ours.net, Supernet)
        self.keep(ours.net)
        timed = {} if s.budget_ms is None else {"refit": self.refit}
        return {
            "data": self.source.about,
            "part": s.part,
            "pictures": [it.name for it in self.scored],
            "price": {"unit": price.unit, "full": priced(price, wide), "budget": budget, **timed},
            "plane": [s.height, s.width],
            "nets": self.nets,
            "race": list(self.raced.values()),
            "crops": self.crops,
            "times": self.times(wide) if s.budget_ms is not None and s.timed else [],
        }

    def supernet(self) -> Supernet:
        s = self.settings
        return (PlainNet if s.supernet == "plain" else WideNet.of)(s.scale, s.channels, s.blocks)

    def price(self, net: Supernet) -> WidthPrice:
        """Of nets that are of this kind when they are used, up to the width of the supernet."""
        s = self.settings
        net = PlainNet(s.scale, s.channels) if isinstance(net, PlainNet) else self.supernet()
        if s.budget_ms is not None:
            return ScaledPrice(shape_price(net, self.latency), self.refit)
        macs = MACs((1, s.height, s.width))
        return shape_price(net, lambda net: channels_price(net, macs))

    def gated(self, wide: Supernet, budget: float) -> GatedNet:
        s, price = self.settings, self.price(wide)
        gates = GateSettings(weight=s.weight, minimum=s.minimum)
        return gated_net(wide, price, min(budget / priced(price, wide), 1), s.search, gates)

    def refitted_choice(self, name: str, gated: GatedNet) -> Supernet:
        """The gates' choice: for a budget of milliseconds measured, and made again at a price scaled to what it took.

        Laws are of kernels on planes of many sizes, and err by as much for all nets of one kind on one plane.
        """
        net = chosen(gated)
        if self.settings.budget_ms is None:
            return net
        [ms] = self.compiled(name, [net])
        self.refit *= ms / priced(self.price(net), net)
        return chosen(gated, self.price(net))

    def compiled(self, name: str, nets: Sequence[nn.Module]) -> list[float]:
        """Measured milliseconds of the libraries of nets."""
        used, plane = [in_use(net) for net in nets], (self.settings.height, self.settings.width)
        times: list[float] = self.context.stage(
            f"{name}, compiled", lambda: self.experiment.compiled_milliseconds(used, plane)
        )
        return times

    @cached_property
    def latency(self) -> Callable[[Supernet], WidthPrice]:
        return self.experiment.latency((self.settings.height, self.settings.width), self.context)

    def race(self, gates_net: Supernet, budget: float, seed: int) -> tuple[Training, list[Training]]:
        """The training of the net of least error, which has further to go, and those of the others: of the gates'
        choice and of nets of all other depths, each as wide as the budget allows.

        A gate does not know what its block is worth in a net of another depth: all weights were learned with it.
        """
        s, kind, price = self.settings, self.settled(), self.price(gates_net)
        depths = [depth for depth in range(s.blocks, s.minimum - 1, -1) if s.race and depth != gates_net.depth]
        shapes = [gates_net.sizes, *filter(None, (widest(kind, price, depth, budget) for depth in depths))]
        count, each = (max(round(s.steps / s.race), 1), s.race) if s.race else whole_epochs(s.steps)
        runners = []
        for sizes in shapes:
            net = fresh(partial(kind.at, sizes), seed)
            steps = max(round(each * step_ms(gates_net) / step_ms(net)), 1)
            runners.append(self.training(f"race of {net.depth} blocks", net, count, steps))
        winner = raced(runners, partial(self.error, seed))
        return winner, [each for each in runners if each is not winner]

    def error(self, seed: int, runner: Training, epoch: int) -> float:
        """Of pictures held back, after training until an epoch; what it takes is of the net's CPU seconds too."""

        def measured() -> JSON:
            began = time.process_time()
            error = patch_error(runner.net, self.held_back, s.scale, s.size, RACE_PATCHES, seed)
            return {"error": error, "cpu_s": time.process_time() - began}

        s = self.settings
        self.go_on(runner, epoch)
        result: dict[str, float] = self.context.stage(f"{runner.name}, error behind epoch {epoch}", measured)
        runner.cpu_s += result["cpu_s"]
        self.raced[runner.name] = {"sizes": runner.net.sizes, "steps": runner.steps, "error": result["error"]}
        return result["error"]

    def settled(self) -> Supernet:
        """The supernet with the branches that nets are trained by: gates are of convolutions that stand alone."""
        wide = self.supernet()
        return CollapsedNet(wide.scale, *wide.sizes) if isinstance(wide, PlainNet) else wide

    def rivals(self, budget: float) -> Iterator[tuple[str, Callable[[], nn.Module]]]:
        s = self.settings
        for name in s.rivals:
            if name in PUBLISHED:
                yield name, partial(PUBLISHED[name], s.scale)
            elif name == "ecbsr":
                yield name, self.shaped(EdgeNet(s.scale, s.channels), ECBSR_BLOCKS, budget)
            elif name == "uniform":
                yield name, self.shaped(self.settled(), s.blocks, budget)
            else:
                for number, depth in enumerate(self.picked(range(s.minimum, s.blocks + 1), s.randoms), 1):
                    yield f"{name}{number}" if number > 1 else name, self.shaped(self.settled(), depth, budget)

    def picked(self, of: Sequence[Any], count: int) -> list[Any]:
        """So many of these at random, or all of fewer."""
        order = self.context.stage(f"{count} of {len(of)}", lambda: self.context.rng.permutation(len(of)).tolist())
        return [of[number] for number in order[:count]]

    def shaped(self, kind: Supernet, depth: int, budget: float) -> Callable[[], Supernet]:
        """Nets as wide as the budget allows; of fewer blocks where even the narrowest of these costs too much."""
        price = self.price(kind)
        for blocks in range(depth, 0, -1):
            if sizes := widest(kind, price, blocks, budget):
                return partial(kind.at, sizes)
        raise ValueError(f"{budget=:g} {price.unit}: no net of one block is within it")

    def trained(self, name: str, net: nn.Module, steps: int) -> Training:
        return self.go_on(self.training(name, net, *whole_epochs(steps)))

    def training(self, name: str, net: nn.Module, count: int, each: int) -> Training:
        s = self.settings
        if not isinstance(net, GatedNet):
            return Training(name, trainer(net, count, s.rate), each, step_ms(net))
        schedule = GateSchedule(count, s.search_rate, BATCH, gate_rate=s.gate_rate, scores=net.scores)
        return Training(name, Trainer(net, schedule, net.penalised(log_l1)), each, step_ms(net.net))

    def go_on(self, training: Training, until: int | None = None) -> Training:
        """Trains a net to the end, or until an epoch; it is then in evaluation mode."""
        s, pairs = self.settings, self.train_pairs

        def batches() -> Shuffled:
            return epoch_of(pairs, s.scale, s.size, training.each, self.context.generator())

        last = training.trainer.schedule.epochs
        done = epochs(self.context, training.name, training.trainer, batches, until=min(until or last, last))
        training.net.eval()
        training.cpu_s += float(sum(epoch["cpu_s"] for epoch in done))  # type: ignore[misc]
        return training

    def compared(self, name: str, training: Training, before: Sequence[Training] = ()) -> None:
        """Trains a net to the end, and adds what it reaches to the result; its seconds have those `before` in them."""
        net = self.go_on(training).net
        about: dict[str, Any] = {"steps": training.steps, "cpu_s": sum(each.cpu_s for each in (*before, training))}
        if isinstance(net, Supernet):
            about |= {"channels": net.width, "blocks": net.depth, "sizes": net.sizes}
            about["priced"] = priced(self.price(net), net)
        self.add(name, net, about)

    def times(self, wide: Supernet) -> list[dict[str, JSON]]:
        """Milliseconds of random shapes, whatever the budget: predicted as the choice was, and measured."""
        s, price = self.settings, self.price(wide)
        every = [(count, blocks) for count in range(1, s.channels + 1) for blocks in range(1, s.blocks + 1)]
        nets = [wide.at(sizes_at(wide, *each)) for each in self.picked(every, s.timed)]
        times = zip(nets, self.compiled("random shapes", nets), strict=True)
        return [{"sizes": net.sizes, "priced": priced(price, net), "compiled_ms": ms} for net, ms in times]

    def add(self, name: str, net: nn.Module | None, about: Mapping[str, Any] = MappingProxyType({})) -> None:
        """What a net costs and reaches; bicubic enlarging without one."""
        s, cost = self.settings, dict[str, Any]()
        if net is not None:
            used, plane = in_use(net), (s.height, s.width)
            cost["macs"] = per_pixel(net)
            cost["ms"] = self.context.stage(f"{name}, timed", lambda: self.experiment.milliseconds(used, plane))
            if s.budget_ms is not None and "priced" in about:
                [cost["compiled_ms"]] = self.compiled(name, [net])
        reached: Any = self.context.stage(f"{name}, compared", lambda: quality(net, self.scored, s.scale))
        self.nets[name] = {**about, **cost, **reached}
        self.crops[name] = to_text(enlarged(net, self.example, s.scale))

    def keep(self, net: Supernet) -> None:
        """The chosen net as files."""
        about: Mapping[str, JSON] = {"trained on": self.source.about, "steps": self.settings.steps}
        self.context.artefact("net.safetensors", to_bytes(net, about))
        file = to_onnx(plain_net(net), torch.zeros(1, 1, 8, 8), "enlarged", any_size=True)
        self.context.artefact("net.onnx", file)
        if self.settings.litert:
            x = torch.rand(1, 1, self.settings.height, self.settings.width)
            self.context.artefact("net.tflite", to_litert(plain_net(net), x, "enlarged"))

    @cached_property
    def crops(self) -> dict[str, str]:
        return {"truth": to_text(self.example.large)}

    @cached_property
    def example(self) -> Pair:
        """Generated, so that no page shows a person or a picture of somebody's."""
        side = CROP * self.settings.scale
        [(name, pixels)] = generated(seed=7, train=2, test=1, side=side).test.items()
        return pair(name, pixels, self.settings.scale)

    @cached_property
    def source(self) -> Source:
        return self.settings.source()

    @cached_property
    def train_pairs(self) -> list[Pair]:
        return self.pairs(self.source.train)

    @cached_property
    def held_back(self) -> list[Pair]:
        return self.pairs(self.source.validation)

    @cached_property
    def scored(self) -> list[Pair]:
        return self.pairs(self.source.test) if self.settings.part == "test" else self.held_back

    def pairs(self, pictures: Mapping[str, Any]) -> list[Pair]:
        return [pair(name, pixels, self.settings.scale) for name, pixels in pictures.items()]


def fresh(build: Callable[[], Net], seed: int) -> Net:
    """A net of first weights by `seed`."""
    return seeded(build, torch.Generator().manual_seed(seed))


def priced(price: WidthPrice, net: Supernet) -> float:
    """The price of a net of this shape."""
    return float(price.expected(torch.tensor(net.sizes)))


def per_pixel(net: nn.Module) -> int:
    """Multiply-accumulates of a net for use, for each pixel of the small picture."""
    used = in_use(net)
    return int(MACs((1, 8, 8)).number_costs(used, (), None).double().sum()) // 64


def in_use(net: nn.Module) -> nn.Module:
    """The net with its branches merged."""
    return plain(net, torch.zeros(1, 1, 8, 8))


def step_ms(net: nn.Module) -> float:
    """What a training step takes, by `STEP_MS`."""
    block, each = STEP_MS[type(net)]
    count = net.depth if isinstance(net, Supernet) else 0
    if isinstance(net, WideNet):
        count *= net.sizes[1]
    return block * count + each * per_pixel(net) / 1000
