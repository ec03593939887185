"""EfficientFormer beside its paper and beside timm: parameters, multiply-accumulates, answers, and norms folded.

`python -m benchmarks.efficientformer [--quick] [--seed N] [--json FILE]`

Answers are of random weights under mapped names, on two images of 224 x 224. timm is a peer, not a requirement: where
it is not installed, that figure is skipped.
"""

from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from shared.lab import JSON, Context, Experiment, Page, Row, Seeded, Table, cite
from shared.lab.running.benchmark import Metric, main
from shared.training.loop import seeded
from shared.weights.compressed import folded
from shared.weights.prices import MACs
from vision.nets.efficientformer import efficientformer_l1, efficientformer_l3, efficientformer_l7
from vision.nets.timm_names import efficientformer_from_timm

VARIANTS = {
    "l1": (efficientformer_l1, 12_289_928, 1.30),
    "l3": (efficientformer_l3, 31_406_000, 3.93),
    "l7": (efficientformer_l7, 82_229_328, 10.17),
}
"""Parameters with both heads, and GMACs as arXiv 2206.01191 prints them."""


class EfficientFormerSettings(Seeded):
    """Which net, and its weights."""

    variant: Literal["l1", "l3", "l7"] = Field(default="l1", description="size of the net")


class EfficientFormerCheck(Experiment[EfficientFormerSettings]):
    """Counts of a published net, and its answers beside those of the same weights elsewhere."""

    name = "efficientformer"
    version = 2  # 1 did not compare attention by itself

    def run(self, cell: EfficientFormerSettings, context: Context) -> Mapping[str, JSON]:
        build, *_ = VARIANTS[cell.variant]
        generator = context.generator()
        net = randomised(seeded(build, generator), generator).eval()
        x = torch.randn(2, 3, 224, 224, generator=generator)
        with torch.no_grad():
            answers = net(x)
            plain, norms = folded(net, x)
            fold_error = relative(plain(x), answers)
        return {
            "parameters": sum(parameter.numel() for parameter in net.parameters()),
            "macs": int(MACs((3, 224, 224)).number_costs(net, (), None).double().sum()),
            "norms_folded": norms,
            "fold_error": fold_error,
            **timm_error(cell.variant, net, x, generator),
        }

    def page(self, rows: Sequence[Row]) -> Page:
        lines = [
            (
                row.settings["variant"],
                cite(row.result["parameters"], row),
                cite(row.result["macs"], row),
                cite(row.result["fold_error"], row, form=".1e"),
                cite(row.result["timm_error"], row, form=".1e"),
            )
            for row in rows
        ]
        columns = ("net", "parameters", "multiply-accumulates", "folded norms change answers by", "timm differs by")
        note = (
            "Differences are relative to the largest logit. Products of two activations in attention are not counted."
        )
        return Page("EfficientFormer", self.summary, (Table("Nets", columns, lines, note=note),))


def randomised(net: nn.Module, generator: torch.Generator) -> nn.Module:
    """Numbers that keep every branch alive: factors that start near zero would hide what it computes."""
    with torch.no_grad():
        for name, tensor in net.state_dict().items():
            if not tensor.is_floating_point():
                continue
            noise = torch.randn(tensor.shape, generator=generator)
            fan_in = tensor[0].numel() if tensor.ndim else 1
            if name.endswith(("bias", "biases", "running_mean")):
                tensor.copy_(0.1 * noise)
            elif fan_in == 1:  # norms and factors of channels
                tensor.copy_(1 + 0.5 * noise.clamp(-1, 1))
            else:
                tensor.copy_(noise / fan_in**0.5)
    return net


def timm_error(variant: str, net: nn.Module, x: Tensor, generator: torch.Generator) -> dict[str, JSON]:
    """The largest difference to timm's net, whose weights `net` takes by name: of the logits, and of the last attention
    on random tokens. None without timm.
    """
    timm = imported()
    if timm is None:
        return {"timm": None, "timm_error": None}
    theirs = timm.create_model(f"efficientformer_{variant}").eval()
    randomised(theirs, generator)
    net.load_state_dict(efficientformer_from_timm(theirs.state_dict()))
    tokens = torch.randn(2, 49, net.get_parameter("norm.weight").numel(), generator=generator)
    mixers = [
        next(module for name, module in reversed(list(one.named_modules())) if name.endswith(ending))
        for one, ending in ((net, ".mixer"), (theirs, ".token_mixer"))
    ]
    with torch.no_grad():
        # Tokens behind random layers are nearly alike, and would hide what attention does with them.
        error = max(relative(net(x), theirs(x)), relative(mixers[0](tokens), mixers[1](tokens)))
    return {"timm": timm.__version__, "timm_error": error}


def imported() -> ModuleType | None:
    try:
        import timm
    except ModuleNotFoundError:
        return None
    return timm


def relative(one: Tensor, other: Tensor) -> float:
    return float((one - other).abs().max() / other.abs().max())


def cells(quick: bool, seed: int) -> Sequence[EfficientFormerSettings]:
    return [EfficientFormerSettings(variant=name, seed=seed) for name in (("l1",) if quick else VARIANTS)]


def figures(rows: Sequence[Row]) -> Mapping[str, Metric]:
    published = [VARIANTS[row.settings["variant"]] for row in rows]
    exact = sum(row.result["parameters"] == count for row, (_, count, _) in zip(rows, published, strict=True))
    apart = [abs(row.result["macs"] / 1e9 / gmacs - 1) for row, (_, _, gmacs) in zip(rows, published, strict=True)]
    errors = [row.result["timm_error"] for row in rows if row.result["timm_error"] is not None]
    unit = "of the largest logit"
    return {
        "params_exact": Metric(exact, unit=f"of {len(rows)} nets", goal=f">= {len(rows)}"),
        "macs_from_published": Metric(100 * max(apart), unit="%", goal="<= 1"),
        "timm_max_error": Metric(
            max(errors, default=None), unit=unit if errors else "skipped: no timm", goal="<= 1e-5"
        ),
        "fold_max_error": Metric(max(row.result["fold_error"] for row in rows), unit=unit, goal="<= 1e-5"),
    }


if __name__ == "__main__":
    main(EfficientFormerCheck(), cells, figures)
