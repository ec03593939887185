"""Qualities, costs and differences from the numbers in rows."""

from collections.abc import Sequence

import numpy as np

from shared.lab import Row


def mean_ssim(row: Row, net: str = "search") -> float:
    """SSIM of luma, the mean over pictures."""
    return float(np.mean(row.result["nets"][net]["ssim"]))


def mean_psnr(row: Row, net: str = "search") -> float:
    """PSNR of colours in dB, the mean over pictures."""
    return float(np.mean(row.result["nets"][net]["psnr"]))


def ssim_above(rows: Sequence[Row], rival: str) -> list[float]:
    """By how much the SSIM of the searched net is above a rival's, by seed."""
    return [mean_ssim(row) - mean_ssim(row, rival) for row in rows]


def times_less(rows: Sequence[Row], key: str, net: str = "search") -> list[float]:
    """The teacher's `macs`, `ms` or `compiled_ms` over those of a net, by seed; empty where they were not measured."""
    both = [(row.result["nets"]["teacher"][key], row.result["nets"][net][key]) for row in rows]
    return [teacher / ours for teacher, ours in both if teacher is not None and ours is not None]


def relative_ms(rows: Sequence[Row], rival: str, key: str = "compiled_ms") -> list[float]:
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


def flicker(rows: Sequence[Row]) -> list[float]:
    """The mean change, in levels of 256, between what the searched net makes of the same picture twice, by seed."""
    return [float(row.result["flicker"]) for row in rows]
