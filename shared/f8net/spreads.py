"""How wide values are spread, which sets their fraction bits."""

import math
from typing import Literal

import torch
from torch import Tensor

from shared.integer.format import Format, fraction_for

Fit = Literal["spread", "error"]
"""What fraction bits are fitted to: the root mean square, as in F8Net, or the squared error of rounding."""


def spread(x: Tensor, word: int, *, signed: bool, fit: Fit) -> float:
    """The number from which `fraction_for(spread, word, signed=signed)` takes the fraction bits of `x`.

    It is the root mean square: the standard deviation if the mean is zero, and still safe if it is not. That rule is
    one of Gaussian values. A few that are much larger than the others would saturate, such as the identity in the
    weights of a residual block: with `fit="error"`, it is that of Gaussian values which need the fraction bits by which
    `x` has the least squared error.
    """
    x = x.detach()
    rms = float(torch.linalg.vector_norm(x, dtype=torch.float64)) / math.sqrt(x.numel())
    if fit == "spread" or not 0 < rms < math.inf:
        return rms
    rule = fraction_for(rms, word, signed=signed)
    more, least = 1, math.inf
    # Fewer fraction bits round more and saturate less: below the first number that is worse, all are.
    while (error := _error(x, Format(word, rule + more, signed))) < least:
        more, least = more - 1, error
    return rms * 2.0 ** -(more + 1)


def _error(x: Tensor, format: Format) -> float:
    """The norm of what rounding and saturating change; the ReLU that is in an unsigned format is wanted."""
    rounded = (x * 2.0**format.fraction).round_().clamp_(format.low, format.high).mul_(format.step)
    return float(torch.linalg.vector_norm(rounded - (x if format.signed else x.relu()), dtype=torch.float64))
