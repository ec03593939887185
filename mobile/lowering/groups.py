"""Grouped layers as layers without groups."""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Scalar = TypeVar("Scalar", bound=np.generic)


def ungrouped(weight: NDArray[Scalar], groups: int) -> NDArray[Scalar]:
    """Weights `(outputs, inputs, ...)` with zeros, which no list of blocks holds, where an output reads no input."""
    if groups == 1:
        return weight
    out, each, *kernel = weight.shape
    whole = np.zeros((out, each * groups, *kernel), weight.dtype)
    for group in range(groups):
        rows = slice(group * out // groups, (group + 1) * out // groups)
        whole[rows, group * each : (group + 1) * each] = weight[rows]
    return whole
