"""Continual few-shot learning: CML beside its controls, on the same streams of tasks.

`python -m benchmarks.continual [--quick] [--seed N] [--json FILE] [--data DIR]`

Pictures are those of `cifar100`, `miniimagenet` (42x42) and `omniglot` in the folder that the environment variable
QWEDGE_DATA names, learned from one picture of a class and from five; without it, nothing is run and every figure is
skipped. Of the 80 classes of either set of photographs 30 train the encoder and 50 make ten tasks. With `--data DIR`
the classes of another folder make the tasks: an archive in the format of a set in QWEDGE_DATA is asked of an encoder of
all its development classes, and a tree of one folder per class of CIFAR-100's; the set's validation classes decide how
much of the outer loop the encoder keeps, if DIR leaves enough of them. Intervals are over three seeds; those of
`--quick` and of `--data`, which have one, are over its streams.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from qwedge.experiments.continual import CompiledContinual
from shared.lab import Estimate, Row
from shared.lab.running.benchmark import Metric, main
from vision.continual.experiment import ContinualSettings
from vision.continual.figures import better_frozen, gain, methods, points
from vision.data.few_shot import SETS, load

SEEDS = 3
HELD_OUT = 100
"""Seeds below this one are for development."""

QUICK = {"width": 8, "epochs": 1, "tuning": 1, "episodes": 3, "streams": 2, "tasks": 3}
SHARED = {"width": 32, "base_classes": 30, "shots": (1, 5), "tuning": 1, "streams": 200, "slow_streams": 3}
STORED: tuple[dict[str, Any], ...] = (
    {"data": "cifar100", "epochs": 8},
    {"data": "miniimagenet", "size": 42, "epochs": 20, "further": 4, "cosine_scale": 10.0},
    {
        "data": "omniglot",
        "size": 32,
        "width": 48,
        "base_classes": 0,
        "epochs": 10,
        "further": 4,
        "meta_tasks": 12,
        "episodes": 100,
        "outer_rate": 0.03,
        "outer_share": 1.0,
    },
)
"""What is run without `--data`, with half the channels of the papers' Conv4 for photographs.

