"""Writes the figures in README and docs, and the README's picture, from the stored results: nobody types a number.

`python -m benchmarks.readme` after a benchmark has written `benchmarks/results/NAME.json` with `--json`.
"""

import json
import re
from pathlib import Path
from typing import Any

from quantum.compvqc.page import accuracy, scores
from shared.lab import COLORS, Row, plot, write_atomic
from shared.lab.running.benchmark import Metric

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results"
PAGES = (ROOT / "README.md", *(ROOT / "docs" / f"{name}.md" for name in ("quantum", "noise", "wireless", "fpga")))
FIGURES = re.compile(
    r"(<!-- figures(?: of (?P<name>\w+))?: python -m benchmarks\.readme -->\n).*?(<!-- end of figures -->)", re.DOTALL
)
PICTURE = ROOT / "docs" / "compvqc.svg"


def main() -> None:
    for page in PAGES:
        write_atomic(page, filled(page.read_text()).encode())
    write_atomic(PICTURE, picture().encode())


def filled(page: str) -> str:
    """A page with its tables of figures made anew from the stored results: all of one benchmark, or all with a goal."""
    return FIGURES.sub(lambda match: match[1] + table(match["name"]) + match[3], page)


def table(name: str | None = None) -> str:
    """The figures of benchmark `name`, or those of all benchmarks that have a goal, and the command that makes them."""
    lines = ["| figure | goal | measured | 95 % interval | reached | command |", "|---|---|---|---|---|---|"]
    for path in sorted(RESULTS.glob(f"{name or '*'}.json")):
        figures = {key: Metric(**it) for key, it in json.loads(path.read_text())["figures"].items()}
        command = f"`python -m benchmarks.{path.stem}`"
        lines += [_line(key, it, command) for key, it in figures.items() if name is not None or it.goal]
    return "\n".join(lines) + "\n"


def _line(name: str, it: Metric, command: str) -> str:
    if it.value is None:
        return f"| `{name}` | {it.goal} | not measured | | | {command} |"
    interval = "" if it.low is None or it.high is None else f"{_short(it.low)} to {_short(it.high)}"
    reached = {True: "yes", False: "**no**", None: ""}[it.met]
    return f"| `{name}` | {it.goal} | {_short(it.value)} {it.unit} | {interval} | {reached} | {command} |"


def _short(value: float) -> str:
    """Three digits; what is only rounding error is 0."""
    return f"{round(value, 6) + 0.0:.3g}"


def picture() -> str:
    """Accuracy against two-qubit gates on digits 0-3: one mark for each method, seed and device."""
    stored = json.loads((RESULTS / "compvqc.json").read_text())["rows"]
    rows = [Row(**{k: v for k, v in row.items() if k != "command"}) for row in stored]
    drawn = plot(
        lambda axes: _draw(
            axes, [row for row in rows if (row.settings["task"], row.settings["circuit"]) == ("digits4", "seismic")]
        ),
        *rows,
        title="Test accuracy against two-qubit gates",
        size=(7.2, 3.6),
    )
    paint = {**COLORS, "ink": "#333", "rule": "#ddd", "paper": "#fff"}
    svg = re.sub(r"var\(--(\w+)\)", lambda match: paint[match[1]], drawn.svg)
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
    axes.legend(fontsize=8)


if __name__ == "__main__":
    main()
