"""Radio recordings from files: raw 16-bit or float samples, or SigMF, resampled to 20 MHz."""

import json
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wireless.ofdm.phy.grid import SAMPLE_RATE

FORMATS = ("cs16", "cf32", "sigmf")
_RAW = {"cs16": "<i2", "cf32": "<f4"}
# core:datatype of SigMF without its leading c (complex): NumPy's type, and the value that represents zero.
_SIGMF = {
    "i8": ("i1", 0), "u8": ("u1", 128), "i16_le": ("<i2", 0), "i16_be": (">i2", 0), "u16_le": ("<u2", 1 << 15),
    "u16_be": (">u2", 1 << 15), "i32_le": ("<i4", 0), "i32_be": (">i4", 0), "f32_le": ("<f4", 0),
    "f32_be": (">f4", 0), "f64_le": ("<f8", 0), "f64_be": (">f8", 0),
}  # fmt: skip
_SUFFIXES = {
    ".cs16": "cs16", ".sc16": "cs16", ".cf32": "cf32", ".fc32": "cf32", ".cfile": "cf32",
    ".sigmf-meta": "sigmf", ".sigmf-data": "sigmf", ".sigmf": "sigmf",
}  # fmt: skip
_CLIPPED = 0.001  # a larger share of samples at full scale is reported as saturation
_FASTEST = 1e9


@dataclass(frozen=True)
class Recording:
    """Samples at 20 MHz, with warnings about their quality."""

    samples: NDArray[np.complex64]
    rate: float
    """Sampling rate of the file, in samples per second."""
    warnings: tuple[str, ...] = ()


def read(path: Path, format: str | None = None, rate: float | None = None) -> Recording:
    """The recording in a file, resampled to 20 MHz if its rate is higher.

    `format` is cs16 (interleaved I, Q of 16-bit little-endian integers), cf32 (of 32-bit little-endian floats) or
    sigmf (either of its two files); by default the suffix of the file name decides. `rate` in samples per second is
    20e6 unless SigMF's metadata state another. Raises ValueError, with the file name and a way out, for a file that is
    not such a recording: empty, constant, mostly saturated, with NaN, or of another format.
    """
    format = format or _SUFFIXES.get(path.suffix)
    if format not in FORMATS:
        problem = "does not follow from its name" if format is None else f"{format!r} is unknown"
        raise ValueError(f"{path}: format {problem}; it must be one of {', '.join(FORMATS)}")
    if rate is not None and not SAMPLE_RATE <= rate <= _FASTEST:
        raise ValueError(
            f"rate={rate:g}: must be between {SAMPLE_RATE:g}, the bandwidth of a channel, and {_FASTEST:g}"
        )
    data, dtype, zero, rate = _sigmf(path, rate) if format == "sigmf" else (path, _RAW[format], 0, rate or SAMPLE_RATE)
    values, warnings = _values(data, np.dtype(dtype), zero)
    samples = resample(values.view(np.complex64), rate)
    return Recording(samples, rate, warnings)


def resample(samples: NDArray[np.complex64], rate: float) -> NDArray[np.complex64]:
    """`samples` (N,) at `rate` >= 20e6, brought to 20 MHz: their spectrum within +-10 MHz.

    The FFT treats the recording as periodic, so its first and last microsecond mix. Zeros are appended until its length
    is a whole number of samples at both rates.
    """
    ratio = Fraction(SAMPLE_RATE / rate).limit_denominator(10_000)
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


def _values(path: Path, dtype: np.dtype[Any], zero: int) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """I and Q of a file, alternating, float32, and warnings; ValueError where they cannot be a recording."""
    raw = path.read_bytes()
    samples = len(raw) // (2 * dtype.itemsize)
    if samples == 0:
        raise ValueError(f"{path} is empty: it has {len(raw)} bytes, one sample takes {2 * dtype.itemsize}")
    values = np.frombuffer(raw, dtype, 2 * samples)
    warnings = []
    if len(raw) % (2 * dtype.itemsize):
        warnings.append(
            f"{path} is truncated: its last {len(raw) % (2 * dtype.itemsize)} bytes are not a complete sample"
        )
    if (values.reshape(-1, 2) == values[:2]).all():
        constant = "zero" if (values == zero).all() else "the same"
        raise ValueError(f"{path}: all {samples} samples are {constant}: was the receiver on?")
    if dtype.kind == "f":
        _refuse_bad_floats(path, values)
    elif dtype.itemsize == 2 and _plausible(np.frombuffer(raw, "<f4", len(raw) // 4)):
        raise ValueError(
            f"{path} does not hold 16-bit integers: its bytes read as floats of plausible size, try --format cf32"
        )
    if dtype.kind != "f":
        limits = np.iinfo(dtype)
        clipped = float(np.mean((values == limits.max) | (values == limits.min)))
        if clipped > 0.5:
            raise ValueError(f"{path} is saturated: {clipped:.0%} of its values are at full scale; lower the gain")
        if clipped > _CLIPPED:
            warnings.append(f"{path} is saturated in places: {clipped:.1%} of its values are at full scale")
    return (values.astype(np.float32) - np.float32(zero)), tuple(warnings)


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


def _sigmf(path: Path, rate: float | None) -> tuple[Path, str, int, float]:
    """The data file, its type, its zero and sampling rate, from the metadata (SigMF 1.2, section "Global Object")."""
    stem = path.with_suffix("") if path.suffix in (".sigmf-meta", ".sigmf-data", ".sigmf") else path
    meta, data = (stem.with_name(stem.name + suffix) for suffix in (".sigmf-meta", ".sigmf-data"))
    try:
        fields = json.loads(meta.read_text())["global"]
        name, stated, channels = (
            fields["core:datatype"],
            fields.get("core:sample_rate"),
            fields.get("core:num_channels", 1),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{meta} is not valid SigMF metadata: {type(error).__name__} {error}") from None
    if not isinstance(name, str) or name[:1] != "c" or name[1:] not in _SIGMF:
        types = ", ".join(f"c{suffix}" for suffix in _SIGMF)
        raise ValueError(f"{meta}: core:datatype {name!r} is not supported; it must be one of {types}")
    if channels != 1:
        raise ValueError(f"{meta}: core:num_channels is {channels!r}; only recordings of one channel are supported")
    if stated is not None and not (isinstance(stated, int | float) and SAMPLE_RATE <= stated <= _FASTEST):
        raise ValueError(f"{meta}: core:sample_rate {stated!r} must be between {SAMPLE_RATE:g} and {_FASTEST:g}")
    if rate is not None and stated is not None and rate != stated:
        raise ValueError(f"--rate {rate:g} contradicts {meta}, which states {stated:g}; omit --rate")
    return data, *_SIGMF[name[1:]], float(rate or stated or SAMPLE_RATE)
