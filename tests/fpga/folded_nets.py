"""The two networks that folding is measured with, with random weights."""

import numpy as np

from shared.integer import AveragePool, Constant, Conv1d, Flatten, Input, Linear, Program, Requantise
from shared.integer.format import Format

S8, U8 = Format(8, 6), Format(8, 3, signed=False)


def layer(rng, name, x, shape, fraction, *geometry):
    """A weighted operation and a ReLU; a convolution if the shape has a kernel."""
    weight = Constant(rng.integers(-128, 128, shape), S8)
    bias = Constant(rng.integers(-4096, 4096, shape[0]), Format(32, fraction + 6))
    kind = Linear if len(shape) == 2 else Conv1d
    return kind((x,), f"sum_{name}", weight, bias, *geometry), Requantise((f"sum_{name}",), name, U8)


def estimator():
    """The 832-parameter channel estimator: 17 to 24 to 16."""
    rng = np.random.default_rng(0)
    steps = (*layer(rng, "a", "x", (24, 17), 5), *layer(rng, "y", "a", (16, 24), 3))
    return Program((Input("x", (17,), Format(8, 5)),), steps, ("y",))


def radar():
    """A 10k-parameter network on (2, 1024): four strided convolutions, an average, a linear layer."""
    rng = np.random.default_rng(0)
    shapes = ((12, 2, 7), (24, 12, 5), (32, 24, 5), (40, 32, 3))
    steps, x, fraction = [], "x", 6
    for n, (shape, stride) in enumerate(zip(shapes, (4, 2, 2, 2), strict=True)):
        steps += layer(rng, f"r{n}", x, shape, fraction, (stride,), (shape[2] // 2,))
        x, fraction = f"r{n}", 3
    steps += [AveragePool((x,), "p", (32,)), Requantise(("p",), "q", U8), Flatten(("q",), "f")]
    return Program((Input("x", (2, 1024), Format(8, 6)),), (*steps, *layer(rng, "y", "f", (6, 40), 3)), ("y",))
