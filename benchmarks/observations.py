"""EfficientFormer's speed on this processor: its four observations as pairs of layers, and L1 beside rivals.

`python -m benchmarks.observations [--quick] [--seed N] [--json FILE]`

Y. Li et al., EfficientFormer (arXiv 2206.01191), section 3.1, measured the observations on an iPhone's neural engine.
Everything is float32 on one thread, one picture at a time, in CPU time, all runtimes and variants in turn. Runtimes are
ours and those of ONNX Runtime and OpenVINO that are installed; weights are random.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Literal, get_args

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from benchmarks.mobile.nets import alive, mobilenet_v2
from mobile.build.compile_floats import compile_floats
from qwedge.experiments.runtimes import Run, interleaved, onnx_runtime, openvino
from shared.lab import JSON, Context, Experiment, Page, Row, Seeded, Table, cite
from shared.lab.running.benchmark import Metric, main
from shared.weights.prices import MACs
from vision.nets.efficientformer import MapBlock, efficientformer_l1
from vision.nets.onnx_file import to_onnx

Subject = Literal["nets", "embedding", "layout", "norm", "activation"]
IMAGE, WIDTH, SIDE = 224, 192, 14
"""Pixels of a picture's side; channels and pixels of the maps on which layers are compared."""
BLOCKS = 4
ROUNDS = 40
PEERS = {"ONNX Runtime": onnx_runtime, "OpenVINO": openvino}
COLUMN = "{} in {}"


class ObservationsSettings(Seeded):
    """What is compared."""

    subject: Subject = Field(default="nets", description="whole nets, or one of the four observations")
    rounds: int = Field(default=ROUNDS, gt=0, description="times that everything is run")


class Observations(Experiment[ObservationsSettings]):
    """Pairs of layers that differ in one thing, and nets, timed in every runtime."""

    name = "observations"
    version = 1

    def run(self, cell: ObservationsSettings, context: Context) -> Mapping[str, JSON]:
        torch.manual_seed(int(context.rng.integers(2**31)))
        runs: dict[str, Run] = {}
        macs, missing = {}, set[str]()
        for name, (net, shape) in variants(cell.subject).items():
            context.progress(0, 0, f"{cell.subject}: {name}")
            x = torch.randn(1, *shape)
            macs[name] = int(MACs(shape).number_costs(net, (), None).double().sum())
            compiled = compile_floats(net, [shape], context.rng, count=1).net
            outputs = [np.empty((1, *shape), np.float32) for shape in compiled.outputs]
            runs[COLUMN.format(name, "ours")] = partial(compiled.run, [x.numpy()], outputs)
            for peer, load in PEERS.items():
                try:
                    runs[COLUMN.format(name, peer)] = load(to_onnx(net, x), x.numpy())
                except ModuleNotFoundError:
                    missing.add(peer)
        return {"macs": macs, "missing": sorted(missing), **interleaved(runs, cell.rounds)}

    def page(self, rows: Sequence[Row]) -> Page:
        lines = [
            (row.settings["subject"], name, cite(ms, row, form=".3f", unit="ms"))
            for row in rows
            for name, ms in row.result["median_ms"].items()
        ]
        return Page("EfficientFormer's observations", self.summary, (Table("Times", ("about", "what", "time"), lines),))


def variants(subject: Subject) -> dict[str, tuple[nn.Module, tuple[int, ...]]]:
    """What is compared, by name: a module in evaluation mode and the shape of its input without the batch."""
    picture, maps, tokens = (3, IMAGE, IMAGE), (WIDTH, SIDE, SIDE), (SIDE * SIDE, WIDTH)
    pairs: dict[str, tuple[nn.Module, tuple[int, ...]]]
    match subject:
        case "nets":
            pairs = {
                "L1": (alive(efficientformer_l1()), picture),
                "DeiT-S": (DeiTSmall(), picture),
                "MobileNetV2": (mobilenet_v2(), picture),
            }
        case "embedding":
            pairs = {"16x16 patches": (patches(WIDTH), picture), "3x3 stem": (convolutions(WIDTH), picture)}
        case "layout":
            pairs = {
                "between layouts": (nn.Sequential(*(ThroughTokens() for _ in range(BLOCKS))), maps),
                "one layout": (nn.Sequential(*(alive(MapBlock(WIDTH)) for _ in range(BLOCKS))), maps),
            }
        case "norm":
            pairs = {
                "layer norm and linear": (nn.Sequential(*(TokenMLP() for _ in range(BLOCKS))), tokens),
                "convolution and batch norm": (nn.Sequential(*(MapMLP(nn.GELU()) for _ in range(BLOCKS))), maps),
            }
        case "activation":
            kinds = {"GELU": nn.GELU, "ReLU": nn.ReLU, "hard-swish": nn.Hardswish}
            pairs = {
                name: (nn.Sequential(*(MapMLP(kind()) for _ in range(BLOCKS))), maps) for name, kind in kinds.items()
            }
    return {name: (net.eval(), shape) for name, (net, shape) in pairs.items()}


def patches(width: int) -> nn.Module:
    """One convolution whose window is its stride."""
    return nn.Sequential(nn.Conv2d(3, width, 16, stride=16), nn.BatchNorm2d(width))


