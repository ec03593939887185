"""Learned widths against widths by rule and by the core's solvers: a classifier, a net of masks, an image translator.

`python -m benchmarks.pruning_search [--quick] [--seed N] [--json FILE]`

The classifier is ResNet-8 at a quarter of its multiply-accumulates, and at a share of its milliseconds on this machine.
Images are taken from `cifar10`, and pairs from `cuhk_sketch64`, in the folder that the environment variable QWEDGE_DATA
names; without it, nothing is run and every figure is skipped. Seeds below `HELD_OUT` are for development.
"""

import sys
from collections.abc import Mapping, Sequence

from qwedge.experiments.pruning_search import TimedPruningSearch
from shared.lab import Row
from shared.lab.running.benchmark import Metric, main, over_seeds
from vision.data.cifar10 import archive
from vision.pruning_search.figures import budget_error, gains, ms_error, reached, search_share, seconds, task_of
from vision.pruning_search.settings import PruningSearchSettings

SEEDS = 3
HELD_OUT = 100
GOALS = {"uniform": ">= 1.0", "bn_gamma": ">= 0.3", "l1_group": ">= 0.3"}
TASK_GOALS = {"segmentation": ("points", ">= 1.0"), "translation": ("", ">= 0.01")}
SKIPPED = "skipped: QWEDGE_DATA names no folder with images"
MS = 0.02
"""A budget of milliseconds: about half of what the wide net takes on a core with AVX2."""
WHOLE = PruningSearchSettings(epochs=8, tuning=6)
QUICK = PruningSearchSettings(
    width=8, epochs=2, search=1, tuning=1, per_class=40, scored=50, batch=32, controls=("uniform", "admm")
)
TASKS = {
    "segmentation": {"width": 12, "batch": 16, "epochs": 8, "search": 2, "tuning": 6, "exchange": 2.0, "scored": 100},
    "translation": {"width": 12, "batch": 8, "epochs": 4, "search": 1, "tuning": 4, "exchange": 2.0},
}


def cells(quick: bool, seed: int) -> Sequence[PruningSearchSettings]:
    try:
        archive(PruningSearchSettings().images)
    except ValueError as error:
        print(f"skipped: {error}", file=sys.stderr)
        return []
    first = {"seed": HELD_OUT + seed}
    if quick:
        return [QUICK.model_copy(update=first)]
    rules = {"controls": ("uniform", "l1_group", "bn_gamma")}
    whole = [WHOLE.model_copy(update=asked) for asked in ({}, rules | {"ms": MS})]
    whole += [
        PruningSearchSettings.model_validate({"task": task, "controls": ("uniform",), **asked})
        for task, asked in TASKS.items()
    ]
    return [cell for each in whole for cell in each.model_copy(update={**first, "seeds": SEEDS}).per_seed()]


def figures(rows: Sequence[Row]) -> Mapping[str, Metric]:
    """Differences in accuracy and mask AP are in points, paired by seed."""
    if not rows:
        goals = {f"pas_vs_{name}": goal for name, goal in GOALS.items()} | {"macs_error": "<= 0.5"}
        return {name: Metric(None, unit=SKIPPED, goal=goal) for name, goal in goals.items()}
    classes, timed = (
        [row for row in rows if task_of(row) == "classification" and bool(row.settings["ms"]) == is_timed]
        for is_timed in (False, True)
    )
    every = _classifiers(classes)
    if timed:
        every |= {f"pas_vs_{it}_ms": over_seeds(gains(timed, it), "points", GOALS[it]) for it in _controls(timed)}
        every["ms_error"] = Metric(max(ms_error(row) for row in timed), unit="%", goal="<= 3")
    for task, (unit, goal) in TASK_GOALS.items():
        if of_task := [row for row in rows if task_of(row) == task]:
            every[f"pas_{task}"] = over_seeds(gains(of_task, "uniform"), unit, goal)
            for net in ("wide", "search", "uniform"):
                every[f"{task}_{net}"] = over_seeds([reached(row, net) for row in of_task], unit and "%")
    searched = [row for row in rows if row not in timed]
    return every | {
        "macs_error": Metric(max(budget_error(row) for row in searched), unit="%", goal="<= 0.5"),
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
