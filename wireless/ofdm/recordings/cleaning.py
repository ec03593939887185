"""What a receiver adds to its recording: a constant that may change."""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

_CHANGES = 4
"""Levels of bisection: the constant may change at 15 places."""
_STRIDE = 16
"""Samples between the places that are compared first."""
_SHORTEST = 160
"""Least samples between two changes of the constant: one short training field."""


def without_constant(samples: NDArray[np.complex64]) -> NDArray[np.complex64]:
    """The samples (N,) without the DC offset that leakage of the local oscillator adds, and that may change at times.

    Frames have no power at zero frequency, so a sum over many samples shows a constant of far less power. The places of
    changes are bisected: each is where the means before and after it differ most.
    """
    sums = np.concatenate([[0], np.cumsum(samples, dtype=np.complex128)])
    power = float(np.mean(np.abs(samples) ** 2, dtype=np.float64))
    places = sorted({0, len(samples), *_changes(sums, 0, len(samples), power, _CHANGES)})
    result = samples
    for begin, end in pairwise(places):
        mean = (sums[end] - sums[begin]) / (end - begin)
        if abs(mean) ** 2 > 25 * power / (end - begin):
            result = samples.copy() if result is samples else result
            result[begin:end] -= np.complex64(mean)
    return result


def _changes(sums: NDArray[np.complex128], begin: int, end: int, power: float, levels: int) -> list[int]:
    """Places in (begin, end) where the mean changes: the likeliest one, then further ones on both sides of it."""
    size = end - begin
    if levels == 0 or size < 2 * _SHORTEST:
        return []
    mean, first, last = (sums[end] - sums[begin]) / size, _SHORTEST, size - _SHORTEST + 1

    def best(n: NDArray[np.int64]) -> tuple[int, float]:
        # The gain in likelihood of two means instead of one: noise alone has the mean `power`, a frame has less.
        excess = sums[begin + n] - sums[begin] - n * mean
        gain = (excess.real**2 + excess.imag**2) / (n * (1 - n / size))
        at = int(np.argmax(gain))
        return int(n[at]), float(gain[at])

    place, gain = best(np.arange(first, last, _STRIDE))
    if gain < 100 * power:
        return []
    place, _ = best(np.arange(max(place - _STRIDE, first), min(place + _STRIDE + 1, last)))
    at = begin + place
    return [*_changes(sums, begin, at, power, levels - 1), at, *_changes(sums, at, end, power, levels - 1)]
