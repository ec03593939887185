"""Learned widths against widths by rule and by the core's solvers: a classifier, a net of masks, an image translator.

`python -m benchmarks.pruning_search [--quick] [--seed N] [--json FILE]`

All are at a quarter of the multiply-accumulates of their wide net, the other tasks at a tenth besides, and the
classifier, ResNet-8, at a share of its milliseconds too. Images are taken from
`cifar10`, and pairs from `cuhk_sketch64`, in the folder that the environment variable QWEDGE_DATA names; without it,
nothing is run and every figure is skipped. Seeds below `HELD_OUT` are for development.
"""

import itertools
import sys
from collections.abc import Mapping, Sequence

import torch

from mobile.pricing.calibration import calibrated
from mobile.pricing.net import net_latency
from qwedge.experiments.pruning_search import TimedPruningSearch
from shared.lab import Row
from shared.lab.running.benchmark import Metric, main, over_seeds
from shared.training.loop import seeded
from vision.data.cifar10 import SHAPE, archive
from vision.nets.resnet import ResNet8
from vision.pruning_search.figures import budget_error, gains, ms_error, reached, search_share, seconds, task_of
from vision.pruning_search.rebuild import plain
from vision.pruning_search.settings import PruningSearchSettings

SEEDS = 5
HELD_OUT = 100
GOALS = {"uniform": ">= 1.0", "bn_gamma": ">= 0.3", "l1_group": ">= 0.3"}
TASK_GOALS = {"segmentation": ("points", ">= 1.0"), "translation": ("", ">= 0.01")}
SHARES = {0.25: "", 0.1: "_tenth"}
"""Of the multiply-accumulates at which the other tasks are, and what their figures end with."""
SKIPPED = "skipped: QWEDGE_DATA names no folder with images"
QUICK = PruningSearchSettings(
    width=8, epochs=2, search=1, tuning=1, per_class=40, scored=50, batch=32, controls=("uniform", "admm")
)
CLASSES = {
    "per_class": 200, "batch": 32, "epochs": 5, "tuning": 4, "exchange": 2.0, "scored": 500,
    "controls": ("uniform", "l1_group", "bn_gamma", "torch_pruning"),
}  # fmt: skip
TASKS = (
    {
        "task": "segmentation", "width": 12, "batch": 8, "epochs": 10, "search": 2, "tuning": 8, "exchange": 2.0,
        "scored": 200, "controls": ("uniform",),
    },
    {
        "task": "translation", "width": 12, "batch": 8, "epochs": 4, "search": 1, "tuning": 4, "exchange": 2.0,
        "controls": ("uniform",),
    },
)  # fmt: skip


TENTHS = [{**asked, "macs": 0.1} for asked in TASKS]
"""Of the multiply-accumulates: where equal shares are short of channels."""
MS_SHARE = 0.4
"""Of the predicted milliseconds of the wide classifier."""
TIMED_CONTROLS = ("uniform", "l1_group", "bn_gamma")


def cells(quick: bool, seed: int) -> Sequence[PruningSearchSettings]:
    try:
        archive(PruningSearchSettings().images)
    except ValueError as error:
        print(f"skipped: {error}", file=sys.stderr)
        return []
    first = {"seed": HELD_OUT + seed}
    if quick:
        return [QUICK.model_copy(update=first)]
    by_seed = [
        PruningSearchSettings.model_validate({**first, "seeds": SEEDS, **asked}).per_seed()
        for asked in (CLASSES, *TASKS, *TENTHS, {**CLASSES, "ms": _budget_ms(), "controls": TIMED_CONTROLS})
    ]
    return [cell for cells in zip(*by_seed, strict=True) for cell in cells]


def _budget_ms() -> float:
    """For the classifier on this machine, in milliseconds of 8-bit integers."""
    example = torch.zeros(1, *SHAPE)
    wide = plain(seeded(lambda: ResNet8(PruningSearchSettings().width), torch.Generator()), example)
    return float(f"{MS_SHARE * net_latency(wide, SHAPE, calibrated()).ms:.2g}")


def figures(rows: Sequence[Row]) -> Mapping[str, Metric]:
    """Differences in accuracy and mask AP are in points, paired by seed."""
    if not rows:
        goals = {f"pas_vs_{name}": goal for name, goal in GOALS.items()} | {"macs_error": "<= 0.5"}
        return {name: Metric(None, unit=SKIPPED, goal=goal) for name, goal in goals.items()}
    timed = [row for row in rows if row.settings["ms"]]
    counted = [row for row in rows if not row.settings["ms"]]
    classes = [row for row in counted if task_of(row) == "classification"]
    every = _classifiers(classes) if classes else {}
    for (task, (unit, goal)), (macs, name) in itertools.product(TASK_GOALS.items(), SHARES.items()):
        if of_task := [row for row in counted if task_of(row) == task and row.settings["macs"] == macs]:
            every[f"pas_{task}{name}"] = over_seeds(gains(of_task, "uniform"), unit, goal)
            for net in ("wide", "search", "uniform"):
                every[f"{task}_{net}{name}"] = over_seeds([reached(row, net) for row in of_task], unit and "%")
    return every | {
        "macs_error": Metric(max(budget_error(row) for row in counted), unit="%", goal="<= 0.5"),
        **(_timed(timed) if timed else {}),
        "reparam_error": Metric(
            max(row.result["nets"]["search"]["reparam_error"] for row in rows),
            unit="of the largest logit",
            goal="<= 1e-4",
        ),
        "search_cost": over_seeds([search_share(row) for row in rows], "x of training the narrow net", "<= 1"),
    }


def _timed(rows: Sequence[Row]) -> dict[str, Metric]:
    """At equal milliseconds; the error is of the trained nets, measured anew, the worst seed's."""
    return {
        **{f"pas_vs_{it}_ms": over_seeds(gains(rows, it), "points", GOALS[it]) for it in TIMED_CONTROLS},
        "ms_error": Metric(max(ms_error(row) for row in rows), unit="%", goal="<= 3"),
    }


def _controls(rows: Sequence[Row]) -> list[str]:
    return [name for name in rows[0].result["nets"] if name != "search"]


def _classifiers(rows: Sequence[Row]) -> dict[str, Metric]:
    every = {f"pas_vs_{it}": over_seeds(gains(rows, it), "points", GOALS.get(it, "")) for it in _controls(rows)}
    for name in ("wide", "search", *_controls(rows)):
        every[f"accuracy_{name}"] = over_seeds([reached(row, name) for row in rows], "%")
    for name in _controls(rows):
        ratios = [seconds(row, name) / seconds(row, "search") for row in rows]
        every[f"seconds_{name}"] = over_seeds(ratios, "x of the search's")
    return every


if __name__ == "__main__":
    main(TimedPruningSearch(), cells, figures)
