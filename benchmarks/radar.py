"""Radar waveforms told apart by small nets: accuracies on pulses that nothing was trained on, beside the Bayes bound.

`python -m benchmarks.radar [--quick] [--seed N] [--json FILE]`

The nets that ship are counted on the pulses of five seeds, without any training. Sweeps of compression over them, and
the bound, have one seed. The net with a filter bank is pruned for an FPGA, placed and routed; its control, narrower and
of as many bytes, trains from scratch on as many pulses. Times are of this machine: those of nets in the sweeps, that of
the generation of pulses in every row.
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
SWEPT = 300
"""The seed of sweeps and of the bound: no choice was made on its pulses."""
COUNTED = range(400, 405)
"""Seeds of the pulses that accuracies of the nets that ship are counted on: no choice was made on any."""
BOUND = RadarSettings(nets=("bayes",), bound_tested=1)
LARGE = RadarSettings(
    nets=("iq",),
    weights=f"{WEIGHTS}/iq.safetensors",
    techniques=("code-book",),
    examples=40_000,
    tuning=1,
    timed=True,
)
IN_4_BITS = RadarSettings(
    nets=("iq",),
    weights=f"{WEIGHTS}/iq.safetensors",
    techniques=("int4",),
    snr_db=(-16.0, 4.0),
    examples=24_000,
    rate=1e-3,
    tuning=1,
    timed=True,
)
SMALL = RadarSettings(
    nets=("iq-10k",),
    weights=f"{WEIGHTS}/iq-10k.safetensors",
    techniques=("int8",),
    snr_db=(-16.0, 4.0),
    examples=40_000,
    rate=2e-3,
    tuning=6,
    timed=True,
    device="ecp5-25k",
)
ON_FPGA = RadarSettings(
    nets=("bank",),
    weights=f"{WEIGHTS}/bank.safetensors",
    techniques=("gradual-channels-int8",),
    price="macs",
    budget=0.6,
    epochs=20,  # of the net's own training: the control is trained for as many and `tuning`
    examples=40_000,
    tuning=6,
    timed=True,
    device="ecp5-25k",
    placed=True,
)
WITH_CONTROL = ON_FPGA.model_copy(update={"same_size": True})
QUICK = RadarSettings(nets=("iq-10k",), epochs=2, examples=4_000, tested=10, techniques=())

ON_DEVICE = "gradual-channels-int8"
"""The technique whose net is placed and routed."""
LOST = 0.01
"""Share of pulses that a net may lose and still count as compressed."""


def cells(quick: bool, seed: int) -> Sequence[RadarSettings]:
    swept = [QUICK] if quick else [LARGE, IN_4_BITS, BOUND, SMALL, ON_FPGA, WITH_CONTROL]
    counted = [] if quick else [LARGE, SMALL, ON_FPGA]
    wanted = [it.model_copy(update={"seed": SWEPT + seed}) for it in swept]
    wanted += [_untrained(it, number + seed) for number in COUNTED for it in counted]
    if missing := [it.weights for it in wanted if it.weights and not Path(it.weights).is_file()]:
        raise SystemExit(f"{missing[0]} is not here: run in a checkout")
    return [cell for it in wanted for cell in TimedRadar().cells(it)]


def _untrained(sweep: RadarSettings, seed: int) -> RadarSettings:
    """The net of a sweep alone, as it ships."""
    return RadarSettings(nets=sweep.nets, weights=sweep.weights, techniques=(), seed=seed)


def figures(rows: Sequence[Row]) -> Mapping[str, Metric]:
    large, small, bank, bound = (_sweeps(rows, name) for name in ("iq", "iq-10k", "bank", "bayes"))
    swept = [row for row in large if row.result["techniques"]]
    by_seed = [[row for row in (*large, *small, *bank) if row.seed == it.seed] for it in swept]
    last = [of.worst_recall(of.counts(row), -1) for row in large]
    merged = [of.worst_recall(of.together(row), -1) for row in large]
    in_int8 = [_accuracy(row.result["techniques"]["int8"]) for row in small if "int8" in row.result["techniques"]]
    built = [row.result["techniques"][ON_DEVICE] for row in bank if ON_DEVICE in row.result["techniques"]]
    return {
        "mean_accuracy": over_seeds([of.mean_accuracy(row) for row in large], goal=">= 0.88"),
        "mean_accuracy_bound": over_seeds([of.mean_accuracy(row) for row in bound]),
        "mean_accuracy_10k": over_seeds([of.mean_accuracy(row) for row in small]),
        "mean_accuracy_10k_int8": over_seeds(in_int8, goal=">= 0.86"),
        "accuracy_minus6db": over_seeds([of.accuracy_at(row, -6.0) for row in large], goal=">= 0.94"),
        "worst_class_recall_10db": over_seeds(last, goal=">= 0.85"),
        "worst_merged_recall_10db": over_seeds(merged, goal=">= 0.97"),
        "compression_ratio": over_seeds([_ratio(*each) for each in by_seed], "x", ">= 40"),
        "vs_small_from_scratch": over_seeds(
            [100 * (_accuracy(it) - _accuracy(it["same_size"])) for it in built if it.get("same_size")],
            "points",
            ">= 0.5",
        ),
        "latency_ratio": over_seeds([_speed(*each, most_lost=1.0) for each in by_seed], "x", ">= 4"),
        "latency_ratio_within_point": over_seeds([_speed(*each, most_lost=LOST) for each in by_seed], "x"),
        "fpga_per_second": over_seeds(
            [it["fpga"].get("routed_per_second", 0.0) for it in built], "windows / s, placed and routed", ">= 10000"
        ),
        "mean_accuracy_on_fpga": over_seeds([_accuracy(it) for it in built]),
        "pulses_per_second": over_seeds(
            [of.pulses_per_second(row) for row in rows if "generation" in row.result], "pulses / CPU s", ">= 20000"
        ),
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


def _within(large: Row, others: Sequence[Row], most_lost: float) -> list[Mapping[str, Any]]:
    """What all techniques made, of those that lose no more than this beside the large net; itself among them."""
    results = [result for row in (large, *others) for result in (row.result, *row.result["techniques"].values())]
    return [result for result in results if _accuracy(result) >= of.mean_accuracy(large) - most_lost]


def _ratio(large: Row, *others: Row) -> float:
    """Bytes of the large net over those of the smallest that loses no more than `LOST`."""
    return float(large.result["bytes"] / min(result["bytes"] for result in _within(large, others, LOST)))


def _speed(large: Row, *others: Row, most_lost: float) -> float:
    """The large net's time in the best peer, the least of its row, over that of the fastest compiled net."""
    measured = (large.result, *large.result["techniques"].values())  # each beside the large net, minutes apart
    dense = min(it["ms"]["dense in ONNX Runtime"] for it in measured)
    return float(dense / min(it["ms"]["compiled"] for it in _within(large, others, most_lost)))


if __name__ == "__main__":
    main(TimedRadar(), cells, figures)
