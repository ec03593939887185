"""The samples of a file as complex numbers, checked: what cannot be a recording is refused, the rest has warnings."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wireless.recordings.containers import RAW, Stored, raw, wav
from wireless.recordings.sigmf import sigmf
from wireless.recordings.wild import wild_samples

FORMATS = (*RAW, "wav", "sigmf")
_SUFFIXES = {
    ".cs8": "cs8", ".sc8": "cs8", ".cu8": "cu8", ".cs16": "cs16", ".sc16": "cs16", ".cf32": "cf32", ".fc32": "cf32",
    ".cfile": "cf32", ".wav": "wav", ".sigmf-meta": "sigmf", ".sigmf-data": "sigmf", ".sigmf": "sigmf",
}  # fmt: skip
_CLIPPED = 0.001  # a larger share of samples at full scale is reported as saturation
_LARGEST = 1e30  # squares of the largest float32 overflow


def stored(path: Path, format: str | None = None) -> Stored:
    """What a file holds, by `format` or else by the suffix of its name.

    Raises FileNotFoundError, and ValueError, with the formats, where neither is one that is read, and for a file that
    is not of its format.
    """
    format = format or _SUFFIXES.get(path.suffix.lower())
    if path.is_dir():
        raise ValueError(f"{path} is a folder; a recording is one file")
    if format is None and not path.exists():
        raise FileNotFoundError(2, "No such file or directory", str(path))
    if format not in FORMATS:
        problem = "does not follow from its name" if format is None else f"{format!r} is unknown"
        raise ValueError(f"{path}: format {problem}; it must be one of {', '.join(FORMATS)}")
    return sigmf(path) if format == "sigmf" else wav(path) if format == "wav" else raw(path, format)


def complex_samples(stored: Stored, channel: int | None = None) -> tuple[NDArray[np.complex64], tuple[str, ...]]:
    """The samples (N,) of one channel, and warnings; ValueError where they cannot be a recording.

    Integers keep their size; wild samples are set to zero, with a warning.
    """
    values, warnings = _values(stored, channel)
    return values.view(np.complex64), warnings


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
