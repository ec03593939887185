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
SEATS, TABLES, TURNS = 64, 256, 3
"""Entries that are compared with each other, tables at a time, and how often those without a partner meet again."""


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

    Entries meet in tables of at most `SEATS`. Who finds no partner there meets the others that have none.
    """
    partner = np.full(len(owner), -1, np.intp)
    rest = np.argsort(owner, kind="stable")
    for _ in range(TURNS):
        seats = _tables(owner[rest])
        for begin in range(0, len(seats), TABLES):
            some = seats[begin : begin + TABLES]
            _match(np.where(some < 0, -1, rest[some]), load, partner)
        rest = rest[partner[rest] < 0]
        if not len(rest):
            break
    return partner


def _tables(owner: NDArray[np.integer]) -> NDArray[np.intp]:
    """The entries at each table, of one owner each, or -1: `(tables, seats)`; `owner` is sorted.

    Neighbours, which are taps of the same inputs and so perhaps alike, sit at different tables.
    """
    first, count = np.unique(owner, return_index=True, return_counts=True)[1:]
    tables = -(-count // SEATS)
    place = np.arange(len(owner)) - np.repeat(first, count)
    each = np.repeat(tables, count)
    seats = np.full((tables.sum(), (-(-count // tables)).max(initial=0)), -1, np.intp)
    seats[np.repeat(np.cumsum(tables) - tables, count) + place % each, place // each] = np.arange(len(owner))
    return seats


def _match(seats: NDArray[np.intp], load: NDArray[np.int16], partner: NDArray[np.intp]) -> None:
    """Fills in `partner` for the entries at some tables: who fits beside the fewest chooses first, and one of those."""
    of = load[seats].astype(np.uint8)
    free = seats >= 0
    fits = free[:, :, None] & free[:, None, :] & ~np.eye(seats.shape[1], dtype=bool)
    for k in range(load.shape[1]):
        fits &= of[:, :, None, k] <= MOST - of[:, None, :, k]
    choices = fits.sum(2)
    table = np.arange(len(seats))
    for one in np.argsort(choices, 1).T:
        other = np.where(fits[table, one] & free, choices, seats.shape[1]).argmin(1)
        agreed = np.flatnonzero(fits[table, one, other] & free[table, one] & free[table, other])
        a, b = seats[agreed, one[agreed]], seats[agreed, other[agreed]]
        partner[a], partner[b] = b, a
        free[agreed, one[agreed]] = free[agreed, other[agreed]] = False


def in_pairs(owner: NDArray[np.integer], load: NDArray[np.int16]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """The entries in order, those of a pair side by side before those without, by owner; and which are paired."""
    partner = matched(owner, load)
    each = np.arange(len(owner))
    leader = np.where(partner < 0, each, np.minimum(each, partner))
    order = np.lexsort((each, leader, partner < 0, owner))
    return order, partner[order] >= 0
