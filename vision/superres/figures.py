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


def of_kind(row: Row, kind: str) -> list[str]:
    """The names of all nets of a kind, such as those of random depth: `random`, `random2` and so on."""
    return [name for name in row.result["nets"] if name.rstrip("0123456789") == kind]


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
    """By how many per cent measured milliseconds differ from predicted ones, the mean over the random shapes."""
    return float(np.mean([100 * abs(each["compiled_ms"] / each["priced"] - 1) for each in row.result["times"]]))


def rank_correlation(row: Row) -> float:
    """Spearman's, of measured and predicted milliseconds of the random shapes; equal ones have the mean rank."""
    times = np.array([(each["compiled_ms"], each["priced"]) for each in row.result["times"]]).T
    above = times[:, :, None] - times[:, None, :]
    return float(np.corrcoef(np.sign(above).sum(2))[0, 1])


def relative_ms(rows: Sequence[Row], rival: str) -> list[float]:
    """Measured milliseconds of the searched net over a rival's, by seed; empty where they were not measured."""
    times = [(row.result["nets"]["search"]["ms"], row.result["nets"][rival]["ms"]) for row in rows]
    return [ours / theirs for ours, theirs in times if ours is not None and theirs is not None]
