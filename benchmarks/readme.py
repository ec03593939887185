"""Writes the figures in README and docs, and the README's picture, from the stored results: nobody types a number.

`python -m benchmarks.readme` after a benchmark has written `benchmarks/results/NAME.json` with `--json`.
"""

import json
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from quantum.compvqc.page import accuracy, scores
from shared.lab import COLORS, Row, plot, write_atomic
from shared.lab.running.benchmark import Metric

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results"
WORDS = Path(__file__).parent / "figures.toml"
FIGURES = re.compile(
    r"(<!-- figures(?: of (?P<name>\w+)|:(?P<chosen>(?:\s+\w+\.[\w-]+(?:/\w+\.[\w-]+)?)+))?"
    r": python -m benchmarks\.readme -->\n)"
    r".*?(<!-- end of figures -->)",
    re.DOTALL,
)
PAGES = [page for page in (ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))) if "<!-- figures" in page.read_text()]
PICTURE = ROOT / "docs" / "compvqc.svg"


def main() -> None:
    for page in PAGES:
        write_atomic(page, filled(page.read_text()).encode())
    write_atomic(PICTURE, picture().encode())


def filled(page: str) -> str:
    """A page with its tables of figures made anew from the stored results.

    A page asks for a table by one of three comments, and `<!-- end of figures -->` stands after it:
    - `<!-- figures of NAME: python -m benchmarks.readme -->`: every figure of one benchmark, by name;
    - `<!-- figures: NAME.FIGURE NAME.FIGURE ...: python -m benchmarks.readme -->`: these, in the words of figures.toml;
    - the same with pairs `NAME.FIGURE/NAME.FIGURE`: each result with the one that limits it beside it;
    - `<!-- figures: python -m benchmarks.readme -->`: every figure that has a goal.
    """

    def table(match: re.Match[str]) -> str:
        references = (match["chosen"] or "").split()
        if "/" in "".join(references):
            return "\n".join([match[1] + HEAD_OF_PAIRS, *pairs(references), match[4]])
        lines = chosen(references) if references else of(match["name"])
        return "\n".join([match[1] + HEAD, *lines, match[4]])

    return FIGURES.sub(table, page)


HEAD = "| figure | goal | measured | 95 % interval | reached | command |\n|---|---|---|---|---|---|"
HEAD_OF_PAIRS = "| result | measured | beside it | measured |\n|---|---|---|---|"


def of(benchmark: str | None) -> list[str]:
    """The lines of all figures of a benchmark; without its name, of those of all benchmarks that have a goal."""
    names = [benchmark] if benchmark else sorted(path.stem for path in RESULTS.glob("*.json"))
    return [
        _line(f"`{key}`", it, name)
        for name in names
        for key, it in stored(name).items()
        if benchmark is not None or it.goal
    ]


def chosen(references: Sequence[str]) -> list[str]:
    """The lines of figures named as `BENCHMARK.FIGURE`, each in words."""
    return [_line(*look_up(reference), reference.partition(".")[0]) for reference in references]


def pairs(references: Sequence[str]) -> list[str]:
    """The lines of results `BENCHMARK.FIGURE/BENCHMARK.FIGURE`, each beside the one that limits it."""
    lines = []
    for reference in references:
        cells = [look_up(each) for each in reference.split("/")]
        lines.append("| " + " | ".join(f"{title} | {_measured(it)}" for title, it in cells) + " |")
    return lines


def look_up(reference: str) -> tuple[str, Metric]:
    """The words and the figure of `BENCHMARK.FIGURE`. Raises `ValueError` where either is missing."""
    name, _, key = reference.partition(".")
    figures, words = stored(name), tomllib.loads(WORDS.read_text()).get(name, {})
    if key not in figures:
        raise ValueError(f"{reference}: benchmarks/results/{name}.json has {', '.join(figures)}")
    if key not in words:
        raise ValueError(f"{reference}: benchmarks/figures.toml has no words for it; add a line under [{name}]")
    return words[key], figures[key]


def _measured(it: Metric) -> str:
    if it.value is None:
        return "not measured"
    return f"{_short(it.value)} {it.unit}{f' ({interval})' if (interval := _interval(it)) else ''}"


def _interval(it: Metric) -> str:
    return "" if it.low is None or it.high is None else f"{_short(it.low)} to {_short(it.high)}"


def stored(benchmark: str) -> dict[str, Metric]:
    """The figures in `benchmarks/results`, by name."""
    path = RESULTS / f"{benchmark}.json"
    if not path.exists():
        raise ValueError(f"{benchmark}: no {path.name} in benchmarks/results; store it with --json")
    return {key: Metric(**it) for key, it in json.loads(path.read_text())["figures"].items()}


def _line(title: str, it: Metric, benchmark: str) -> str:
    command = f"`python -m benchmarks.{benchmark}`"
    if it.value is None:
        return f"| {title} | {it.goal} | not measured | | | {command} |"
    reached = {True: "yes", False: "**no**", None: ""}[it.met]
    return f"| {title} | {it.goal} | {_short(it.value)} {it.unit} | {_interval(it)} | {reached} | {command} |"


def _short(value: float) -> str:
    """Three digits; what is only rounding error is 0."""
    return f"{round(value, 6) + 0.0:.3g}"


def picture() -> str:
    """Accuracy against two-qubit gates on digits 0-3: one mark for each method, seed and device."""
    stored = json.loads((RESULTS / "compvqc.json").read_text())["rows"]
    rows = [Row(**{k: v for k, v in row.items() if k != "command"}) for row in stored]
    picture = plot(
        lambda axes: _draw(
            axes, [row for row in rows if (row.settings["task"], row.settings["circuit"]) == ("digits4", "seismic")]
        ),
        *rows,
        title="Test accuracy against two-qubit gates",
        size=(7.2, 3.6),
    )
    paint = {**COLORS, "ink": "#333", "rule": "#ddd", "paper": "#fff"}
    svg = re.sub(r"var\(--(\w+)\)", lambda match: paint[match[1]], picture.panels[0])
    return svg.replace("<svg ", '<svg font-family="sans-serif" style="background:#fff" ', 1)


def _draw(axes: Any, rows: list[Row]) -> None:
    marks = {
        "o3": ("grey", "dense, Qiskit O3"),
        "pytket_approximate": ("purple", "pytket KAK 0.99"),
        "magnitude": ("green", "magnitude pruning"),
        "small": ("orange", "train-small"),
        "compvqc": ("blue", "CompVQC"),
    }
    for name, (color, label) in marks.items():
        have = [row for row in rows if "scores" in row.result[name]]
        sizes = [scores(row, name)["twoq"] for row in have]
        axes.plot(sizes, [accuracy(row, name) for row in have], "o", color=COLORS[color], label=label, alpha=0.8)
    axes.set(xscale="log", xlabel="two-qubit gates after compilation", ylabel="test accuracy, digits 0-3")


if __name__ == "__main__":
    main()
