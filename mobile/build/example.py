"""A small net with every kind of layer, for help, tests and first steps."""

import numpy as np

from shared.integer import Add, AveragePool, Constant, Conv2d, Flatten, Input, Linear, Program, Requantise
from shared.integer.format import Format

U8, S8 = Format(8, 4, signed=False), Format(8, 7)


def example(rng: np.random.Generator) -> Program:
    """Convolutions of 8 x 8 pixels, one with a quarter of its 2 x 4 blocks, a shortcut, a classifier of ten."""

    def weight(*shape: int, kept: float = 1.0) -> Constant:
        blocks = np.repeat(np.repeat(rng.random((-(-shape[0] // 2), -(-shape[1] // 4))) < kept, 2, 0), 4, 1)
        mask = blocks[: shape[0], : shape[1]].reshape(*shape[:2], *(1,) * (len(shape) - 2))
        return Constant(rng.integers(-64, 64, shape) * mask, S8)

    return Program(
        (Input("x", (3, 8, 8), Format(8, 7)),),
        (
            Conv2d(("x",), "stem_sum", weight(16, 3, 3, 3), None, (1, 1), (1, 1)),
            Requantise(("stem_sum",), "stem", U8),
            Conv2d(("stem",), "depthwise_sum", weight(16, 1, 3, 3), None, (1, 1), (1, 1), 16),
            Requantise(("depthwise_sum",), "depthwise", U8),
            Conv2d(("depthwise",), "pointwise_sum", weight(16, 16, 1, 1, kept=0.25)),
            Requantise(("pointwise_sum",), "pointwise", Format(8, 4)),
            Add(("stem", "pointwise"), "shortcut_sum"),
            Requantise(("shortcut_sum",), "shortcut", U8),
            AveragePool(("shortcut",), "pooled_sum", (8, 8)),
            Requantise(("pooled_sum",), "pooled", U8),
            Flatten(("pooled",), "features"),
            Linear(("features",), "y", weight(10, 16)),
        ),
        ("y",),
    )
