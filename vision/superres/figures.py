"""Qualities and differences from the numbers in rows."""

from collections.abc import Sequence

import numpy as np

from shared.lab import Row


def mean_psnr(row: Row, net: str) -> float:
    """In dB, the mean over pictures, as published figures are."""
    return float(np.mean(row.result["nets"][net]["psnr"]))


def mean_ssim(row: Row, net: str) -> float:
    """The mean over pictures."""
    return float(np.mean(row.result["nets"][net]["ssim"]))


def gains(rows: Sequence[Row], rival: str) -> list[float]:
    """Decibels by which the searched net is above a rival, by seed."""
    return [mean_psnr(row, "search") - mean_psnr(row, rival) for row in rows]


def seconds_ratio(rows: Sequence[Row], rival: str) -> list[float]:
    """CPU seconds of training a rival over those of the supernet, the search and the chosen net, by seed."""
    return [float(row.result["nets"][rival]["cpu_s"]) / float(row.result["nets"]["search"]["cpu_s"]) for row in rows]


def budget_share(row: Row, net: str = "search") -> float:
    """The price of a net over the budget."""
    return float(row.result["nets"][net]["priced"]) / float(row.result["price"]["budget"])


def regret(row: Row) -> float:
    """By how many per cent the searched net takes longer than was predicted when it was chosen."""
    net = row.result["nets"]["search"]
    return 100 * (float(net["compiled_ms"]) / float(net["priced"]) - 1)


def latency_error(row: Row) -> float:
    """By how many per cent measured milliseconds differ from predicted ones, the mean over nets that have both."""
    return float(np.mean([100 * abs(measured / predicted - 1) for measured, predicted in _timed(row)]))


def rank_correlation(row: Row) -> float:
    """Spearman's, of measured and predicted milliseconds; equal ones have the mean of their ranks."""
    times = np.array(_timed(row)).T
    above = times[:, :, None] - times[:, None, :]
    return float(np.corrcoef(np.sign(above).sum(2))[0, 1])


def _timed(row: Row) -> list[tuple[float, float]]:
    """Measured and predicted milliseconds of the nets that have both, those of the race among them."""
    nets = (*row.result["nets"].values(), *row.result.get("race", ()))
    return [(net["compiled_ms"], net["priced"]) for net in nets if {"compiled_ms", "priced"} <= net.keys()]


def relative_ms(rows: Sequence[Row], rival: str) -> list[float]:
    """Measured milliseconds of the searched net over a rival's, by seed; empty where they were not measured."""
    times = [(row.result["nets"]["search"]["ms"], row.result["nets"][rival]["ms"]) for row in rows]
    return [ours / theirs for ours, theirs in times if ours is not None and theirs is not None]
