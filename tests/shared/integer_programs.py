"""Random integer programs that use every operation, for the laws of several tests."""

import numpy as np

from shared.integer import (
    Add,
    AveragePool,
    Clip,
    Constant,
    Conv1d,
    Conv2d,
    Flatten,
    Input,
    Linear,
    MaxPool,
    PixelShuffle,
    Program,
    Requantise,
)
from shared.integer.format import Format

U8, S8 = Format(8, 6, signed=False), Format(8, 5)


def constant(rng, shape, format=S8):
    return Constant(rng.integers(format.low, format.high + 1, shape), format)


def bias(rng, out, fraction):
    return Constant(rng.integers(-(2**12), 2**12, out), Format(32, fraction))


def dense(seed=0):
    """Two layers, a ReLU between."""
    rng = np.random.default_rng(seed)
    return Program(
        (Input("x", (7,), S8),),
        (
            Linear(("x",), "a", constant(rng, (6, 7)), bias(rng, 6, 10)),
            Requantise(("a",), "b", Format(8, 3, signed=False)),
            Linear(("b",), "y", constant(rng, (3, 6))),
        ),
        ("y",),
    )


def line(seed=0):
    """One-dimensional: a strided convolution, a depthwise one, a residual addition, both pools."""
    rng = np.random.default_rng(seed)
    return Program(
        (Input("x", (2, 23), S8),),
        (
            Conv1d(("x",), "a", constant(rng, (4, 2, 3)), bias(rng, 4, 10), (2,), (1,)),
            Requantise(("a",), "b", Format(8, 4, signed=False)),
            Conv1d(("b",), "c", constant(rng, (4, 1, 5)), bias(rng, 4, 9), padding=(2,), groups=4),
            Requantise(("c",), "d", Format(8, 3)),
            Add(("b", "d"), "e"),
            Requantise(("e",), "f", U8),
            MaxPool(("f",), "g", (2,)),
            AveragePool(("g",), "h", (3,), (2,)),
            Requantise(("h",), "i", Format(8, 7, signed=False)),
            Flatten(("i",), "j"),
            Linear(("j",), "y", constant(rng, (5, 8)), bias(rng, 5, 12)),
        ),
        ("y",),
    )


def image(seed=0):
    """Two-dimensional, with groups, uneven kernels and strides, and two outputs."""
    rng = np.random.default_rng(seed)
    return Program(
        (Input("x", (3, 9, 8), U8),),
        (
            Conv2d(("x",), "a", constant(rng, (4, 3, 3, 2)), bias(rng, 4, 11), (1, 2), (1, 0)),
            Requantise(("a",), "b", U8),
            Conv2d(("b",), "c", constant(rng, (6, 2, 3, 3)), None, (2, 1), (0, 1), groups=2),
            Requantise(("c",), "d", Format(8, -2)),
            MaxPool(("d",), "e", (2, 2), (1, 1)),
            AveragePool(("e",), "f", (3, 3)),
            Requantise(("f",), "g", Format(8, 0)),
            Flatten(("g",), "h"),
            Linear(("h",), "y", constant(rng, (2, 6)), bias(rng, 2, 5)),
        ),
        ("y", "e"),
    )


def clipped(seed=0):
    """A ReLU6 between two layers, and limits on both sides of zero."""
    rng = np.random.default_rng(seed)
    return Program(
        (Input("x", (7,), S8),),
        (
            Linear(("x",), "a", constant(rng, (6, 7)), bias(rng, 6, 10)),
            Requantise(("a",), "b", Format(8, 3, signed=False)),
            Clip(("b",), "c", 0, 48),
            Linear(("c",), "d", constant(rng, (5, 6)), bias(rng, 5, 8)),
            Requantise(("d",), "e", Format(8, 0)),
            Clip(("e",), "y", -100, 20),
        ),
        ("y",),
    )


def enlarged(seed=0):
    """Pixels laid out as squares, of bytes and of sums, and the image itself added to them."""
    rng = np.random.default_rng(seed)
    return Program(
        (Input("x", (1, 4, 5), S8),),
        (
            Conv2d(("x",), "a", constant(rng, (8, 1, 3, 3)), bias(rng, 8, 10), padding=(1, 1)),
            Requantise(("a",), "b", U8),
            PixelShuffle(("b",), "c", 2),
            Conv2d(("c",), "d", constant(rng, (9, 2, 1, 1))),
            Conv2d(("x",), "e", constant(rng, (4, 1, 1, 1)), bias(rng, 4, 10)),
            PixelShuffle(("e",), "f", 2),
            PixelShuffle(("d",), "y", 3),
        ),
        ("y", "f"),
    )


PROGRAMS = {"enlarged": enlarged, "dense": dense, "line": line, "image": image, "clipped": clipped}


def samples(program, count, seed=0):
    """Integers over the whole range of each input, its ends included."""
    rng = np.random.default_rng(seed)
    arrays = []
    for given in program.inputs:
        array = rng.integers(given.format.low, given.format.high + 1, (count, *given.shape))
        array[0], array[1] = given.format.low, given.format.high
        arrays.append(array)
    return arrays
