"""Stylization: a searched generator beside its teacher, rivals trained for as long, and controls.

On the pairs of photographs and sketches of CUHK, and on portraits that the classical stylizer made pairs of.

`python -m benchmarks.stylize [--quick] [--seed N] [--json FILE]`

Pictures are taken from `cuhk_sketch64` and `caltech_faces_easy` in the folder that the environment variable QWEDGE_DATA
names; without it, nothing is run and every figure is skipped. Seeds below `HELD_OUT` are for development.
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
PORTRAITS = SHORT.model_copy(
    update={"data": "$QWEDGE_DATA/caltech_faces_easy", "teaching": 200, "steps": 200, "rivals": ("uniform",)}
)
"""Of 256x256 pixels at most, split by blocks of their numbers: a person is in one part only."""
QUICK = SHORT.model_copy(update={"channels": 8, "teaching": 10, "search": 10, "steps": 20, "rivals": ("uniform",)})


def cells(quick: bool, seed: int) -> Sequence[StylizeSettings]:
    folder = StylizeSettings().folder
    if SHORT.is_generated or not folder.is_dir() or not pair_folders(folder):
        print(SKIPPED, file=sys.stderr)
        return []
    if quick:
        return [QUICK.model_copy(update={"seed": HELD_OUT + seed})]
    portraits = [PORTRAITS.model_copy(update={"seed": HELD_OUT + seed})] if PORTRAITS.folder.is_dir() else []
    return [*SHORT.model_copy(update={"seed": HELD_OUT + seed, "seeds": SEEDS}).per_seed(), *portraits]


def figures(rows: Sequence[Row]) -> Mapping[str, Metric]:
    """Differences in SSIM are paired by seed."""
    if not rows:
        return {name: Metric(None, unit=SKIPPED, goal=goal) for name, goal in GOALS.items()}
    portraits = [row for row in rows if row.settings["data"] == PORTRAITS.data]
    sketches = [row for row in rows if row not in portraits]
    parts = (("", sketches, GOALS), ("portraits_", portraits, {}))
    return {
        prefix + name: metric for prefix, part, goals in parts if part for name, metric in _figures(part, goals).items()
    }


def _figures(rows: Sequence[Row], goals: Mapping[str, str]) -> dict[str, Metric]:
    """Of rows of the same pairs."""
    rivals = [name for name in SHORT.rivals if name in rows[0].result["nets"]]
    values = {
        "macs_cut": (times_less(rows, "macs"), "x"),
        "ms_cut": (times_less(rows, "ms"), "x"),
        "ssim_gap": ([-gap for gap in ssim_above(rows, "teacher")], ""),
        **{f"vs_{name}_ssim": (ssim_above(rows, name), "") for name in rivals},
        **{f"ms_vs_{name}": (relative_ms(rows, name), "x") for name in rivals},
        "identity_margin": (ssim_above(rows, "identity"), ""),
        "classical_margin": (ssim_above(rows, "classical"), ""),
        "search_ms": ([row.result["nets"]["search"]["ms"] for row in rows], "ms"),
        "classical_ms": ([row.result["nets"]["classical"]["ms"] for row in rows], "ms"),
        "flicker": (flicker(rows), "levels of 256"),
        **{f"seconds_{name}": (seconds_ratio(rows, name), "x ours") for name in rivals},
        **{
            f"ssim_{name}": ([mean_ssim(row, name) for row in rows], "")
            for name in ("teacher", "search", *rivals, "identity", "shipped")
        },
    }
    return {name: over_seeds(each, unit, goals.get(name, "")) for name, (each, unit) in values.items()}


if __name__ == "__main__":
    main(TimedStylize(), cells, figures)
