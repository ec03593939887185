"""Soft-in soft-out decoding of the K=7 code: a-posteriori probabilities for receivers with decision feedback."""

from typing import NamedTuple

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

STATES = 64
CLIP = 20.0
"""Magnitude to which input LLRs are clipped."""

FLOOR = 1e-30
"""Metrics are probabilities in float32, scaled to a maximum of 1; nothing may fall to zero, or states could vanish."""


class Posteriors(NamedTuple):
    """A-posteriori LLRs of every bit; natural logarithm, LLR > 0 means bit 1."""

    coded: NDArray[np.float32]
    """`(batch, 2n)`, in the order of `phy.coding.encode`."""
    bits: NDArray[np.float32]
    """`(batch, n)`, of the data bits; deciding by their signs makes the fewest bit errors."""


def posteriors(llr: NDArray[np.float32], n: int, clip: float = CLIP) -> Posteriors:
    """Exact log-MAP of all code bits and data bits from LLRs of the code bits, `(batch, 2n)`.

    Bahl, Cocke, Jelinek, Raviv 1974, for a code that starts and ends in state zero. The sum of products is computed in
    the probability domain and scaled every step: the inner loop has no logarithm and vectorises. The result includes
    the input: subtract it for the extrinsic part. Inputs are clipped to +-`clip`, which bounds the result too. As
    Sionna's `BCJRDecoder(algorithm="map")`.

    Raises ValueError if `llr` is not `(batch, 2n)`.
    """
    if llr.ndim != 2 or llr.shape[1] != 2 * n:
        raise ValueError(f"posteriors of {n} steps need LLRs of shape (batch, {2 * n}), got {llr.shape}")
    coded, bits = np.empty(llr.shape, np.float32), np.empty((len(llr), n), np.float32)
    _posteriors(np.clip(llr, -clip, clip).astype(np.float32), _SIGNS, coded, bits)
    return Posteriors(coded, bits)


def _signs() -> NDArray[np.float32]:
    """+-1 of the two code bits for states j = 0..31 and input 0, `(2, 32)`.

    A state is the last six bits, the newest lowest. Both polynomials tap the newest and the oldest bit, so inverting
    either of the two inverts both code bits: 32 states determine the other 32.
    """
    state = np.arange(STATES // 2)
    bit = lambda age: (state >> (age - 1)) & 1  # noqa: E731
    first = bit(2) ^ bit(3) ^ bit(5) ^ bit(6)
    second = bit(1) ^ bit(2) ^ bit(3) ^ bit(6)
    return (2.0 * np.stack((first, second)) - 1.0).astype(np.float32)


_SIGNS = _signs()


@njit(cache=True, nogil=True, fastmath=True, parallel=True)
def _posteriors(llr, signs, coded, bits):  # type: ignore[no-untyped-def]
    half, n = 32, llr.shape[1] // 2
    for packet in prange(llr.shape[0]):
        # Branch j, j+32 -> 2j, 2j+1: `near` where the code bits are those of (j, input 0), `far` where both inverted.
        near, far = np.empty(half, np.float32), np.empty(half, np.float32)
        forward = np.empty((n + 1, 64), np.float32)
        forward[0] = FLOOR
        forward[0, 0] = 1.0
        for t in range(n):
            _branches(llr[packet, 2 * t], llr[packet, 2 * t + 1], signs, near, far)
            a, b = forward[t], forward[t + 1]
            top = np.float32(0.0)
            for j in range(half):
                stay = a[j] * near[j] + a[j + 32] * far[j]
                turn = a[j] * far[j] + a[j + 32] * near[j]
                b[2 * j], b[2 * j + 1] = stay, turn
                top = max(top, stay, turn)
            scale = np.float32(1.0) / top
            for j in range(64):
                b[j] = max(b[j] * scale, np.float32(FLOOR))
        backward = np.full(64, FLOOR, np.float32)
        before = np.empty(64, np.float32)
        backward[0] = 1.0
        for t in range(n - 1, -1, -1):
            _branches(llr[packet, 2 * t], llr[packet, 2 * t + 1], signs, near, far)
            a = forward[t]
            one0, zero0, one1, zero1 = np.float32(0), np.float32(0), np.float32(0), np.float32(0)
            one, zero = np.float32(0), np.float32(0)
            top = np.float32(0.0)
            for j in range(half):
                low, high = a[j], a[j + 32]
                same0, same1 = near[j] * low * backward[2 * j], near[j] * high * backward[2 * j + 1]
                other0, other1 = far[j] * high * backward[2 * j], far[j] * low * backward[2 * j + 1]
                same, other = same0 + same1, other0 + other1
                zero += same0 + other0
                one += same1 + other1
                up0, up1 = (
                    np.float32(0.5) + np.float32(0.5) * signs[0, j],
                    np.float32(0.5) + np.float32(0.5) * signs[1, j],
                )
                one0 += up0 * same + (1 - up0) * other
                zero0 += up0 * other + (1 - up0) * same
                one1 += up1 * same + (1 - up1) * other
                zero1 += up1 * other + (1 - up1) * same
                before[j] = near[j] * backward[2 * j] + far[j] * backward[2 * j + 1]
                before[j + 32] = far[j] * backward[2 * j] + near[j] * backward[2 * j + 1]
                top = max(top, before[j], before[j + 32])
            coded[packet, 2 * t] = np.log((one0 + FLOOR) / (zero0 + FLOOR))
            coded[packet, 2 * t + 1] = np.log((one1 + FLOOR) / (zero1 + FLOOR))
            bits[packet, t] = np.log((one + FLOOR) / (zero + FLOOR))
            scale = np.float32(1.0) / top
            for j in range(64):
                backward[j] = max(before[j] * scale, np.float32(FLOOR))


@njit(cache=True, nogil=True, fastmath=True, inline="always")
def _branches(first, second, signs, near, far):  # type: ignore[no-untyped-def]
    """Probabilities, up to a factor, of a branch and of the one whose two code bits are inverted."""
    top = 0.5 * (abs(first) + abs(second))
    pp, pm = np.float32(np.exp(0.5 * (first + second) - top)), np.float32(np.exp(0.5 * (first - second) - top))
    mp, mm = np.float32(np.exp(0.5 * (second - first) - top)), np.float32(np.exp(-0.5 * (first + second) - top))
    for j in range(32):
        a, b = signs[0, j] > 0, signs[1, j] > 0
        near[j] = pp if (a and b) else pm if a else mp if b else mm
        far[j] = mm if (a and b) else mp if a else pm if b else pp
