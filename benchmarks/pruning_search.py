"""Learned widths against widths by rule and by the core's solvers: a classifier, a net of masks, an image translator.

`python -m benchmarks.pruning_search [--quick] [--seed N] [--json FILE]`

All are at a quarter of the multiply-accumulates of their wide net; the classifier is ResNet-8. Images are taken from
`cifar10`, and pairs from `cuhk_sketch64`, in the folder that the environment variable QWEDGE_DATA names; without it,
nothing is run and every figure is skipped. Seeds below `HELD_OUT` are for development.
"""

import sys
from collections.abc import Mapping, Sequence

from qwedge.experiments.pruning_search import TimedPruningSearch
from shared.lab import Row
from shared.lab.running.benchmark import Metric, main, over_seeds
from vision.data.cifar10 import archive
from vision.pruning_search.figures import budget_error, gains, reached, search_share, seconds, task_of
from vision.pruning_search.settings import PruningSearchSettings

SEEDS = 2
HELD_OUT = 100
GOALS = {"uniform": ">= 1.0", "bn_gamma": ">= 0.3", "l1_group": ">= 0.3"}
TASK_GOALS = {"segmentation": ("points", ">= 1.0"), "translation": ("", ">= 0.01")}
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
        for asked in (CLASSES, *TASKS)
    ]
    return [cell for cells in zip(*by_seed, strict=True) for cell in cells]


def figures(rows: Sequence[Row]) -> Mapping[str, Metric]:
    """Differences in accuracy and mask AP are in points, paired by seed."""
    if not rows:
        goals = {f"pas_vs_{name}": goal for name, goal in GOALS.items()} | {"macs_error": "<= 0.5"}
        return {name: Metric(None, unit=SKIPPED, goal=goal) for name, goal in goals.items()}
    classes = [row for row in rows if task_of(row) == "classification"]
    every = _classifiers(classes) if classes else {}
    for task, (unit, goal) in TASK_GOALS.items():
        if of_task := [row for row in rows if task_of(row) == task]:
            every[f"pas_{task}"] = over_seeds(gains(of_task, "uniform"), unit, goal)
            for net in ("wide", "search", "uniform"):
                every[f"{task}_{net}"] = over_seeds([reached(row, net) for row in of_task], unit and "%")
    return every | {
        "macs_error": Metric(max(budget_error(row) for row in rows), unit="%", goal="<= 0.5"),
        "reparam_error": Metric(
            max(row.result["nets"]["search"]["reparam_error"] for row in rows),
            unit="of the largest logit",
            goal="<= 1e-4",
        ),
        "search_cost": over_seeds([search_share(row) for row in rows], "x of training the narrow net", "<= 1"),
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
