"""Radar waveforms told apart by small nets: accuracies on pulses that nothing was trained on, beside the Bayes bound.

`python -m benchmarks.radar [--quick] [--seed N] [--json FILE]`

The cells are sweeps of compression over the two nets that ship, and the bound. Pruned in steps, the large net was
trained on 2.3 million pulses in all; its control, the small one, dense and of as many bytes, on 3 million. Times are of
this machine.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from qwedge.experiments.radar import TimedRadar
from shared.lab import Row
from shared.lab.running.benchmark import Metric, main, over_seeds
from wireless.radar.experiment import figures as of
from wireless.radar.experiment.run import RadarSettings

WEIGHTS = "wireless/radar/nets/pretrained"
"""Relative to a checkout, so that rows are the same on every machine."""
SEED = 100
"""Of the first test set."""
BOUND = RadarSettings(nets=("bayes",), bound_tested=1)
LARGE = RadarSettings(
    nets=("iq",),
    weights=f"{WEIGHTS}/iq.safetensors",
    techniques=("gradual",),
    budget=0.27,  # as many bytes as the small net has
    examples=12_000,
    tuning=12,
    timed=True,
    device="ecp5-25k",
)
CODE_BOOK = LARGE.model_copy(update={"techniques": ("code-book",), "tuning": 3})
SMALL = RadarSettings(
    nets=("iq-10k",),
    weights=f"{WEIGHTS}/iq-10k.safetensors",
    techniques=("int8", "int4"),
    budget=0.55,
    examples=40_000,
    tuning=2,
    timed=True,
    device="ecp5-25k",
)
ON_FPGA = SMALL.model_copy(
    update={"techniques": ("gradual-channels-int8",), "price": "macs", "budget": 0.42, "tuning": 3}
)
QUICK = RadarSettings(nets=("iq-10k",), epochs=2, examples=4_000, tested=10, techniques=())

LOST = 0.01
"""Share of pulses that a net may lose and still count as compressed."""


def cells(quick: bool, seed: int) -> Sequence[RadarSettings]:
    wanted = [QUICK] if quick else [SMALL, ON_FPGA, LARGE, BOUND, CODE_BOOK]
    if missing := [it.weights for it in wanted if it.weights and not Path(it.weights).is_file()]:
        raise SystemExit(f"{missing[0]} is not here: run in a checkout")
    seeded = [it.model_copy(update={"seed": SEED + seed}) for it in wanted]
    return [cell for it in seeded for cell in TimedRadar().cells(it)]


def figures(rows: Sequence[Row]) -> Mapping[str, Metric]:
    large, small, bound = (_sweeps(rows, name) for name in ("iq", "iq-10k", "bayes"))
    pairs = [(row, other) for row in large for other in small if row.seed == other.seed]
    last = [of.worst_recall(of.counts(row), -1) for row in large]
    merged = [of.worst_recall(of.together(row), -1) for row in large]
    in_int8 = [_accuracy(row.result["techniques"]["int8"]) for row in small if row.result["techniques"]]
    pruned = [row.result["techniques"].get("gradual-channels-int8", {}) for row in small]
    plans = [result["fpga"] for result in pruned if "fpga" in result]
    return {
        "mean_accuracy": over_seeds([of.mean_accuracy(row) for row in large], goal=">= 0.88"),
        "mean_accuracy_bound": over_seeds([of.mean_accuracy(row) for row in bound]),
        "mean_accuracy_10k": over_seeds([of.mean_accuracy(row) for row in small]),
        "mean_accuracy_10k_int8": over_seeds(in_int8, goal=">= 0.86"),
        "accuracy_minus6db": over_seeds([of.accuracy_at(row, -6.0) for row in large], goal=">= 0.94"),
        "worst_class_recall_10db": over_seeds(last, goal=">= 0.85"),
        "worst_merged_recall_10db": over_seeds(merged, goal=">= 0.97"),
        "compression_ratio": over_seeds([_ratio(*pair) for pair in pairs], "x", ">= 40"),
        "vs_small_from_scratch": over_seeds(
            [_against_small(*pair) for pair in pairs if "gradual" in pair[0].result["techniques"]], "points", ">= 0.5"
        ),
        "latency_ratio": over_seeds([_speed(*pair, most_lost=1.0) for pair in pairs], "x", ">= 4"),
        "latency_ratio_within_point": over_seeds([_speed(*pair, most_lost=LOST) for pair in pairs], "x"),
        "fpga_per_second": over_seeds([_on_fpga(plan) for plan in plans], "windows / s, estimated", ">= 10000"),
        "mean_accuracy_on_fpga": over_seeds([_accuracy(result) for result in pruned if "fpga" in result]),
        "pulses_per_second": over_seeds([of.pulses_per_second(row) for row in large], "pulses / CPU s", ">= 20000"),
    }


def _sweeps(rows: Sequence[Row], net: str) -> list[Row]:
    """A row of each seed, with the techniques of all its sweeps; of one that is in two the later."""
    joined: dict[int, Row] = {}
    for row in of.of_net(rows, net):
        before = joined.setdefault(row.seed, row)
        techniques = {**before.result.get("techniques", {}), **row.result.get("techniques", {})}
        joined[row.seed] = replace(before, result={**before.result, "techniques": techniques})
    return list(joined.values())


def _accuracy(result: Mapping[str, Any]) -> float:
    return float(of.right(np.array(result["confusion"])).mean())


def _within(large: Row, small: Row, most_lost: float) -> list[Mapping[str, Any]]:
    """What all techniques made, of those that lose no more than this beside the large net; itself among them."""
    results = [large.result, small.result, *large.result["techniques"].values(), *small.result["techniques"].values()]
    return [result for result in results if _accuracy(result) >= of.mean_accuracy(large) - most_lost]


def _ratio(large: Row, small: Row) -> float:
    """Bytes of the large net over those of the smallest that loses no more than `LOST`."""
    return float(large.result["bytes"] / min(result["bytes"] for result in _within(large, small, LOST)))


def _speed(large: Row, small: Row, most_lost: float) -> float:
    """The large net's time in the best peer over that of the fastest compiled net."""
    dense = large.result["ms"]["dense in ONNX Runtime"]
    return float(dense / min(it["ms"]["compiled"] for it in _within(large, small, most_lost)))


def _against_small(large: Row, small: Row) -> float:
    """The pruned net minus the small one from scratch, of as many bytes, in points of mean accuracy."""
    return 100 * (_accuracy(large.result["techniques"]["gradual"]) - of.mean_accuracy(small))


def _on_fpga(plan: Mapping[str, Any]) -> float:
    """Windows a second of a plan; 0 where it takes more than the device has."""
    return float(plan["per_second"]) if plan.get("share", np.inf) <= 1 else 0.0


if __name__ == "__main__":
    main(TimedRadar(), cells, figures)
