"""Radio recordings from files, resampled to the width of a channel."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wireless.ofdm.phy.grid import SAMPLE_RATE
from wireless.recordings.containers import Stored
from wireless.recordings.samples import complex_samples, stored

WIDTHS = (SAMPLE_RATE, SAMPLE_RATE / 2, SAMPLE_RATE / 4)
"""Widths of a channel in Hz: 20 MHz; in 10 and 5 MHz everything takes two and four times as long (17.3.2.3)."""
_FASTEST = 1e9


@dataclass(frozen=True)
class Recording:
    """Samples at the width of a channel, with warnings about their quality."""

    samples: NDArray[np.complex64]
    rate: float
    """Sampling rate of the file, in samples per second."""
    warnings: tuple[str, ...] = ()
    width: float = SAMPLE_RATE
    """Sampling rate of `samples`."""


def read(
    path: Path,
    format: str | None = None,
    rate: float | None = None,
    *,
    channel: int | None = None,
    width: float = SAMPLE_RATE,
    centre: float = 0.0,
    swap_iq: bool = False,
) -> Recording:
    """The recording in a file, resampled to the width of the channel if its rate is higher.

    `format` is cs8, cu8, cs16 or cf32 (I and Q alternate, as signed or unsigned bytes, 16-bit little-endian integers or
    32-bit little-endian floats), wav, or sigmf (either of its two files, or an archive); by default the suffix of the
    file name decides. `rate` in samples per second is `width` unless the file states another. `channel` picks one of
    several from 0 on, `width` in Hz is one of `WIDTHS`, and `centre` in Hz is the centre of the channel relative to
    that of the recording. `swap_iq` exchanges I and Q, which mirrors the spectrum.

    Raises ValueError, with the file name and a way out, for a file that is not such a recording: empty, constant,
    mostly saturated, with NaN, or of another format.
    """
    if width not in WIDTHS:
        raise ValueError(f"width={width:g}: a channel is {', '.join(f'{it:g}' for it in WIDTHS)} Hz wide")
    if rate is not None and not width <= rate <= _FASTEST:
        raise ValueError(f"rate={rate:g}: must be between {width:g}, the bandwidth of a channel, and {_FASTEST:g}")
    file = stored(path, format)
    rate = _rate(file, rate, width)
    if not abs(centre) + width / 2 <= rate / 2 * (1 + 1e-9) and centre:
        raise ValueError(f"centre={centre:g}: a channel {width:g} wide there is not within {rate:g} samples per second")
    samples, warnings = complex_samples(file, channel)
    samples = samples.imag + 1j * samples.real if swap_iq else samples
    return Recording(resample(samples, rate, width, centre), rate, (*file.warnings, *warnings), width)


def _rate(stored: Stored, rate: float | None, width: float) -> float:
    """The one that the file states, or else `rate`, or else the width of a channel."""
    stated = stored.rate
    if stated is not None and not width <= stated <= _FASTEST:
        narrower = [it for it in WIDTHS if it <= stated < width]
        way_out = f"; a channel {narrower[0]:g} wide: --width {narrower[0]:g}" if narrower else ""
        raise ValueError(
            f"{stored.path}: its sample rate {stated!r} must be between {width:g} and {_FASTEST:g}{way_out}"
        )
    if rate is not None and stated is not None and rate != stated:
        raise ValueError(f"--rate {rate:g} contradicts {stored.path}, which states {stated:g}; omit --rate")
    return float(rate or stated or width)


def resample(
    samples: NDArray[np.complex64], rate: float, width: float = SAMPLE_RATE, centre: float = 0.0
) -> NDArray[np.complex64]:
    """`samples` (N,) at `rate` >= `width`, brought to `width` samples per second: their spectrum around `centre`.

    The FFT treats the recording as periodic, so its first and last microsecond mix. Zeros are appended until its length
    is a whole number of samples at both rates.
    """
    if centre:
        turns = np.arange(len(samples)) * (centre / rate) % 1.0
        samples = (samples * np.exp(-2j * np.pi * turns)).astype(np.complex64)
    ratio = Fraction(width / rate).limit_denominator(10_000)
    if ratio == 1:
        return samples
    periods = -(-len(samples) // ratio.denominator)
    before, after = periods * ratio.denominator, periods * ratio.numerator
    spectrum = np.fft.fft(samples, before)
    half = after // 2
    kept = np.zeros(after, np.complex64)
    kept[: after - half] = spectrum[: after - half]
    kept[after - half :] = spectrum[before - half :]
    slow: NDArray[np.complex64] = (np.fft.ifft(kept) * (after / before)).astype(np.complex64)
    return slow
