"""A recipe: everything that a set follows from. The same recipe is the same set, to the bit."""

import dataclasses
import math
from dataclasses import dataclass, field

import numpy as np

from shared.lab import JSON, canonical, hash_bytes, to_json_data
from wireless.radar.channel.channel import Channel
from wireless.radar.waveforms.catalogue import TWELVE, waveform
from wireless.radar.waveforms.pulses import SHORTEST_WINDOW
from wireless.radar.waveforms.ranges import Part, require_part

GENERATOR = 1
"""Raised where a change of code changes the samples of a recipe."""


@dataclass(frozen=True)
class Recipe:
    """`count` windows of `samples` complex samples, with a pulse each.

    - `classes`: taken in turn, so that each has as many windows, up to one.
    - `snr_db`: of the pulse while it lasts, in the whole band; the numbers of a `grid` are taken in turn with the
      classes, else two numbers are the ends of a range, uniform.
    - `part`: which values continuous parameters take; `train` and `test` have none in common.
    - `widths`: of pulses in samples, where no code sets them; by default from half the window to all of it.

    Raises `ValueError` for unknown classes and numbers that make no set.

    >>> Recipe(count=24).identity == Recipe(count=24).identity != Recipe(count=24, seed=1).identity
    True
    """

    count: int
    classes: tuple[str, ...] = TWELVE
    samples: int = 1024
    snr_db: tuple[float, ...] = (-16.0, 10.0)
    grid: bool = False
    part: Part = "all"
    widths: tuple[int, ...] = ()
    channel: Channel = field(default_factory=Channel)
    seed: int = 0

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ValueError(f"count={self.count}: a set needs a window")
        if not self.classes or len(set(self.classes)) < len(self.classes):
            raise ValueError(f"classes={', '.join(self.classes) or 'none'}: needs one at least, each once")
        for name in self.classes:
            waveform(name)
        if not SHORTEST_WINDOW <= self.samples <= 1 << 20:
            raise ValueError(f"samples={self.samples}: a window has {SHORTEST_WINDOW} to {1 << 20}")
        if not self.snr_db or not all(map(math.isfinite, self.snr_db)):
            raise ValueError(f"snr_db={self.snr_db}: needs finite numbers, in dB")
        if not self.grid and (len(self.snr_db) != 2 or self.snr_db[0] > self.snr_db[1]):
            raise ValueError(f"snr_db={self.snr_db}: a range has two ends in order; for single values take grid=True")
        require_part(self.part)
        if not all(1 <= width <= self.samples for width in self.widths):
            raise ValueError(f"widths={self.widths}: a pulse has 1 to {self.samples} samples, as many as its window")
        if self.seed < 0:
            raise ValueError(f"seed={self.seed}: must be 0 or more")

    def to_json_data(self) -> dict[str, JSON]:
        """Every field, as JSON data."""
        return dict(to_json_data({**dataclasses.asdict(self), "generator": GENERATOR}, "recipe"))

    def with_seed(self, seed: int) -> "Recipe":
        """The same recipe for other pulses."""
        return dataclasses.replace(self, seed=seed)

    def with_count(self, count: int) -> "Recipe":
        """The same recipe with so many windows: of two such sets the longer begins with the shorter."""
        return dataclasses.replace(self, count=count)

    @property
    def identity(self) -> str:
        """The SHA-256 of the recipe."""
        return hash_bytes(canonical(self.to_json_data()).encode())

    def rng(self, block: int) -> np.random.Generator:
        """What a block is sampled from: of the recipe without its count, so that a longer set begins as a shorter one.

        SFC64 makes a Gaussian in four fifths of the time that NumPy's default takes.
        """
        begun = hash_bytes(canonical(self.to_json_data() | {"count": 0}).encode())
        return np.random.Generator(np.random.SFC64([int(begun, 16), block]))
