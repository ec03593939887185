"""A tiny net to try a flow on, small enough for every device and every step of verification."""

import numpy as np

from shared.integer import Constant, Input, Linear, Program, Requantise
from shared.integer.format import Format


def example(rng: np.random.Generator) -> Program:
    """Layers of 8, 6 and 3 units with random weights of 4 bits.

    >>> [operation.output for operation in example(np.random.default_rng(0)).operations]
    ['hidden', 'relu', 'scores', 'y']
    """
    word = Format(4, 2)

    def weights(*shape: int) -> Constant:
        return Constant(rng.integers(word.low, word.high + 1, shape), word)

    steps = (
        Linear(("x",), "hidden", weights(6, 8)),
        Requantise(("hidden",), "relu", Format(4, 1, signed=False)),
        Linear(("relu",), "scores", weights(3, 6)),
        Requantise(("scores",), "y", Format(8, 3)),
    )
    return Program((Input("x", (8,), word),), steps, ("y",))
