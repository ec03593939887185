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
from vision.data.crops import of_text
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
}


def page(rows: Sequence[Row]) -> Page:
    """One set of tables for all rows: seeds are pooled, their files stay apart."""
    title = "Stylization: widths and depth that were searched"
    if not rows:
        return Page(title, "A net that gives pictures a style within a budget.", (), Text("No rows."))
    same = equal_settings(rows)
    about, price = same[0].result, same[0].result["price"]
    height, width = about["plane"]
    summary = (
        f"Pictures in a style for at most {price['budget']:,.4g} {price['unit']} of {width}x{height} pixels, of "
        f"{price['full']:,.4g} {price['unit']} of the teacher. {about['data']}; {len(about['pictures'])} pairs of "
        f"{about['part']}. Intervals are 95 %, over seeds."
    )
    timed = [_times(same)] if price["unit"] == "ms" else []
    blocks: list[Block] = [_key(same), _qualities(same), *timed, _pareto(same), _crops(same), *downloads(rows, FILES)]
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
    lines: list[Sequence[str | Number]] = []
    for name in _named(rows[0]):
        nets = [row.result["nets"][name] for row in rows]
        lines.append(
            (
                NETS[name],
                cite_mean([mean_ssim(row, name) for row in rows], *rows, form=".4f"),
                "" if name == "search" else cite_mean(ssim_above(rows, name), *rows, form="+.4f"),
                cite_mean([mean_psnr(row, name) for row in rows], *rows, form=".2f", unit="dB"),
                _shapes(nets),
                *(_mean(nets, key, rows, form) for key, form in COLUMNS.values()),
            )
        )
    note = (
        "SSIM of luma and PSNR of colours, of whole pictures. Channels are those at the whole side, its half and its "
        "quarter, and inside of the blocks. Milliseconds are of the net in floating point with ONNX Runtime on one "
        "thread, and of the classical stylizer in NumPy. CPU time of the searched net has the search in it, and none "
        "has the teacher's; the steps are those of the chosen net. The net that ships learned the classical style "
        "before."
    )
    columns = ("net", "SSIM", "searched net above it", "PSNR", "channels and blocks", *COLUMNS)
    return Table("Trained for as many seconds", columns, lines, note=note, strong=(1,))


def _shapes(nets: Sequence[dict[str, Any]]) -> str:
    """Of every seed, once if all are equal."""
    shapes = dict.fromkeys(
        "{} x {}".format("-".join(map(str, net["shape"][:-1])), net["shape"][-1]) for net in nets if "shape" in net
    )
    return "; ".join(shapes)


COLUMNS = {
    "million MAC": ("macs", ",.1f"),
    "measured ms": ("ms", ".2f"),
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
    lines: list[Sequence[str | Number]] = []
    for name in _named(rows[0]):
        nets = [row.result["nets"][name] for row in rows]
        if "compiled_ms" in nets[0]:
            apart = [100 * (net["compiled_ms"] / net["priced"] - 1) for net in nets]
            lines.append(
                (
                    NETS[name],
                    cite_mean([net["priced"] for net in nets], *rows, form=".2f", unit="ms"),
                    cite_mean([net["compiled_ms"] for net in nets], *rows, form=".2f", unit="ms"),
                    cite_mean(apart, *rows, form="+.1f", unit="%"),
                )
            )
    note = "Each net as the C library of `qwedge compile --numbers float32`, on one thread; the least of many runs."
    return Table("Milliseconds", ("net", "predicted", "measured", "measured above predicted"), lines, note=note)


def _pareto(rows: Sequence[Row]) -> Figure:
    is_timed = rows[0].result["nets"]["search"]["ms"] is not None
    key, label = ("ms", "measured ms, one thread") if is_timed else ("macs", "MAC")

    def paint(axes: Any) -> None:
        for name, colour in zip(_named(rows[0]), COLORS.values(), strict=False):
            x = [row.result["nets"][name].get(key) for row in rows]
            if None not in x:
                axes.plot(x, [mean_ssim(row, name) for row in rows], "o", color=colour, label=NETS[name])
        axes.set_xscale("log")
        axes.set_xlabel(label)
        axes.set_ylabel("SSIM")

    return plot(paint, *rows, title="Likeness against cost", caption="A mark is one seed.")


def _crops(rows: Sequence[Row]) -> Figure:
    crops = rows[0].result["crops"]
    names = [name for name in CROPS if name in crops]

    def paint(*every: Any) -> None:
        for axes, name in zip(every, names, strict=True):
            axes.imshow(of_text(crops[name]), interpolation="nearest")
            axes.set_title(NETS[name])
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)

    caption = f"A generated picture that no net was trained on, seed {rows[0].seed}."
    return plot(paint, rows[0], title="Side by side", caption=caption, panels=len(names), size=(2.4, 2.6))
