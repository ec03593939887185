"""Five simple radar waveforms in noise, and a small network that tells them apart: the larger net of the FPGA figures.

The waveforms follow Pace, *Detecting and Classifying Low Probability of Intercept Radar* (2nd ed., chapters 4 to 6):
an unmodulated pulse, a linear chirp, a 13-chip Barker code, a Frank code of order 4 to 8, and Costas hops of 5 to 7
frequencies. Carrier, phase, start, length, code rate and signal-to-noise ratio are sampled anew for every example.
"""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from shared.integer.format import Format

SAMPLES: Final = 1024
FORMAT: Final = Format(8, 6)
"""Of the samples, as a converter gives them."""
SNR_DB: Final = (-4.0, 14.0)
"""In the band of the receiver, uniform."""

BARKER: Final = np.array([1, 1, 1, 1, 1, -1, -1, 1, 1, -1, 1, -1, 1])
COSTAS: Final = ((3, 1, 4, 2, 0), (1, 0, 4, 5, 3, 2)[::-1], (2, 0, 5, 6, 4, 1, 3))

Phases = NDArray[np.float64]


def pulse(t: Phases, rng: np.random.Generator) -> Phases:
    """No modulation: one frequency."""
    return np.zeros_like(t)


def chirp(t: Phases, rng: np.random.Generator) -> Phases:
    """Frequency linear in time, up or down, over 5 to 30 % of the band."""
    phase: Phases = np.pi * rng.choice((-1, 1)) * rng.uniform(0.05, 0.3) * len(t) * (t - 0.5) ** 2
    return phase


def barker(t: Phases, rng: np.random.Generator) -> Phases:
    """Phase 0 or pi by the 13 chips, one to three times over."""
    return np.where(_step(BARKER, t, int(rng.integers(1, 4))) > 0, 0, np.pi)


def frank(t: Phases, rng: np.random.Generator) -> Phases:
    """Polyphase: chip (i, j) of order M has the phase 2 pi i j / M."""
    order = rng.integers(4, 9)
    return _step((2 * np.pi * np.outer(np.arange(order), np.arange(order)) / order).ravel(), t, 1)


def costas(t: Phases, rng: np.random.Generator) -> Phases:
    """Hops over as many frequencies as slots, each once."""
    hops = np.asarray(COSTAS[rng.integers(len(COSTAS))])
    frequency = _step((hops - hops.mean()) * rng.uniform(0.01, 0.04), t, 1)
    return 2 * np.pi * np.cumsum(frequency)


def _step(values: NDArray[Any], t: Phases, times: int) -> Phases:
    """`values` in equal slots over 0 <= t < 1, so many times over."""
    chips: Phases = values[(t * len(values) * times).astype(int) % len(values)].astype(float)
    return chips


WAVEFORMS: Final[dict[str, Callable[[Phases, np.random.Generator], Phases]]] = {
    kind.__name__: kind for kind in (pulse, chirp, barker, frank, costas)
}


def sample(count: int, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """IQ samples float32 `(count, 2, 1024)` in `FORMAT`, and labels `(count,)`.

    The mean power of a recording is 0.25 at most: what a gain control in front of a converter of 8 bits leaves.
    """
    labels = rng.integers(len(WAVEFORMS), size=count)
    kinds = list(WAVEFORMS.values())
    signals = np.stack([_received(kinds[label], rng) for label in labels])
    return torch.from_numpy(FORMAT.quantise(signals).astype(np.float32)), torch.from_numpy(labels)


def _received(kind: Callable[[Phases, np.random.Generator], Phases], rng: np.random.Generator) -> NDArray[np.float64]:
    length = int(rng.integers(SAMPLES // 2, SAMPLES + 1))
    start = int(rng.integers(SAMPLES - length + 1))
    time = np.arange(length)
    phase = kind(time / length, rng) + 2 * np.pi * (rng.uniform(-0.1, 0.1) * time + rng.uniform())
    signal = np.zeros(SAMPLES, complex)
    signal[start : start + length] = np.exp(1j * phase)
    noise = (rng.normal(size=SAMPLES) + 1j * rng.normal(size=SAMPLES)) / np.sqrt(2)
    signal += noise * 10 ** (-rng.uniform(*SNR_DB) / 20)
    signal *= 0.5 / np.sqrt(np.mean(np.abs(signal) ** 2))
    return np.stack((signal.real, signal.imag))
