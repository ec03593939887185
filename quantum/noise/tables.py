"""The tables on the page of noise reports: a line for each circuit, with the noise scales or shots as columns."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from quantum.noise.drift import THRESHOLDS, summary
from shared.lab import Number, Row, Table, cite, mean, wilson

CHANGE = "mean |change of <Z>|"

NOISE = {0.0: "no noise", 1.0: "the device's noise"}
"""The noise scales that have a name."""

LARGEST = 5
"""Gates with the largest error that are listed for each circuit."""

INTERVALS = 6
"""The most scales at which a table has room for intervals."""


def name_of(row: Row) -> str:
    return str(row.result["name"])


def report(row: Row) -> dict[str, Any]:
    return dict(row.result["report"])


def score(value: float, row: Row) -> Number:
    """A score as printed: an accuracy with Wilson's interval, or a plain number."""
    total = report(row)["total"]
    if total is None:
        return cite(value, row, form=".4f")
    rate = wilson(round(value), total)
    return cite(rate.value, row, form=".1%", low=rate.low, high=rate.high)


def _shots_score(scores: Sequence[float], row: Row) -> Number:
    total = report(row)["total"]
    values = [score / total if total else score for score in scores]
    form = ".1%" if total else ".4f"
    if len(values) < 2:
        return cite(values[0], row, form=form)
    middle, low, high = mean(values)
    return cite(middle, row, form=form, low=low, high=high)


def unit(rows: Sequence[Row]) -> str:
    """What the scores of the rows are, in a word or two."""
    names = {report(row)["unit"] for row in rows}
    return " or ".join(sorted("accuracy" if name == "right" else str(name) for name in names))


def against_noise(rows: Sequence[Row]) -> Iterator[Table]:
    """Score, change of <Z> and margin of every circuit at every noise scale."""
    scales = sorted({point["scale"] for row in rows for point in report(row)["scales"]})
    columns = ("circuit", *(NOISE.get(scale, f"{scale:g} x noise") for scale in scales))
    curves = [curve for row in rows for curve in _curves(row)]
    exact = "Exact, with infinitely many shots. "
    roomy = len(scales) <= INTERVALS

    def lines(show: Callable[[Any, Row], str | Number]) -> list[tuple[str | Number, ...]]:
        return [
            (name, *(show(points[scale], row) if scale in points else "" for scale in scales))
            for name, row, points in curves
        ]

    def accuracy(point: Any, row: Row) -> Number:
        it = score(point["score"], row)
        return it if roomy else cite(it.value, row, form=it.form)

    counted = roomy and any(report(row)["total"] for row in rows)
    intervals = "95 % Wilson intervals of the finite test set." if counted else ""
    yield Table(f"Against noise: {unit(rows)}", columns, lines(accuracy), note=exact + intervals)
    shifts = lines(lambda point, row: cite(point["shift"], row, form=".4f"))
    yield Table(f"Against noise: {CHANGE}", columns, shifts, note=f"{exact}Lower is better.")
    margins = lines(lambda point, row: cite(point["margin"], row, form=".4f") if point["margin"] is not None else "")
    if any(entry for line in margins for entry in line[1:]):
        note = f"{exact}The <Z> of the correct class minus the highest other one; higher is better."
        yield Table("Against noise: mean margin", columns, margins, note=note)


def _curves(row: Row) -> Iterator[tuple[str, Row, Mapping[float, Any]]]:
    """The points of a circuit by noise scale, and those of its extrapolation to zero noise."""
    yield name_of(row), row, {point["scale"]: point for point in report(row)["scales"]}
    if row.result.get("zne"):
        points = {point["scale"]: {**point, "margin": None} for point in row.result["zne"]["scales"]}
        yield f"{name_of(row)}, extrapolated", row, points


def against_shots(rows: Sequence[Row]) -> Table:
    """The scores sampled with each number of shots beside the exact one."""
    counts = sorted({point["shots"] for row in rows for point in report(row)["shots"]})
    lines: list[tuple[str | Number, ...]] = []
    for row in rows:
        scores = {point["shots"]: point["scores"] for point in report(row)["shots"]}
        exact = [point["score"] for point in report(row)["scales"] if point["scale"] == 1.0]
        sampled = [_shots_score(scores[count], row) if count in scores else "" for count in counts]
        lines.append((name_of(row), *sampled, score(exact[0], row) if exact else ""))
        if (zne := row.result.get("zne")) is not None:
            scores = {point["shots"]: point["scores"] for point in zne["shots"]}
            exact = [point["score"] for point in zne["scales"] if point["scale"] == 1.0]
            sampled = [_shots_score(scores[count], row) if count in scores else "" for count in counts]
            lines.append((f"{name_of(row)}, extrapolated", *sampled, score(exact[0], row) if exact else ""))
    return Table(
        f"Against shots: {unit(rows)}",
        ("circuit", *(f"{count:,} shots" for count in counts), "exact"),
        lines,
        note="At the device's own noise. Means over independent sets of shots with 95 % t intervals. `extrapolated` is "
        "zero-noise extrapolation (folds 1, 3 and 5, Richardson), which divides that number of shots among its folds.",
    )


