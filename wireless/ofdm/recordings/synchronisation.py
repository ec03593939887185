"""Frame detection: the timing and the carrier frequency offset (CFO) of every preamble in a recording.

The short training field repeats every 16 samples: its lag-16 autocorrelation has a plateau, whose phase is the coarse
CFO (Schmidl and Cox 1997). Correlation with the long training symbol then gives the timing, and the phase between its
two copies the fine CFO.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from wireless.ofdm.phy import grid

WINDOW = 64
"""Length of the autocorrelation, in samples. In noise alone its magnitude exceeds 0.5 at one in 10 million samples."""
RISE, FALL = 0.5, 0.35
"""A plateau begins above RISE, which is about 1 dB SNR, and ends below FALL."""
CHANNEL = 16
"""Longest delay spread of a channel in samples: the cyclic prefix."""
EARLY = 3
"""Timing advance before the first path, in samples: a path at a fractional delay has precursors."""
# Thresholds for two equal symbols, and for their match with the long training symbol. Noise has 0.1 and 0.25.
_COHERENT, _MATCHED = 0.3, 0.45
_MATCHED_ALONE = 0.6
"""The match that is asked of a long training field without a short one."""
FLOOR = 1e-12
"""Power of a sample 120 dB below full scale: less than that is rounding error of sums over strong samples."""
_SUBCARRIERS = 8.0
"""Least number of subcarriers over which the power of a long training symbol may spread, (sum p)^2 / sum p^2. Fading
leaves more than 20 of 52, and noise 26; a carrier, or noise 1 MHz wide, has fewer than 6."""
_LOUDER = 4.0  # a plateau begins anew where the power is this many times that of the window before
_CHUNK = 160  # samples after which a plateau is split: a longer one may hide several short training fields


class Preamble(NamedTuple):
    """A detected legacy preamble."""

    start: int
    """Sample at which the short training field begins; negative if that is before the recording."""
    body: int
    """First sample of the FFT window of the first long training symbol, `EARLY` samples before its first path."""
    cfo: float
    """Carrier offset in cycles per sample."""


def find(samples: NDArray[np.complex64]) -> Iterator[Preamble]:
    """The preambles in `samples` (N,), at 20 MHz and with a largest part near 1, in order of time.

    Reliable above about 3 dB SNR, for carrier offsets up to +-500 kHz. A DC offset (leakage of the local oscillator)
    must be removed before: it repeats every 16 samples too.
    """
    best = _cut(samples)
    for begin, end, coarse in _plateaus(samples):
        # The plateau ends 80 samples or more before the long training symbols do, even if its beginning was missed.
        candidate = _align(samples, max(begin + 96, end - 16, 0), end + 176, coarse)
        if candidate is None:
            continue
        # Of two preambles that overlap one is false: a plateau of interference may end in a short training field.
        if best is not None and candidate.place <= best.place + 192:
            best = max(best, candidate, key=lambda it: it.matched)
            continue
        yield from _preamble(samples, best)
        best = candidate
    yield from _preamble(samples, best)


def _cut(samples: NDArray[np.complex64]) -> "_Candidate | None":
    """A preamble whose short training field begins before the recording, from the long training field alone.

    Of the carrier offset the two symbols tell only the remainder to 312.5 kHz: the best match of three tells the rest.
    """
    head = samples[: 192 + 3 * grid.FFT]
    if len(head) < 2 * grid.FFT + CHANNEL:
        return None
    beat = np.cumsum(np.concatenate([[0], head[: -grid.FFT].conj() * head[grid.FFT :]]), dtype=np.complex128)
    over = beat[grid.FFT :] - beat[: -grid.FFT]
    power = np.cumsum(np.concatenate([[0], np.abs(head) ** 2]), dtype=np.float64)
    level = np.abs(over) / np.maximum(power[2 * grid.FFT :] - power[: -2 * grid.FFT], 2 * grid.FFT * FLOOR)
    coarse = float(np.angle(over[np.argmax(level)])) / (2 * np.pi * grid.FFT)
    aligned = [_align(samples, 0, 192 + CHANNEL, coarse + turns / grid.FFT) for turns in (0, -1, 1)]
    best = max(filter(None, aligned), key=lambda it: it.matched, default=None)
    return best if best is not None and best.place < 192 and best.matched > _MATCHED_ALONE else None


class _Candidate(NamedTuple):
    """A timing at which samples match the long training field."""

    place: int
    """The first sample of the first long training symbol."""
    matched: float
    coarse: float


def _preamble(samples: NDArray[np.complex64], candidate: _Candidate | None) -> Iterator[Preamble]:
    """The preamble of a candidate; nothing where there is none, or where all of its power is on a few subcarriers."""
    if candidate is None:
        return
    place = candidate.place
    cfo = _fine(samples, place, candidate.coarse)
    power = np.abs(grid.to_frequency(derotated(samples, place, 2 * grid.FFT, cfo)[None], 0).sum((0, 1))) ** 2
    if power.sum() ** 2 >= _SUBCARRIERS * np.sum(power**2):
        yield Preamble(place - 192, max(place - EARLY, 0), cfo)


def derotated(
    samples: NDArray[np.complex64], first: int, count: int, cfo: float, origin: int = 0
) -> NDArray[np.complex64]:
    """`count` samples from `first` on with the carrier offset removed; sample `origin` keeps its phase."""
    rotation = np.exp(-2j * np.pi * cfo * np.arange(first - origin, first - origin + count))
    result: NDArray[np.complex64] = (samples[first : first + count] * rotation).astype(np.complex64)
    return result


def _plateaus(samples: NDArray[np.complex64]) -> Iterator[tuple[int, int, float]]:
    """Intervals [begin, end) of high autocorrelation, with the coarse carrier offset in cycles per sample."""
    runs, phases = _runs(samples, RISE, FALL)
    for (begin, end), phase in zip(runs.tolist(), phases.tolist(), strict=True):
        yield begin, end, phase / (2 * np.pi * 16)


def _align(samples: NDArray[np.complex64], first: int, stop: int, coarse: float) -> _Candidate | None:
    """The first long training symbol that begins in [first, stop), or None.

    It is the last timing at which the energy of the paths within one cyclic prefix is above 90 % of its maximum,
    because the window must not begin after the first path, and should not begin long before it.
    """
    both = 2 * grid.FFT
    piece = derotated(samples, first, min(stop + both + CHANNEL, len(samples)) - first, coarse, first)
    places = len(piece) - both - CHANNEL + 1
    if places <= 0:
        return None
    strength, coherence, matched = _correlate(piece, grid.preamble()[-grid.FFT :].conj(), places)
    best = int(np.argmax(strength))
    if coherence[best] < _COHERENT or matched[best] < _MATCHED:
        return None
    near = np.arange(best, min(best + CHANNEL, places))
    # 5 % of the energy of a path leak to either side, as the signal is narrower than the sampling rate.
    place = first + int(near[strength[near] > 0.9 * strength[best]][-1])
    return _Candidate(place, float(matched[best]), coarse)


def _fine(samples: NDArray[np.complex64], place: int, coarse: float) -> float:
    """The carrier offset from repetitions after 64 samples, in the short and in the long training field.

    The first 12 and 16 samples of the two fields are left out, as the channel spreads the previous field into them.
    """
    short = samples[max(place - 180, 0) : max(place - 40, 0)]
    long = samples[max(place - 16, 0) : place + 2 * grid.FFT - EARLY]
    beat = sum(np.vdot(part[: -grid.FFT], part[grid.FFT :]) for part in (short, long) if len(part) > grid.FFT)
    ahead = beat * np.exp(-2j * np.pi * grid.FFT * coarse)
    return coarse + float(np.angle(ahead)) / (2 * np.pi * grid.FFT)


@njit(cache=True, nogil=True)
def _runs(x: Any, rise: float, fall: float) -> Any:
    """Runs (begin, end) of high normalised autocorrelation at lag 16, and the phase of its sum over each run."""
    runs, phases, count = np.empty((x.shape[0] // 2 + 1, 2), np.int64), np.empty(x.shape[0] // 2 + 1), 0
    inside, begin = False, 0
    together, power, total, before = 0j, 0.0, 0j, np.full(WINDOW, np.inf)
    for n in range(x.shape[0] - 16):
        product = x[n].conjugate() * x[n + 16]
        together += product
        power += 0.5 * (abs2(x[n]) + abs2(x[n + 16]))
        if n >= WINDOW:
            old = n - WINDOW
            together -= x[old].conjugate() * x[old + 16]
            power -= 0.5 * (abs2(x[old]) + abs2(x[old + 16]))
        elif n < WINDOW - 1:
            continue
        here = n - WINDOW + 1
        level = abs(together) / power if power > FLOOR * WINDOW else 0.0
        if not inside and level > rise:
            inside, begin, total = True, here, 0j
        if inside and power > _LOUDER * before[n % WINDOW]:
            # Interference repeats every 16 samples too, at a frequency of its own; what is so much stronger is a frame.
            begin, total = here, 0j
        before[n % WINDOW] = power
        if inside:
            total += together
            if level < fall or here - begin >= _CHUNK:
                inside = False
                runs[count] = begin, here
                phases[count] = np.angle(total)
                count += 1
    if inside:
        runs[count] = begin, x.shape[0] - 16 - WINDOW + 1
        phases[count] = np.angle(total)
        count += 1
    return runs[:count], phases[:count]


@njit(cache=True, nogil=True)
def _correlate(x: Any, symbol: Any, places: int) -> Any:
    """For each timing: energy of the paths in one cyclic prefix, coherence of the two symbols, and their match.

    The energy of a path at n is |<x[n:], symbol>|^2 + |<x[n + 64:], symbol>|^2; matched is the paths' share of the
    energy received, 1 without noise.
    """
    size = symbol.shape[0]
    path = np.zeros(x.shape[0] - 2 * size + 1)
    for n in range(path.shape[0]):
        one, two = 0j, 0j
        for m in range(size):
            one += x[n + m] * symbol[m]
            two += x[n + size + m] * symbol[m]
        path[n] = abs2(one) + abs2(two)
    unit = 0.0
    for m in range(size):
        unit += abs2(symbol[m])
    strength, coherence, matched = np.empty(places), np.empty(places), np.empty(places)
    for n in range(places):
        strength[n] = path[n : n + CHANNEL].sum()
        beat, energy = 0j, 2 * size * FLOOR
        for m in range(size):
            beat += x[n + m].conjugate() * x[n + size + m]
            energy += abs2(x[n + m]) + abs2(x[n + size + m])
        coherence[n] = 2 * abs(beat) / energy
        # Late paths use samples after the two symbols: their energy counts too, or the next symbols could match.
        for m in range(2 * size, 2 * size + CHANNEL):
            energy += abs2(x[n + m])
        matched[n] = strength[n] / (unit * energy)
    return strength, coherence, matched


@njit(cache=True, nogil=True, inline="always")
def abs2(value: Any) -> Any:
    """|value|^2 without a square root, in double precision."""
    return float(value.real) ** 2 + float(value.imag) ** 2
