"""What a class of pulses is: ranges of its parameters, and the law of its phase."""

import abc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wireless.radar.waveforms.ranges import AbstractRange, Choice, Integers, Part, Uniform

Column = NDArray[Any]
"""A number of each pulse, `(pulses, 1)`."""
Parameters = Mapping[str, Column]
Turns = NDArray[np.float64]
"""Phases in turns, `(pulses, samples)`."""
Law = Callable[[Turns, Parameters], Turns]
"""From the sample in the pulse, `(pulses, samples)` from 0 on, to the phase without the carrier's, in turns."""

CARRIER = Uniform(1 / 6, 1 / 5)
"""Cycles per sample: the range of the literature, equal for all classes: some differ in little else."""
SHORTEST = 2
"""A window holds a pulse of half its length at least, where the class does not set the length."""


@dataclass(frozen=True)
class AbstractWaveform(abc.ABC):
    """A class of pulses of constant amplitude (noise excepted), described by the phase of every sample."""

    name: str
    title: str
    """In the words of the field."""
    source: str
    """The textbook's definition."""
    ranges: Mapping[str, AbstractRange]
    """Of every parameter; `carrier` is in cycles per sample."""

    def parameters(
        self, count: int, samples: int, rng: np.random.Generator, part: Part = "all", widths: Sequence[int] = ()
    ) -> dict[str, Column]:
        """Parameters of so many pulses for windows of so many samples, `(count, 1)` each.

        `width` is in samples, `carrier` in cycles per sample; the others are those of `ranges`. Where a code does not
        set the width it is one of `widths`, or without them anything from half the window to all of it.
        """
        range_of_width = Choice(widths) if widths else Integers(samples // SHORTEST, samples)
        ranges = {**self.ranges, "width": range_of_width}
        sampled = {name: range_.sample(count, rng, part)[:, None] for name, range_ in ranges.items()}
        return {**sampled, **self.timing(sampled, samples, rng, part)}

    def timing(self, sampled: Parameters, samples: int, rng: np.random.Generator, part: Part) -> dict[str, Column]:
        """What follows from the other parameters and the window."""
        return {}

    @abc.abstractmethod
    def turns(self, k: Turns, p: Parameters) -> Turns:
        """The phase in turns at sample `k` of each pulse, 0 to `width` - 1, without the carrier's."""

    def amplitude(self, shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float32] | None:
        """The magnitude at each sample; None where it is 1."""
        return None


@dataclass(frozen=True)
class Modulated(AbstractWaveform):
    """A class whose phase is a formula of time."""

    law: Law = field(kw_only=True)

    def turns(self, k: Turns, p: Parameters) -> Turns:
        return self.law(k, p)


@dataclass(frozen=True)
class Coded(AbstractWaveform):
    """A class whose phase is held for each chip of one of a few codes.

    A chip lasts `cycles` of the carrier, rounded to samples, less where the code would not fit the window.
    """

    codes: Sequence[NDArray[np.float64]] = field(kw_only=True)
    """Phases in turns, one array per code."""
    cycles: tuple[int, ...] = field(kw_only=True)

    def timing(self, sampled: Parameters, samples: int, rng: np.random.Generator, part: Part) -> dict[str, Column]:
        count = len(sampled["carrier"])
        code = rng.integers(len(self.codes), size=(count, 1))
        return self.timed(code, Choice(self.cycles).sample(count, rng)[:, None], sampled["carrier"], samples)

    def timed(self, code: Column, cycles: Column, carrier: Column, samples: int) -> dict[str, Column]:
        """The parameters that follow for these codes, by index, in windows of so many samples."""
        chips = np.array([len(code) for code in self.codes])[code]
        chip = np.minimum(np.rint(cycles / carrier), samples // chips).astype(np.int64)
        return {"code": code, "cycles": cycles, "chip": chip, "width": chips * chip}

    def turns(self, k: Turns, p: Parameters) -> Turns:
        longest = max(map(len, self.codes))
        table = np.stack([np.pad(code, (0, longest - len(code))) for code in self.codes])
        turns: Turns = table.take(chip_at(k, p["chip"]) + p["code"] * longest, mode="clip")
        return turns


@dataclass(frozen=True)
class RandomCoded(AbstractWaveform):
    """A class whose chips are random phases of `states`, a new code for each pulse."""

    states: int = field(kw_only=True)
    chip: Integers = field(kw_only=True)
    """Samples of a chip."""

    def timing(self, sampled: Parameters, samples: int, rng: np.random.Generator, part: Part) -> dict[str, Column]:
        count = len(sampled["carrier"])
        chip = self.chip.sample(count, rng, part)[:, None]
        width = sampled["width"] // chip * chip
        return {"chip": chip, "width": width, "code": rng.integers(self.states, size=(count, samples // self.chip.low))}

    def turns(self, k: Turns, p: Parameters) -> Turns:
        phases: Turns = np.take_along_axis(p["code"] / self.states, chip_at(k, p["chip"]), 1)
        return phases


@dataclass(frozen=True)
class NoiseRadar(AbstractWaveform):
    """Complex Gaussian noise: a random phase and a Rayleigh amplitude at every sample."""

    def timing(self, sampled: Parameters, samples: int, rng: np.random.Generator, part: Part) -> dict[str, Column]:
        return {"phases": rng.random((len(sampled["carrier"]), samples))}

    def turns(self, k: Turns, p: Parameters) -> Turns:
        phases: Turns = np.take_along_axis(p["phases"], k.astype(np.int64), 1)
        return phases

    def amplitude(self, shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float32] | None:
        return np.sqrt(rng.standard_exponential(shape, np.float32))


def chip_at(k: Turns, chip: Column) -> NDArray[np.int64]:
    """The chip that sample `k` belongs to; half a sample keeps the quotient away from whole numbers."""
    return ((k + 0.5) / chip).astype(np.int64)
