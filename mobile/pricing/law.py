"""The law of a kernel's time: what its nanoseconds are linear in, and the fit of the coefficients."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mobile.lowering.float_work import FloatWork
from mobile.lowering.work import TILED, Amount, Work

TILE: Final = {"dense": "VECTORS_4", "2x4": "VECTORS_2", "1x4": "VECTORS_1", "depthwise": "VECTORS_D"}
"""What the headers of the kernels call the vectors of a tile."""


def features(work: Work | FloatWork, tiles: Mapping[str, int]) -> tuple[Amount, ...]:
    """The numbers that a call's time is linear in; `tiles` are those of `mobile.kernels.tiles`.

    Tiled kernels pay for each vector of pixels: by its outputs, by groups of products, and more for those that are
    not added in pairs. Every tile pays for the walk along its lists; the last pixels have smaller tiles.
    """
    if isinstance(work, FloatWork):
        return work.features(tiles["FLOAT_PIXELS"])
    if work.kernel not in TILED:
        return 1.0, work.rows, work.reads, work.writes, work.sums
    tile, vectors = tiles[TILE[work.kernel]], -(-work.pixels // tiles["LANES"])
    rest = vectors % tile
    walks = vectors // tile + rest // ((tile + 1) // 2) + rest % ((tile + 1) // 2)
    paired = work.reads - work.singles
    return (
        1.0,
        walks * work.rows,
        walks * paired,
        walks * work.singles,
        vectors * work.rows,
        vectors * paired,
        vectors * work.singles,
        work.writes / work.pixels * vectors * tiles["LANES"],
        work.sums / work.pixels * vectors * tiles["LANES"],  # those of whole vectors are put in order
    )


def fit(rows: Sequence[tuple[Sequence[float], float]]) -> tuple[float, ...]:
    """Coefficients, none of them negative, of the least sum of squared relative errors of `(features, ns)`.

    Each coordinate in turn takes its best value until nothing moves: the problem is convex.
    """
    measured = np.array([ns for _, ns in rows])
    scaled: NDArray[np.float64] = np.array([row for row, _ in rows], float) / measured[:, None]
    norms = np.sqrt((scaled**2).sum(0))
    norms[norms == 0] = np.inf  # a feature that never occurs has no coefficient
    scaled /= norms
    gram, target = scaled.T @ scaled, scaled.sum(0)
    x = np.zeros(len(gram))
    for _ in range(20_000):
        before = x.copy()
        for j in np.flatnonzero(np.isfinite(norms)):
            x[j] = max(x[j] + (target[j] - gram[j] @ x) / gram[j, j], 0.0)
        if np.abs(x - before).max() < 1e-9:
            break
    return tuple((x / norms).tolist())
