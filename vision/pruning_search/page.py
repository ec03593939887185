"""The page of a width search: accuracies at one budget, the widths of every layer, and the course of the search."""

from collections.abc import Mapping, Sequence
from typing import Any

from shared.lab import (
    Block,
    KeyFigures,
    Number,
    Page,
    Row,
    Table,
    Text,
    cite,
    cite_mean,
    compared,
    downloads,
    equal_settings,
    verdict,
)
from vision.pruning_search.figures import MEASURES, Measure, budget_error, gains, key_of, reached, seconds, task_of
from vision.pruning_search.times import times_table

NETS = {
    "wide": "wide net, not pruned",
    "search": "learned widths",
    "uniform": "equal shares of every layer",
    "l1_group": "largest group norms",
    "bn_gamma": "largest factors of norms",
    "torch_pruning": "Torch-Pruning's importance",
    "random": "random channels",
    "admm": "ADMM of the core",
    "relaxation": "relaxation of the core",
}
FILES = {
    "net.safetensors": "the plain net: branches merged, norms folded",
    "widths.json": "which channels of each group are left",
    "net.onnx": "the plain net as ONNX",
    "net.so": "the plain net compiled for machines such as this one",
    "net.c": "the same as C",
    "net.h": "and its header",
}


def page(rows: Sequence[Row]) -> Page:
    """One set of tables for all rows: seeds are pooled, their files stay apart."""
    title = "Pruning-as-Search: widths that were learned"
    same = equal_settings(rows)
    settings, data = same[0].settings, same[0].result["data"]
    price = same[0].result["price"]
    share = f"{settings['macs']:.0%} of its multiply-accumulates"
    amount = f"{settings['ms']:g} ms" if settings["ms"] else share
    net = settings["net"] if task_of(same[0]) == "classification" else f"a net of {task_of(same[0])}"
    missing = "".join(
        f" Not here: {NETS.get(name, name)}, {why}." for name, why in same[0].result.get("missing", {}).items()
    )
    summary = (
        f"The width of every layer of {net} for {amount}; the wide net costs "
        f"{price['wide']:,.4g} {price['unit']}. {data['name']}. Intervals are 95 %, over seeds.{missing}"
    )
    timed = [_times(same)] if "measured_ms" in same[0].result else []
    blocks: list[Block] = [_key(same), _accuracies(same), *timed, _widths(same), _search(same), *downloads(rows, FILES)]
    return Page(title, summary, blocks, _verdict(same))


def controls(rows: Sequence[Row]) -> list[str]:
    """The nets beside the searched one."""
    return [name for name in rows[0].result["nets"] if name != "search"]


def _verdict(rows: Sequence[Row]) -> Text:
    measure = _measure(rows)
    comparisons = [compared(NETS[name], _gain(rows, name)) for name in controls(rows)]
    return verdict(
        "The net of learned widths",
        comparisons,
        f"has a higher {measure.name} than",
        behind=f"has a lower {measure.name} than",
    )


def _measure(rows: Sequence[Row]) -> Measure:
    return MEASURES[key_of(rows[0])]


def _gain(rows: Sequence[Row], control: str) -> Number:
    measure = _measure(rows)
    return cite_mean(gains(rows, control), *rows, form=f"+{measure.form}", unit=measure.difference)


def _reached(rows: Sequence[Row], net: str) -> Number:
    measure = _measure(rows)
    return cite_mean([reached(row, net) for row in rows], *rows, form=measure.form, unit=measure.unit)


def _key(rows: Sequence[Row]) -> KeyFigures:
    error = max(budget_error(row) for row in rows)
    return KeyFigures(
        (
            *((f"{_measure(rows).name}: {NETS[name]}", _reached(rows, name)) for name in ("search", "wide")),
            ("largest difference to the budget", cite(error, *rows, form=".2f", unit="%")),
        )
    )


