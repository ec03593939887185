"""Effects of a channel and a receiver on windows of samples, `(windows, samples)` of complex64 each."""

import numpy as np
from numpy.typing import NDArray

Windows = NDArray[np.complex64]


def with_noise(signals: Windows, snr_db: NDArray[np.float64], rng: np.random.Generator) -> Windows:
    """Adds white Gaussian noise: `snr_db` `(windows,)` is the power of a pulse of unit magnitude over that of the noise
    in the whole band, in dB, while the pulse lasts."""
    noise = rng.standard_normal((len(signals), 2 * signals.shape[1]), np.float32)
    noise *= (10 ** (-snr_db / 20) / np.sqrt(2)).astype(np.float32)[:, None]
    noise += signals.view(np.float32)
    return noise.view(np.complex64)


def through_paths(signals: Windows, paths: int, spread: float, rng: np.random.Generator) -> Windows:
    """Through `paths` further paths each: delays of 1 sample on, exponential with the mean `spread` in samples, complex
    Gaussian gains whose mean power falls with the delay, `exp(-delay / spread)`.

    The direct path has gain 1, and the sum is scaled to the mean power of the direct path alone.
    """
    count, samples = signals.shape
    delays = 1 + np.minimum(rng.exponential(spread, (count, paths)), samples - 2).astype(np.int64)
    power = np.exp(-delays / spread)
    gains = rng.standard_normal((count, paths, 2)).view(np.complex128)[..., 0] * np.sqrt(power / 2)
    rows, at = np.arange(count)[:, None], np.arange(samples)
    total = signals.copy()
    for path in range(paths):
        source = at - delays[:, path, None]
        late = signals[rows, np.maximum(source, 0)]
        late[source < 0] = 0
        total += gains[:, path, None].astype(np.complex64) * late
    total /= np.sqrt(1 + power.sum(1, keepdims=True)).astype(np.float32)
    return total


def off_tune(signals: Windows, largest: float, rng: np.random.Generator) -> Windows:
    """Shifts the frequency of each window by up to `largest` cycles per sample, either way, uniform."""
    offset = rng.uniform(-largest, largest, (len(signals), 1))
    turned: Windows = (signals * np.exp(2j * np.pi * offset * np.arange(signals.shape[1]))).astype(np.complex64)
    return turned


def with_phase_noise(signals: Windows, step: float, rng: np.random.Generator) -> Windows:
    """Turns the phase by a random walk whose steps have the standard deviation `step` in radians: a Lorentzian line of
    `step^2 / 2 pi` cycles per sample between its half-power points."""
    walk = np.cumsum(rng.standard_normal(signals.shape) * step, 1)
    turned: Windows = (signals * np.exp(1j * walk)).astype(np.complex64)
    return turned
