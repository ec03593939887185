"""The page of noise reports: curves, shots, and where the error comes from, for one circuit or several side by side."""

import io
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from quantum.noise.drift import THRESHOLDS, summary
from shared.lab import COLORS, KeyFigures, Number, Page, Row, Table, Text, cite, mean, plot, wilson, write_atomic

TOP = 8
"""How many of the gates that cost most are listed for each circuit."""


class Drawing(NamedTuple):
    """A figure before it is drawn: `paint(axes, ...)` draws it on `panels` axes."""

    name: str
    title: str
    caption: str
    panels: int
    paint: Callable[..., None]


def page(rows: Sequence[Row]) -> Page:
    """One circuit's report, or a comparison of several, and which of them to run on which day."""
    choices = [row for row in rows if "kinds" in row.result]
    chosen = tuple(table for row in choices for table in _choice(row))
    rows = _reports(rows)
    if not rows:
        return Page("Which circuit to run", "By today's calibration, exactly evaluated on days of drift.", chosen)
    names = ", ".join(_name(row) for row in rows)
    devices = ", ".join(sorted({row.result["device"]["name"] for row in rows}))
    return Page(
        title="Noise robustness" if len(rows) == 1 else "Noise robustness, side by side",
        summary=f"{names} on {devices}: exact expectations under the device's noise at several strengths, and shots "
        "drawn from them.",
        blocks=(
            KeyFigures(list(_key_figures(rows))),
            _against_noise(rows),
            *(plot(d.paint, *rows, title=d.title, caption=d.caption, panels=d.panels) for d in drawings(rows)[:1]),
            _against_shots(rows),
            *_drift(rows),
            *chosen,
            _counts(rows),
            *_sources(rows),
            *(plot(d.paint, *rows, title=d.title, caption=d.caption, panels=d.panels) for d in drawings(rows)[1:]),
            Text(*_reading(rows), title="Reading"),
        ),
    )


def save_figures(rows: Sequence[Row], folder: Path) -> list[Path]:
    """Writes each figure of the page to `folder`, as SVG and as PNG."""
    from matplotlib.figure import Figure

    written = []
    for drawing in drawings(_reports(rows)):
        canvas = Figure(figsize=(9.2, 3.8), layout="constrained", dpi=150)
        drawing.paint(*canvas.subplots(1, drawing.panels, squeeze=False)[0])
        for kind in ("svg", "png"):
            data = io.BytesIO()
            canvas.savefig(data, format=kind)
            written.append(folder / f"{drawing.name}.{kind}")
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
    """A score as it is shown: a share of the samples with Wilson's interval, or a number."""
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
        "finite test set. The margin is the right class's <Z> less the best other one.",
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
        drawn = [_shots_score(scores[count], row) if count in scores else "" for count in counts]
        lines.append((_name(row), *drawn, _score(exact[0], row) if exact else ""))
        if (zne := row.result.get("zne")) is not None:
            scores = {point["shots"]: point["scores"] for point in zne["shots"]}
            exact = [point["score"] for point in zne["scales"] if point["scale"] == 1.0]
            drawn = [_shots_score(scores[count], row) if count in scores else "" for count in counts]
            lines.append((f"{_name(row)}, extrapolated", *drawn, _score(exact[0], row) if exact else ""))
    return Table(
        f"Against shots: {_unit(rows)}",
        ("circuit", *(f"{count:,} shots" for count in counts), "exact"),
        lines,
        note="At the device's own noise. Means over independent sets of shots with 95 % t intervals. `extrapolated` is "
        "zero-noise extrapolation (folds 1, 3 and 5, Richardson), which shares the same number of shots by its folds.",
    )


def _drift(rows: Sequence[Row]) -> Iterator[Table]:
    known = [row for row in rows if row.result.get("drift")]
    if not known:
        return
    shares = [f"{share:g}" for share in THRESHOLDS if any(_report(row)["total"] for row in known)]
    lines: list[tuple[str | Number, ...]] = []
    for row in known:
        total = _report(row)["total"]
        found = summary(row.result["drift"], total, least_is_best=row.result.get("energy") is not None)
        form, unit = (".1%", total) if total else (".4f", 1)
        above = found["above"] or {}
        lines.append(
            (
                _name(row),
                cite(found["days"], row),
                *(cite(value / unit, row, form=form) for value in (found["mean"], found["worst"], found["deviation"])),
                *(cite(above.get(share), row) for share in shares),
            )
        )
    yield Table(
        "Day by day",
        ("circuit", "days", "mean", "worst", "deviation", *(f"days above {float(s):.0%}" for s in shares)),
        lines,
        note="The circuit as compiled for the first calibration, exactly evaluated on each.",
    )


