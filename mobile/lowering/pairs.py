"""Products that are added in 16 bits: which sums fit, and which neighbours may be added before they are widened.

Without VNNI, bytes are multiplied by an instruction that adds the products of two neighbours in 16 bits, saturated. An
unsigned byte is at most 255, so nothing saturates if the positive weights of the two add up to `MOST` at most, and the
negative ones too. Where they do not, the entry is **split** in two of about half the weights. Two entries of a list
whose sums fit together are **paired**: they are added in 16 bits, and widened once.
"""

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

MOST: Final = 128
"""255 times this fits into 16 bits with a sign, and a weight of 8 bits is not larger."""
TURNS: Final = 4


def loads(weights: NDArray[np.int8]) -> NDArray[np.int16]:
    """What the products of each sum add up to at most, over 255: the positive weights, then the negative ones.

    `weights` are `(entries, ..., products)`; the result is `(entries, loads)`.
    """
    wide = weights.astype(np.int16)
    each = [np.maximum(sign * wide, 0).sum(-1, dtype=np.int16) for sign in (1, -1)]
    return np.stack(each, 1).reshape(len(wide), 2 * math.prod(wide.shape[1:-1]))


def split(weights: NDArray[np.int8]) -> tuple[NDArray[np.int8], NDArray[np.intp], NDArray[np.int8]]:
    """Entries `(entries, sums, 2)` whose sums fit, those that did not and their remaining weights.

    >>> fitting, split_entries, rest = split(np.array([[[100, 90]], [[100, -90]]], np.int8))
    >>> fitting.tolist(), split_entries.tolist(), rest.tolist()
    ([[[50, 45]], [[100, -90]]], [0], [[[50, 45]]])
    """
    wide = weights.astype(np.int16)
    over = (np.maximum(wide, 0).sum(-1) > MOST) | (np.maximum(-wide, 0).sum(-1) > MOST)
    rest = np.where(over[..., None], wide - (wide >> 1), 0).astype(np.int8)
    entries = np.flatnonzero(over.any(1))
    return weights - rest, entries, rest[entries]


def matched(owner: NDArray[np.integer], load: NDArray[np.int16]) -> NDArray[np.intp]:
    """For each entry another of the same owner whose loads fit beside its own, or -1.

    Those with large loads look for a partner among those with small ones; who has none tries again among the others.
    """
    partner = np.full(len(owner), -1, np.intp)
    rest = np.arange(len(owner))
    for turn in range(TURNS):
        order = rest[np.lexsort((load[rest].max(1), owner[rest]))]
        first, count = np.unique(owner[order], return_index=True, return_counts=True)[1:]
        place = np.arange(len(order)) - np.repeat(first, count)
        counts = np.repeat(count, count)
        other = counts - 1 - place if turn % 2 == 0 else place ^ 1
        candidates = np.flatnonzero((place < other) & (other < counts))
        a, b = order[candidates], order[candidates + (other - place)[candidates]]
        fits = (load[a] + load[b] <= MOST).all(1)
        partner[a[fits]], partner[b[fits]] = b[fits], a[fits]
        rest = np.sort(order[partner[order] < 0])
        if not len(rest):
            break
    return partner


def in_pairs(owner: NDArray[np.integer], load: NDArray[np.int16]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """The entries in order, those of a pair side by side before those without, by owner; and which are paired."""
    partner = matched(owner, load)
    each = np.arange(len(owner))
    leader = np.where(partner < 0, each, np.minimum(each, partner))
    order = np.lexsort((each, leader, partner < 0, owner))
    return order, partner[order] >= 0
