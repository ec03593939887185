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
    values = {
        "macs_cut": (times_less(rows, "macs"), "x"),
        "ms_cut": (times_less(rows, "compiled_ms"), "x"),
        "ms_cut_onnx": (times_less(rows, "ms"), "x"),
        "ssim_gap": ([-gap for gap in ssim_above(rows, "teacher")], ""),
        **{f"vs_{name}_ssim": (ssim_above(rows, name), "") for name in rivals},
        **{f"ms_vs_{name}": (relative_ms(rows, name), "x") for name in rivals},
        "identity_margin": (ssim_above(rows, "identity"), ""),
        "classical_margin": (ssim_above(rows, "classical"), ""),
        "search_ms": ([row.result["nets"]["search"]["compiled_ms"] for row in rows], "ms"),
        "classical_ms": ([row.result["nets"]["classical"]["ms"] for row in rows], "ms"),
        "flicker": (flicker(rows), "levels of 256"),
        **{f"seconds_{name}": (seconds_ratio(rows, name), "x ours") for name in rivals},
        **{
            f"ssim_{name}": ([mean_ssim(row, name) for row in rows], "")
            for name in ("teacher", "search", *rivals, "identity")
        },
    }
    return {name: over_seeds(each, unit, GOALS.get(name, "")) for name, (each, unit) in values.items()}


if __name__ == "__main__":
    main(TimedStylize(), cells, figures)
