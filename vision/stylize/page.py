"""The page of a search for a style: likeness at one budget, its cost, and pictures side by side."""

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
    cite_mean,
    downloads,
    equal_settings,
)
from vision.data.crops import side_by_side
from vision.pruning_search.searched import (
    against_cost,
    mean_number,
    mean_psnr,
    mean_ssim,
    measured_times,
    share_of_budget,
    shown,
    verdict_of,
)
from vision.stylize.figures import ssim_above, times_less

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


def _verdict(rows: Sequence[Row]) -> Text:
    compared = {name: title for name, title in NETS.items() if name != "shipped"}  # which has learned another style
    return verdict_of(rows, compared, ssim_above, "SSIM", "+.4f")


def _key(rows: Sequence[Row]) -> KeyFigures:
    return KeyFigures(
        (
            ("SSIM of luma", cite_mean([mean_ssim(row) for row in rows], *rows, form=".4f")),
            ("fewer operations than the teacher", cite_mean(times_less(rows, "macs"), *rows, form=".1f", unit="x")),
            share_of_budget(rows),
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
        for name in shown(rows, NETS)
    ]
    note = "SSIM of luma and PSNR of colours, of whole pictures. The net that ships learned the classical style before."
    columns = ("net", "SSIM", "searched net above it", "PSNR")
    return Table("Trained for as many seconds", columns, lines, note=note, strong=(1,))


def _costs(rows: Sequence[Row]) -> Table:
    lines: list[Sequence[str | Number]] = []
    for name in shown(rows, NETS):
        nets = [row.result["nets"][name] for row in rows]
        lines.append((NETS[name], _shapes(nets), *(mean_number(rows, name, *each) for each in COLUMNS.values())))
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
    "million MAC": ("macs", ",.1f", 1e6),
    "ms, compiled": ("compiled_ms", ".2f", 1),
    "ms, ONNX Runtime": ("ms", ".2f", 1),
    "steps": ("steps", ",.0f", 1),
    "CPU seconds": ("cpu_s", ".0f", 1),
}
"""What is shown of each net: the key of its number, its form, and its unit."""


def _times(rows: Sequence[Row]) -> Table:
    scaled = "Predictions are those of the laws times what each net's first choice took, over what they say."
    return measured_times(rows, NETS, scaled)


def _pareto(rows: Sequence[Row]) -> Figure:
    is_timed = rows[0].result["nets"]["search"]["compiled_ms"] is not None
    key, label = ("compiled_ms", "measured ms, compiled, one thread") if is_timed else ("macs", "MAC")

    def cost(net: dict[str, Any]) -> float | None:
        number: float | None = net.get(key, net.get("ms") if is_timed else None)  # the classical stylizer's
        return number

    return against_cost(rows, NETS, cost, mean_ssim, (label, "SSIM"), "Likeness against cost", log=True)


def _crops(rows: Sequence[Row]) -> Figure:
    titles = {name: NETS[name] for name in CROPS}
    return side_by_side(rows[0], titles, "A generated picture that no net was trained on")
