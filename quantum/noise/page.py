"""The page of noise reports: score against noise and shots, and error attribution, for one circuit or several."""

import io
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from quantum.noise.drift import THRESHOLDS, summary
from shared.lab import (
    COLORS,
    KeyFigures,
    Number,
    Page,
    Row,
    Table,
    Text,
    cite,
    legend_below,
    mean,
    plot,
    wilson,
    write_atomic,
)

TOP = 8
"""Number of gates with the largest error that are listed for each circuit."""

RECOVERED = "error recovered by ablation"


class Figure(NamedTuple):
    """A figure of the page: `paint(axes, ...)` plots it on `panels` axes."""

    name: str
    title: str
    caption: str
    panels: int
    paint: Callable[..., None]


def page(rows: Sequence[Row]) -> Page:
    """The report of one circuit, or a comparison of several and the circuit to run on each calibration cluster."""
    choices = [row for row in rows if "kinds" in row.result]
    selection = tuple(table for row in choices for table in _choice(row))
    rows = _reports(rows)
    if not rows:
        return Page(
            "Which circuit to run", "Selected by today's calibration, and evaluated exactly on later days.", selection
        )
    names = ", ".join(_name(row) for row in rows)
    plots = [plot(f.paint, *rows, title=f.title, caption=f.caption, panels=f.panels) for f in figures(rows)]
    devices = ", ".join(sorted({row.result["device"]["name"] for row in rows}))
    return Page(
        title="Noise robustness" if len(rows) == 1 else "Noise robustness, side by side",
        summary=f"{names} on {devices}: exact expectations under the device's noise at several strengths, and shots "
        "sampled from them.",
        blocks=(
            KeyFigures(list(_key_figures(rows))),
            _against_noise(rows),
            *plots[:1],
            _against_shots(rows),
            *_drift(rows),
            *selection,
            _counts(rows),
            *_attribution(rows),
            *plots[1:],
            Text(*_reading(rows), title="Reading"),
        ),
    )


def save_figures(rows: Sequence[Row], folder: Path) -> list[Path]:
    """Writes each figure of the page to `folder`, as SVG and as PNG."""
    from matplotlib.figure import Figure as Canvas

    written = []
    for figure in figures(_reports(rows)):
        canvas = Canvas(figsize=(9.2, 3.8), layout="constrained", dpi=150)
        figure.paint(*canvas.subplots(1, figure.panels, squeeze=False)[0])
        legend_below(canvas)
        for kind in ("svg", "png"):
            data = io.BytesIO()
            canvas.savefig(data, format=kind)
            written.append(folder / f"{figure.name}.{kind}")
            write_atomic(written[-1], data.getvalue())
    return written


def _reports(rows: Sequence[Row]) -> list[Row]:
    """The rows about one circuit each."""
    return [row for row in rows if "report" in row.result]


def _name(row: Row) -> str:
    return str(row.result["name"])


def _report(row: Row) -> dict[str, Any]:
    return dict(row.result["report"])


def _score(value: float, row: Row) -> Number:
    """A score as printed: an accuracy with Wilson's interval, or a plain number."""
    total = _report(row)["total"]
    if total is None:
        return cite(value, row, form=".4f")
    rate = wilson(round(value), total)
    return cite(rate.value, row, form=".1%", low=rate.low, high=rate.high)


def _shots_score(scores: Sequence[float], row: Row) -> Number:
    total = _report(row)["total"]
    values = [score / total if total else score for score in scores]
    form = ".1%" if total else ".4f"
    if len(values) < 2:
        return cite(values[0], row, form=form)
    middle, low, high = mean(values)
    return cite(middle, row, form=form, low=low, high=high)


def _key_figures(rows: Sequence[Row]) -> Iterator[tuple[str, Number]]:
    for row in rows:
        report = _report(row)
        at = {point["scale"]: point for point in report["scales"]}
        if 1.0 in at:
            yield f"{_name(row)}: as calibrated", _score(at[1.0]["score"], row)
            yield f"{_name(row)}: mean |change of <Z>|", cite(at[1.0]["shift"], row, form=".3f")
        if energy := row.result.get("energy"):
            yield f"{energy['problem']}: lowest energy, {energy['unit']}", cite(energy["lowest"], row, form=".4f")
        worst = max(at)
        if worst > 1:
            yield f"{_name(row)}: at {worst:g} times the noise", _score(at[worst]["score"], row)


