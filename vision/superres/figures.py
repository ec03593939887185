"""Differences in quality, and errors of predicted times, from the numbers in rows."""

from collections.abc import Sequence

import numpy as np

from shared.lab import Row
from vision.pruning_search.searched import mean_psnr


def gains(rows: Sequence[Row], rival: str) -> list[float]:
    """Decibels by which the searched net is above a rival, by seed."""
    return [mean_psnr(row, "search") - mean_psnr(row, rival) for row in rows]


def of_kind(row: Row, kind: str) -> list[str]:
    """The names of all nets of a kind, such as those of random depth: `random`, `random2` and so on."""
    return [name for name in row.result["nets"] if name.rstrip("0123456789") == kind]


def latency_error(row: Row) -> float:
    """By how many per cent measured milliseconds differ from predicted ones, the mean over the random shapes."""
    return float(np.mean([100 * abs(each["compiled_ms"] / each["priced"] - 1) for each in row.result["times"]]))


def rank_correlation(row: Row) -> float:
    """Spearman's, of measured and predicted milliseconds of the random shapes; equal ones have the mean rank."""
    times = np.array([(each["compiled_ms"], each["priced"]) for each in row.result["times"]]).T
    above = times[:, :, None] - times[:, None, :]
    return float(np.corrcoef(np.sign(above).sum(2))[0, 1])
