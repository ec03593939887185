"""The page of a slimming: accuracies at one budget, and every step from the largest net."""

from collections.abc import Sequence
from typing import Any

from shared.lab import (
    Block,
    Figure,
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
    plot,
    verdict,
)
from vision.slimming.figures import NETS, gains, percent, regret, seconds
from vision.slimming.plan import Plan

FILES = {
    "net.safetensors": "the weights of the slimmed net",
    "plan.json": "its widths and operators",
    "net.onnx": "the slimmed net as ONNX",
}


def page(rows: Sequence[Row]) -> Page:
    """Seeds of the first row's settings together."""
    title = "Latency-driven slimming"
    if not rows:
        return Page(title, "Depths, widths and operators under a budget.", (), Text("No rows."))
    same = equal_settings(rows)
    price, data = same[0].result["price"], same[0].result["data"]
    summary = (
        f"From {Plan.from_json_data(same[0].result['largest']).spelled()}, which costs {price['largest']:,.4g} "
        f"{price['unit']}, to {price['budget']:,.4g} {price['unit']}. {data['name']}. Stages are written as width: "
        "operators, C for fused 3x3 convolutions, P for pooling, A for attention. Intervals are 95 %, over seeds."
    )
    blocks: list[Block] = [_key(same), _nets(same), _path(same), _course(same), *downloads(same, FILES)]
    return Page(title, summary, blocks, _verdict(same))


def _verdict(rows: Sequence[Row]) -> Text:
    comparisons = [
        compared(name, cite_mean(gains(rows, rival), *rows, form="+.2f", unit="points"))
        for rival, name in NETS.items()
        if rival != "slimmed"
    ]
    return verdict("The slimmed net", comparisons, "has a higher accuracy than", behind="has a lower accuracy than")


def _key(rows: Sequence[Row]) -> KeyFigures:
    figures = [
        ("accuracy: slimmed net", cite_mean([percent(row, "slimmed") for row in rows], *rows, form=".2f", unit="%")),
        (
            f"accuracy above that of: {NETS['uniform']}",
            cite_mean(gains(rows, "uniform"), *rows, form="+.2f", unit="points"),
        ),
    ]
    if rows[0].result["price"]["unit"] == "ms":
        measured = cite_mean([regret(row) for row in rows], *rows, form="+.1f", unit="%")
        figures.append(("time measured above the prediction", measured))
    return KeyFigures(figures)


def _nets(rows: Sequence[Row]) -> Table:
    timed = rows[0].result["price"]["unit"] == "ms"

    def of(net: str, key: str) -> list[float]:
        return [float(row.result["nets"][net][key]) for row in rows]

    lines: list[Sequence[str | Number]] = [
        (
            name,
            Plan.from_json_data(rows[0].result["nets"][net]["plan"]).spelled(),
            cite_mean([percent(row, net) for row in rows], *rows, form=".2f", unit="%"),
            *((cite_mean(of(net, key), *rows, form=".3g") for key in ("price", "measured_ms")) if timed else ()),
            cite_mean([macs / 1e6 for macs in of(net, "macs")], *rows, form=".2f"),
            cite_mean([count / 1e3 for count in of(net, "parameters")], *rows, form=".0f"),
            cite_mean([seconds(row, net) for row in rows], *rows, form=".0f", unit="s"),
        )
        for net, name in NETS.items()
    ]
    times = ("ms, predicted", "ms, measured") if timed else ()
    columns = ("net", "plan of the first seed", "accuracy", *times, "million MACs", "thousand parameters", "CPU time")
    note = "All nets are trained from scratch. CPU time of training includes the supernet's, for which rivals train on."
    return Table("Nets within the budget", columns, lines, note=note, strong=(0,))


def _path(rows: Sequence[Row]) -> Figure:
    unit = rows[0].result["price"]["unit"]

    def paint(axes: Any) -> None:
        for row in rows:
            course = row.result["course"]
            prices = [step["price"] for step in course]
            axes.plot(prices, [100 * step["accuracy"] for step in course], marker=".", label=f"seed {row.seed}")
        axes.set(xlabel=unit, ylabel="accuracy by the supernet (%)")
        axes.legend()

    title = "From the largest net to the budget"
    return plot(paint, *rows, title=title, caption="With the supernet's weights, on validation images, from the right.")


def _course(rows: Sequence[Row]) -> Table:
    row = rows[0]
    unit = row.result["price"]["unit"]
    lines: list[Sequence[str | Number]] = [
        (
            cite(number + 1, row),
            step["action"],
            Plan.from_json_data(step["plan"]).spelled(),
            cite(step["price"], row, form=",.4g", unit=unit),
            cite(100 * step["accuracy"], row, form=".1f", unit="%"),
        )
        for number, step in enumerate(row.result["course"])
    ]
    columns = ("step", "action", "plan", "price", "accuracy by the supernet")
    return Table("Every step of the first seed", columns, lines)
