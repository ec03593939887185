"""Programs of several random layers side by side: many kernels for one compilation."""

import numpy as np
from hypothesis import strategies as st

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
    Program,
    Requantise,
)
from shared.integer.format import Format

SIZES = st.sampled_from((1, 2, 3, 4, 5, 7, 8, 9, 13, 16, 17, 21))
CHANNELS = st.sampled_from((1, 2, 3, 4, 5, 6, 8, 11, 12, 16))
SIGNS = st.booleans()
SEEDS = st.integers(0, 2**32 - 1)


@st.composite
def weighted(draw, name):
    """A convolution or matrix product, some of whose blocks are zero; most sums are rounded to 8 bits."""
    rng = np.random.default_rng(draw(SEEDS))
    axes = draw(st.sampled_from((0, 1, 2, 2, 2)))
    kernel = tuple(draw(st.integers(1, 3)) for _ in range(axes))
    stride = tuple(draw(st.integers(1, 3)) for _ in range(axes))
    padding = tuple(draw(st.integers(0, 2)) for _ in range(axes))
    shape = tuple(max(draw(SIZES), k) for k in kernel)
    groups = draw(st.sampled_from((1, 1, 1, 2, 3, "depthwise"))) if axes else 1
    if groups == "depthwise":
        groups = draw(CHANNELS)
        inputs, outputs = groups, groups * draw(st.sampled_from((1, 1, 2)))
    else:
        inputs, outputs = draw(CHANNELS) * groups, draw(CHANNELS) * groups
    signed = draw(SIGNS)
    x = Input(f"{name}_x", (inputs, *shape), Format(8, 4, signed))
    weight = rng.integers(-128, 128, (outputs, inputs // groups, *kernel))
    weight[rng.random(weight.shape[:2]) < draw(st.sampled_from((0.0, 0.5, 0.9, 1.0)))] = 0
    bias = Constant(rng.integers(-(2**20), 2**20, outputs), Format(32, 11)) if draw(SIGNS) else None
    names = ((x.name,), f"{name}_sum", Constant(weight, Format(8, 7)), bias)
    layer = (Linear, Conv1d, Conv2d)[axes]
    operation = layer(*names, stride=stride, padding=padding, groups=groups) if axes else layer(*names)
    if not draw(st.integers(0, 4)):
        return x, (operation,), operation.output
    to = Format(draw(st.integers(2, 8)), draw(st.integers(-4, 14)), draw(SIGNS))
    rounded = Requantise((operation.output,), f"{name}_y", to)
    return x, (operation, rounded), rounded.output


@st.composite
def elementwise(draw, name):
    """A sum or pool of 8 bits, rounded to any word and fraction, clipped, flattened."""
    axes = draw(st.integers(1, 2))
    shape = (draw(CHANNELS), *(draw(SIZES) for _ in range(axes)))
    x = Input(f"{name}_x", shape, Format(8, draw(st.integers(-3, 9)), draw(SIGNS)))
    kind = draw(st.sampled_from(("add", "average", "largest", "none")))
    operations, last = [], x.name
    if kind == "add":
        half = Requantise(
            (x.name,), f"{name}_half", Format(draw(st.integers(2, 8)), draw(st.integers(-3, 9)), draw(SIGNS))
        )
        operations = [half, Add((half.output, x.name), f"{name}_a")]
    elif kind != "none":
        size = tuple(draw(st.integers(1, n)) for n in shape[1:])
        stride = tuple(draw(st.integers(1, 3)) for _ in size)
        operations = [(AveragePool if kind == "average" else MaxPool)((x.name,), f"{name}_a", size, stride)]
    if operations:
        last = operations[-1].output
    for k in range(draw(st.integers(1, 2))):
        word = draw(st.integers(2, 32))
        to = Format(word, draw(st.integers(-30, 40)), draw(SIGNS) or word > 31)
        operations.append(Requantise((last,), f"{name}_r{k}", to))
        last = operations[-1].output
    if draw(SIGNS):
        low, high = sorted((draw(st.integers(to.low, to.high)), draw(st.integers(to.low, to.high))))
        operations.append(Clip((last,), f"{name}_c", low, high))
        last = operations[-1].output
    if draw(SIGNS):
        operations.append(Flatten((last,), f"{name}_f"))
        last = operations[-1].output
    return x, tuple(operations), last


@st.composite
def programs(draw, branch, count):
    """`count` branches in one program. A branch that no program may hold is left out."""
    inputs, operations, outputs = [], [], []
    for k in range(count):
        x, steps, last = draw(branch(f"b{k}"))
        try:
            Program((x,), steps, (last,))
        except ValueError:
            continue
        inputs.append(x)
        operations += steps
        outputs.append(last)
    if not inputs:
        x = Input("x", (1,), Format(8, 0))
        return Program((x,), (Requantise(("x",), "y", Format(8, 0)),), ("y",))
    return Program(tuple(inputs), tuple(operations), tuple(outputs))
