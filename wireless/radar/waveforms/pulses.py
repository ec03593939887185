"""Pulses in windows: sampled parameters, a random start and phase, complex samples of unit magnitude."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from wireless.radar.waveforms.ranges import Part
from wireless.radar.waveforms.waveform import AbstractWaveform, Column

SHORTEST_WINDOW: Final = 128
"""Samples: in fewer a code of 64 chips has less than two samples a chip."""

_ROOTS: Final = 1 << 16
_CIRCLE: Final[NDArray[np.complex64]] = np.exp(2j * np.pi * np.arange(_ROOTS) / _ROOTS).astype(np.complex64)


class Pulses(NamedTuple):
    """Pulses of one class."""

    samples: NDArray[np.complex64]
    """`(pulses, samples)`, zero outside the pulse."""
    parameters: dict[str, Column]
    """`start` and `width` in samples, `carrier` in cycles per sample, `phase` in turns, and those of the class."""


def pulses(
    waveform: AbstractWaveform,
    count: int,
    samples: int,
    rng: np.random.Generator,
    part: Part = "all",
    widths: Sequence[int] = (),
) -> Pulses:
    """So many pulses of a class, each in a window of so many samples, of unit power while it lasts."""
    p = waveform.parameters(count, samples, rng, part, widths)
    p["start"] = (rng.random((count, 1)) * (samples - p["width"] + 1)).astype(np.int64)
    p["phase"] = rng.random((count, 1))
    at = np.arange(samples, dtype=np.float64) - p["start"]
    k = np.minimum(np.maximum(at, 0), p["width"] - 1)
    turns = waveform.turns(k, p)
    turns += p["carrier"] * k
    turns += p["phase"]
    signal = unit(turns)
    amplitude = waveform.amplitude(signal.shape, rng)
    if amplitude is not None:
        signal *= amplitude
    np.copyto(signal, 0, where=k != at)
    return Pulses(signal, p)


def unit(turns: NDArray[np.float64]) -> NDArray[np.complex64]:
    """`exp(2 pi j turns)` to the nearest of 65,536 phases: an error of -91 dB, and the same bits on every machine,
    whose sines differ in the last one.

    >>> unit(np.array([0.0, 0.25, -0.5])).tolist()
    [(1+0j), ...1j), (-1+...j)]
    """
    index = np.rint(turns * _ROOTS).astype(np.int64)
    index &= _ROOTS - 1
    return _CIRCLE.take(index, mode="clip")  # which looks for none that is out of range
