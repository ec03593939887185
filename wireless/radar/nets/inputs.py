"""What nets read: windows after a gain control."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shared.integer.format import Format

FORMAT = Format(8, 5)
"""Of a converter behind the gain control: -4 to 4 in steps of 1/32, four times the root mean square."""


def as_input(samples: NDArray[np.complex64]) -> Tensor:
    """I and Q as channels, float32 `(windows, 2, samples)`; their mean square over the window is 1.

    Nothing is exchanged, conjugated or reversed, in training either: P2 conjugated is nearly P1.
    """
    windows, length = samples.shape
    parts = torch.from_numpy(np.ascontiguousarray(samples).view(np.float32)).reshape(windows, length, 2)
    power = parts.square().mean((1, 2), keepdim=True)
    return (parts / power.clamp_min(1e-30).sqrt()).transpose(1, 2).contiguous()
