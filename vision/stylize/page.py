"""The page of a search for a style: likeness at one budget, its cost, and pictures side by side."""

from collections.abc import Sequence
from typing import Any

from shared.lab import (
    COLORS,
    Block,
    Figure,
    KeyFigures,
    Number,
    Page,
    Row,
    Table,
    Text,
    cite_mean,
    compared,
    downloads,
    equal_settings,
    plot,
    verdict,
)
from vision.data.crops import side_by_side
from vision.pruning_search.times import times_table
from vision.stylize.figures import budget_share, mean_psnr, mean_ssim, ssim_above, times_less

NETS = {
    "teacher": "the teacher",
    "search": "searched widths and depth",
    "uniform": "narrowed, all blocks",
    "random": "random widths and depth",
    "identity": "the picture itself",
    "classical": "the classical stylizer",
    "shipped": "the net that ships",
}
CROPS = ("identity", "teacher", "uniform", "search")
FILES = {
    "net.safetensors": "the searched net for `qwedge stylize --weights`",
    "net.onnx": "the searched net as ONNX, for colours in [0, 1], sides of multiples of 4",
    "net.tflite": "the searched net as LiteRT, for colours in [0, 1] of one size",
}


def page(rows: Sequence[Row]) -> Page:
    """One set of tables for all rows: seeds are pooled, their files stay apart."""
    title = "Stylization: widths and depth that were searched"
    same = equal_settings(rows)
    about, price = same[0].result, same[0].result["price"]
    height, width = about["plane"]
    summary = (
        f"Pictures in a style for at most {price['budget']:,.4g} {price['unit']} of {width}x{height} pixels, of "
        f"{price['full']:,.4g} {price['unit']} of the teacher. {about['data']}; {len(about['pictures'])} pairs of "
        f"{about['part']}. Intervals are 95 %, over seeds."
    )
    timed = [_times(same)] if price["unit"] == "ms" else []
    blocks: list[Block] = [
        _key(same),
        _qualities(same),
        _costs(same),
        *timed,
        _pareto(same),
        _crops(same),
        *downloads(rows, FILES),
    ]
    return Page(title, summary, blocks, _verdict(same))


def _named(row: Row) -> list[str]:
    return [name for name in NETS if name in row.result["nets"]]


def _verdict(rows: Sequence[Row]) -> Text:
    comparisons = [
        compared(NETS[name], cite_mean(ssim_above(rows, name), *rows, form="+.4f"))
        for name in _named(rows[0])
        if name not in ("search", "shipped")
    ]
    return verdict("The searched net", comparisons, "has a higher SSIM than", behind="has a lower SSIM than")


def _key(rows: Sequence[Row]) -> KeyFigures:
    return KeyFigures(
        (
            ("SSIM of luma", cite_mean([mean_ssim(row) for row in rows], *rows, form=".4f")),
            ("fewer operations than the teacher", cite_mean(times_less(rows, "macs"), *rows, form=".1f", unit="x")),
            ("share of the budget", cite_mean([100 * budget_share(row) for row in rows], *rows, form=".1f", unit="%")),
        )
    )


def _qualities(rows: Sequence[Row]) -> Table:
    lines: list[Sequence[str | Number]] = [
        (
            NETS[name],
            cite_mean([mean_ssim(row, name) for row in rows], *rows, form=".4f"),
            "" if name == "search" else cite_mean(ssim_above(rows, name), *rows, form="+.4f"),
            cite_mean([mean_psnr(row, name) for row in rows], *rows, form=".2f", unit="dB"),
        )
        for name in _named(rows[0])
    ]
    note = "SSIM of luma and PSNR of colours, of whole pictures. The net that ships learned the classical style before."
    columns = ("net", "SSIM", "searched net above it", "PSNR")
    return Table("Trained for as many seconds", columns, lines, note=note, strong=(1,))


def _costs(rows: Sequence[Row]) -> Table:
    lines: list[Sequence[str | Number]] = []
    for name in _named(rows[0]):
        nets = [row.result["nets"][name] for row in rows]
        lines.append((NETS[name], _shapes(nets), *(_mean(nets, key, rows, form) for key, form in COLUMNS.values())))
    note = (
        "Channels are those at the whole side, its half and its quarter, and inside of the blocks. Milliseconds are of "
        "the net in floating point on one thread, in the C library of `qwedge compile --numbers float32` and in ONNX "
        "Runtime; those of the classical stylizer are of NumPy. CPU time of the searched net has the search in it, and "
        "none has the teacher's; the steps are those of the chosen net."
    )
    return Table("What they cost", ("net", "channels and blocks", *COLUMNS), lines, note=note, strong=(1,))


def _shapes(nets: Sequence[dict[str, Any]]) -> str:
    """Of every seed, once if all are equal."""
    shapes = dict.fromkeys(
        "{} x {}".format("-".join(map(str, net["shape"][:-1])), net["shape"][-1]) for net in nets if "shape" in net
    )
    return "; ".join(shapes)


COLUMNS = {
    "million MAC": ("macs", ",.1f"),
    "ms, compiled": ("compiled_ms", ".2f"),
    "ms, ONNX Runtime": ("ms", ".2f"),
    "steps": ("steps", ",.0f"),
    "CPU seconds": ("cpu_s", ".0f"),
}
"""What is shown of each net: the key of its number, and its form."""


def _mean(nets: Sequence[dict[str, Any]], key: str, rows: Sequence[Row], form: str) -> str | Number:
    values = [net.get(key) for net in nets]
    if None in values:
        return ""
    unit = 1e6 if key == "macs" else 1
    return cite_mean([float(value) / unit for value in values], *rows, form=form)  # type: ignore[arg-type]


def _times(rows: Sequence[Row]) -> Table:
    times = {}
    for name in _named(rows[0]):
        nets = [row.result["nets"][name] for row in rows]
        if "compiled_ms" in nets[0]:
            times[NETS[name]] = [net["priced"] for net in nets], [net["compiled_ms"] for net in nets]
    note = "Each net as the C library of `qwedge compile --numbers float32`, on one thread; the least of many runs."
    return times_table(rows, times, note)


def _pareto(rows: Sequence[Row]) -> Figure:
    is_timed = rows[0].result["nets"]["search"]["compiled_ms"] is not None
    key, label = ("compiled_ms", "measured ms, compiled, one thread") if is_timed else ("macs", "MAC")

    def paint(axes: Any) -> None:
        from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter

        for name, colour in zip(_named(rows[0]), COLORS.values(), strict=False):
            nets = [row.result["nets"][name] for row in rows]
            x = [net.get(key, net.get("ms") if is_timed else None) for net in nets]  # the classical stylizer's
            if None not in x:
                axes.plot(x, [mean_ssim(row, name) for row in rows], "o", color=colour, label=NETS[name])
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
        axes.xaxis.set_major_formatter(EngFormatter())
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel(label)
        axes.set_ylabel("SSIM")

    return plot(paint, *rows, title="Likeness against cost", caption="A mark is one seed.")


def _crops(rows: Sequence[Row]) -> Figure:
    titles = {name: NETS[name] for name in CROPS}
    return side_by_side(rows[0], titles, "A generated picture that no net was trained on")
