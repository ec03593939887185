"""The page of a CompVQC run: accuracy and cost of the compressed circuits, compared with all controls."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from shared.lab import (
    COLORS,
    Block,
    Comparison,
    KeyFigures,
    Number,
    Page,
    Row,
    Standing,
    Table,
    Text,
    cite,
    downloads,
    mean,
    plot,
    verdict,
    wilson,
)

METHODS = {
    "o3": "Qiskit O3, best of 20 seeds",
    "pytket": "pytket FullPeephole, then O3",
    "dense": "lossless rewriting, then O3",
    "compvqc": "CompVQC (ours)",
    "o3_approximate": "Qiskit O3, approximation 0.99",
    "pytket_approximate": "pytket KAK 0.99, then O3",
    "magnitude": "magnitude pruning",
    "prune": "CompVQC, prune only",
    "snap": "CompVQC, snap only",
    "small": "train-small",
}
"""Every method of a row, in the order of the table."""

EXACT = ("o3", "pytket", "dense")
"""The methods that compile the trained circuit without a change of what it computes."""

APPROXIMATE = ("o3_approximate", "pytket_approximate")

FEWER, POINT = 0.75, 0.01
"""Shares of two-qubit gates and of accuracy by which one circuit is better than another; within both they are level."""

RULE = (
    "Ahead means a quarter fewer two-qubit gates at a test accuracy at most a point lower, or a point more accuracy "
    "with no more gates. Where neither is ahead, they are level."
)

PUBLISHED = (
    'the abstract of the preprint (arXiv 2207.01578) prints a depth cut of "almost over 2.5 %", that of the ICCAD 2022 '
    "paper 2.5x, each at less than 1 % accuracy drop"
)

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
    """One section per task, target, circuit and budget, averaged over seeds, with the files of each seed."""
    blocks: list[Block] = []
    named = [key for key in OTHERS if len({row.settings[key] for row in rows}) > 1]
    groups = grouped(rows, "task", "target", "circuit", "budget", *OTHERS)
    for group in groups:
        settings = group[0].settings
        title = f"{settings['task']} on {settings['target']}, {settings['circuit']}, {settings['budget']}"
        title = ", ".join([title, *(f"{key} {settings[key]}" for key in named)])
        if len(groups) > 1:
            blocks.append(Text(*_verdict(group).parts, title=title))
        blocks += _blocks(title, group)
    blocks.append(
        Text("Published, not measured here: ", PUBLISHED, ". Other data and another device.", title="Beside the paper")
    )
    if notes := sorted({note for row in rows for note in row.result.get("notes", ())}):
        blocks.append(Text(*(f"{note[:1].upper()}{note[1:]}. " for note in notes), title="Input"))
    blocks += downloads(rows, FILES)
    return Page(
        "CompVQC: circuits compressed with the transpiler in the loop",
        f"{RULE} Accuracy is that of the compiled circuits on test data that no choice depended on. The noise is that "
        "of the device, simulated exactly. For all methods the encoder is exact and not included in the counts.",
        blocks,
        _verdict(groups[0]) if len(groups) == 1 else _tally(groups),
    )


def _verdict(rows: list[Row]) -> Text:
    """CompVQC beside the best compiler of each kind, its parts, and the controls."""
    it = verdict(METHODS["compvqc"], list(_comparisons(rows)))
    absent = [METHODS[name] for name in METHODS if not _having(rows, name)]
    return Text(*it.parts, f" Within the budget there is no circuit of {' or '.join(absent)}." if absent else "")


def _tally(groups: Sequence[list[Row]]) -> Text:
    """The same over several tasks, devices and circuits: how often CompVQC is ahead, level and behind."""
    counts: dict[str, dict[str, int]] = {}
    for group in groups:
        for kind, name in _others(group):
            counts.setdefault(kind, {"ahead": 0, "level": 0, "behind": 0})[_comparison(group, name).standing] += 1
    rows = [row for group in groups for row in group]
    parts: list[str | Number] = [f"On {len(groups)} combinations of task, device and circuit, {METHODS['compvqc']} is "]
    for index, (kind, each) in enumerate(counts.items()):
        parts += ["; " if index else "", "ahead of ", kind, " on ", cite(each["ahead"], *rows)]
        parts += [
            f", {words} on {each[word]}" for word, words in (("level", "level"), ("behind", "behind")) if each[word]
        ]
    return Text(*parts, ".")


def _others(rows: list[Row]) -> Iterator[tuple[str, str]]:
    """What CompVQC is compared with, by kind: of several compilers the one with the fewest two-qubit gates."""
    yield "the best exact compilation", _fewest(rows, EXACT, "twoq")
    yield "the best approximate compilation", _fewest(rows, APPROXIMATE, "twoq")
    for name in ("magnitude", "small", "prune", "snap"):
        if _having(rows, name):
            yield METHODS[name], name


def _comparisons(rows: list[Row]) -> Iterator[Comparison]:
    for _, name in _others(rows):
        yield _comparison(rows, name)


def _comparison(rows: list[Row], name: str) -> Comparison:
    """Over the seeds on which both have a circuit; see `RULE`."""
    both = _having(rows, name)
    ours, theirs = ({key: _average(both, it, key) for key in ("twoq", "accuracy")} for it in ("compvqc", name))
    numbers = (
        cite(ours["twoq"] - theirs["twoq"], *both, form="+.1f", unit="two-qubit gates"),
        cite(100 * (ours["accuracy"] - theirs["accuracy"]), *both, form="+.1f", unit="points"),
    )
    standing: Standing = "ahead" if _better(ours, theirs) else "behind" if _better(theirs, ours) else "level"
    return Comparison(METHODS[name], standing, numbers)


def _better(one: Mapping[str, float], other: Mapping[str, float]) -> bool:
    fewer = one["twoq"] <= FEWER * other["twoq"] and one["twoq"] < other["twoq"]
    return (fewer and one["accuracy"] >= other["accuracy"] - POINT) or (
        one["accuracy"] > other["accuracy"] + POINT and one["twoq"] <= other["twoq"]
    )


def _fewest(rows: list[Row], names: Sequence[str], key: str) -> str:
    """The method that needs the fewest of what `key` counts."""
    return min(names, key=lambda name: _average(rows, name, key))


def _having(rows: list[Row], name: str) -> list[Row]:
    """The rows in which a method met the budget."""
    return [row for row in rows if "scores" in row.result[name]]


def _average(rows: list[Row], name: str, key: str) -> float:
    values = [accuracy(row, name) if key == "accuracy" else scores(row, name)[key] for row in rows]
    return float(sum(values) / len(values))


def grouped(rows: Iterable[Row], *keys: str) -> list[list[Row]]:
    """The rows in groups that agree in these settings, in order of appearance."""
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row.settings[key] for key in keys), []).append(row)
    return list(groups.values())


def _blocks(title: str, rows: list[Row]) -> list[Block]:
    return [
        KeyFigures([*_fewer(rows, "twoq", "two-qubit gates"), *_fewer(rows, "depth", "depth"), _change(rows)]),
        plot(
            lambda front, counts: _plot(front, counts, rows),
            *rows,
            title=f"{title}: accuracy against size",
            caption="First: test accuracy of the circuits selected by validation at each size, and of the compiled "
            "ones; higher and further left is better, and faint lines are single seeds. Second: two-qubit gates and "
            "depth after compilation, of which fewer are better.",
            panels=2,
        ),
        _table(title, rows),
    ]


def _table(title: str, rows: list[Row]) -> Table:
    columns = ("method", "test accuracy", "with noise", "depth", "two-qubit gates", "ESP", "mean |change of <Z>|")
    lines: list[Sequence[str | Number]] = []
    strong: list[int] = []
    for name, label in METHODS.items():
        have = _having(rows, name)
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
    note = (
        "Means over seeds with 95 % t-intervals; for a single seed, Wilson's interval over test samples. Higher is "
        "better for accuracy and ESP, the estimated success probability; lower for the others. The first three lines "
        "compile the trained circuit exactly; train-small is a line ansatz that was small from the start."
    )
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


def _fewer(rows: list[Row], key: str, what: str) -> Iterator[tuple[str, Number]]:
    """How many times less than the best exact compilation, and than small circuits, by the means in the table."""
    for name in (_fewest(rows, EXACT, key), "small"):
        if both := _having(rows, name):
            ratio = _average(both, name, key) / max(_average(both, "compvqc", key), 1)
            yield f"{what} of {METHODS[name]}, over those of CompVQC", cite(ratio, *both, form=".1f", unit="x")


def _change(rows: list[Row]) -> tuple[str, Number]:
    change = 100 * (_average(rows, "compvqc", "accuracy") - _average(rows, "o3", "accuracy"))
    label = f"test accuracy of CompVQC minus that of {METHODS['o3']}"
    return label, cite(change, *rows, form="+.1f", unit="points")


def _plot(front: Any, counts: Any, rows: list[Row]) -> None:
    for name, color in (("compvqc", "blue"), ("small", "orange")):
        for row in rows:
            points = row.result[name]["front"]
            share = [point["test"] / row.result["samples"]["test"] for point in points]
            sizes = [point["twoq"] for point in points]
            front.plot(sizes, share, color=COLORS[color], marker="o", markersize=3, alpha=1 if len(rows) == 1 else 0.35)
        front.plot([], [], color=COLORS[color], marker="o", label=METHODS[name])
    marks = {"dense": "grey", "o3_approximate": "green", "pytket_approximate": "purple", "magnitude": "red"}
    for name, color in marks.items():
        if have := _having(rows, name):
            sizes = [scores(row, name)["twoq"] for row in have]
            front.plot(sizes, [accuracy(row, name) for row in have], "x", color=COLORS[color], label=METHODS[name])
    front.set(xscale="symlog", xlabel="two-qubit gates", ylabel="test accuracy")
    front.xaxis.set_major_formatter("{x:g}")
    shown = [name for name in METHODS if _having(rows, name)]
    for offset, key, color, label in ((-0.2, "twoq", "blue", "two-qubit gates"), (0.2, "depth", "sky", "depth")):
        places = [place + offset for place in range(len(shown))]
        values = [_average(_having(rows, name), name, key) for name in shown]
        counts.barh(places, values, height=0.4, color=COLORS[color], label=label)
    counts.set_yticks(range(len(shown)), [METHODS[name] for name in shown])
    counts.invert_yaxis()
    counts.set(xlabel="count after compilation")
