"""Super-resolution on Set5: the nets that ship, and a searched shape beside rivals that were trained for as long.

`python -m benchmarks.superres [--quick] [--seed N] [--json FILE]`

Pictures are taken from `sr` in the folder that the environment variable QWEDGE_DATA names; without it, nothing is run
and every figure is skipped. Seeds below `HELD_OUT` are for development.
"""

import sys
from collections.abc import Mapping, Sequence

import numpy as np

from qwedge.experiments.superres import TimedSuperRes
from shared.lab import Row
from shared.lab.running.benchmark import Metric, main, over_seeds
from vision.pruning_search.searched import mean_psnr, mean_ssim, regret, seconds_ratio
from vision.superres.experiment import SuperResSettings
from vision.superres.figures import gains, latency_error, of_kind, rank_correlation
from vision.superres.sources import is_published

SEEDS = 3
HELD_OUT = 100
SKIPPED = "skipped: QWEDGE_DATA names no folder with pictures"
GOALS = {
    "set5_x2": ">= 37.0",
    "set5_x4": ">= 30.8",
    "set5_x2_ms": "<= 1",
    "gain_vs_fsrcnn": ">= 0.2",
    "vs_uniform": ">= 0.1",
    "vs_random": "> 0",
    "vs_ecbsr": ">= 0",
    "bicubic_x2": ">= 33.65",
    "latency_mape": "<= 5",
    "latency_spearman": ">= 0.97",
    "regret": "<= 5",
}
SHORT = SuperResSettings(
    channels=20,
    blocks=10,
    macs=0.25,
    pretrain=10,
    search=30,
    race=16,
    steps=1300,
    minimum=3,
    randoms=3,
    rivals=("uniform", "random", "ecbsr", "abpn", "fsrcnn"),
)
"""Less than a minute of one core for each net. On development pictures two blocks won the race and then fell behind."""
BRIEF = SHORT.model_copy(update={"pretrain": 10, "search": 10, "race": 5, "steps": 20, "randoms": 1})
LARGER = BRIEF.model_copy(update={"scale": 4, "rivals": ("fsrcnn",)})
"""For what the net that ships reaches at x4."""
TIMED = SHORT.model_copy(
    update={"budget_ms": 120.0, "race": 2, "steps": 10, "timed": 12, "randoms": 1, "rivals": ("uniform", "random")}
)
"""For how far predictions of milliseconds are from what is measured; its nets are hardly trained."""
QUICK = BRIEF.model_copy(update={"rivals": ("uniform", "fsrcnn")})


def cells(quick: bool, seed: int) -> Sequence[SuperResSettings]:
    folder = SuperResSettings().folder
    if SHORT.is_generated or not is_published(folder):
        print(SKIPPED, file=sys.stderr)
        return []
    if quick:
        return [QUICK.model_copy(update={"seed": HELD_OUT + seed})]
    once = [each.model_copy(update={"seed": HELD_OUT + seed}) for each in (LARGER, TIMED)]
    return [*once, *SHORT.model_copy(update={"seed": HELD_OUT + seed, "seeds": SEEDS}).per_seed()]


def figures(rows: Sequence[Row]) -> Mapping[str, Metric]:
    """Differences in PSNR are paired by seed."""
    if not rows:
        return {name: Metric(None, unit=SKIPPED, goal=goal) for name, goal in GOALS.items()}
    timed = [row for row in rows if row.settings["budget_ms"] is not None]
    edges = [row for row in rows if "ecbsr" in row.result["nets"]]
    others = [row for row in rows if row not in timed and "fsrcnn" in row.result["nets"]]
    two, four = ([row for row in others if row.settings["scale"] == scale] for scale in (2, 4))
    about: dict[str, Metric] = {}
    if two:
        ours, theirs = (min(row.result["nets"][name]["ms"] for row in two) for name in ("shipped", "fsrcnn"))
        about |= {
            "set5_x2": Metric(mean_psnr(two[0], "shipped"), unit="dB", goal=GOALS["set5_x2"]),
            "set5_x2_ssim": Metric(mean_ssim(two[0], "shipped")),
            "set5_x2_ms": Metric(ours / theirs, unit="x FSRCNN's", goal=GOALS["set5_x2_ms"]),
            "bicubic_x2": Metric(mean_psnr(two[0], "bicubic"), unit="dB", goal=GOALS["bicubic_x2"]),
        }
    if four:
        about["set5_x4"] = Metric(mean_psnr(four[0], "shipped"), unit="dB", goal=GOALS["set5_x4"])
    if timed:
        about["latency_mape"] = Metric(max(map(latency_error, timed)), unit="%", goal=GOALS["latency_mape"])
        about["latency_spearman"] = Metric(min(map(rank_correlation, timed)), goal=GOALS["latency_spearman"])
        about["regret"] = Metric(max(map(regret, timed)), unit="%", goal=GOALS["regret"])
        about["latency_refit"] = Metric(timed[0].result["price"].get("refit"), unit="x the laws")
    if edges:
        about["vs_ecbsr"] = over_seeds(gains(edges, "ecbsr"), "dB", GOALS["vs_ecbsr"])
        about["psnr_ecbsr"] = over_seeds([mean_psnr(row, "ecbsr") for row in edges], "dB")
        about["seconds_ecbsr"] = over_seeds(seconds_ratio(edges, "ecbsr"), "x ours")
    for kind in [kind for kind in SHORT.rivals if two and kind != "ecbsr" and of_kind(two[0], kind)]:
        nets = of_kind(two[0], kind)
        key = "gain_vs_fsrcnn" if kind == "fsrcnn" else f"vs_{kind}"
        about[key] = over_seeds(_by_seed([gains(two, net) for net in nets]), "dB", GOALS.get(key, ""))
        about[f"seconds_{kind}"] = over_seeds(_by_seed([seconds_ratio(two, net) for net in nets]), "x ours")
        about[f"psnr_{kind}"] = over_seeds(_by_seed([[mean_psnr(row, net) for row in two] for net in nets]), "dB")
    if randoms := of_kind(two[0], "random") if two else []:
        best = np.min([gains(two, net) for net in randoms], axis=0)
        about["vs_random_best"] = over_seeds(best.tolist(), "dB")
    if two:
        about["psnr_search"] = over_seeds([mean_psnr(row, "search") for row in two], "dB")
    return about


def _by_seed(values: Sequence[Sequence[float]]) -> list[float]:
    """The mean over the nets of a kind; `values` are by net and by seed."""
    means: list[float] = np.mean(values, axis=0).tolist()
    return means


if __name__ == "__main__":
    main(TimedSuperRes(), cells, figures)
