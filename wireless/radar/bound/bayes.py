"""The Bayes classifier over templates: the yard-stick of every net."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.core.task import Progress
from wireless.radar.bound.templates import templates
from wireless.radar.datasets.generate import Windowed
from wireless.radar.waveforms.catalogue import waveform


def log_evidence(
    windowed: Windowed, classes: Sequence[str], widths: Sequence[int], progress: Progress | None = None
) -> NDArray[np.float64]:
    """`log p(window | class)` up to a constant of the window, `(windows, classes)`.

    A window is a template of unit magnitude at an unknown delay and phase in white noise of known power N:
    `p(x | s, delay) ~ exp(-E / N) I0(2 |<x, s at delay>| / N)` with E the energy of s. Templates of a class and delays
    are equally likely. `I0(z)` is taken as `exp(z) / sqrt(1 + 2 pi z)`, right for large z and at 0.

    The windows have no channel but noise, and are at the gain at which they were generated. The receiver knows N; a net
    does not. Raises `ValueError` for a class without templates.
    """
    # In single precision where the samples are, of which NumPy's types say nothing.
    spectra: NDArray[Any] = np.fft.fft(windowed.samples)
    noise = 10 ** (-windowed.snr_db / 10)
    evidence = np.empty((len(noise), len(classes)))
    for index, name in enumerate(classes):
        total, count = np.full(len(noise), -np.inf), 0
        for signals, lengths in templates(waveform(name), windowed.samples.shape[1], widths):
            total, count = np.logaddexp(total, _logs(spectra, signals, lengths, noise)), count + len(lengths)
            if progress is not None:
                progress(index, len(classes), f"{name}, {count} templates")
        evidence[:, index] = total - np.log(count)
    return evidence


def bayes(
    windowed: Windowed, classes: Sequence[str], widths: Sequence[int], progress: Progress | None = None
) -> NDArray[np.int64]:
    """The likeliest class of each window, `(windows,)`, where all classes are as likely."""
    answers: NDArray[np.int64] = log_evidence(windowed, classes, widths, progress).argmax(1)
    return answers


def _logs(
    spectra: NDArray[np.complex64],
    signals: NDArray[np.complex64],
    lengths: NDArray[np.int64],
    noise: NDArray[np.float64],
) -> NDArray[np.float64]:
    """The logarithm of the sum over templates of the mean over delays, `(windows,)`.

    A delayed template ends within the window, so that the circular correlation never wraps.
    """
    samples = signals.shape[1]
    conjugate = np.fft.fft(signals).conj()
    possible = (np.arange(samples) <= samples - lengths[:, None]).astype(np.float32)
    delays, logs = possible.sum(1), np.empty(len(noise))
    for window, (spectrum, power) in enumerate(zip(spectra, noise, strict=True)):
        z = np.abs(np.fft.ifft(spectrum * conjugate))
        z *= possible * np.float32(2 / power)
        largest = z.max(1, keepdims=True)
        mean = (np.exp(z - largest) * possible).sum(1) / delays
        # The root is taken at the largest: delays that count differ little from it.
        top = largest[:, 0].astype(np.float64)
        each = top + np.log(mean) - 0.5 * np.log1p(2 * np.pi * top) - lengths / power
        logs[window] = np.logaddexp.reduce(each)
    return logs
