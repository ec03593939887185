"""The page of noise reports: score against noise and shots, and error attribution, for one circuit or several."""

import io
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from quantum.noise.tables import (
    against_noise,
    against_shots,
    attribution,
    choice,
    counts,
    day_by_day,
    name_of,
    report,
    score,
    unit,
)
from shared.lab import (
    COLORS,
    Comparison,
    KeyFigures,
    Number,
    Page,
    Row,
    Text,
    cite,
    cite_mean,
    compared,
    legend_below,
    plot,
    standing,
    verdict,
    wilson,
    write_atomic,
)


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
    selection = tuple(table for row in choices for table in choice(row))
    verdicts = [part for row in choices for part in _choice_verdict(row)]
    rows = _reports(rows)
    if not rows:
        return Page(
            "Which circuit to run",
            "Selected by today's calibration, and evaluated exactly on later days.",
            selection,
            Text(*verdicts),
        )
    plots = [plot(f.paint, *rows, title=f.title, caption=f.caption, panels=f.panels) for f in figures(rows)]
    devices = ", ".join(sorted({row.result["device"]["name"] for row in rows}))
    circuits = name_of(rows[0]) if len(rows) == 1 else f"{len(rows)} circuits"
    return Page(
        title="Noise robustness" if len(rows) == 1 else "Noise robustness, side by side",
        summary=f"{circuits} on {devices}: exact expectations under the device's noise at several strengths, and shots "
        "sampled from them.",
        blocks=(
            KeyFigures(list(_key_figures(rows))),
            *plots[:1],
            *against_noise(rows),
            against_shots(rows),
            *day_by_day(rows),
            *selection,
            counts(rows),
            *plots[1:],
            *attribution(rows),
            Text(*_reading(rows), title="Reading"),
        ),
        verdict=Text(*_verdict(rows), *verdicts),
    )


def _verdict(rows: Sequence[Row]) -> Iterator[str | Number]:
    """At the device's noise and at the strongest: the best circuit beside the others, or one circuit beside itself."""
    for same in _alike(rows):
        if len(same) == 1:
            yield from _alone(same[0])
            continue
        for scale in _shown_scales(same):
            at = {name_of(row): (row, _at(row, scale)) for row in same if _at(row, scale)}
            best = min(at, key=lambda name: _rank(*at[name]))
            words = WORDS.get(report(same[0])["unit"], WORDS["mean <Z>"])
            others = [_compared(at[best], at[name], name) for name in at if name != best]
            yield from verdict(f"{_noise(scale)}, {best}", others, f"has {words} than").parts
            yield " "


WORDS = {"right": "a higher accuracy", "energy": "a lower energy", "mean <Z>": "a smaller change of <Z>"}
"""What the better of two circuits has, by the unit of their score."""


def _alike(rows: Sequence[Row]) -> list[list[Row]]:
    """The rows in groups whose scores can be compared."""
    groups: dict[Any, list[Row]] = {}
    for row in rows:
        groups.setdefault((report(row)["unit"], report(row)["total"]), []).append(row)
    return list(groups.values())


def _shown_scales(rows: Sequence[Row]) -> list[float]:
    """The device's noise and the strongest, as far as they were computed."""
    scales = {point["scale"] for row in rows for point in report(row)["scales"]}
    return [scale for scale in (1.0, max(scales)) if scale in scales][: 1 if max(scales) <= 1 else 2]


def _noise(scale: float) -> str:
    return "At the device's noise" if scale == 1 else f"At {scale:g} times the noise"


def _at(row: Row, scale: float) -> Any:
    """The point of a row at a noise scale, or None."""
    return next((point for point in report(row)["scales"] if point["scale"] == scale), None)


def _rank(row: Row, point: Any) -> tuple[float, float]:
    """Less for the better circuit; where scores tie, less change of <Z> is better."""
    sign = {"right": -1, "energy": 1}.get(report(row)["unit"], 0)
    return sign * point["score"], point["shift"]


def _compared(ours: tuple[Row, Any], theirs: tuple[Row, Any], name: str) -> Comparison:
    (row, point), (other, its) = ours, theirs
    if report(row)["unit"] == "right":
        return compared(name, _difference(point["score"], its["score"], report(row)["total"], row, other))
    key = "score" if report(row)["unit"] == "energy" else "shift"
    return compared(name, cite(point[key] - its[key], row, other, form="+.4f"), less_is_better=True)


def _difference(ours: float, theirs: float, total: int, *rows: Row) -> Number:
    """The difference of two accuracies in points, with Newcombe's interval of independent samples (1998, method 10)."""
    p, q = (wilson(round(value), total) for value in (ours, theirs))
    value = p.value - q.value
    low = value - math.hypot(p.value - p.low, q.high - q.value)
    high = value + math.hypot(p.high - p.value, q.value - q.low)
    return cite(100 * value, *rows, form="+.1f", unit="points", low=100 * low, high=100 * high)


