"""Learned widths against widths by rule and by the core's solvers: ResNet-8 at a quarter of its multiply-accumulates.

`python -m benchmarks.pruning_search [--quick] [--seed N] [--json FILE]`

Images are taken from `cifar10` in the folder that the environment variable QWEDGE_DATA names; without it, nothing is
run and every figure is skipped. Seeds below `HELD_OUT` are for development.
"""

import sys
from collections.abc import Mapping, Sequence

from shared.lab import Row
from shared.lab.running.benchmark import Metric, main, over_seeds
from vision.data.cifar10 import archive
from vision.pruning_search.experiment import PruningSearch, PruningSearchSettings
from vision.pruning_search.figures import budget_error, gains, percent, search_share, seconds

SEEDS = 2
HELD_OUT = 100
GOALS = {"uniform": ">= 1.0", "bn_gamma": ">= 0.3", "l1_group": ">= 0.3"}
SKIPPED = "skipped: QWEDGE_DATA names no folder with images"
QUICK = PruningSearchSettings(
    width=8, epochs=2, search=1, tuning=1, per_class=40, scored=50, batch=32, controls=("uniform", "admm")
)


def cells(quick: bool, seed: int) -> Sequence[PruningSearchSettings]:
    try:
        archive(PruningSearchSettings().images)
    except ValueError as error:
        print(f"skipped: {error}", file=sys.stderr)
        return []
    if quick:
        return [QUICK.model_copy(update={"seed": HELD_OUT + seed})]
    return PruningSearchSettings(seed=HELD_OUT + seed, seeds=SEEDS).per_seed()


def figures(rows: Sequence[Row]) -> Mapping[str, Metric]:
    """Differences in accuracy are in points, paired by seed."""
    if not rows:
        goals = {f"pas_vs_{name}": goal for name, goal in GOALS.items()} | {"macs_error": "<= 0.5"}
        return {name: Metric(None, unit=SKIPPED, goal=goal) for name, goal in goals.items()}
    controls = [name for name in rows[0].result["nets"] if name != "search"]
    by_control = {f"pas_vs_{it}": over_seeds(gains(rows, it), "points", GOALS.get(it, "")) for it in controls}
    time_ratios = {
        f"seconds_{it}": over_seeds([seconds(row, it) / seconds(row, "search") for row in rows], "x of the search's")
        for it in controls
    }
    return by_control | {
        "macs_error": Metric(max(budget_error(row) for row in rows), unit="%", goal="<= 0.5"),
        "reparam_error": Metric(
            max(row.result["nets"]["search"]["reparam_error"] for row in rows),
            unit="of the largest logit",
            goal="<= 1e-4",
        ),
        "search_cost": over_seeds([search_share(row) for row in rows], "x of training the narrow net", "<= 1"),
        **{
            f"accuracy_{it}": over_seeds([percent(row, it) for row in rows], "%")
            for it in ("wide", "search", *controls)
        },
        **time_ratios,
    }


if __name__ == "__main__":
    main(PruningSearch(), cells, figures)