def _accuracies(rows: Sequence[Row]) -> Table:
    lines: list[Sequence[str | Number]] = []
    for name in ("wide", "search", *controls(rows)):
        about = rows[0].result["nets"].get(name)
        lines.append(
            (
                NETS[name],
                _reached(rows, name),
                "" if name in ("wide", "search") else _gain(rows, name),
                cite_mean([_share(row, name) for row in rows], *rows, form=".2f", unit="%"),
                "" if about is None else cite_mean([seconds(row, name) for row in rows], *rows, form=".0f", unit="s"),
                "" if about is None else cite(len(about["tuned"]), *rows),
            )
        )
    note = (
        "Every narrow net begins with weights of the same wide net. Controls by rule are trained for more epochs, in "
        "place of the search, whose epochs are of the wide net. Solvers of the core keep one channel of each group at "
        "least, whatever the minimum is, and their widths are no multiples."
    )
    columns = (
        "net",
        _measure(rows).name,
        "learned widths above it",
        "multiply-accumulates",
        "CPU time",
        "narrow epochs",
    )
    return Table("At one budget", columns, lines, note=note, strong=(1,))


def _share(row: Row, name: str) -> float:
    macs = row.result["macs"] if name == "wide" else row.result["nets"][name]["macs"]
    return 100 * float(macs) / float(row.result["macs"])


def _times(rows: Sequence[Row]) -> Table:
    times = {}
    for name in ("wide", "search", *controls(rows)):
        predicted = [
            float(row.result["price"]["wide"] if name == "wide" else row.result["nets"][name]["measured"])
            for row in rows
        ]
        times[NETS[name]] = predicted, [float(row.result["measured_ms"][name]) for row in rows]
    note = (
        "Each net as a library of 8-bit integers, on one thread. Measured is the least of many runs, as what the "
        "predictions are fitted to. Narrow nets are timed before they are trained, and their widths chosen again at "
        "prices scaled to what was measured, a few times; the prediction of this table is the scaled one."
    )
    return times_table(rows, times, note, form=".3f")


def _widths(rows: Sequence[Row]) -> Table:
    with_widths = [name for name in rows[0].result["nets"] if "widths" in rows[0].result["nets"][name]]
    about = rows[0].result["nets"]["search"]
    lines: list[Sequence[str | Number]] = [
        (
            name,
            cite(size, *rows),
            *(
                cite_mean([float(row.result["nets"][net]["widths"][group]) for row in rows], *rows, form=".1f")
                for net in with_widths
            ),
        )
        for group, (name, size) in enumerate(zip(about["names"], about["sizes"], strict=True))
    ]
    note = (
        "Channels of each group, by the layer that writes them; means over seeds. Layers of one group share channels."
    )
    return Table("Widths", ("written by", "wide", *(NETS[name] for name in with_widths)), lines, note=note)


def _search(rows: Sequence[Row]) -> Table:
    lines: list[Sequence[str | Number]] = []
    for part, title in (("searched", "search"), ("tuned", "narrow net")):
        for number in range(len(rows[0].result["nets"]["search"][part])):
            epochs = [row.result["nets"]["search"][part][number] for row in rows]
            lines.append(
                (
                    title,
                    cite(number + 1, *rows),
                    cite_mean([epoch["loss"] for epoch in epochs], *rows, form=".3f"),
                    *_validated(epochs, rows),
                )
            )
    note = "The loss of the search has the penalty on the price in it, and its gates are closed in validation too."
    columns = ("part", "epoch", "loss", *(("validation accuracy",) if len(lines[0]) > 3 else ()))
    return Table("The search, epoch by epoch", columns, lines, note=note)


def _validated(epochs: Sequence[Mapping[str, Any]], rows: Sequence[Row]) -> tuple[Number, ...]:
    """Of classification alone."""
    if "validation_of" not in epochs[0]:
        return ()
    right = [100 * epoch["validation_correct"] / epoch["validation_of"] for epoch in epochs]
    return (cite_mean(right, *rows, form=".2f", unit="%"),)