def _against_noise(rows: Sequence[Row]) -> Table:
    lines = [
        (
            _name(row),
            cite(point["scale"], row, form="g"),
            _score(point["score"], row),
            cite(point["shift"], row, form=".4f"),
            cite(point["margin"], row, form=".4f"),
        )
        for row in rows
        for point in _report(row)["scales"]
    ] + [
        (
            f"{_name(row)}, extrapolated",
            cite(point["scale"], row, form="g"),
            _score(point["score"], row),
            cite(point["shift"], row, form=".4f"),
            "",
        )
        for row in rows
        if row.result.get("zne")
        for point in row.result["zne"]["scales"]
    ]
    return Table(
        "Against noise",
        ("circuit", "noise scale", _unit(rows), "mean |change of <Z>|", "mean margin"),
        lines,
        note="Exact, with infinitely many shots. Scale 1 is the device as calibrated; 95 % Wilson intervals of the "
        "finite test set. The margin is the <Z> of the correct class minus the highest other one.",
        strong=[k for k, line in enumerate(lines) if line[1].value == 1.0],
    )


def _unit(rows: Sequence[Row]) -> str:
    units = {_report(row)["unit"] for row in rows}
    return " or ".join(sorted("accuracy" if unit == "right" else str(unit) for unit in units))


def _against_shots(rows: Sequence[Row]) -> Table:
    counts = sorted({point["shots"] for row in rows for point in _report(row)["shots"]})
    lines: list[tuple[str | Number, ...]] = []
    for row in rows:
        scores = {point["shots"]: point["scores"] for point in _report(row)["shots"]}
        exact = [point["score"] for point in _report(row)["scales"] if point["scale"] == 1.0]
        sampled = [_shots_score(scores[count], row) if count in scores else "" for count in counts]
        lines.append((_name(row), *sampled, _score(exact[0], row) if exact else ""))
        if (zne := row.result.get("zne")) is not None:
            scores = {point["shots"]: point["scores"] for point in zne["shots"]}
            exact = [point["score"] for point in zne["scales"] if point["scale"] == 1.0]
            sampled = [_shots_score(scores[count], row) if count in scores else "" for count in counts]
            lines.append((f"{_name(row)}, extrapolated", *sampled, _score(exact[0], row) if exact else ""))
    return Table(
        f"Against shots: {_unit(rows)}",
        ("circuit", *(f"{count:,} shots" for count in counts), "exact"),
        lines,
        note="At the device's own noise. Means over independent sets of shots with 95 % t intervals. `extrapolated` is "
        "zero-noise extrapolation (folds 1, 3 and 5, Richardson), which divides that number of shots among its folds.",
    )


