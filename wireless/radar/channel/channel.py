"""A channel as settings: which effects, and how strong."""

import math
from dataclasses import dataclass

import numpy as np

from wireless.radar.channel.effects import Windows, off_tune, through_paths, with_phase_noise


@dataclass(frozen=True)
class Channel:
    """Effects beside noise; the default has none of them.

    - `paths`, `spread`: further paths and their mean delay in samples (`through_paths`).
    - `offset`: largest carrier frequency offset in cycles per sample, either way.
    - `phase_noise`: standard deviation of a step of the phase's random walk, in radians.
    - `overlap`: share of the windows in which a second, weaker pulse overlaps the one that the label names.
    - `weaker_db`: how much weaker it is, at least and at most.

    Raises `ValueError` for numbers that are none of these.
    """

    paths: int = 0
    spread: float = 8.0
    offset: float = 0.0
    phase_noise: float = 0.0
    overlap: float = 0.0
    weaker_db: tuple[float, float] = (3.0, 15.0)

    def __post_init__(self) -> None:
        for name in ("paths", "offset", "phase_noise", "overlap"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name}={getattr(self, name)}: must be a number, 0 or more")
        if not 0 < self.spread < math.inf:
            raise ValueError(f"spread={self.spread} samples: must be positive")
        if self.offset > 0.5 or self.overlap > 1:
            raise ValueError(
                f"offset={self.offset}, overlap={self.overlap}: at most 0.5 cycles per sample, and a share"
            )
        if not 0 <= self.weaker_db[0] <= self.weaker_db[1] < math.inf:
            raise ValueError(f"weaker_db={self.weaker_db}: the second pulse needs two numbers from 0 on, in order")

    def apply(self, signals: Windows, rng: np.random.Generator) -> Windows:
        """The windows `(windows, samples)` after paths and oscillators."""
        if self.paths:
            signals = through_paths(signals, self.paths, self.spread, rng)
        if self.offset:
            signals = off_tune(signals, self.offset, rng)
        if self.phase_noise:
            signals = with_phase_noise(signals, self.phase_noise, rng)
        return signals

    def weakened(self, others: Windows, rng: np.random.Generator) -> Windows:
        """The second pulses as they are added: zero where none is, else weaker by a uniform number of dB."""
        present = rng.random((len(others), 1)) < self.overlap
        gain = 10 ** (-rng.uniform(*self.weaker_db, (len(others), 1)) / 20)
        return others * (present * gain).astype(np.float32)
