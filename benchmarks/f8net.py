"""F8Net against its float net on CIFAR-10: five seeds that nothing was chosen on, counted on the test images.

`python -m benchmarks.f8net [--quick] [--seed N] [--json FILE]`

Images are taken from `cifar10` in the folder that the environment variable QWEDGE_DATA names; without it, nothing is
run and every figure is skipped.
"""

import sys
from collections.abc import Mapping, Sequence

from shared.lab import Estimate, Row
from shared.lab.running.benchmark import Metric, main
from vision.data.cifar10 import archive
from vision.f8net.experiment import F8NetGap, F8NetSettings
from vision.f8net.figures import accuracy, gap
from vision.f8net.page import NETS, widest

SEEDS = 5
HELD_OUT = 100
"""Seeds below this one are for development."""

QUICK = F8NetSettings(epochs=2, tuning=1, width=8, per_class=100, scored=50, batch=32)
SKIPPED = "skipped: QWEDGE_DATA names no folder with images"


def cells(quick: bool, seed: int) -> Sequence[F8NetSettings]:
    try:
        archive(F8NetSettings().images)
    except ValueError as error:
        print(f"skipped: {error}", file=sys.stderr)
        return []
    if quick:
        return [QUICK.model_copy(update={"seed": HELD_OUT + seed})]
    return F8NetSettings(seed=HELD_OUT + seed, seeds=SEEDS).per_seed()


def figures(rows: Sequence[Row]) -> Mapping[str, Metric]:
    """The gap is taken to the better of two float nets: as it was when F8Net began, and trained on as long as F8Net."""
    if not rows:
        goals = {"f8net_gap": "<= 0.5", "f8net_multiplier_bits": "<= 8"}
        return {name: Metric(None, unit=SKIPPED, goal=goal) for name, goal in goals.items()}
    metrics = {
        "f8net_gap": _measure(gap(rows), "points", "<= 0.5"),
        "f8net_multiplier_bits": Metric(widest(rows), unit="bits", goal="<= 8"),
        "f8net_gap_calibrated": _measure(gap(rows, "calibrated"), "points"),
    }
    return metrics | {f"f8net_accuracy_{net.lower()}": _measure(accuracy(rows, net), "%") for net in NETS}


def _measure(it: Estimate, unit: str, goal: str = "") -> Metric:
    return Metric(it.value, it.low, it.high, unit, goal)


if __name__ == "__main__":
    main(F8NetGap(), cells, figures)
