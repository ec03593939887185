"""What a parameter of a pulse may be, and how its values are parted between training and test."""

import abc
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

Part = Literal["all", "train", "test"]
"""Which values of continuous parameters a set takes: the train and test parts of a range have no value in common."""

Values = NDArray[Any]

STRIPS = 10
"""Equal strips that a range is cut into; every fifth of them is for tests."""
_TEST = (2, 7)
_OF_PART = {
    "train": np.array([strip for strip in range(STRIPS) if strip not in _TEST]),
    "test": np.array(_TEST),
}


def require_part(part: str) -> None:
    """Raises `ValueError` for a part that does not exist."""
    if part not in get_args(Part):
        raise ValueError(f"part={part!r}: must be one of {', '.join(get_args(Part))}")


class AbstractRange(abc.ABC):
    """The values of a parameter."""

    @abc.abstractmethod
    def sample(self, count: int, rng: np.random.Generator, part: Part = "all") -> Values:
        """So many of them, `(count,)`."""


@dataclass(frozen=True)
class Uniform(AbstractRange):
    """Real numbers from `low` to `high`.

    >>> rng = np.random.default_rng(0)
    >>> bool((Uniform(0.0, 1.0).sample(1000, rng, "test") * 10 // 1 % 5 == 2).all())
    True
    """

    low: float
    high: float

    def sample(self, count: int, rng: np.random.Generator, part: Part = "all") -> Values:
        share = rng.random(count)
        if part != "all":
            strips = _OF_PART[part]
            share = (strips[rng.integers(len(strips), size=count)] + share) / STRIPS
        return self.low + (self.high - self.low) * share


@dataclass(frozen=True)
class Integers(AbstractRange):
    """Whole numbers from `low` to `high`, both included; parted as `Uniform` is, so there are at least ten of them."""

    low: int
    high: int

    def sample(self, count: int, rng: np.random.Generator, part: Part = "all") -> Values:
        if part == "all":
            return rng.integers(self.low, self.high + 1, count)
        edges = np.ceil(np.linspace(self.low, self.high + 1, STRIPS + 1)).astype(int)
        strip = _OF_PART[part][rng.integers(len(_OF_PART[part]), size=count)]
        values: Values = rng.integers(edges[strip], edges[strip + 1])
        return values


@dataclass(frozen=True)
class Choice(AbstractRange):
    """One of a few values, such as the order of a code. A part without one of them would lack a code: all parts have
    all values."""

    values: Sequence[float]

    def sample(self, count: int, rng: np.random.Generator, part: Part = "all") -> Values:
        values: Values = np.asarray(self.values)[rng.integers(len(self.values), size=count)]
        return values
