"""A searched net beside rivals that were trained for as long: figures of rows, and the parts of their page."""

from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np

from shared.lab import COLORS, Figure, Number, Row, Table, Text, cite_mean, compared, plot, verdict
from vision.pruning_search.times import times_table

Names = Mapping[str, str]
"""What each net of a row is called for a reader, in the order of the page."""


def mean_psnr(row: Row, net: str = "search") -> float:
    """In dB, the mean over pictures, as published figures are."""
    return float(np.mean(row.result["nets"][net]["psnr"]))


def mean_ssim(row: Row, net: str = "search") -> float:
    """SSIM of luma, the mean over pictures."""
    return float(np.mean(row.result["nets"][net]["ssim"]))


def relative_ms(rows: Sequence[Row], rival: str, key: str) -> list[float]:
    """Measured milliseconds of the searched net over a rival's, by seed; empty where they were not measured."""
    both = [(row.result["nets"]["search"][key], row.result["nets"][rival][key]) for row in rows]
    return [ours / theirs for ours, theirs in both if ours is not None and theirs is not None]


def seconds_ratio(rows: Sequence[Row], rival: str) -> list[float]:
    """CPU seconds of training a rival over those of the search and the chosen net, by seed."""
    return [float(row.result["nets"][rival]["cpu_s"]) / float(row.result["nets"]["search"]["cpu_s"]) for row in rows]


def budget_share(row: Row, net: str = "search") -> float:
    """The price of a net over the budget."""
    return float(row.result["nets"][net]["priced"]) / float(row.result["price"]["budget"])


def regret(row: Row) -> float:
    """By how many per cent the searched net takes longer than was predicted when it was chosen."""
    net = row.result["nets"]["search"]
    return 100 * (float(net["compiled_ms"]) / float(net["priced"]) - 1)


def shown(rows: Sequence[Row], names: Names) -> list[str]:
    """The nets that rows have."""
    return [name for name in names if name in rows[0].result["nets"]]


def mean_number(rows: Sequence[Row], net: str, key: str, form: str, unit: float = 1) -> str | Number:
    """A number of a net in units of `unit`; nothing where a row does not have it."""
    values = [row.result["nets"][net].get(key) for row in rows]
    if None in values:
        return ""
    return cite_mean([float(value) / unit for value in values], *rows, form=form)


def share_of_budget(rows: Sequence[Row]) -> tuple[str, Number]:
    """A key figure of a page."""
    return "share of the budget", cite_mean([100 * budget_share(row) for row in rows], *rows, form=".1f", unit="%")


def verdict_of(
    rows: Sequence[Row],
    names: Names,
    above: Callable[[Sequence[Row], str], Sequence[float]],
    quality: str,
    form: str,
    unit: str = "",
) -> Text:
    """Where the searched net is ahead, and where it is behind; `above` says by how much, by seed."""
    comparisons = [
        compared(names[name], cite_mean(above(rows, name), *rows, form=form, unit=unit))
        for name in shown(rows, names)
        if name != "search"
    ]
    return verdict(
        "The searched net", comparisons, f"has a higher {quality} than", behind=f"has a lower {quality} than"
    )


def measured_times(rows: Sequence[Row], names: Names, scaled: str) -> Table:
    """Predicted milliseconds beside measured ones, of the nets that a budget was for."""
    times = {}
    for name in shown(rows, names):
        nets = [row.result["nets"][name] for row in rows]
        if "priced" in nets[0]:
            times[names[name]] = [net["priced"] for net in nets], [net["compiled_ms"] for net in nets]
    note = "Each net as the C library of `qwedge compile --numbers float32`, on one thread; the least of many runs."
    return times_table(rows, times, f"{note} {scaled}")


def against_cost(
    rows: Sequence[Row],
    names: Names,
    cost: Callable[[dict[str, Any]], float | None],
    quality: Callable[[Row, str], float],
    labels: tuple[str, str],
    title: str,
    log: bool = False,
) -> Figure:
    """Every net that has a cost, on axes with these labels; far costs on a logarithmic one."""

    def paint(axes: Any) -> None:
        from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter

        costs = {name: [cost(row.result["nets"][name]) for row in rows] for name in shown(rows, names)}
        marked = [name for name, each in costs.items() if None not in each]
        for name, (form, colour) in zip(marked, product("os", COLORS.values()), strict=False):
            axes.plot(costs[name], [quality(row, name) for row in rows], form, color=colour, label=names[name])
        if log:
            axes.set_xscale("log")
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
            axes.xaxis.set_major_formatter(EngFormatter())
            axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel(labels[0])
        axes.set_ylabel(labels[1])

    return plot(paint, *rows, title=title, caption="A mark is one seed.")
