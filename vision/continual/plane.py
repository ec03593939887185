"""Embeddings of a few classes on a plane, to be looked at."""

from collections.abc import Sequence

import torch
from torch import Tensor

from shared.lab import JSON


def on_a_plane(embedded: Sequence[Tensor], names: Sequence[str]) -> JSON:
    """Coordinates of embeddings `(n, D)` of each class on their two main directions, and the share of variance there.

    >>> on_a_plane([torch.tensor([[0.0, 1.0], [0.0, 3.0]])], ["a"])
    {'share': 1.0, 'classes': [{'name': 'a', 'points': [[-1.0, 0.0], [1.0, 0.0]]}]}
    """
    x = torch.cat(list(embedded))
    x = x - x.mean(0)
    _, lengths, directions = torch.linalg.svd(x, full_matrices=False)
    # A direction and its opposite are as good: the one whose largest entry is positive.
    signs = directions.gather(1, directions.abs().argmax(1, keepdim=True)).sign()
    points = x @ (signs * directions)[:2].T + 0.0
    variances = lengths.square()
    share = float(variances[:2].sum() / variances.sum()) if variances.any() else 1.0
    parts = points.split([len(each) for each in embedded])
    return {
        "share": round(share, 3),
        "classes": [
            {"name": name, "points": [[round(float(value), 3) + 0.0 for value in point] for point in part]}
            for name, part in zip(names, parts, strict=True)
        ],
    }
