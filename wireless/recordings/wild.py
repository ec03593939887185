"""Single wild samples, which would set the scale of a recording."""

import numpy as np
from numpy.typing import NDArray

_WILD = 100.0
"""A sample this many times larger than all near it is wild: 40 dB, where OFDM varies by 15 dB."""
_NEAR, _TOUCHED = 64, 2
"""Samples on both sides that count as near, and those of them that the same disturbance may have changed."""
_MOST = 64
"""Wild samples that are looked for: more of them are no exception."""


def wild_samples(size: NDArray[np.floating]) -> list[int]:
    """Isolated samples far larger than all near them, in order of time, from the magnitudes (N,) of all samples.

    One of them would set the scale of the recording, beside which frames vanish. A frame is not isolated.
    """
    rest, wild = size.copy(), list[int]()
    for _ in range(_MOST):
        at = int(np.argmax(rest)) if len(rest) else 0
        near = np.concatenate([rest[max(at - _NEAR, 0) : max(at - _TOUCHED, 0)], rest[at + _TOUCHED + 1 : at + _NEAR]])
        if not len(near) or not near.any() or rest[at] <= _WILD * near.max():
            return sorted(wild)
        touched = np.arange(max(at - _TOUCHED, 0), min(at + _TOUCHED + 1, len(rest)))
        touched = touched[rest[touched] > _WILD * near.max()]
        wild += touched.tolist()
        rest[touched] = 0
    return sorted(wild)
