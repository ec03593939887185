"""Stylization: a searched generator beside its teacher, rivals trained for as long, and controls.

On the pairs of photographs and sketches of CUHK, for operations and for milliseconds, and on portraits with what the
classical stylizer makes of them.

`python -m benchmarks.stylize [--quick] [--seed N] [--json FILE]`

Pictures are taken from `cuhk_sketch64` and `caltech_faces_easy` in the folder that the environment variable QWEDGE_DATA
names; without it, nothing is run and every figure is skipped. Seeds below `HELD_OUT` are for development.
"""

import sys
from collections.abc import Mapping, Sequence

from qwedge.experiments.stylize import TimedStylize
from shared.lab import Row
from shared.lab.running.benchmark import Metric, main, over_seeds
from vision.pruning_search.searched import mean_ssim, regret, relative_ms, seconds_ratio
from vision.stylize.experiment import StylizeSettings
from vision.stylize.figures import flicker, ssim_above, times_less
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
SHORT = StylizeSettings(channels=16, blocks=6, macs=0.08, teaching=300, search=20, steps=400, size=56)
"""Search and chosen net take no more seconds than their teacher: four minutes of one core for each seed."""
TIMED = SHORT.model_copy(update={"budget_ms": 16.0, "multiple": 8, "rivals": ("uniform",)})
"""At equal milliseconds of this machine, a third more than the narrowest net took on the slowest one so far: the
choices of both nets are measured, and made again."""
PORTRAITS = SHORT.model_copy(
    update={"data": "$QWEDGE_DATA/caltech_faces_easy", "teaching": 200, "steps": 200, "rivals": ("uniform",)}
)
"""Of 256x256 pixels at most; neighbours in the order of names, often of one person, are in one part."""
QUICK = SHORT.model_copy(update={"channels": 8, "teaching": 10, "search": 10, "steps": 20, "rivals": ("uniform",)})


def cells(quick: bool, seed: int) -> Sequence[StylizeSettings]:
    folder = StylizeSettings().folder
    if SHORT.is_generated or not folder.is_dir() or not pair_folders(folder):
        print(SKIPPED, file=sys.stderr)
        return []
    if quick:
        return [QUICK.model_copy(update={"seed": HELD_OUT + seed})]
    portraits = [PORTRAITS.model_copy(update={"seed": HELD_OUT + seed})] if PORTRAITS.folder.is_dir() else []
    sketches = [each.model_copy(update={"seed": HELD_OUT + seed, "seeds": SEEDS}) for each in (SHORT, TIMED)]
    return [*(cell for each in sketches for cell in each.per_seed()), *portraits]


def figures(rows: Sequence[Row]) -> Mapping[str, Metric]:
    """Differences in SSIM are paired by seed. `timed_` is of a budget of milliseconds, whose `vs_uniform_ssim` is the
    one with a goal where it was measured; `portraits_` is of portraits.
    """
    if not rows:
        return {name: Metric(None, unit=SKIPPED, goal=goal) for name, goal in GOALS.items()}
    portraits = [row for row in rows if row.settings["data"] == PORTRAITS.data]
    timed = [row for row in rows if row.settings["budget_ms"] is not None]
    sketches = [row for row in rows if row not in portraits and row not in timed]
    goals = {name: goal for name, goal in GOALS.items() if name != "vs_uniform_ssim" or not timed}
    measured = _figures(sketches, goals) if sketches else {}
    if timed:
        about = _figures(timed, {"vs_uniform_ssim": GOALS["vs_uniform_ssim"]})
        about["regret"] = over_seeds([regret(row) for row in timed], "%")
        measured |= {f"timed_{name}": metric for name, metric in about.items()}
    if portraits:
        # The net that ships has learned this style, from generated pictures.
        shipped = over_seeds([mean_ssim(row, "shipped") for row in portraits])
        about = _figures(portraits, {}) | {"ssim_shipped": shipped}
        measured |= {f"portraits_{name}": metric for name, metric in about.items()}
    return measured


def _figures(rows: Sequence[Row], goals: Mapping[str, str]) -> dict[str, Metric]:
    """Of rows of the same pairs and budget."""
    rivals = [name for name in SHORT.rivals if name in rows[0].result["nets"]]
    values = {
        "macs_cut": (times_less(rows, "macs"), "x"),
        "ms_cut": (times_less(rows, "compiled_ms"), "x"),
        "ms_cut_onnx": (times_less(rows, "ms"), "x"),
        "ssim_gap": ([-gap for gap in ssim_above(rows, "teacher")], ""),
        **{f"vs_{name}_ssim": (ssim_above(rows, name), "") for name in rivals},
        **{f"ms_vs_{name}": (relative_ms(rows, name, "compiled_ms"), "x") for name in rivals},
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
    return {name: over_seeds(each, unit, goals.get(name, "")) for name, (each, unit) in values.items()}


if __name__ == "__main__":
    main(TimedStylize(), cells, figures)
