"""Circular complex Gaussian noise, generated as fast as a simulated link consumes it.

Box and Muller 1958, *A note on the generation of random normal deviates*: `sqrt(-2 log u) exp(j theta)` with u and
theta uniform. The generator supplies 64 bits per sample; logarithm, sine and cosine are polynomials without branches,
so that the loop runs in SIMD lanes. NumPy's ziggurat has branches, does not vectorise, and takes several times as long.
"""

import math

import numpy as np
from numba import njit
from numpy.random import Generator
from numpy.typing import NDArray


def gaussian(shape: tuple[int, ...], variance: float, rng: Generator) -> NDArray[np.complex64]:
    """Complex samples of variance `variance`, half of it in each of the two parts.

    Equal to the normal distribution to float32 precision up to 6.6 standard deviations, where 32 bits of u end:
    only 2^-32 of the samples would lie beyond.
    """
    samples = np.empty(shape, np.complex64)
    raw = rng.integers(0, 2**64, samples.size, np.uint64).view(np.int32)
    _box_muller(raw, np.float32(math.sqrt(variance / 2)), samples.reshape(-1).view(np.float32))
    return samples


# Ascending powers; float32, since one double in an expression would halve the lanes.
_SINE = tuple(np.float32(c) for c in (1, -1 / 6, 1 / 120, -1 / 5040))
_COSINE = tuple(np.float32(c) for c in (1, -1 / 2, 1 / 24, -1 / 720))
_LOG = tuple(  # of log(1 + f) / f^3 - 1 / f^2 + 1 / (2 f), sqrt(1/2) - 1 < f < sqrt(2) - 1, from Cephes
    np.float32(c)
    for c in (
        *(3.3333331174e-1, -2.4999993993e-1, 2.0000714765e-1, -1.6668057665e-1, 1.4249322787e-1),
        *(-1.2420140846e-1, 1.1676998740e-1, -1.1514610310e-1, 7.0376836292e-2),
    )
)
_LOG2 = np.float32(math.log(2))
_HALF = np.float32(0.5)
_CENTRE = np.float32(2**31 + 0.5)
_UNIT = np.float32(2**-32)
_TURN = np.float32(math.pi / 2 * 2**-30)


@njit(cache=True, nogil=True, fastmath={"contract"})
def _box_muller(raw, scale, out):  # type: ignore[no-untyped-def]
    half = raw.shape[0] // 2
    for i in range(half):
        radius = np.float32(scale * math.sqrt(max(-(_log(raw[i]) + _log(raw[i])), np.float32(0))))
        # An angle in +-pi/4 and two bits that select one of four such sectors: short series suffice.
        turn = raw[half + i]
        x = np.float32(np.float32(np.int32(turn >> 2)) * _TURN)
        z = np.float32(x * x)
        sine = radius * x * (_SINE[0] + z * (_SINE[1] + z * (_SINE[2] + z * _SINE[3])))
        cosine = radius * (_COSINE[0] + z * (_COSINE[1] + z * (_COSINE[2] + z * _COSINE[3])))
        cosine = -cosine if turn & 1 else cosine
        out[2 * i] = sine if turn & 2 else cosine
        out[2 * i + 1] = cosine if turn & 2 else sine


@njit(cache=True, nogil=True, inline="always")
def _log(word):  # type: ignore[no-untyped-def]
    """`log((word + 2^31 + 1/2) / 2^32)` of an int32: exponent plus a series in the mantissa."""
    u = np.float32((np.float32(word) + _CENTRE) * _UNIT)
    bits = np.float32(u).view(np.int32)
    exponent = np.int32(np.int32(bits - np.int32(0x3F3504F3)) >> np.int32(23))  # 0x3f3504f3 is sqrt(1/2)
    f = np.float32(np.float32(np.int32(bits - np.int32(exponent << np.int32(23))).view(np.float32)) - np.float32(1))
    tail = _LOG[4] + f * (_LOG[5] + f * (_LOG[6] + f * (_LOG[7] + f * _LOG[8])))
    series = _LOG[0] + f * (_LOG[1] + f * (_LOG[2] + f * (_LOG[3] + f * tail)))
    return f + f * f * (f * series - _HALF) + np.float32(exponent) * _LOG2
