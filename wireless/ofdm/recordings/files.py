"""Radio recordings from files: raw samples, WAV or SigMF, resampled to the width of a channel."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wireless.ofdm.phy.grid import SAMPLE_RATE
from wireless.ofdm.recordings.cleaning import wild_samples
from wireless.ofdm.recordings.containers import RAW, Stored, raw, wav
from wireless.ofdm.recordings.sigmf import sigmf

FORMATS = (*RAW, "wav", "sigmf")
WIDTHS = (SAMPLE_RATE, SAMPLE_RATE / 2, SAMPLE_RATE / 4)
"""Widths of a channel in Hz: 20 MHz; in 10 and 5 MHz everything takes two and four times as long (17.3.2.3)."""
_SUFFIXES = {
    ".cs8": "cs8", ".sc8": "cs8", ".cu8": "cu8", ".cs16": "cs16", ".sc16": "cs16", ".cf32": "cf32", ".fc32": "cf32",
    ".cfile": "cf32", ".wav": "wav", ".sigmf-meta": "sigmf", ".sigmf-data": "sigmf", ".sigmf": "sigmf",
}  # fmt: skip
_CLIPPED = 0.001  # a larger share of samples at full scale is reported as saturation
_FASTEST = 1e9
_LARGEST = 1e30  # squares of the largest float32 overflow


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
    format = format or _SUFFIXES.get(path.suffix.lower())
    if format not in FORMATS:
        problem = "does not follow from its name" if format is None else f"{format!r} is unknown"
        raise ValueError(f"{path}: format {problem}; it must be one of {', '.join(FORMATS)}")
    if width not in WIDTHS:
        raise ValueError(f"width={width:g}: a channel is {', '.join(f'{it:g}' for it in WIDTHS)} Hz wide")
    if rate is not None and not width <= rate <= _FASTEST:
        raise ValueError(f"rate={rate:g}: must be between {width:g}, the bandwidth of a channel, and {_FASTEST:g}")
    stored = sigmf(path) if format == "sigmf" else wav(path) if format == "wav" else raw(path, format)
    rate = _rate(stored, rate, width)
    if not abs(centre) + width / 2 <= rate / 2 * (1 + 1e-9) and centre:
        raise ValueError(f"centre={centre:g}: a channel {width:g} wide there is not within {rate:g} samples per second")
    values, warnings = _values(stored, channel)
    samples = values.view(np.complex64)
    samples = samples.imag + 1j * samples.real if swap_iq else samples
    return Recording(resample(samples, rate, width, centre), rate, (*stored.warnings, *warnings), width)


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


def _values(stored: Stored, channel: int | None) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """I and Q of one channel, alternating, float32, and warnings; ValueError where they cannot be a recording."""
    path, content, dtype, zero = stored.path, stored.data, np.dtype(stored.dtype), stored.zero
    if channel is None and stored.channels > 1:
        raise ValueError(f"{path} has {stored.channels} channels; choose one by --channel 0 to {stored.channels - 1}")
    if channel is not None and not 0 <= channel < stored.channels:
        raise ValueError(f"channel={channel}: {path} has the channels 0 to {stored.channels - 1}")
    size = 2 * dtype.itemsize * stored.channels
    samples = len(content) // size
    if samples == 0:
        raise ValueError(f"{path} is empty: it has {len(content)} bytes, one sample takes {size}")
    every = np.frombuffer(content, dtype, samples * size // dtype.itemsize).reshape(samples, stored.channels, 2)
    values: NDArray[Any] = np.ascontiguousarray(every[:, channel or 0]).reshape(-1)
    warnings = []
    if len(content) % size:
        warnings.append(f"{path} is truncated: its last {len(content) % size} bytes are not a complete sample")
    if (values.reshape(-1, 2) == values[:2]).all():
        constant = "zero" if (values == zero).all() else "the same"
        raise ValueError(f"{path}: all {samples} samples are {constant}: was the receiver on?")
    if dtype.kind == "f":
        _refuse_bad_floats(path, values)
        values, wild = _without_wild(path, values)
        return values.astype(np.float32), (*warnings, *wild)
    if dtype.itemsize == 2 and _plausible(np.frombuffer(content, "<f4", len(content) // 4)):
        raise ValueError(
            f"{path} does not hold 16-bit integers: its bytes read as floats of plausible size, try --format cf32"
        )
    limits = np.iinfo(dtype)
    clipped = float(np.mean((values == limits.max) | (values == limits.min)))
    if clipped > 0.5:
        raise ValueError(f"{path} is saturated: {clipped:.0%} of its values are at full scale; lower the gain")
    if clipped > _CLIPPED:
        warnings.append(f"{path} is saturated in places: {clipped:.1%} of its values are at full scale")
    values, wild = _without_wild(path, values.astype(np.float32) - np.float32(zero))
    return values, (*warnings, *wild)


def _without_wild(path: Path, values: NDArray[Any]) -> tuple[NDArray[Any], tuple[str, ...]]:
    """I and Q with wild samples as zeros and a warning; they would spread to others when the rate is changed."""
    values = np.clip(values, -_LARGEST, _LARGEST)
    wild = wild_samples(np.abs(values).reshape(-1, 2).max(1))
    if not wild:
        return values, ()
    first = complex(*values[2 * wild[0] : 2 * wild[0] + 2].tolist())
    values.reshape(-1, 2)[wild] = 0
    many = f"{len(wild)} samples, the first of them {wild[0]} ({first:.3g})," if len(wild) > 1 else ""
    one = f"sample {wild[0]} ({first:.3g})"
    verb = "are" if many else "is"
    return values, (f"{path}: {many or one} {verb} more than 100 times larger than all near: set to zero",)


def _refuse_bad_floats(path: Path, values: NDArray[Any]) -> None:
    wrong = ~np.isfinite(values)
    hint = "" if _plausible(values) else "; few of its values have a plausible size, try --format cs16"
    if wrong.any():
        at = int(np.flatnonzero(wrong)[0])
        raise ValueError(f"{path}: sample {at // 2} is {values[at]}; {int(wrong.sum())} values are not finite{hint}")
    if hint:
        raise ValueError(f"{path} does not look like floats{hint}")


def _plausible(values: NDArray[Any]) -> bool:
    """Whether nearly all of these floats have a magnitude typical of samples; 16-bit integers read as floats do not."""
    with np.errstate(invalid="ignore"):
        size = np.abs(values)
        typical = (size == 0) | ((size > 1e-12) & (size < 1e9))
    return bool(len(values)) and bool(np.mean(typical) > 0.95) and bool((size != 0).any())