The further epochs of plain classification take about as long as the outer loop.
"""

GOALS = {
    "gain_vs_finetune": ">= 20",
    "forgetting": "<= 2",
    "gain_vs_ncm": ">= 0.5",
    "gain_vs_replay": ">= 1",
    "single_task": ">= 95",
    "int8_drop": "<= 0.5",
    "bytes_per_class": "<= 256",
    "ms_per_new_class": "<= 50",
}


def cells(quick: bool, seed: int, tasks_from: str = "") -> Sequence[ContinualSettings]:
    chosen = STORED[:1] if quick else STORED
    if tasks_from:
        encoder = next(each for each in STORED if each["data"] == encoder_of(tasks_from))
        chosen = ({**encoder, "tasks_from": tasks_from, "base_classes": 0},)
    try:
        sets = [load(each["data"]) for each in chosen]
    except ValueError as error:
        print(f"skipped: {error}", file=sys.stderr)
        return []
    if tasks_from and len(sets[0].novel.without(load(tasks_from).all().names)) >= ContinualSettings().ways:
        chosen = ({**chosen[0], "outer_share": "validated"},)
    elif tasks_from:
        print(f"outer_share is not validated: {tasks_from} has the set's validation classes", file=sys.stderr)
    once = [ContinualSettings(seed=HELD_OUT + seed, **(SHARED | each | (QUICK if quick else {}))) for each in chosen]
    seeds = 1 if quick or tasks_from else SEEDS
    return [cell for each in once for cell in each.model_copy(update={"seeds": seeds}).per_seed()]


def encoder_of(folder: str) -> str:
    """The set in QWEDGE_DATA whose encoder is asked about the classes of `folder`, by the names of its archives."""
    archives = [path.name.lower() for path in Path(folder).glob("*") if path.suffix in (".tar", ".zip")]
    if any(name.startswith("images_background") for name in archives):
        return "omniglot"
    return next((name for name in SETS if any(name in archive for archive in archives)), "cifar100")


def figures(rows: Sequence[Row]) -> Mapping[str, Metric]:
    """The figures of each set and number of shots, whose names follow that of the figure for all but the first."""
    if not rows:
        return {name: Metric(None, unit="skipped: no pictures", goal=goal) for name, goal in GOALS.items()}
    groups = list(dict.fromkeys((row.settings["data"], shots) for row in rows for shots in row.settings["shots"]))
    return {
        name if group == groups[0] else f"{name}_{Path(group[0]).name}_{group[1]}_shots": metric
        for group in groups
        for name, metric in _figures([row for row in rows if row.settings["data"] == group[0]], group[1]).items()
    }


def _figures(rows: Sequence[Row], shots: int) -> Mapping[str, Metric]:
    """Differences are those of accuracies on all classes after the last task, paired by stream.

    Without those of methods that no row has: an encoder may have no form in integers.
    """

    def gained(other: str, goal: str = "") -> Metric:
        if other not in methods(rows[0], shots):
            return Metric(None)
        return _measure(gain(rows, shots, other), "points", goal)

    def fallen(method: str, key: str, goal: str = "") -> Metric:
        return _measure(points(rows, shots, method, key), "points", goal)

    def took(method: str) -> Metric:
        times = [methods(row, shots)[method]["ms_per_class"] for row in rows if method in methods(row, shots)]
        return Metric(max(times, default=None), unit="CPU ms", goal=GOALS["ms_per_new_class"])

    frozen = better_frozen(rows, shots)
    # The goal for a single task is of characters: those of other sets stand beside published figures.
    goal_of_one = "single_task" if rows[0].settings["data"] == "omniglot" else ""
    measured = {
        "gain_vs_finetune": gained("fine_tuning", "gain_vs_finetune"),
        "gain_vs_finetune_random_layer": gained("fine_tuning_random", "gain_vs_finetune"),
        "forgetting_own_classes": fallen("cml", "forgetting_own", "forgetting"),
        "forgetting_own_classes_joint": fallen("joint", "forgetting_own"),
        "forgetting": fallen("cml", "forgetting", "forgetting"),
        "forgetting_ncm": fallen(frozen, "forgetting"),
        "forgetting_joint": fallen("joint", "forgetting"),
        "gain_vs_ncm": gained(frozen, "gain_vs_ncm"),
        "gain_vs_all_parts": gained("all_parts"),
        "gain_vs_prototypes": gained("prototypes"),
        "gain_vs_maml": gained("maml"),
        "gain_vs_replay": gained("replay", "gain_vs_replay"),
        "gain_vs_joint": gained("joint"),
        "final": _measure(points(rows, shots, "cml"), "%"),
        "single_task": _measure(points(rows, shots, "cml", "single"), "%", goal_of_one),
        "int8_drop": gained("int8", "int8_drop"),
        "bytes_per_class": Metric(rows[0].result["bytes_per_class"], unit="bytes", goal=GOALS["bytes_per_class"]),
        "ms_per_new_class": took("cml"),
        "ms_per_new_class_compiled": took("compiled"),
    }

    return {name: metric for name, metric in measured.items() if metric.value is not None}


def _measure(it: Estimate, unit: str, name: str = "") -> Metric:
    return Metric(it.value, it.low, it.high, unit, GOALS.get(name, ""))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--data", default="", metavar="DIR")
    ours, others = parser.parse_known_args()
    if ours.data and not Path(ours.data).is_dir():
        parser.error(f"--data {ours.data}: no such folder")
    try:
        main(CompiledContinual(), lambda quick, seed: cells(quick, seed, ours.data), figures, others)
    except ValueError as error:
        parser.error(str(error))
