"""Figures from counted errors: rates, mean reductions and ratios, with intervals over packets or over seeds."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from shared.lab import Interval, Row, mean

RESAMPLES = 1000

Points = Sequence[Mapping[str, Any]]
"""Results of `errors.errors`, one for each Eb/N0."""

Figure = Callable[[Callable[[Mapping[str, Any], str], float], Points], float]
"""A number computed from the bit error rates `ber(point, receiver)` at several points."""


def ber(point: Mapping[str, Any], name: str) -> float:
    """Bit error rate of one receiver at one Eb/N0."""
    return float(sum(point["bit_errors"][name]) / point["bits"])


def rate_of(name: str) -> Figure:
    """The bit error rate of one receiver, at a single point."""
    return lambda rate, points: rate(points[0], name)


def mean_reduction(ours: str, reference: str) -> Figure:
    """The mean over Eb/N0 of `1 - BER(ours) / BER(reference)`, over the points at which the reference has errors."""

    def figure(rate: Callable[[Mapping[str, Any], str], float], points: Points) -> float:
        pairs = [(rate(point, ours), rate(point, reference)) for point in points]
        reductions = [1 - a / b for a, b in pairs if b > 0]
        return sum(reductions) / len(reductions) if reductions else math.nan

    return figure


def ratio(ours: str, reference: str) -> Figure:
    """The geometric mean over Eb/N0 of `BER(ours) / BER(reference)`, over the points at which both have errors."""

    def figure(rate: Callable[[Mapping[str, Any], str], float], points: Points) -> float:
        pairs = [(rate(point, ours), rate(point, reference)) for point in points]
        logs = [math.log(a / b) for a, b in pairs if a > 0 and b > 0]
        return math.exp(sum(logs) / len(logs)) if logs else math.nan

    return figure


def over_packets(figure: Figure, points: Points) -> Interval:
    """A figure with its 95 % bootstrap interval over groups of packets, the same for all receivers (paired)."""
    rng = np.random.default_rng(0)
    counts = [
        (point, {name: np.array(groups) for name, groups in point["bit_errors"].items()}, point["bits"])
        for point in points
    ]
    resamples = []
    for _ in range(RESAMPLES):
        weights = {}
        for point, groups, _bits in counts:
            size = len(next(iter(groups.values())))
            weights[id(point)] = np.bincount(rng.integers(size, size=size), minlength=size)
        resampled = {id(point): (groups, weights[id(point)], bits) for point, groups, bits in counts}

        def rate(point: Mapping[str, Any], name: str, resampled: Any = resampled) -> float:
            groups, weight, bits = resampled[id(point)]
            return float(groups[name] @ weight / bits)

        resamples.append(figure(rate, points))
    low, high = np.nanquantile(resamples, [0.025, 0.975])
    value = figure(ber, points)
    return Interval(value, float(low), float(high))


def over_seeds(figure: Figure, rows: Sequence[Row], points: Callable[[Row], Points]) -> Interval:
    """The mean of a figure over seeds with Student's interval; for one seed, the interval over its packets."""
    if len(rows) == 1:
        return over_packets(figure, points(rows[0]))
    return mean([figure(ber, points(row)) for row in rows])


def main_points(row: Row) -> Points:
    """The main curves: all receivers but those with the neural decoder."""
    return [point["all"] for point in row.result["main"]]


def decoded_points(row: Row) -> Points:
    """The main curves of the swap matrix, on the packets that receivers with the neural decoder decoded too."""
    return [point["decoded"] for point in row.result["main"] if point["decoded"] is not None]


def radio_points(row: Row) -> Points:
    """The demappers' results on the impairment set, at all rates."""
    return [point for points in row.result["radios"].values() for point in points]


def pooled(rows: Sequence[Row], points: Callable[[Row], Points]) -> list[dict[str, Any]]:
    """The points with the counts of all seeds added up."""
    sums = []
    for same in zip(*(points(row) for row in rows), strict=True):
        first = same[0]
        sums.append(
            {
                "packets": sum(point["packets"] for point in same),
                "bits": sum(point["bits"] for point in same),
                "bit_errors": {name: [n for p in same for n in p["bit_errors"][name]] for name in first["bit_errors"]},
                "packet_errors": {name: sum(p["packet_errors"][name] for p in same) for name in first["packet_errors"]},
            }
        )
    return sums
