"""Continual few-shot learning: CML beside its controls, on the same streams of tasks.

`python -m benchmarks.continual [--quick] [--seed N] [--json FILE] [--data DIR]`

Pictures are those of `omniglot` (one shot) and `cifar100` (five) in the folder that the environment variable
QWEDGE_DATA names; without it, nothing is run and every figure is skipped. With `--data DIR` the classes of another
folder make the tasks, at one and at five shots: an archive in the format of a set in QWEDGE_DATA is asked of that set's
encoder, and a tree of one folder per class of the encoder of CIFAR-100. Intervals are over seeds, or over the streams
of a single one.
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from shared.lab import Estimate, Row
from shared.lab.running.benchmark import Metric, main
from vision.continual.experiment import Continual, ContinualSettings
from vision.continual.figures import better_frozen, gain, points
from vision.data.few_shot import SETS, load

HELD_OUT = 100
"""Seeds below this one are for development."""

SHOTS = (1, 5)
QUICK = {"width": 8, "epochs": 1, "tuning": 1, "episodes": 3, "streams": 2, "tasks": 3}
FULL = {"streams": 20}
STORED = ({"data": "omniglot"}, {"data": "cifar100", "shots": 5, "width": 32})
"""What is run without `--data`: the second with half the channels, for a pass over CIFAR-100 takes minutes."""

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
    size, chosen = (QUICK, STORED[:1]) if quick else (FULL, STORED)
    if tasks_from:
        chosen = tuple({"data": encoder_of(tasks_from), "tasks_from": tasks_from, "shots": shots} for shots in SHOTS)
    try:
        for each in chosen:
            load(each["data"])
    except ValueError as error:
        print(f"skipped: {error}", file=sys.stderr)
        return []
    return [ContinualSettings(seed=HELD_OUT + seed, **(each | size)) for each in chosen]


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
    groups = list(dict.fromkeys(map(_group, rows)))
    return {
        name if group == groups[0] else f"{name}_{group}": metric
        for group in groups
        for name, metric in _figures([row for row in rows if _group(row) == group]).items()
    }


def _group(row: Row) -> str:
    return f"{Path(row.settings['data']).name}_{row.settings['shots']}_shots"


def _is_omniglot(row: Row) -> bool:
    """Whether the goal for a single task is of these pictures: those of other sets stand beside published figures."""
    return bool(row.settings["data"] == "omniglot")


def _figures(rows: Sequence[Row]) -> Mapping[str, Metric]:
    """Differences are those of accuracies on all classes after the last task, paired by stream."""
    cml = [row.result["methods"]["cml"] for row in rows]
    return {
        "gain_vs_finetune": _measure(gain(rows, "fine_tuning"), "points", "gain_vs_finetune"),
        "forgetting": _measure(points(rows, "cml", "forgetting"), "points", "forgetting"),
        "forgetting_ncm": _measure(points(rows, better_frozen(rows), "forgetting"), "points"),
        "gain_vs_ncm": _measure(gain(rows, better_frozen(rows)), "points", "gain_vs_ncm"),
        "gain_vs_no_inner_loop": _measure(gain(rows, "no_inner_loop"), "points"),
        "gain_vs_replay": _measure(gain(rows, "replay"), "points", "gain_vs_replay"),
        "gain_vs_joint": _measure(gain(rows, "joint"), "points"),
        "single_task": _measure(points(rows, "cml", "single"), "%", "single_task" if _is_omniglot(rows[0]) else ""),
        "int8_drop": _measure(gain(rows, "int8", of="no_inner_loop"), "points", "int8_drop"),
        "bytes_per_class": Metric(rows[0].result["bytes_per_class"], unit="bytes", goal=GOALS["bytes_per_class"]),
        "ms_per_new_class": Metric(
            max(it["ms_per_class"] for it in cml), unit="CPU ms", goal=GOALS["ms_per_new_class"]
        ),
    }


def _measure(it: Estimate, unit: str, name: str = "") -> Metric:
    return Metric(it.value, it.low, it.high, unit, GOALS.get(name, ""))


if __name__ == "__main__":
    words = sys.argv[1:]
    place = words.index("--data") if "--data" in words else len(words)
    folder = "".join(words[place + 1 : place + 2])
    main(Continual(), lambda quick, seed: cells(quick, seed, folder), figures, words[:place] + words[place + 2 :])
