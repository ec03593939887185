"""The page of a CompVQC run: accuracy and cost of the compressed circuits, compared with all controls."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from shared.lab import COLORS, Block, KeyFigures, Number, Page, Row, Table, Text, cite, downloads, mean, plot, wilson

METHODS = {
    "o3": "dense: Qiskit O3, best of 20 seeds",
    "pytket": "dense: pytket FullPeephole, then O3",
    "dense": "dense: lossless rewriting, then O3",
    "compvqc": "CompVQC (ours)",
    "o3_approximate": "Qiskit O3, approximation 0.99",
    "pytket_approximate": "pytket KAK 0.99, then O3",
    "magnitude": "magnitude pruning + fine-tune",
    "prune": "CompVQC, prune only",
    "snap": "CompVQC, snap only",
    "small": "train-small: line ansatz from scratch",
}
"""Every method of a row, in the order of the table."""

PUBLISHED = "a depth cut of almost over 2.5x at less than 1 % accuracy drop (arXiv 2207.01578, abstract)"

FILES = {
    "compressed.qasm": "the compressed circuit with its encoder, OpenQASM 3",
    "compressed.qpy": "the same as QPY",
    "compiled.qasm": "the same compiled for the device, OpenQASM 3",
    "readout.json": "its readout: class scores from the measured bits",
    "dense.qasm": "the trained circuit before compression, OpenQASM 3, with Z measured on each wire",
    "small.qasm": "the small circuit trained from scratch, with the same measurement",
}


OTHERS = ("wires", "layers", "encoding", "starts")
"""Settings that a title names if they differ between the rows of the page."""


def page(rows: Sequence[Row]) -> Page:
    """One table per task, target, circuit and budget, averaged over seeds, with the files of each seed."""
    blocks: list[Block] = []
    named = [key for key in OTHERS if len({row.settings[key] for row in rows}) > 1]
    for group in grouped(rows, "task", "target", "circuit", "budget", *OTHERS):
        settings = group[0].settings
        title = f"{settings['task']} on {settings['target']}, {settings['circuit']}, {settings['budget']}"
        blocks += _blocks(", ".join([title, *(f"{key} {settings[key]}" for key in named)]), group)
    blocks.append(
        Text("Published, not measured here: ", PUBLISHED, ". Other data and another device.", title="Beside the paper")
    )
    if notes := sorted({note for row in rows for note in row.result.get("notes", ())}):
        blocks.append(Text(*(f"{note[:1].upper()}{note[1:]}. " for note in notes), title="Input"))
    blocks += downloads(rows, FILES)
    return Page(
        "CompVQC: circuits compressed with the transpiler in the loop",
        "Accuracy is that of the compiled circuits on test data that no choice depended on. The noise is that of the "
        "device, simulated exactly. For all methods the encoder is exact and not included in the counts.",
        blocks,
    )


def grouped(rows: Iterable[Row], *keys: str) -> list[list[Row]]:
    """The rows in groups that agree in these settings, in order of appearance."""
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row.settings[key] for key in keys), []).append(row)
    return list(groups.values())


def _blocks(title: str, rows: list[Row]) -> list[Block]:
    return [
        KeyFigures(
            (
                ("less depth than the best exact compilation", _ratio(rows, 1, "depth")),
                ("fewer two-qubit gates", _ratio(rows, 0, "twoq")),
                ("test accuracy, dense to compressed", _change(rows)),
            )
        ),
        _table(title, rows),
        plot(
            lambda front, counts: _plot(front, counts, rows),
            *rows,
            title=f"{title}: accuracy against size",
            caption="Left: test accuracy of the circuits selected by validation at each size, compressed and trained "
            "small from scratch; faint lines are single seeds. Right: gates and depth after compilation.",
            panels=2,
        ),
    ]


def _table(title: str, rows: list[Row]) -> Table:
    columns = ("method", "test accuracy", "with noise", "depth", "2q gates", "ESP", "|shift of Z|")
    lines: list[Sequence[str | Number]] = []
    strong: list[int] = []
    for name, label in METHODS.items():
        have = [row for row in rows if "scores" in row.result[name]]
        if not have:
            lines.append((label, *["none in budget"] * 6))
            continue
        if name == "compvqc":
            strong.append(len(lines))
        partial = "" if len(have) == len(rows) else f" ({len(have)} of {len(rows)} seeds)"
        lines.append(
            (
                label + partial,
                _accuracy(have, name, lambda s: s["correct"]["test"]),
                _accuracy(have, name, lambda s: s["noisy_correct"]),
                _mean(have, name, "depth", ".1f"),
                _mean(have, name, "twoq", ".1f"),
                _mean(have, name, "esp", ".3f"),
                _mean(have, name, "shift", ".3f"),
            )
        )
    note = "Means over seeds with 95 % t-intervals; for a single seed, Wilson's interval over test samples."
    return Table(title, columns, lines, note=note, strong=strong)


def scores(row: Row, name: str) -> dict[str, Any]:
    """The counts of one method in a row."""
    counts: dict[str, Any] = row.result[name]["scores"]
    return counts


def accuracy(row: Row, name: str) -> float:
    """Test accuracy of one method in a row, without noise."""
    return float(scores(row, name)["correct"]["test"] / row.result["samples"]["test"])


def exact_ratio(row: Row, which: int, metric: str) -> float:
    """The count of the best exact compilation divided by ours, where a count of 0 is taken as 1."""
    return float(row.result["exact"][which] / max(scores(row, "compvqc")[metric], 1))


def _accuracy(rows: list[Row], name: str, right: Callable[[dict[str, Any]], int]) -> Number:
    counts = [(right(scores(row, name)), row.result["samples"]["test"]) for row in rows]
    it = wilson(*counts[0]) if len(counts) == 1 else mean([correct / samples for correct, samples in counts])
    return cite(it.value, *rows, form=".1%", low=max(it.low, 0.0), high=min(it.high, 1.0))


def _mean(rows: list[Row], name: str, key: str, form: str) -> Number:
    return cite(sum(scores(row, name)[key] for row in rows) / len(rows), *rows, form=form)


def _ratio(rows: list[Row], which: int, metric: str) -> Number:
    ratios = [exact_ratio(row, which, metric) for row in rows]
    return cite(sum(ratios) / len(ratios), *rows, form=".1f", unit="x")


def _change(rows: list[Row]) -> Number:
    change = [100 * (accuracy(row, "compvqc") - accuracy(row, "o3")) for row in rows]
    return cite(sum(change) / len(change), *rows, form="+.1f", unit="points")


def _plot(front: Any, counts: Any, rows: list[Row]) -> None:
    for name, color in (("compvqc", "blue"), ("small", "orange")):
        for row in rows:
            points = row.result[name]["front"]
            share = [point["test"] / row.result["samples"]["test"] for point in points]
            sizes = [point["twoq"] for point in points]
            front.plot(sizes, share, color=COLORS[color], marker="o", markersize=3, alpha=1 if len(rows) == 1 else 0.35)
        front.plot([], [], color=COLORS[color], marker="o", label=METHODS[name])
    for name, color in (("o3", "grey"), ("o3_approximate", "green"), ("pytket_approximate", "purple")):
        have = [row for row in rows if "scores" in row.result[name]]
        sizes = [scores(row, name)["twoq"] for row in have]
        front.plot(sizes, [accuracy(row, name) for row in have], "x", color=COLORS[color], label=METHODS[name])
    front.set(xscale="symlog", xlabel="two-qubit gates", ylabel="test accuracy")
    shown = [name for name in METHODS if any("scores" in row.result[name] for row in rows)]
    for offset, key, color in ((-0.2, "twoq", "blue"), (0.2, "depth", "sky")):
        values = [[scores(row, name)[key] for row in rows if "scores" in row.result[name]] for name in shown]
        places = [place + offset for place in range(len(shown))]
        counts.barh(places, [sum(v) / len(v) for v in values], height=0.4, color=COLORS[color], label=key)
    counts.set_yticks(range(len(shown)), shown)
    counts.invert_yaxis()
    counts.set(xlabel="two-qubit gates, depth")
