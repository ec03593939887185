"""From a recipe to windows: in blocks of constant size, so that the last costs what the first does."""

import hashlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.core.task import Progress
from wireless.radar.channel.effects import Windows, with_noise
from wireless.radar.datasets.recipe import Recipe
from wireless.radar.waveforms.catalogue import WAVEFORMS
from wireless.radar.waveforms.pulses import pulses

EACH = 32
"""Windows of each class in a block: their arrays stay in a core's cache."""


class Windowed(NamedTuple):
    """Windows with their labels, in order."""

    samples: Windows
    """complex64 `(windows, samples)`."""
    labels: NDArray[np.int64]
    """Indices into the recipe's classes."""
    snr_db: NDArray[np.float64]


def blocks(recipe: Recipe) -> Iterator[Windowed]:
    """The set of a recipe in blocks, each sampled by a generator of its own; the last is as long as is left."""
    each = EACH * len(recipe.classes)
    for number, begin in enumerate(range(0, recipe.count, each)):
        left = min(each, recipe.count - begin)
        samples, labels, snr_db = _block(recipe, number)
        yield Windowed(samples[:left], labels[:left], snr_db[:left])


def generate(recipe: Recipe, progress: Progress | None = None) -> Windowed:
    """The whole set of a recipe, in memory.

    >>> generate(Recipe(count=30, classes=("cw", "p4"))).samples.shape
    (30, 1024)
    """
    samples = np.empty((recipe.count, recipe.samples), np.complex64)
    labels, snr_db, done = np.empty(recipe.count, np.int64), np.empty(recipe.count), 0
    for block in blocks(recipe):
        chosen = slice(done, done + len(block.labels))
        samples[chosen], labels[chosen], snr_db[chosen] = block
        done = chosen.stop
        if progress is not None:
            progress(done, recipe.count, "generating pulses")
    return Windowed(samples, labels, snr_db)


def digest(recipe: Recipe) -> str:
    """The SHA-256 of a recipe's samples and labels, window after window: whoever rebuilds the set can compare it."""
    hashed = hashlib.sha256()
    for block in blocks(recipe):
        hashed.update(block.samples.astype("<c8").tobytes())
        hashed.update(block.labels.astype("<i8").tobytes())
    return hashed.hexdigest()


def _block(recipe: Recipe, number: int) -> Windowed:
    rng = recipe.rng(number)
    classes, channel = len(recipe.classes), recipe.channel
    shape = EACH * classes, recipe.samples
    signals = _clean(recipe, rng, np.arange(classes), shape)
    if channel.overlap:
        signals += channel.weakened(_clean(recipe, rng, rng.permutation(classes), shape), rng)
    signals = channel.apply(signals, rng)
    snr_db = _snr_db(recipe, number, shape[0], rng)
    return Windowed(with_noise(signals, snr_db, rng), np.tile(np.arange(classes), EACH), snr_db)


def _clean(recipe: Recipe, rng: np.random.Generator, order: NDArray[np.int64], shape: tuple[int, int]) -> Windows:
    """Pulses of the classes in turn, in this order."""
    signals = np.empty(shape, np.complex64)
    for at, label in enumerate(order):
        waveform = WAVEFORMS[recipe.classes[label]]
        signals[at :: len(order)] = pulses(waveform, EACH, recipe.samples, rng, recipe.part, recipe.widths).samples
    return signals


def _snr_db(recipe: Recipe, number: int, count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Of each window: of the grid in turn, a whole round of the classes at each; else uniform."""
    if not recipe.grid:
        low, high = recipe.snr_db
        return rng.uniform(low, high, count)
    turn = (number * count + np.arange(count)) // len(recipe.classes)
    snr_db: NDArray[np.float64] = np.array(recipe.snr_db)[turn % len(recipe.snr_db)]
    return snr_db