def day_by_day(rows: Sequence[Row]) -> Iterator[Table]:
    """How each circuit scores over the days, as compiled for the first."""
    over_days = [row for row in rows if row.result.get("drift")]
    if not over_days:
        return
    shares = [f"{share:g}" for share in THRESHOLDS if any(report(row)["total"] for row in over_days)]
    lines: list[tuple[str | Number, ...]] = []
    for row in over_days:
        total = report(row)["total"]
        history = summary(row.result["drift"], total, least_is_best=row.result.get("energy") is not None)
        form, unit = (".1%", total) if total else (".4f", 1)
        above = history["above"] or {}
        lines.append(
            (
                name_of(row),
                cite(history["days"], row),
                *(cite(history[key] / unit, row, form=form) for key in ("mean", "worst", "deviation")),
                *(cite(above.get(share), row) for share in shares),
            )
        )
    yield Table(
        "Day by day",
        ("circuit", "days", "mean", "worst", "deviation", *(f"days above {float(s):.0%}" for s in shares)),
        lines,
        note="The circuit as compiled for the first calibration, evaluated exactly on the calibration of each day.",
    )


def choice(row: Row) -> Iterator[Table]:
    """The circuit selected for each calibration cluster, and its score on days outside the clusters."""
    result = row.result
    unit, form = (result["total"], ".1%") if result["total"] else (1, ".4f")
    yield Table(
        "Calibration clusters",
        ("cluster", "circuit", result["unit"] if unit == 1 else "accuracy", "radius"),
        [
            (
                str(k + 1),
                cluster["model"],
                cite(cluster["score"] / unit, row, form=form),
                cite(cluster["radius"], row, form=".3g"),
            )
            for k, cluster in enumerate(result["kinds"])
        ],
        note=f"Clusters of the first {result['known']} calibrations, with each entry weighted by its influence on the "
        "scores. The circuit had the best score on the days of its cluster. A day farther from the centre than the "
        "radius is farther than every day that the cluster was built from.",
    )
    picked = [result["scores"][day["model"]][k] for k, day in enumerate(result["later"])]
    best = min if result["less_is_better"] else max
    lines = {
        "chosen by calibration": picked,
        **{f"always {name}": scores for name, scores in result["scores"].items()},
        "best in hindsight": [best(scores) for scores in zip(*result["scores"].values(), strict=True)],
    }
    unlike = sum(day["distance"] > day["radius"] for day in result["later"])
    yield Table(
        "Which circuit to run: on later days",
        ("choice", "days", "mean", "worst"),
        [
            (
                name,
                cite(len(scores), row),
                *(cite(value / unit, row, form=form) for value in _mean_and_worst(scores, best)),
            )
            for name, scores in lines.items()
        ],
        note=f"The last {len(picked)} calibrations, evaluated exactly; {unlike} of them are outside the radius of "
        "the nearest cluster. If one circuit is best on every day, a choice by calibration gains nothing.",
        strong=[0],
    )


def _mean_and_worst(scores: Sequence[float], best: Callable[..., float]) -> tuple[float, float]:
    return sum(scores) / len(scores), (max if best is min else min)(scores)


def counts(rows: Sequence[Row]) -> Table:
    """What each circuit takes on the device."""
    columns = (("twoq", "two-qubit gates", ","), ("depth", "depth", ","), ("depth_no_rz", "depth without RZ", ","))
    more = (("esp", "success probability", ".3f"), ("duration_ns", "duration, ns", ",.0f"))
    lines: list[tuple[str | Number, ...]] = [
        (name_of(row), *(cite(report(row)["counts"][key], row, form=form) for key, _, form in (*columns, *more)))
        for row in rows
    ]
    return Table(
        "As compiled",
        ("circuit", *(title for _, title, _ in (*columns, *more))),
        lines,
        note="The success probability (ESP) is the product of 1 - error over the gates, without readout.",
    )


def attribution(rows: Sequence[Row]) -> Iterator[Table]:
    """Shares of the error by kind of noise, by qubit, and of the gates with the largest one."""
    attributed = [row for row in rows if report(row)["attribution"] is not None]
    if not attributed:
        return
    for key, title in (("kinds", "kind"), ("qubits", "qubit")):
        entries = {entry for row in attributed for entry in report(row)["attribution"][key]}
        ordered = sorted(entries, key=lambda entry: (not entry.isdigit(), int(entry) if entry.isdigit() else 0, entry))
        yield Table(
            f"Where the error comes from, by {title}",
            ("circuit", CHANGE, *(f"qubit {entry}" if key == "qubits" else entry for entry in ordered)),
            [(*_whole(row), *(_share_of(row, key, entry) for entry in ordered)) for row in attributed],
            note="The share of the mean |change of <Z>| that is recovered when only this noise is removed, evaluated "
            "exactly. The shares need not add up to 100 %: two errors together cost less than the sum of what each "
            "costs alone.",
        )
    yield Table(
        "Gates, idle times and readouts with the largest error",
        ("circuit", CHANGE, *(f"no. {place + 1}" for place in range(LARGEST))),
        [(*_whole(row), *_largest(row)) for row in attributed],
        note="Gate, qubits, place in the schedule, and the share of the change that is recovered without its noise. "
        "`delay` is an idle time, `measure` a readout.",
    )


def _whole(row: Row) -> tuple[str, Number]:
    return name_of(row), cite(report(row)["attribution"]["shift"], row, form=".4f")


def _share_of(row: Row, key: str, entry: str) -> str | Number:
    gains = report(row)["attribution"][key]
    return _share(gains[entry], row) if entry in gains else ""


def _largest(row: Row) -> list[str | Number]:
    gates = sorted(report(row)["attribution"]["gates"], key=lambda gate: -gate["gain"])[:LARGEST]
    named = [
        cite(f"{gate['name']} {'-'.join(map(str, gate['qubits']))}, {gate['index']}: {_share(gate['gain'], row)}", row)
        for gate in gates
    ]
    return [*named, *[""] * (LARGEST - len(named))]


def _share(gain: float, row: Row) -> Number:
    shift = report(row)["attribution"]["shift"]
    return cite(gain / shift if shift else None, row, form=".1%")
