"""A small net compressed for half of its milliseconds on CIFAR-10, beside a narrow one that takes as long.

`python -m benchmarks.compress_for [--quick] [--seed N] [--json FILE]`

The dense net is trained, and compressed by `mobile.build.compress_for`. The narrow net has all widths scaled until its
predicted time is the same, is trained from scratch for as many steps as dense net and compression together, with the
dense net as teacher, and goes through the same fixed point. Both are compiled; accuracies are those of the libraries on
the test images. Images are taken from `cifar10` in the folder that the environment variable QWEDGE_DATA names; without
it, nothing is run and every figure is skipped.
"""

import statistics
import sys
from collections.abc import Mapping, Sequence

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, kl_div, log_softmax

from mobile.build.compress_for import CompiledFor, compress_for
from mobile.pricing.calibration import calibrated
from mobile.pricing.net import net_latency
from shared.integer.format import Format
from shared.lab import JSON, Context, Experiment, Page, Row, Seeded, Table, cite, hash_file, one_thread
from shared.lab.running.benchmark import Metric, main, over_seeds
from shared.training.loop import Schedule, descend
from vision.data.cifar10 import ARCHIVE, CAVEAT, SHAPE, Images, archive, load

WIDTHS = (16, 32, 32, 64)
INPUT = Format(8, 7)
GOALS = {"accuracy_vs_narrow": ">= 0", "drop": "<= 1"}
SKIPPED = "skipped: QWEDGE_DATA names no folder with images"


class CompressForSettings(Seeded):
    """The net's time, and how long everything is trained."""

    share: float = Field(default=0.5, gt=0, lt=1, description="of the dense net's predicted time that is kept")
    steps: int = Field(default=1500, gt=0, description="of the dense net; as many in fixed point, twice between them")
    per_class: int = Field(default=4500, gt=0, le=4500, description="training images of each class")
    scored: int = Field(default=1000, gt=0, le=1000, description="test images of each class that are counted")
    images: str = Field(default="$QWEDGE_DATA/cifar10", description=f"folder that holds {ARCHIVE}, $NAMES expanded")


class CompressFor(Experiment[CompressForSettings]):
    """Compress a net for milliseconds, beside a narrow net.

    One cell is one seed.
    """

    name = "compress_for"
    version = 3

    def data(self, cell: CompressForSettings) -> Mapping[str, str]:
        return {ARCHIVE: hash_file(archive(cell.images))}

    def run(self, cell: CompressForSettings, context: Context) -> Mapping[str, JSON]:
        one_thread()
        images = load(archive(cell.images))
        data, judged = pairs(images.train.first(cell.per_class)), pairs(images.test.first(cell.scored))
        latency = calibrated(context.progress)
        torch.manual_seed(int(context.rng.integers(2**31)))
        dense = trained(random_net(1.0), data, cell.steps, context, "training the dense net")
        search = Schedule(2 * cell.steps, batch=128, rate=2e-3, floor=1e-5)
        tuning = Schedule(cell.steps, batch=128, rate=5e-4, floor=1e-5)

        def compiled(net: nn.Module, ms: float) -> CompiledFor:
            return compress_for(
                net,
                data,
                ms=ms,
                input=INPUT,
                validation=judged,
                latency=latency,
                search=search,
                tuning=tuning,
                progress=context.progress,
            )

        whole = net_latency(dense, SHAPE, latency).ms
        results = {"dense": compiled(dense, 2 * whole), "blocks": compiled(dense, cell.share * whole)}
        scales = [k / 100 for k in range(99, 0, -1)]
        width = next(it for it in scales if net_latency(random_net(it), SHAPE, latency).ms <= cell.share * whole)
        narrow = trained(random_net(width), data, 3 * cell.steps, context, "training the narrow net", dense)
        results["narrow"] = compiled(narrow, 2 * whole)
        return {
            "data": CAVEAT,
            "width": width,
            "asked_ms": cell.share * whole,
            "float_accuracy": results["dense"].accuracy["dense floats"],
            "nets": {
                name: {
                    "accuracy": each.accuracy["compiled"],
                    "predicted_ms": each.predicted_ms,
                    "measured_ms": each.measured_ms,
                    "layers": [[it.name, it.kept, it.format, it.reason] for it in each.layers],
                }
                for name, each in results.items()
            },
        }

    def page(self, rows: Sequence[Row]) -> Page:
        lines = [
            (cite(row.seed, row), name, *(cite(net[key], row) for key in ("accuracy", "predicted_ms", "measured_ms")))
            for row in rows
            for name, net in row.result["nets"].items()
        ]
        columns = ("seed", "net", "accuracy", "predicted ms", "measured ms")
        return Page("A net for half of its milliseconds", self.summary, (Table("Compiled nets", columns, lines),))


