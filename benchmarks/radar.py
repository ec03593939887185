"""Radar waveforms told apart by small nets: accuracies on pulses that nothing was trained on, beside the Bayes bound.

`python -m benchmarks.radar [--quick] [--seed N] [--json FILE]`

Three cells of one seed: the bound, the net that ships, and that net compressed by every technique of the sweep.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from shared.lab import Row
from shared.lab.running.benchmark import Metric, main, over_seeds
from wireless.radar.experiment import figures as of
from wireless.radar.experiment.pretrain import TRAINED
from wireless.radar.experiment.run import Radar, RadarSettings

WEIGHTS = "wireless/radar/nets/pretrained/iq.safetensors"
"""Relative to a checkout, so that rows are the same on every machine."""

SWEPT = RadarSettings(
    nets=("iq",),
    weights=WEIGHTS,
    techniques=("magnitude", "admm-blocks", "admm-channels", "int8", "channels-int8", "distilled", "small"),
    examples=12_000,
    epochs=10,
    tuning=2,
    tested=50,
)
QUICK = RadarSettings(nets=("iq-10k",), epochs=2, examples=4_000, tested=10)

PRUNED = ("magnitude", "admm-blocks", "admm-channels")
"""Techniques whose nets have as many bytes as the small one from scratch, in floating point."""
LOST = 0.01
"""Share of pulses that a net may lose and still count as compressed."""


def cells(quick: bool, seed: int) -> Sequence[RadarSettings]:
    if quick:
        return Radar().cells(QUICK.model_copy(update={"seed": TRAINED.seed + seed}))
    if not Path(WEIGHTS).is_file():
        raise SystemExit(f"{WEIGHTS} is not here: run in a checkout")
    both = TRAINED.model_copy(update={"nets": ("bayes", *TRAINED.nets)})
    return [cell for it in (both, SWEPT) for cell in Radar().cells(it.model_copy(update={"seed": TRAINED.seed + seed}))]


def figures(rows: Sequence[Row]) -> Mapping[str, Metric]:
    nets = [row for row in of.of_net(rows, "iq") if not row.settings["weights"]]
    swept = [row for row in rows if row.result.get("techniques")]
    timed = [row for row in rows if "generation" in row.result]
    last = [of.worst_recall(of.counts(row), -1) for row in nets]
    merged = [of.worst_recall(of.together(row), -1) for row in nets]
    return {
        "mean_accuracy": over_seeds([of.mean_accuracy(row) for row in nets], goal=">= 0.88"),
        "mean_accuracy_bound": over_seeds([of.mean_accuracy(row) for row in of.of_net(rows, "bayes")]),
        "accuracy_minus6db": over_seeds([of.accuracy_at(row, -6.0) for row in nets], goal=">= 0.94"),
        "worst_class_recall_10db": over_seeds(last, goal=">= 0.85"),
        "worst_merged_recall_10db": over_seeds(merged, goal=">= 0.97"),
        "compression_ratio": over_seeds([_ratio(row) for row in swept], "x", ">= 40"),
        "vs_small_from_scratch": over_seeds([_against_small(row) for row in swept], "points", ">= 0.5"),
        "pulses_per_second": over_seeds([of.pulses_per_second(row) for row in timed], "pulses / CPU s", ">= 20000"),
    }


def _accuracy(row: Row, technique: str) -> float:
    return float(of.right(np.array(row.result["techniques"][technique]["confusion"])).mean())


def _ratio(row: Row) -> float:
    """Bytes of the float net over those of the smallest that loses no more than `LOST`; 1 where all lose more."""
    kept = [
        about["bytes"]
        for name, about in row.result["techniques"].items()
        if _accuracy(row, name) >= of.mean_accuracy(row) - LOST
    ]
    return float(row.result["bytes"] / min([row.result["bytes"], *kept]))


def _against_small(row: Row) -> float:
    """The best pruned net minus the small one from scratch, of as many bytes, in points of mean accuracy."""
    return 100 * (max(_accuracy(row, name) for name in PRUNED) - _accuracy(row, "small"))


if __name__ == "__main__":
    main(Radar(), cells, figures)