def _drift(rows: Sequence[Row]) -> Iterator[Table]:
    over_days = [row for row in rows if row.result.get("drift")]
    if not over_days:
        return
    shares = [f"{share:g}" for share in THRESHOLDS if any(_report(row)["total"] for row in over_days)]
    lines: list[tuple[str | Number, ...]] = []
    for row in over_days:
        total = _report(row)["total"]
        history = summary(row.result["drift"], total, least_is_best=row.result.get("energy") is not None)
        form, unit = (".1%", total) if total else (".4f", 1)
        above = history["above"] or {}
        lines.append(
            (
                _name(row),
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


def _choice(row: Row) -> Iterator[Table]:
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


def _counts(rows: Sequence[Row]) -> Table:
    columns = (("twoq", "two-qubit gates", ","), ("depth", "depth", ","), ("depth_no_rz", "depth without RZ", ","))
    more = (("esp", "success probability", ".3f"), ("duration_ns", "duration, ns", ",.0f"))
    lines: list[tuple[str | Number, ...]] = [
        (_name(row), *(cite(_report(row)["counts"][key], row, form=form) for key, _, form in (*columns, *more)))
        for row in rows
    ]
    return Table(
        "As compiled",
        ("circuit", *(title for _, title, _ in (*columns, *more))),
        lines,
        note="The success probability (ESP) is the product of 1 - error over the gates, without readout.",
    )


def _attribution(rows: Sequence[Row]) -> Iterator[Table]:
    attributed = [row for row in rows if _report(row)["attribution"] is not None]
    for key, title in (("kinds", "kind"), ("qubits", "qubit")):
        lines = [
            (_name(row), entry, cite(gain, row, form=".4f"), _share(gain, row))
            for row in attributed
            for entry, gain in sorted(_report(row)["attribution"][key].items(), key=lambda item: -item[1])
        ]
        yield Table(
            f"Where the error comes from, by {title}",
            ("circuit", title, RECOVERED, "share"),
            lines,
            note="Mean |change of <Z>| that is recovered when only this noise is removed, evaluated exactly. The "
            "shares need not add up to 100 %: two errors together cost less than the sum of what each costs alone.",
        )
    gates = [
        (_name(row), gate["name"], "-".join(map(str, gate["qubits"])), cite(gate["index"], row), *_gate_gain(gate, row))
        for row in attributed
        for gate in sorted(_report(row)["attribution"]["gates"], key=lambda gate: -gate["gain"])[:TOP]
    ]
    yield Table(
        "Gates, idle times and readouts with the largest error",
        ("circuit", "gate", "qubits", "place in the schedule", RECOVERED, "share"),
        gates,
        note="`delay` is an idle time, `measure` a readout. The recovered error is the mean movement of <Z> towards "
        "its ideal value without that noise.",
    )


def _gate_gain(gate: dict[str, Any], row: Row) -> tuple[Number, Number]:
    return cite(gate["gain"], row, form=".5f"), _share(gate["gain"], row)


def _share(gain: float, row: Row) -> Number:
    shift = _report(row)["attribution"]["shift"]
    return cite(gain / shift if shift else None, row, form=".1%")


def _reading(rows: Sequence[Row]) -> Iterator[str]:
    yield (
        "Weak noise shrinks all <Z> by similar factors and keeps their order, so accuracy at scale 1 with many shots "
        "hardly changes. Circuits differ at few shots, at higher scales, and in the change of <Z>. "
    )
    for note in sorted({note for row in rows for note in row.result["notes"]}):
        yield f"{note[:1].upper()}{note[1:]}. "
    for row in rows:
        if _report(row)["attribution"] is None:
            yield f"{_name(row)} is too wide for an exact error attribution. "


def figures(rows: Sequence[Row]) -> list[Figure]:
    """The figures of the page, in order."""
    if not rows:
        return []
    plotted = [
        Figure(
            "noise",
            "Score and <Z> against noise, score against shots",
            "Left and middle: exact. Right: means over sets of shots at scale 1, with their spread.",
            3,
            lambda *axes: _paint_curves(rows, *axes),
        )
    ]
    if any(_report(row)["attribution"] is not None for row in rows):
        plotted.append(
            Figure(
                "sources",
                "Where the error comes from",
                "Part of the mean change of <Z> that is recovered without the noise of one kind, or of one qubit.",
                2,
                lambda *axes: _paint_attribution(rows, *axes),
            )
        )
    return plotted


def _color(index: int) -> str:
    return list(COLORS.values())[index % len(COLORS)]


def _paint_curves(rows: Sequence[Row], scores: Any, shifts: Any, shots: Any) -> None:
    for index, row in enumerate(rows):
        report, style = _report(row), {"marker": "o", "color": _color(index), "label": _name(row)}
        total = report["total"] or 1
        scales = [point["scale"] for point in report["scales"]]
        scores.plot(scales, [point["score"] / total for point in report["scales"]], **style)
        shifts.plot(scales, [point["shift"] for point in report["scales"]], **style)
        if report["shots"]:
            sampled = [[score / total for score in point["scores"]] for point in report["shots"]]
            middle = [sum(values) / len(values) for values in sampled]
            spread = [
                math.sqrt(sum((v - m) ** 2 for v in values) / len(values))
                for values, m in zip(sampled, middle, strict=True)
            ]
            shots.errorbar([point["shots"] for point in report["shots"]], middle, spread, capsize=3, **style)
    shots.set_xscale("log")
    scores.set(xlabel="noise scale", ylabel=_unit(rows))
    shifts.set(xlabel="noise scale", ylabel="mean |change of <Z>|")
    shots.set(xlabel="shots", ylabel=_unit(rows))


def _paint_attribution(rows: Sequence[Row], kinds: Any, qubits: Any) -> None:
    attributed = [row for row in rows if _report(row)["attribution"] is not None]
    for axes, key in ((kinds, "kinds"), (qubits, "qubits")):
        names = list(dict.fromkeys(name for row in attributed for name in _report(row)["attribution"][key]))
        names.sort(key=lambda name: (not name.isdigit(), int(name) if name.isdigit() else 0))
        for index, row in enumerate(attributed):
            gains = _report(row)["attribution"][key]
            places = [
                place + (index - (len(attributed) - 1) / 2) * 0.8 / len(attributed) for place in range(len(names))
            ]
            bars = [gains.get(name, 0.0) for name in names]
            axes.barh(places, bars, 0.8 / len(attributed), color=_color(index), label=_name(row))
        axes.set_yticks(range(len(names)), names)
        axes.invert_yaxis()
        axes.set(xlabel="mean |change of <Z>| recovered", ylabel="qubit" if key == "qubits" else "")