def pairs(images: Images) -> tuple[Tensor, Tensor]:
    return torch.from_numpy(images.pixels).permute(0, 3, 1, 2) / 128 - 1, torch.from_numpy(images.labels)


def random_net(scale: float) -> nn.Sequential:
    """Four convolutions, the second and the last with a stride, in widths that are whole planes of four channels."""
    layers: list[nn.Module] = []
    inputs = 3
    for width, stride in zip(WIDTHS, (2, 1, 2, 1), strict=True):
        outputs = max(4, round(width * scale / 4) * 4)
        layers += [nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
        inputs = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, 10))


def trained(
    net: nn.Sequential,
    data: tuple[Tensor, Tensor],
    steps: int,
    context: Context,
    note: str,
    teacher: nn.Module | None = None,
) -> nn.Module:
    x, y = data
    generator = torch.Generator().manual_seed(int(context.rng.integers(2**31)))

    def loss() -> Tensor:
        picked = torch.randint(len(x), (128,), generator=generator)
        outputs = net(x[picked])
        total = cross_entropy(outputs, y[picked])
        if teacher is not None:
            with torch.no_grad():
                taught = log_softmax(teacher(x[picked]), 1)
            total = total + kl_div(log_softmax(outputs, 1), taught, reduction="batchmean", log_target=True)
        return total

    descend(list(net.parameters()), loss, Schedule(steps, rate=3e-3), progress=context.progress, note=note)
    return net.eval()


def cells(quick: bool, seed: int) -> Sequence[CompressForSettings]:
    settings = CompressForSettings(seed=seed)
    try:
        archive(settings.images)
    except ValueError as error:
        print(f"skipped: {error}", file=sys.stderr)
        return []
    return [settings.model_copy(update={"steps": 20, "per_class": 50, "scored": 20})] if quick else [settings]


def figures(rows: Sequence[Row]) -> Mapping[str, Metric]:
    """Accuracies are in percent, differences in points."""
    if not rows:
        return {f"compress_for_{name}": Metric(None, unit=SKIPPED, goal=goal) for name, goal in GOALS.items()}

    def each(name: str, key: str) -> list[float]:
        return [row.result["nets"][name][key] for row in rows]

    def points(a: Sequence[float], b: Sequence[float]) -> list[float]:
        return [100 * (p - q) for p, q in zip(a, b, strict=True)]

    floats = [row.result["float_accuracy"] for row in rows]
    speedup = [a / b for a, b in zip(each("dense", "measured_ms"), each("blocks", "measured_ms"), strict=True)]
    errors = [row.result["nets"]["blocks"]["predicted_ms"] / row.result["asked_ms"] - 1 for row in rows]
    return {
        "compress_for_drop": over_seeds(points(floats, each("blocks", "accuracy")), "points", GOALS["drop"]),
        "compress_for_drop_dense": over_seeds(points(floats, each("dense", "accuracy")), "points"),
        "compress_for_accuracy_vs_narrow": over_seeds(
            points(each("blocks", "accuracy"), each("narrow", "accuracy")), "points", GOALS["accuracy_vs_narrow"]
        ),
        "compress_for_speedup": over_seeds(speedup, "x"),
        "compress_for_time_error": Metric(100 * statistics.fmean(errors), unit="%"),
    }


if __name__ == "__main__":
    main(CompressFor(), cells, figures)
