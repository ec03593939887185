"""Continual few-shot learning on Omniglot: CML beside its controls, on the same streams of ten tasks of five classes.

`python -m benchmarks.continual [--quick] [--seed N] [--json FILE]`

Pictures are taken from `omniglot` in the folder that the environment variable QWEDGE_DATA names; without it, nothing is
run and every figure is skipped. Intervals are over seeds, or over the streams of a single one.
"""

import sys
from collections.abc import Mapping, Sequence

from shared.lab import Estimate, Row
from shared.lab.running.benchmark import Metric, main
from vision.continual.experiment import Continual, ContinualSettings
from vision.continual.figures import better_frozen, gain, points
from vision.data.few_shot import load

HELD_OUT = 100
"""Seeds below this one are for development."""

QUICK = {"width": 8, "epochs": 1, "tuning": 1, "episodes": 3, "streams": 2, "tasks": 3}
FULL = {"width": 32, "streams": 20}
GOALS = {
    "gain_vs_finetune": ">= 20",
    "forgetting": "<= 2",
    "gain_vs_ncm": ">= 0.5",
    "gain_vs_replay": ">= 1",
    "single_task": ">= 95",
    "bytes_per_class": "<= 256",
    "ms_per_new_class": "<= 50",
}


def cells(quick: bool, seed: int) -> Sequence[ContinualSettings]:
    try:
        load("omniglot")
    except ValueError as error:
        print(f"skipped: {error}", file=sys.stderr)
        return []
    return [ContinualSettings(seed=HELD_OUT + seed, **(QUICK if quick else FULL))]


def figures(rows: Sequence[Row]) -> Mapping[str, Metric]:
    """Differences are those of accuracies on all classes after the last task, paired by stream."""
    if not rows:
        return {name: Metric(None, unit="skipped: no pictures", goal=goal) for name, goal in GOALS.items()}
    cml = [row.result["methods"]["cml"] for row in rows]
    return {
        "gain_vs_finetune": _measure(gain(rows, "fine_tuning"), "points", "gain_vs_finetune"),
        "forgetting": _measure(points(rows, "cml", "forgetting"), "points", "forgetting"),
        "forgetting_ncm": _measure(points(rows, better_frozen(rows), "forgetting"), "points"),
        "gain_vs_ncm": _measure(gain(rows, better_frozen(rows)), "points", "gain_vs_ncm"),
        "gain_vs_no_inner_loop": _measure(gain(rows, "no_inner_loop"), "points"),
        "gain_vs_replay": _measure(gain(rows, "replay"), "points", "gain_vs_replay"),
        "gain_vs_joint": _measure(gain(rows, "joint"), "points"),
        "single_task": _measure(points(rows, "cml", "single"), "%", "single_task"),
        "bytes_per_class": Metric(rows[0].result["bytes_per_class"], unit="bytes", goal=GOALS["bytes_per_class"]),
        "ms_per_new_class": Metric(
            max(it["ms_per_class"] for it in cml), unit="CPU ms", goal=GOALS["ms_per_new_class"]
        ),
    }


def _measure(it: Estimate, unit: str, name: str = "") -> Metric:
    return Metric(it.value, it.low, it.high, unit, GOALS.get(name, ""))


if __name__ == "__main__":
    main(Continual(), cells, figures)
