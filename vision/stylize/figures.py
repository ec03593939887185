"""Differences in quality and cost from the numbers in rows."""

from collections.abc import Sequence

from shared.lab import Row
from vision.pruning_search.searched import mean_ssim


def ssim_above(rows: Sequence[Row], rival: str) -> list[float]:
    """By how much the SSIM of the searched net is above a rival's, by seed."""
    return [mean_ssim(row) - mean_ssim(row, rival) for row in rows]


def times_less(rows: Sequence[Row], key: str, net: str = "search") -> list[float]:
    """The teacher's `macs`, `ms` or `compiled_ms` over those of a net, by seed; empty where they were not measured."""
    both = [(row.result["nets"]["teacher"][key], row.result["nets"][net][key]) for row in rows]
    return [teacher / ours for teacher, ours in both if teacher is not None and ours is not None]


def flicker(rows: Sequence[Row]) -> list[float]:
    """The mean change, in levels of 256, between what the searched net makes of the same picture twice, by seed."""
    return [float(row.result["flicker"]) for row in rows]
