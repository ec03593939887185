"""From a recording to answers: files of samples, windows of them, the waveform in each."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shared.lab.records.arrays import read_npy
from wireless.radar.nets.classifier import Classifier
from wireless.radar.waveforms.waveform import CARRIER
from wireless.recordings.samples import complex_samples, stored

Samples = NDArray[np.complex64]

SHORTEST = 8
"""A recording has at least one in so many of the samples of a window."""
_CLEAR = 0.3
"""Correlation of neighbouring samples above which the recording's mean frequency means something."""


@dataclass(frozen=True)
class Answer:
    """The waveform in one window of a recording."""

    start: int
    """The first sample of the window."""
    probabilities: Mapping[str, float]
    """Of each class, the likeliest first."""

    @property
    def name(self) -> str:
        return next(iter(self.probabilities))


def read(path: Path, format: str | None = None, channel: int | None = None) -> tuple[Samples, tuple[str, ...]]:
    """The samples `(N,)` of a recording, with warnings: raw I and Q, WAV, SigMF or `.npy`.

    An array is complex `(N,)`, or real `(N, 2)` or `(2, N)` with I and Q. Raises `ValueError`, in one line that names
    the file, for a file that is none of these, for a channel that it does not have, and for samples that are not finite
    or all the same.
    """
    if format is None and path.suffix.lower() == ".npy":
        if channel:
            raise ValueError(f"{channel=}: {path} has the channels 0 to 0")
        return _from_array(path, read_npy(path)), ()
    file = stored(path, format)
    samples, warnings = complex_samples(file, channel)
    return samples, (*file.warnings, *warnings)


def _from_array(path: Path, array: NDArray[np.generic]) -> Samples:
    kind = np.asarray(array).dtype.kind
    if kind == "c" and array.ndim == 1:
        samples = np.asarray(array, np.complex128)
    elif kind in "iuf" and array.ndim == 2 and 2 in array.shape:
        parts = np.asarray(array, np.float64)
        parts = parts if parts.shape[1] == 2 else parts.T
        samples = parts[:, 0] + 1j * parts[:, 1]
    else:
        raise ValueError(f"{path}: {array.dtype} {array.shape}; needs complex (N,), or I and Q as (N, 2) or (2, N)")
    if wrong := int((~np.isfinite(samples)).sum()):
        raise ValueError(f"{path}: {wrong} of {len(samples)} samples are not finite")
    if not len(samples) or (samples == samples[0]).all():
        raise ValueError(f"{path}: all {len(samples)} samples are the same: was the receiver on?")
    return samples.astype(np.complex64)


def classify(samples: Samples, classifier: Classifier, shift: float = 0.0) -> tuple[list[Answer], tuple[str, ...]]:
    """The waveform in every window of a recording `(N,)`, each half a window after the one before, and notes.

    `shift` in cycles per sample is added to all frequencies before. Raises as `in_windows` does.
    """
    starts, windows, notes = in_windows(samples, classifier.samples, shift)
    answers = []
    for start, probabilities in zip(starts, classifier.probabilities(windows), strict=True):
        order = np.argsort(-probabilities, kind="stable")
        answers.append(Answer(start, {classifier.classes[k]: float(probabilities[k]) for k in order}))
    return answers, notes


def in_windows(samples: Samples, size: int, shift: float = 0.0) -> tuple[list[int], Samples, tuple[str, ...]]:
    """First samples of the windows of a recording `(N,)`, the windows `(windows, size)`, and notes.

    Raises `ValueError` for fewer samples than an eighth of a window, and for a shift beyond half a cycle.
    """
    notes = list[str]()
    if len(samples) * SHORTEST < size:
        raise ValueError(f"{len(samples)} samples are too few: a window has {size}, give {size // SHORTEST} or more")
    if not abs(shift) <= 0.5:
        raise ValueError(f"shift={shift:g} cycles per sample: must be between -0.5 and 0.5")
    if shift:
        samples = (samples * np.exp(2j * np.pi * (shift * np.arange(len(samples)) % 1))).astype(np.complex64)
    if len(samples) < size:
        notes.append(f"{size - len(samples)} zeros follow its {len(samples)} samples, to fill a window of {size}")
        samples = np.pad(samples, (0, size - len(samples)))
    notes += _off_tune(samples)
    starts = list(_starts(len(samples), size))
    return starts, np.stack([samples[start : start + size] for start in starts]), tuple(notes)


def _starts(count: int, size: int) -> Iterator[int]:
    """Every half window, and one that ends with the recording."""
    last = count - size
    yield from range(0, last, size // 2)
    yield last


def _off_tune(samples: Samples) -> Iterator[str]:
    """A note where the mean frequency is clear and none that the nets were trained on."""
    power = float(np.vdot(samples, samples).real)
    correlation = complex(np.vdot(samples[:-1], samples[1:])) / power if power else 0j
    frequency = float(np.angle(correlation) / (2 * np.pi))
    middle = (CARRIER.low + CARRIER.high) / 2
    # Costas pulses hop over twice the range of the others.
    if abs(correlation) > _CLEAR and not CARRIER.low / 2 <= frequency <= 1.5 * CARRIER.high:
        yield (
            f"its mean frequency is {frequency:+.3f} cycles per sample, that of the training {CARRIER.low:.3f} to "
            f"{CARRIER.high:.3f}: --shift {middle - frequency:+.3f} moves it there"
        )
