"""CompVQC against every control: five tasks, two devices, two ansaetze, and five seeds not used in development.

`python -m benchmarks.compvqc [--quick] [--seed N] [--json FILE]`

Circuits are selected on training and validation data; the test part of each split is read once, for these rows. The
figures that compare with the paper use its seismic ansatz. The comparison with circuits trained small from scratch uses
the line ansatz, which fits the devices and which a user who wants the fewest gates would compress; the same figure for
the seismic ansatz is reported as well.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from quantum.compvqc.experiment import CompVQC, CompVQCSettings
from quantum.compvqc.page import accuracy, exact_ratio, grouped, scores
from shared.lab import Row
from shared.lab.running.benchmark import Metric, main, over_seeds

TASKS = ("digits36", "digits4", "iris", "wine", "cancer")
TARGETS = ("nairobi", "torino")
CIRCUITS = ("line", "seismic")
SEEDS = 5
HELD_OUT = 100
"""Seeds below this one are for development."""

COMPILERS = ("o3", "o3_approximate", "pytket", "pytket_approximate")


def cells(quick: bool, seed: int) -> Sequence[CompVQCSettings]:
    if quick:
        return [CompVQCSettings(task="iris", starts=1, seed=HELD_OUT + seed)]
    return [
        cell
        for circuit in CIRCUITS
        for task in TASKS
        for target in TARGETS
        for cell in CompVQCSettings(
            task=task, target=target, circuit=circuit, seed=HELD_OUT + seed, seeds=SEEDS
        ).per_seed()
    ]


def figures(rows: Sequence[Row]) -> Mapping[str, Metric]:
    out: dict[str, Metric] = {}
    line, seismic = ([row for row in rows if row.settings["circuit"] == circuit] for circuit in CIRCUITS)
    for task, depth_goal, twoq_goal in (("digits4", ">= 4", ">= 6"), ("digits36", ">= 10", "")):
        of = [row for row in seismic if row.settings["task"] == task]
        out[f"depth_ratio_{task}"] = _geometric(of, lambda row: exact_ratio(row, 1, "depth"), depth_goal)
        out[f"twoq_ratio_{task}"] = _geometric(of, lambda row: exact_ratio(row, 0, "twoq"), twoq_goal)
        for key in ("depth", "twoq"):
            ratio = partial(_against_lossless, key=key)
            out[f"{key}_ratio_{task}_lossless"] = _geometric(of, ratio, "")
        out[f"test_drop_{task}"] = _drop(of)
    out["twoq_vs_compile_only"] = _geometric(seismic, _against_compilers, ">= 2")
    out["twoq_vs_train_small"] = _against_small(line, ">= 0.7")
    out["twoq_vs_train_small_seismic"] = _against_small(seismic, "")
    out["seconds_per_task"] = _seconds(seismic, "<= 60")
    for target in TARGETS:
        of = [row for row in seismic if row.settings["target"] == target]
        out[f"seconds_per_task_{target}"] = _seconds(of, "")
    return out


def _geometric(rows: Sequence[Row], ratio: Callable[[Row], float], goal: str) -> Metric:
    logs = over_seeds([math.log(ratio(row)) for row in rows])
    return Metric(*(log if log is None else math.exp(log) for log in logs[:3]), "x", goal)


def _drop(rows: Sequence[Row]) -> Metric:
    """Points of test accuracy lost against the dense circuit on the same split."""
    return over_seeds([100 * (accuracy(row, "o3") - accuracy(row, "compvqc")) for row in rows], "points", "<= 1")


def _against_lossless(row: Row, key: str) -> float:
    """A count after lossless rewriting over that of the compressed circuit, where a count of 0 is taken as 1."""
    return float(scores(row, "dense")[key] / max(scores(row, "compvqc")[key], 1))


def _against_compilers(row: Row) -> float:
    best = min(scores(row, name)["twoq"] for name in COMPILERS)
    return float(best / max(scores(row, "compvqc")["twoq"], 1))


def _against_small(rows: Sequence[Row], goal: str) -> Metric:
    """The share of tasks and targets on which compression is better than small circuits trained from scratch.

    Those have the least size whose mean validation accuracy is within a point of the best. Compression is better with
    25 % fewer two-qubit gates at no less mean test accuracy, or with a point more accuracy at no more gates.
    """
    wins = [_beats_small(group) for group in grouped(rows, "task", "target")]
    return Metric(sum(wins) / len(wins) if wins else None, unit="of tasks and targets", goal=goal)


def _beats_small(rows: Sequence[Row]) -> bool:
    fronts = [row.result["small"]["front"] for row in rows]
    validated = [
        sum(front[k]["val"] / row.result["samples"]["val"] for row, front in zip(rows, fronts, strict=True)) / len(rows)
        for k in range(len(fronts[0]))
    ]
    size = next(k for k, share in enumerate(validated) if share >= max(validated) - 0.01)
    gates = sum(front[size]["twoq"] for front in fronts) / len(rows)
    baseline = _share([(row, front[size]["test"]) for row, front in zip(rows, fronts, strict=True)])
    return _compressed(rows, 0.75 * gates) >= baseline or _compressed(rows, gates) >= baseline + 0.01


def _compressed(rows: Sequence[Row], gates: float) -> float:
    """Mean test accuracy of the compressed circuits with the best selection score at no more two-qubit gates."""
    fits = [[p for p in row.result["compvqc"]["front"] if p["twoq"] <= gates] for row in rows]
    return _share([(row, front[-1]["test"]) for row, front in zip(rows, fits, strict=True)]) if all(fits) else 0.0


def _share(correct: Sequence[tuple[Row, int]]) -> float:
    return sum(right / row.result["samples"]["test"] for row, right in correct) / len(correct)


def _seconds(rows: Sequence[Row], goal: str) -> Metric:
    """CPU seconds of one core for one compression, without training of the starts and without the controls."""
    seconds = sorted(row.result["compvqc"]["cpu_s"] for row in rows)
    if not seconds:
        return Metric(None, unit="s", goal=goal)
    return Metric(seconds[len(seconds) // 2], seconds[0], seconds[-1], "s", goal)


if __name__ == "__main__":
    main(CompVQC(), cells, figures)
