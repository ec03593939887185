"""What a convolution reads: its input as it lies in the arena, or the planes into which it is spread."""

import numpy as np
from numpy.typing import NDArray

from mobile.lowering.calls import Spread, View


def taps(
    x: View,
    kernel: tuple[int, ...],
    stride: tuple[int, int],
    padding: tuple[int, int],
    size: tuple[int, int],
    name: str,
) -> tuple[View | Spread, NDArray[np.int32], int]:
    """What the layer `name` reads, the byte offset of every tap, shaped as `kernel`, and the pitch of its rows.

    `size` are the rows and columns of its result. Without stride and padding it reads `x` itself.
    """
    dy, dx = np.indices(kernel)
    if stride == (1, 1) and padding == (0, 0):
        return x, ((dy * x.pitch + dx) * 4).astype(np.int32), x.pitch
    phases = min(stride[0], kernel[0]), min(stride[1], kernel[1])
    rows, columns = (n + (k - 1) // s for n, k, s in zip(size, kernel, stride, strict=True))
    # What pads a row on the right pads the next on the left, too: fewer pixels are computed and ignored.
    shared = min(padding[1], kernel[1] - 1) if stride[1] == 1 else 0
    columns -= shared
    spread = Spread(name, x, rows, columns, padding, stride, phases, shared)
    phase = (dy % stride[0]) * phases[1] + dx % stride[1]
    at = (phase * rows + dy // stride[0]) * columns + dx // stride[1]
    return spread, (at * 4).astype(np.int32), columns