def convolutions(width: int) -> nn.Module:
    """The same map by four convolutions that halve it."""
    widths = (3, width // 8, width // 4, width // 2, width)
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.BatchNorm2d(after), nn.ReLU()]
    return nn.Sequential(*layers)


class MapMLP(nn.Module):
    """1x1 convolutions with batch norms, added to a map."""

    def __init__(self, activation: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(WIDTH, 4 * WIDTH, 1), nn.BatchNorm2d(4 * WIDTH), activation,
            nn.Conv2d(4 * WIDTH, WIDTH, 1), nn.BatchNorm2d(WIDTH),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x + self.layers(x)
        return y


class TokenMLP(nn.Module):
    """The same on tokens, behind a layer norm."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH)
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x + self.layers(x)
        return y


class ThroughTokens(nn.Module):
    """Pooling on a map and an MLP on tokens: a reshape before and behind it, in each block."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
        self.mlp = nn.Sequential(nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.pool(x) - x
        tokens = x.flatten(2).transpose(1, 2)
        y: Tensor = (tokens + self.mlp(tokens)).transpose(1, 2).unflatten(2, x.shape[2:])
        return y


class DeiTSmall(nn.Module):
    """Images `(B, 3, 224, 224)` to logits, by the mean of 196 tokens where DeiT-S has one more that is a class's.

    H. Touvron et al., *Training data-efficient image transformers* (arXiv 2012.12877), table 1.
    """

    def __init__(self, width: int = 384, depth: int = 12, heads: int = 6, classes: int = 1000) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, 16, stride=16)
        self.places = nn.Parameter(0.02 * torch.randn(1, (IMAGE // 16) ** 2, width))
        self.blocks = nn.Sequential(*(AttentionBlock(width, heads) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.patches(x).flatten(2).transpose(1, 2) + self.places
        logits: Tensor = self.head(self.norm(self.blocks(tokens)).mean(1))
        return logits


class AttentionBlock(nn.Module):
    """Attention and an MLP, each added to tokens `(B, N, width)` behind a layer norm."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads, self.scale = heads, (width // heads) ** -0.5
        self.norm, self.qkv, self.project = nn.LayerNorm(width), nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        by_head = self.qkv(self.norm(x)).unflatten(-1, (3 * self.heads, -1)).transpose(1, 2)
        q, k, v = by_head.split((self.heads, self.heads, self.heads), 1)
        mixed = torch.softmax(q @ k.transpose(-2, -1) * self.scale, -1) @ v
        x = x + self.project(mixed.transpose(1, 2).flatten(2))
        y: Tensor = x + self.mlp(x)
        return y


def cells(quick: bool, seed: int) -> Sequence[ObservationsSettings]:
    subjects = get_args(Subject)[1:2] if quick else get_args(Subject)
    return [ObservationsSettings(subject=subject, seed=seed, rounds=3 if quick else ROUNDS) for subject in subjects]


def figures(rows: Sequence[Row]) -> Mapping[str, Metric]:
    """Ratios of median times. "The best" runtime of a net is the one in which it takes least."""
    return {name: metric for row in rows for name, metric in RATIOS[row.settings["subject"]](row).items()}


def best(row: Row, name: str, peers_only: bool = False) -> float:
    """Milliseconds in the runtime that takes least."""
    return min(
        ms
        for column, ms in row.result["median_ms"].items()
        if column.startswith(f"{name} in ") and not (peers_only and column.endswith(" ours"))
    )


def of_nets(row: Row) -> Mapping[str, Metric]:
    ours = row.result["median_ms"][COLUMN.format("L1", "ours")]
    if len(row.result["missing"]) == len(PEERS):
        return {"l1_vs_deit_s_ms": Metric(None, unit="skipped: no other runtime", goal="<= 0.3")}
    return {
        "l1_vs_deit_s_ms": Metric(ours / best(row, "DeiT-S", peers_only=True), goal="<= 0.3"),
        "l1_vs_deit_s_best": Metric(best(row, "L1") / best(row, "DeiT-S")),
        "l1_vs_mobilenet_v2": Metric(best(row, "L1") / best(row, "MobileNetV2")),
    }


def of_embeddings(row: Row) -> Mapping[str, Metric]:
    one, other = (best(row, name) / row.result["macs"][name] for name in ("16x16 patches", "3x3 stem"))
    return {"patches_vs_stem_per_mac": Metric(one / other)}


def of_layouts(row: Row) -> Mapping[str, Metric]:
    return {"reshapes_vs_one_layout": Metric(best(row, "between layouts") / best(row, "one layout"))}


def of_norms(row: Row) -> Mapping[str, Metric]:
    return {
        "layer_norm_vs_batch_norm": Metric(best(row, "layer norm and linear") / best(row, "convolution and batch norm"))
    }


def of_activations(row: Row) -> Mapping[str, Metric]:
    return {
        f"{name.replace('-', '_').lower()}_vs_relu": Metric(best(row, name) / best(row, "ReLU"))
        for name in ("GELU", "hard-swish")
    }


RATIOS = {
    "nets": of_nets,
    "embedding": of_embeddings,
    "layout": of_layouts,
    "norm": of_norms,
    "activation": of_activations,
}


if __name__ == "__main__":
    main(Observations(), cells, figures)
