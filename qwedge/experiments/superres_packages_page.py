"""The page of trained nets of other packages beside the net that ships."""

from collections.abc import Sequence

import numpy as np

from shared.lab import Number, Page, Row, Table, Text, cite_mean, compared, equal_settings, verdict

SHIPPED = "the net that ships"


def page(rows: Sequence[Row]) -> Page:
    """One table: PSNR, SSIM and milliseconds of each net."""
    same = equal_settings(rows)
    about = same[0].result
    height, width = about["plane"]
    summary = (
        f"Pictures enlarged {about['scale']} times by nets as they are. {about['data']}; {len(about['pictures'])} "
        f"pictures of test. Times are of {width}x{height} pixels on one thread."
    )
    return Page("Super-resolution: trained nets of packages", summary, [_table(same)], _verdict(same))


def mean_of(row: Row, net: str, key: str) -> float:
    """The mean over pictures."""
    return float(np.mean(row.result["nets"][net][key]))


def packaged(row: Row) -> list[str]:
    """The nets that are not ours."""
    return [name for name in row.result["nets"] if name not in ("bicubic", "shipped")]


def leads(rows: Sequence[Row], net: str) -> list[float]:
    """Decibels by which the net that ships is above another."""
    return [mean_of(row, "shipped", "psnr") - mean_of(row, net, "psnr") for row in rows]


def time_ratios(rows: Sequence[Row], net: str) -> list[float]:
    """Milliseconds of another net over those of the net that ships."""
    return [float(row.result["nets"][net]["ms"]) / float(row.result["nets"]["shipped"]["ms"]) for row in rows]


def _verdict(rows: Sequence[Row]) -> Text:
    comparisons = [
        compared(f"{name}", cite_mean(leads(rows, name), *rows, form="+.2f", unit="dB"))
        for name in ("bicubic", *packaged(rows[0]))
    ]
    return verdict("The net that ships", comparisons, "has a higher PSNR than", behind="has a lower PSNR than")


def _table(rows: Sequence[Row]) -> Table:
    lines: list[Sequence[str | Number]] = []
    for name, about in rows[0].result["nets"].items():
        timed: list[str | Number] = ["", ""]
        if "ms" in about:
            timed = [
                cite_mean([float(row.result["nets"][name]["ms"]) for row in rows], *rows, form=".0f", unit="ms"),
                cite_mean(time_ratios(rows, name), *rows, form=".1f", unit="x"),
            ]
        lines.append(
            (
                SHIPPED if name == "shipped" else name,
                cite_mean([mean_of(row, name, "psnr") for row in rows], *rows, form=".2f", unit="dB"),
                cite_mean([mean_of(row, name, "ssim") for row in rows], *rows, form=".4f"),
                *timed,
            )
        )
    note = (
        "PSNR and SSIM of luma, without a border of as many pixels as the scale. Milliseconds of CPU time are medians "
        "in ONNX Runtime, in floating point, all nets in turn. The net that ships computes on luma alone, those of "
        "packages on three colours, which are rounded to bytes when they are shrunk. realesr-animevideov3 was trained "
        "against a discriminator, for drawings that were compressed hard: PSNR is not what it is for."
    )
    missing = [f"{it}." for it in rows[0].result["missing"]]
    return Table(
        "Nets as they are", ("net", "PSNR", "SSIM", "a picture", "of ours"), lines, note=" ".join([note, *missing])
    )
