"""Slimmed nets against uniform scaling and random cuts, at three budgets of milliseconds of this machine.

`python -m benchmarks.slimming [--quick] [--seed N] [--json FILE]`

Images are taken from `cifar10` in the folder that the environment variable QWEDGE_DATA names; without it, nothing is
run and every figure is skipped. Budgets are shares of what the largest net is predicted to take. Seeds below `HELD_OUT`
are for development.
"""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mobile.pricing.calibration import calibrated
from mobile.pricing.net import net_latency
from qwedge.experiments.slimming import TimedSlimming
from shared.lab import Row
from shared.lab.running.benchmark import Metric, main, over_seeds
from vision.data.cifar10 import SHAPE, archive
from vision.slimming.experiment import CLASSES, SIDE, SlimmingSettings
from vision.slimming.figures import NETS, gains, percent, regret
from vision.slimming.net import SlimNet

SEEDS = 2
HELD_OUT = 100
SHARES = (0.25, 0.45, 0.65)
BUDGETS = ("tight", "middle", "loose")
GOALS = {"uniform": ">= 1.0", "random": "> 0"}
SKIPPED = "skipped: QWEDGE_DATA names no folder with images"
FULL = {"supernet": 6, "tuning": 6, "per_class": 150, "judged": 30}
QUICK = {"supernet": 1, "tuning": 1, "exchange": 0.0, "per_class": 40, "scored": 50, "judged": 5}


def cells(quick: bool, seed: int) -> Sequence[SlimmingSettings]:
    settings = SlimmingSettings(seed=HELD_OUT + seed, seeds=1 if quick else SEEDS, **(QUICK if quick else FULL))
    try:
        archive(settings.images)
    except ValueError as error:
        print(f"skipped: {error}", file=sys.stderr)
        return []
    largest = SlimNet(settings.largest(), image=SIDE, classes=CLASSES).eval()
    ms = net_latency(largest, SHAPE, calibrated(numbers="float32"), "float32").ms
    budgets = [float(f"{share * ms:.2g}") for share in (SHARES[1:2] if quick else SHARES)]
    return [cell for budget in budgets for cell in settings.model_copy(update={"budget_ms": budget}).per_seed()]


def figures(rows: Sequence[Row]) -> Mapping[str, Metric]:
    """Differences in accuracy are in points, paired by seed; errors are of all nets."""
    if not rows:
        return {f"slim_vs_{rival}": Metric(None, unit=SKIPPED, goal=goal) for rival, goal in GOALS.items()}
    budgets = sorted({row.settings["budget_ms"] for row in rows})
    parts = {
        name: [row for row in rows if row.settings["budget_ms"] == ms]
        for name, ms in zip(BUDGETS, budgets, strict=False)
    }
    nets = [about for row in rows for about in row.result["nets"].values()]
    return {
        **{
            f"slim_vs_{rival}_{name}": over_seeds(gains(part, rival), "points", goal)
            for name, part in parts.items()
            for rival, goal in GOALS.items()
        },
        **{
            f"accuracy_{net}_{name}": over_seeds([percent(row, net) for row in part], "%")
            for name, part in parts.items()
            for net in NETS
        },
        "latency_mape": Metric(100 * float(np.mean([_error(net) for net in nets])), unit="%", goal="<= 5"),
        "latency_spearman": Metric(_rank_correlation(nets), goal=">= 0.95"),
        "regret": Metric(max(regret(row) for row in rows), unit="%", goal="<= 5"),
    }


def _error(net: Mapping[str, Any]) -> float:
    return abs(net["price"] / net["measured_ms"] - 1)


def _rank_correlation(nets: Sequence[Mapping[str, Any]]) -> float:
    """Spearman's, of predicted and measured milliseconds."""
    ranks = [np.argsort(np.argsort([net[key] for net in nets])) for key in ("price", "measured_ms")]
    return float(np.corrcoef(*ranks)[0, 1])


if __name__ == "__main__":
    main(TimedSlimming(), cells, figures)
