"""Phase codes by their chips, in turns, and Costas arrays: the tables of the textbooks.

Pace, *Detecting and Classifying Low Probability of Intercept Radar*, 2nd ed., chapters 5 (polyphase) and 6 (Costas);
Levanon & Mozeson, *Radar Signals*, chapters 5 and 6. Indices i and j count from 0, i within a group and j groups.
"""

from collections.abc import Iterator, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

Chips = NDArray[np.float64]
"""The phase of each chip in turns, `(chips,)`."""

BARKER = {2: "+-", 3: "++-", 4: "++-+", 5: "+++-+", 7: "+++--+-", 11: "+++---+--+-", 13: "+++++--++-+-+"}
"""The Barker codes: no aperiodic side lobe exceeds one chip."""


def barker(length: int) -> Chips:
    """Phases 0 and 1/2 of a Barker code of 2, 3, 4, 5, 7, 11 or 13 chips."""
    return np.array([0.0 if sign == "+" else 0.5 for sign in BARKER[length]])


def frank(order: int) -> Chips:
    """`i j / M`: M groups of M chips, the steps of a stepped frequency (Frank 1963)."""
    i, j = np.mgrid[:order, :order]
    chips: Chips = i * j / order
    return chips.ravel()


def p1(order: int) -> Chips:
    """`-(M - (2 j + 1)) (j M + i) / 2 M` for chip i of group j (Lewis & Kretschmer 1981): Frank's code on another
    carrier, exactly."""
    j, i = np.mgrid[:order, :order]
    chips: Chips = -(order - (2 * j + 1)) * (j * order + i) / (2 * order)
    return chips.ravel()


def p2(order: int) -> Chips:
    """`-(2 i + 1 - M) (2 j + 1 - M) / 4 M` for even M: a palindrome (Lewis & Kretschmer 1981).

    Raises `ValueError` for odd M, whose side lobes are 6 dB higher.
    """
    if order % 2:
        raise ValueError(f"P2 of order {order}: needs an even order")
    i, j = np.mgrid[:order, :order]
    chips: Chips = -(2 * i + 1 - order) * (2 * j + 1 - order) / (4 * order)
    return chips.ravel()


def p3(length: int) -> Chips:
    """`n^2 / 2 N`: a linear chirp, sampled (Lewis & Kretschmer 1982)."""
    n = np.arange(length)
    return n * n / (2 * length)


def p4(length: int) -> Chips:
    """`n^2 / 2 N - n / 2`: P3 on a carrier half a turn per chip lower."""
    n = np.arange(length)
    return n * n / (2 * length) - n / 2


@cache
def costas_arrays(order: int) -> tuple[tuple[int, ...], ...]:
    """Every permutation of 1 to `order` whose differences at each distance are all different (Costas 1984).

    >>> [len(costas_arrays(order)) for order in (2, 3, 4, 5, 6)]
    [2, 4, 12, 40, 116]
    """
    return tuple(_extended((), order))


def _extended(begun: Sequence[int], order: int) -> Iterator[tuple[int, ...]]:
    if len(begun) == order:
        yield tuple(begun)
        return
    for further in range(1, order + 1):
        array = (*begun, further)
        if further not in begun and _differences_differ(array):
            yield from _extended(array, order)


def _differences_differ(array: Sequence[int]) -> bool:
    """Whether the last element adds no difference that is there already at the same distance."""
    last = len(array) - 1
    return all(
        array[last] - array[last - distance] != array[k + distance] - array[k]
        for distance in range(1, last + 1)
        for k in range(last - distance)
    )
