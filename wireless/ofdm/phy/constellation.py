"""Gray-mapped BPSK, QPSK, 16-QAM and 64-QAM with unit mean power (IEEE 802.11-2020, 17.3.5.8)."""

from functools import cache

import numpy as np
from numba import njit
from numpy.typing import NDArray

# Amplitudes of one axis by the label of its bits, first bit high: the Gray order of tables 17-10 to 17-13.
_AXES = {1: (-1, 1), 2: (-3, -1, 3, 1), 3: (-7, -5, -1, -3, 7, 5, 1, 3)}


@cache
def levels(bits: int) -> NDArray[np.float32]:
    """Amplitudes of one axis, indexed by the label of its bits: 2 for BPSK and QPSK, 4 for 16-QAM, 8 for 64-QAM.

    Scaled so that the constellation has unit mean power; the only axis of BPSK is I. Read-only float32.
    """
    if bits not in (1, 2, 4, 6):
        raise ValueError(f"bits={bits} per subcarrier: must be 1 (BPSK), 2 (QPSK), 4 (16-QAM) or 6 (64-QAM)")
    axis = np.array(_AXES[max(bits // 2, 1)], np.float64)
    scaled: NDArray[np.float32] = (axis / np.sqrt(np.mean(axis**2) * min(bits, 2))).astype(np.float32)
    scaled.setflags(write=False)
    return scaled


@cache
def points(bits: int) -> NDArray[np.complex64]:
    """The constellation (2**bits,), indexed by the label: the first half of the bits is I, the second Q; read-only.

    >>> points(2).round(3)
    array([-0.707-0.707j, -0.707+0.707j,  0.707-0.707j,  0.707+0.707j],
          dtype=complex64)
    """
    axis = levels(bits)
    both_axes = axis + 0j if bits == 1 else (axis[:, None] + 1j * axis[None, :]).ravel()
    constellation: NDArray[np.complex64] = both_axes.astype(np.complex64)
    constellation.setflags(write=False)
    return constellation


def modulate(coded: NDArray[np.uint8], bits: int) -> NDArray[np.complex64]:
    """Points of `bits` code bits each: uint8 (batch, symbols, N_CBPS) -> complex64 (batch, symbols, N_CBPS / bits)."""
    if coded.shape[-1] % bits:
        raise ValueError(f"{coded.shape[-1]} code bits are not a multiple of {bits}, the bits of a constellation point")
    mapped = np.empty((*coded.shape[:-1], coded.shape[-1] // bits), np.complex64)
    _map(np.ascontiguousarray(coded, np.uint8).reshape(-1, bits), points(bits), mapped.reshape(-1))
    return mapped


@njit(cache=True, nogil=True)
def _map(groups, table, mapped):  # type: ignore[no-untyped-def]
    for at in range(groups.shape[0]):
        label = 0
        for bit in range(groups.shape[1]):
            label = 2 * label + groups[at, bit]
        mapped[at] = table[label]