def _choice(row: Row) -> Iterator[Table]:
    """What the repository chooses, and how that does on days that it was not made from."""
    found = row.result
    unit, form = (found["total"], ".1%") if found["total"] else (1, ".4f")
    yield Table(
        "Which circuit to run: kinds of days",
        ("kind", "circuit", found["unit"] if unit == 1 else "accuracy", "radius"),
        [
            (
                str(k + 1),
                kind["model"],
                cite(kind["score"] / unit, row, form=form),
                cite(kind["radius"], row, form=".3g"),
            )
            for k, kind in enumerate(found["kinds"])
        ],
        note=f"From the first {found['known']} calibrations, by the figures that move the scores. On the kind nearest "
        "to today's calibration, this circuit did best; a day farther than the radius is like no known one.",
    )
    picked = [found["scores"][day["model"]][k] for k, day in enumerate(found["later"])]
    best = min if found["less_is_better"] else max
    lines = {
        "chosen by calibration": picked,
        **{f"always {name}": scores for name, scores in found["scores"].items()},
        "best in hindsight": [best(scores) for scores in zip(*found["scores"].values(), strict=True)],
    }
    unlike = sum(day["distance"] > day["radius"] for day in found["later"])
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
        note=f"The last {len(picked)} calibrations, exactly evaluated; {unlike} of them are like no known day. Where "
        "one circuit is best on every day, there is nothing to choose.",
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
        note="The success probability (ESP) is the product of 1 - error over the gates; readout is left out.",
    )


def _sources(rows: Sequence[Row]) -> Iterator[Table]:
    known = [row for row in rows if _report(row)["attribution"] is not None]
    for key, title in (("kinds", "kind"), ("qubits", "qubit")):
        lines = [
            (_name(row), entry, cite(gain, row, form=".4f"), _share(gain, row))
            for row in known
            for entry, gain in sorted(_report(row)["attribution"][key].items(), key=lambda item: -item[1])
        ]
        yield Table(
            f"Where the error comes from, by {title}",
            ("circuit", title, "comes back", "share"),
            lines,
            note="Mean |change of <Z>| that comes back when this noise alone is switched off, as exact as the rest. "
            "Noise on noise costs less than alone, so shares need not add up to 100 %.",
        )
    gates = [
        (_name(row), gate["name"], "-".join(map(str, gate["qubits"])), cite(gate["index"], row), *_gate_gain(gate, row))
        for row in known
        for gate in sorted(_report(row)["attribution"]["gates"], key=lambda gate: -gate["gain"])[:TOP]
    ]
    yield Table(
        "The gates, waits and readouts that cost most",
        ("circuit", "gate", "qubits", "place in the schedule", "comes back", "share"),
        gates,
        note="`delay` is a wait, `measure` a readout. How far <Z> moves towards its ideal value without that noise.",
    )


def _gate_gain(gate: dict[str, Any], row: Row) -> tuple[Number, Number]:
    return cite(gate["gain"], row, form=".5f"), _share(gate["gain"], row)


def _share(gain: float, row: Row) -> Number:
    shift = _report(row)["attribution"]["shift"]
    return cite(gain / shift if shift else None, row, form=".1%")


def _reading(rows: Sequence[Row]) -> Iterator[str]:
    yield (
        "Noise shrinks all <Z> alike before it changes their order, so accuracy at scale 1 with many shots hardly "
        "moves; few shots, higher scales and the change of <Z> tell circuits apart. "
    )
    for note in sorted({note for row in rows for note in row.result["notes"]}):
        yield f"{note}. "
    for row in rows:
        if _report(row)["attribution"] is None:
            yield f"{_name(row)} is too wide to say exactly where its error comes from. "


def drawings(rows: Sequence[Row]) -> list[Drawing]:
    """The figures of the page, in order."""
    if not rows:
        return []
    found = [
        Drawing(
            "noise",
            "Score and <Z> against noise, score against shots",
            "Left and middle: exact. Right: means over sets of shots at scale 1, with their spread.",
            3,
            lambda *axes: _paint_curves(rows, *axes),
        )
    ]
    if any(_report(row)["attribution"] is not None for row in rows):
        found.append(
            Drawing(
                "sources",
                "Where the error comes from",
                "What comes back of the mean change of <Z> when one kind's, or one qubit's, noise is switched off.",
                2,
                lambda *axes: _paint_sources(rows, *axes),
            )
        )
    return found


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
            drawn = [[score / total for score in point["scores"]] for point in report["shots"]]
            middle = [sum(values) / len(values) for values in drawn]
            spread = [
                math.sqrt(sum((v - m) ** 2 for v in values) / len(values))
                for values, m in zip(drawn, middle, strict=True)
            ]
            shots.errorbar([point["shots"] for point in report["shots"]], middle, spread, capsize=3, **style)
    shots.set_xscale("log")
    scores.set(xlabel="noise scale", ylabel=_unit(rows))
    shifts.set(xlabel="noise scale", ylabel="mean |change of <Z>|")
    shots.set(xlabel="shots", ylabel=_unit(rows))
    scores.legend()


def _paint_sources(rows: Sequence[Row], kinds: Any, qubits: Any) -> None:
    known = [row for row in rows if _report(row)["attribution"] is not None]
    for axes, key in ((kinds, "kinds"), (qubits, "qubits")):
        names = list(dict.fromkeys(name for row in known for name in _report(row)["attribution"][key]))
        names.sort(key=lambda name: (not name.isdigit(), int(name) if name.isdigit() else 0))
        for index, row in enumerate(known):
            gains = _report(row)["attribution"][key]
            places = [place + (index - (len(known) - 1) / 2) * 0.8 / len(known) for place in range(len(names))]
            bars = [gains.get(name, 0.0) for name in names]
            axes.barh(places, bars, 0.8 / len(known), color=_color(index), label=_name(row))
        axes.set_yticks(range(len(names)), names)
        axes.invert_yaxis()
        axes.set(xlabel="mean |change of <Z>| that comes back", ylabel="qubit" if key == "qubits" else "")
    kinds.legend()