def _alone(row: Row) -> Iterator[str | Number]:
    """The scores of one circuit, each against that without noise."""
    ideal = _at(row, 0.0)
    yield f"{name_of(row)} has {unit([row])} "
    for index, scale in enumerate(_shown_scales([row])):
        point = _at(row, scale)
        yield "; " if index else ""
        yield score(point["score"], row)
        yield f" {_noise(scale).lower()}"
        if ideal:
            total = report(row)["total"]
            against = (
                _difference(point["score"], ideal["score"], total, row)
                if total
                else cite(point["score"] - ideal["score"], row)
            )
            words = {"ahead": "above", "level": "level with", "behind": "below"}[standing(against)]
            yield f", {words} "
            yield score(ideal["score"], row)
            yield " without noise"
    yield ". "


def _choice_verdict(row: Row) -> Sequence[str | Number]:
    """A choice by calibration beside running the same circuit on every day."""
    result = row.result
    total, form = (result["total"], "+.1%") if result["total"] else (1, "+.4f")
    picked = [result["scores"][day["model"]][k] for k, day in enumerate(result["later"])]
    comparisons = []
    for name, scores in result["scores"].items():
        gains = [(ours - theirs) / total for ours, theirs in zip(picked, scores, strict=True)]
        difference = cite_mean(gains, row, form=form)
        comparisons.append(compared(f"always {name}", difference, less_is_better=result["less_is_better"]))
    return verdict("On later days, the circuit chosen by calibration", comparisons).parts


def _key_figures(rows: Sequence[Row]) -> Iterator[tuple[str, Number]]:
    """One circuit's scores, or the best of each group of several."""
    for same in _alike(rows):
        for scale in _shown_scales(same):
            row = min((row for row in same if _at(row, scale)), key=lambda row: _rank(row, _at(row, scale)))
            best = "" if len(same) == 1 else f", best of {len(same)}"
            label = f"{unit(same)} {_noise(scale).lower()}{best}: {name_of(row)}"
            yield label, score(_at(row, scale)["score"], row)
        at = [row for row in same if _at(row, 1.0)]
        if at:
            row = min(at, key=lambda row: _at(row, 1.0)["shift"])
            least = "" if len(same) == 1 else ", least"
            label = f"mean |change of <Z>| at the device's noise{least}: {name_of(row)}"
            yield label, cite(_at(row, 1.0)["shift"], row, form=".3f")
        if energy := same[0].result.get("energy"):
            yield f"{energy['problem']}: lowest energy, {energy['unit']}", cite(energy["lowest"], same[0], form=".4f")


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


def _reading(rows: Sequence[Row]) -> Iterator[str]:
    yield (
        "Weak noise shrinks all <Z> by similar factors and keeps their order, so accuracy at scale 1 with many shots "
        "hardly changes. Circuits differ at few shots, at higher scales, and in the change of <Z>. "
    )
    for note in sorted({note for row in rows for note in row.result["notes"]}):
        yield f"{note[:1].upper()}{note[1:]}. "
    for row in rows:
        if report(row)["attribution"] is None:
            yield f"{name_of(row)} is too wide for an exact error attribution. "


def figures(rows: Sequence[Row]) -> list[Figure]:
    """The figures of the page, in order."""
    if not rows:
        return []
    plotted = [
        Figure(
            "noise",
            "Score and <Z> against noise, score against shots",
            "Against noise: exact. Against shots: means over sets of shots at the device's noise, with their spread.",
            3,
            lambda *axes: _paint_curves(rows, *axes),
        )
    ]
    if any(report(row)["attribution"] is not None for row in rows):
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
        about, style = report(row), {"marker": "o", "color": _color(index), "label": name_of(row)}
        total = about["total"] or 1
        scales = [point["scale"] for point in about["scales"]]
        scores.plot(scales, [point["score"] / total for point in about["scales"]], **style)
        shifts.plot(scales, [point["shift"] for point in about["scales"]], **style)
        if about["shots"]:
            sampled = [[score / total for score in point["scores"]] for point in about["shots"]]
            middle = [sum(values) / len(values) for values in sampled]
            spread = [
                math.sqrt(sum((v - m) ** 2 for v in values) / len(values))
                for values, m in zip(sampled, middle, strict=True)
            ]
            shots.errorbar([point["shots"] for point in about["shots"]], middle, spread, capsize=3, **style)
    shots.set_xscale("log")
    scores.set(xlabel="noise scale", ylabel=unit(rows))
    shifts.set(xlabel="noise scale", ylabel="mean |change of <Z>|")
    shots.set(xlabel="shots", ylabel=unit(rows))


def _paint_attribution(rows: Sequence[Row], kinds: Any, qubits: Any) -> None:
    attributed = [row for row in rows if report(row)["attribution"] is not None]
    for axes, key in ((kinds, "kinds"), (qubits, "qubits")):
        names = list(dict.fromkeys(name for row in attributed for name in report(row)["attribution"][key]))
        names.sort(key=lambda name: (not name.isdigit(), int(name) if name.isdigit() else 0))
        for index, row in enumerate(attributed):
            gains = report(row)["attribution"][key]
            places = [
                place + (index - (len(attributed) - 1) / 2) * 0.8 / len(attributed) for place in range(len(names))
            ]
            bars = [gains.get(name, 0.0) for name in names]
            axes.barh(places, bars, 0.8 / len(attributed), color=_color(index), label=name_of(row))
        axes.set_yticks(range(len(names)), names)
        axes.invert_yaxis()
        axes.set(xlabel="mean |change of <Z>| recovered", ylabel="qubit" if key == "qubits" else "")
