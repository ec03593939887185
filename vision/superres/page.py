"""The page of a search for super-resolution: qualities at one budget, their cost, and crops side by side."""

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
from vision.superres.figures import gains

NETS = {
    "search": "searched width and depth",
    "uniform": "narrowed, all blocks",
    "random": "random depth",
    "random2": "another random depth",
    "random3": "a third random depth",
    "ecbsr": "ECBSR, four blocks",
    "abpn": "ABPN",
    "fsrcnn": "FSRCNN",
    "espcn": "ESPCN",
    "bicubic": "bicubic",
    "shipped": "the net that ships",
}
CROPS = ("bicubic", "fsrcnn", "search", "truth")
FILES = {
    "net.safetensors": "the searched net for `qwedge upscale --weights`",
    "net.onnx": "the searched net as ONNX, for luma in [0, 1] of any size",
    "net.tflite": "the searched net as LiteRT, for luma in [0, 1] of one size",
}


def page(rows: Sequence[Row]) -> Page:
    """One set of tables for all rows: seeds are pooled, their files stay apart."""
    title = "Super-resolution: width and depth that were searched"
    same = equal_settings(rows)
    settings, about, price = same[0].settings, same[0].result, same[0].result["price"]
    height, width = about["plane"]
    summary = (
        f"Pictures enlarged {settings['scale']} times for at most {price['budget']:,.4g} {price['unit']} from "
        f"{width}x{height} pixels, of {price['full']:,.4g} {price['unit']} of the supernet. {about['data']}; "
        f"{len(about['pictures'])} pictures of {about['part']}. Intervals are 95 %, over seeds."
    )
    timed = [_times(same)] if price["unit"] == "ms" else []
    timed += [_random_times(same)] if about["times"] else []
    raced = [_race(same)] if about["race"] else []
    blocks: list[Block] = [_key(same), _qualities(same), *raced, *timed, _pareto(same), _crops(same)]
    blocks += downloads(rows, FILES)
    return Page(title, summary, blocks, _verdict(same))


def _verdict(rows: Sequence[Row]) -> Text:
    return verdict_of(rows, NETS, gains, "PSNR", "+.2f", "dB")


def _key(rows: Sequence[Row]) -> KeyFigures:
    return KeyFigures(
        (
            ("PSNR of luma", cite_mean([mean_psnr(row, "search") for row in rows], *rows, form=".2f", unit="dB")),
            ("bicubic", cite_mean([mean_psnr(row, "bicubic") for row in rows], *rows, form=".2f", unit="dB")),
            share_of_budget(rows),
        )
    )


def _qualities(rows: Sequence[Row]) -> Table:
    lines: list[Sequence[str | Number]] = []
    for name in shown(rows, NETS):
        lines.append(
            (
                NETS[name],
                cite_mean([mean_psnr(row, name) for row in rows], *rows, form=".2f", unit="dB"),
                "" if name == "search" else cite_mean(gains(rows, name), *rows, form="+.2f", unit="dB"),
                cite_mean([mean_ssim(row, name) for row in rows], *rows, form=".4f"),
                *(mean_number(rows, name, key, form) for key, form in COLUMNS.values()),
            )
        )
    note = (
        "PSNR and SSIM of luma, without a border of as many pixels as the scale. Milliseconds are of the net in "
        "floating point with ONNX Runtime on one thread. CPU time of the searched net has supernet and search in it; "
        "the steps are those of the chosen net. FSRCNN and ESPCN add the repeated pixels as ours does, which they do "
        "not in their papers. The net that ships was trained before, and longer."
    )
    columns = ("net", "PSNR", "searched net above it", "SSIM", *COLUMNS)
    return Table("Trained for as many seconds", columns, lines, note=note, strong=(0,))


COLUMNS = {
    "channels": ("channels", ".1f"),
    "blocks": ("blocks", ".1f"),
    "MAC for each small pixel": ("macs", ",.0f"),
    "measured ms": ("ms", ".1f"),
    "steps": ("steps", ",.0f"),
    "CPU seconds": ("cpu_s", ".0f"),
}
"""What is shown of each net: the key of its number, and its form."""


def _race(rows: Sequence[Row]) -> Table:
    lines: list[Sequence[str | Number]] = []
    for row in rows:
        winner = row.result["nets"]["search"]["sizes"]
        for number, each in enumerate(row.result["race"]):
            marks = ["the gates' choice"] * (number == 0) + ["trained further"] * (each["sizes"] == winner)
            numbers = (cite(each[key], row, form=form) for key, form in (("steps", ",.0f"), ("error", ".3f")))
            lines.append((str(row.seed), _shape(each), *numbers, ", ".join(marks)))
    note = (
        "Nets with fresh weights, each as wide as the budget allows. All are trained for as many seconds, the half of "
        "larger errors drops out, and so on; steps and errors are those at the end of a net's race. The error is the "
        "mean absolute one of patches held back from training, in levels of 256. Sizes are channels, then blocks."
    )
    return Table("The race of depths", ("seed", "sizes", "steps", "error", ""), lines, note=note)


def _times(rows: Sequence[Row]) -> Table:
    refits = ", ".join(f"{row.result['price']['refit']:.2f}" for row in rows)
    scaled = f"Predictions are those of the laws times {refits}: what the gates' choice took, over what they say."
    return measured_times(rows, NETS, scaled)


def _random_times(rows: Sequence[Row]) -> Table:
    lines: list[Sequence[str | Number]] = []
    for row in rows:
        for each in sorted(row.result["times"], key=lambda each: float(each["priced"])):
            above = 100 * (each["compiled_ms"] / each["priced"] - 1)
            times = (cite(each[key], row, form=".2f", unit="ms") for key in ("priced", "compiled_ms"))
            lines.append((str(row.seed), _shape(each), *times, cite(above, row, form="+.1f", unit="%")))
    note = "Random widths and depths up to the supernet's, whatever the budget: how far the predictions can be trusted."
    columns = ("seed", "sizes", "predicted", "measured", "measured above predicted")
    return Table("Milliseconds of random shapes", columns, lines, note=note)


def _shape(each: dict[str, Any]) -> str:
    return " x ".join(map(str, each["sizes"]))


def _pareto(rows: Sequence[Row]) -> Figure:
    is_timed = rows[0].result["nets"]["search"]["ms"] is not None
    key, label = ("ms", "measured ms, ONNX Runtime, one thread") if is_timed else ("macs", "MAC for each small pixel")
    title = "Quality against cost"
    return against_cost(rows, NETS, lambda net: net.get(key), mean_psnr, (label, "PSNR, dB"), title)


def _crops(rows: Sequence[Row]) -> Figure:
    titles = {name: NETS.get(name, "the picture itself") for name in CROPS}
    return side_by_side(
        rows[0], titles, "Luma of a generated picture that no net was trained on", cmap="gray", vmin=16, vmax=235
    )
