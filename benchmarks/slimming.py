"""Slimmed nets against published nets, uniform scaling and random cuts, at three budgets of milliseconds.

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
from vision.slimming.figures import best_rival, gains, percent, regret, search_cost, shared_nets
from vision.slimming.net import SlimNet
from vision.slimming.settings import SlimmingSettings

SEEDS = 3
HELD_OUT = 100
SHARES = (0.4, 0.2, 0.1)
BUDGETS = ("loose", "middle", "tight")
GOALS = {"uniform": ">= 1.0", "uniform_longer": "", "random": "> 0"}
RIVALS_GOAL = ">= 0"
SKIPPED = "skipped: QWEDGE_DATA names no folder with images"
FULL = {"supernet": 3, "tuning": 16, "per_class": 150, "batch": 32, "scored": 500, "judged": 20}
QUICK = {"supernet": 1, "tuning": 1, "per_class": 40, "scored": 50, "judged": 5}


def cells(quick: bool, seed: int) -> Sequence[SlimmingSettings]:
    settings = SlimmingSettings(seed=HELD_OUT + seed, seeds=1 if quick else SEEDS, **(QUICK if quick else FULL))
    try:
        archive(settings.images)
    except ValueError as error:
        print(f"skipped: {error}", file=sys.stderr)
        return []
    largest = SlimNet(settings.largest(), image=SHAPE[1], classes=10).eval()
    ms = net_latency(largest, SHAPE, calibrated(numbers="float32"), "float32").ms
    budgets = tuple(float(f"{share * ms:.2g}") for share in (SHARES[1:2] if quick else SHARES))
    return settings.model_copy(update={"budget_ms": budgets}).per_seed()


def figures(rows: Sequence[Row]) -> Mapping[str, Metric]:
    """Differences in accuracy are in points, paired by seed; errors are of all nets."""
    if not rows:
        return {f"slim_vs_{rival}": Metric(None, unit=SKIPPED, goal=goal) for rival, goal in GOALS.items()}
    budgets = list(enumerate(BUDGETS[: len(rows[0].result["budgets"])]))
    nets = [net for row in rows for at in row.result["budgets"] for net in at["nets"].values()]
    return {
        **{
            f"slim_vs_{rival}_{name}": over_seeds(gains(rows, place, rival), "points", goal)
            for place, name in budgets
            for rival, goal in GOALS.items()
            if rival in shared_nets(rows, place)
        },
        **{
            f"slim_vs_rivals_{name}": over_seeds(gains(rows, place, rival), "points", RIVALS_GOAL)
            for place, name in budgets
            if (rival := best_rival(rows, place)) is not None
        },
        **{
            f"accuracy_{net}_{name}": over_seeds([percent(row, place, net) for row in rows], "%")
            for place, name in budgets
            for net in shared_nets(rows, place)
        },
        "latency_mape": Metric(100 * float(np.mean([_error(net) for net in nets])), unit="%", goal="<= 5"),
        "latency_spearman": Metric(_rank_correlation(nets), goal=">= 0.95"),
        "regret": Metric(max(regret(row) for row in rows), unit="%", goal="<= 5"),
        "search_cost": over_seeds([search_cost(row) for row in rows], "of training", "<= 1"),
    }


def _error(net: Mapping[str, Any]) -> float:
    return abs(net["price"] / net["measured_ms"] - 1)


def _rank_correlation(nets: Sequence[Mapping[str, Any]]) -> float:
    """Spearman's, of predicted and measured milliseconds."""
    ranks = [np.argsort(np.argsort([net[key] for net in nets])) for key in ("price", "measured_ms")]
    return float(np.corrcoef(*ranks)[0, 1])


if __name__ == "__main__":
    main(TimedSlimming(), cells, figures)
