"""Stylization of the CUHK sketches: a searched generator beside its teacher, rivals trained for as long, and controls.

`python -m benchmarks.stylize [--quick] [--seed N] [--json FILE]`

Pairs are taken from `cuhk_sketch64` in the folder that the environment variable QWEDGE_DATA names; without it, nothing
is run and every figure is skipped. Seeds below `HELD_OUT` are for development.
"""

import sys
from collections.abc import Mapping, Sequence

from qwedge.experiments.stylize import TimedStylize
from shared.lab import Row
from shared.lab.running.benchmark import Metric, main, over_seeds
from vision.stylize.experiment import StylizeSettings
from vision.stylize.figures import flicker, mean_ssim, relative_ms, seconds_ratio, ssim_above, times_less
from vision.stylize.sources import pair_folders

SEEDS = 2
HELD_OUT = 100
SKIPPED = "skipped: QWEDGE_DATA names no folder with pairs"
GOALS = {
    "macs_cut": ">= 10",
    "ms_cut": ">= 5",
    "ssim_gap": "<= 0.01",
    "vs_uniform_ssim": ">= 0.01",
    "flicker": "<= 0",
}
SHORT = StylizeSettings(channels=16, blocks=6, macs=0.08, teaching=300, search=60, steps=300, size=56)
"""About three minutes of one core for each seed."""
QUICK = SHORT.model_copy(update={"channels": 8, "teaching": 10, "search": 10, "steps": 20, "rivals": ("uniform",)})


def cells(quick: bool, seed: int) -> Sequence[StylizeSettings]:
    folder = StylizeSettings().folder
    if SHORT.is_generated or not folder.is_dir() or not pair_folders(folder):
        print(SKIPPED, file=sys.stderr)
        return []
    if quick:
        return [QUICK.model_copy(update={"seed": HELD_OUT + seed})]
    return SHORT.model_copy(update={"seed": HELD_OUT + seed, "seeds": SEEDS}).per_seed()


def figures(rows: Sequence[Row]) -> Mapping[str, Metric]:
    """Differences in SSIM are paired by seed."""
    if not rows:
        return {name: Metric(None, unit=SKIPPED, goal=goal) for name, goal in GOALS.items()}
    rivals = [name for name in SHORT.rivals if name in rows[0].result["nets"]]
    return {
        "macs_cut": over_seeds(times_less(rows, "macs"), "x", GOALS["macs_cut"]),
        "ms_cut": over_seeds(times_less(rows, "ms"), "x", GOALS["ms_cut"]),
        "ssim_gap": over_seeds([-gap for gap in ssim_above(rows, "teacher")], "", GOALS["ssim_gap"]),
        **{
            f"vs_{name}_ssim": over_seeds(ssim_above(rows, name), "", GOALS.get(f"vs_{name}_ssim", ""))
            for name in rivals
        },
        **{f"ms_vs_{name}": over_seeds(relative_ms(rows, name), "x") for name in rivals},
        "identity_margin": over_seeds(ssim_above(rows, "identity")),
        "classical_margin": over_seeds(ssim_above(rows, "classical")),
        "search_ms": over_seeds([row.result["nets"]["search"]["ms"] for row in rows], "ms"),
        "classical_ms": over_seeds([row.result["nets"]["classical"]["ms"] for row in rows], "ms"),
        "flicker": over_seeds(flicker(rows), "levels of 256", GOALS["flicker"]),
        **{f"seconds_{name}": over_seeds(seconds_ratio(rows, name), "x ours") for name in rivals},
        **{f"ssim_{name}": over_seeds([mean_ssim(row, name) for row in rows]) for name in ("teacher", "search")},
        **{f"ssim_{name}": over_seeds([mean_ssim(row, name) for row in rows]) for name in (*rivals, "identity")},
    }


if __name__ == "__main__":
    main(TimedStylize(), cells, figures)
