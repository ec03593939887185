"""Proven ranges are what inputs can reach: no less, or an accumulator overflows; no more, or hardware is too wide."""

from itertools import product

import numpy as np
import pytest

from shared.integer import (
    Add,
    AveragePool,
    Clip,
    Constant,
    Conv1d,
    Flatten,
    Input,
    Linear,
    MaxPool,
    Program,
    Requantise,
    run,
)
from shared.integer.format import Format
from shared.integer.operations import Value

U2, S3 = Format(2, 1, signed=False), Format(3, 0)


def reached(program):
    """The least and largest integer of every value, over all inputs that there are."""
    (input,) = program.inputs
    numbers = range(input.format.low, input.format.high + 1)
    every = np.array(list(product(numbers, repeat=int(np.prod(input.shape)))))
    values = run(program, every.reshape(-1, *input.shape))
    return {name: (int(array.min()), int(array.max())) for name, array in values.items()}


@pytest.mark.parametrize("format", [S3, U2])
@pytest.mark.parametrize(
    "steps",
    [
        lambda: [Requantise(("x",), "y", Format(8, -1))],
        lambda: [Requantise(("x",), "y", Format(9, 3))],
        lambda: [Requantise(("x",), "y", Format(2, 0))],
        lambda: [Requantise(("x",), "y", Format(8, 0, signed=False))],
        lambda: [Clip(("x",), "y", 0, 1)],
        lambda: [Requantise(("x",), "h", Format(8, 4)), Clip(("h",), "y", 3, 5)],
        lambda: [Requantise(("x",), "h", Format(2, 1)), Add(("x", "h"), "y")],
        lambda: [MaxPool(("x",), "y", (3,))],
        lambda: [AveragePool(("x",), "y", (3,))],
        lambda: [Flatten(("x",), "y")],
    ],
)
def test_a_range_is_the_one_that_all_inputs_reach(format, steps):
    program = Program((Input("x", (1, 3), format),), tuple(steps()), ("y",))
    ends = reached(program)
    for name, value in program.values.items():
        if not any(isinstance(step, Add) for step in program.operations) or name != "y":
            assert (value.low, value.high) == ends[name], name
    if any(isinstance(step, Add) for step in program.operations):  # of terms as if they did not move together
        x, h = program.values["x"], program.values["h"]
        i, j = (2 ** (program.values["y"].format.fraction - term.format.fraction) for term in (x, h))
        assert program.values["y"][2:] == (x.low * i + h.low * j, x.high * i + h.high * j)


def partial_sums(weight, bias, low, high):
    """The least and largest of all sums of some of the products, with or without the bias, of any output."""
    ends = []
    for row, start in zip(weight, bias, strict=True):
        terms = [(0, start), *((0, w * low, w * high) for w in row)]
        ends += [sum(map(min, terms)), sum(map(max, terms))]
    return min(ends), max(ends)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("low", "high"), [(-4, 3), (2, 3), (-3, -1), (0, 3)])
def test_a_sum_s_range_covers_every_partial_sum_and_no_more(low, high, seed):
    """The range of an input away from zero too: a term that is not yet added counts as 0."""
    rng = np.random.default_rng(seed)
    weight, bias = rng.integers(-4, 4, (2, 3)), rng.integers(-9, 9, 2)
    x = Value((3,), S3, low, high)
    for constant in (None, Constant(bias, Format(32, 0))):
        step = Linear(("x",), "y", Constant(weight, S3), constant)
        sums = weight.tolist(), ([0, 0] if constant is None else bias.tolist())
        assert step.infer(x)[2:] == partial_sums(*sums, low, high)
        conv = Conv1d(("x",), "y", Constant(weight[:, :, None], S3), constant)
        assert conv.infer(x._replace(shape=(3, 4)))[2:] == partial_sums(*sums, low, high)


def test_a_sum_that_passes_32_bits_on_either_side_gets_a_wider_word():
    ends = 1 << 31
    for low, high in ((-ends, ends - 1), (0, 0)):
        assert Value.exact((1,), 0, low, high).format.word == 32
    for low, high in ((-ends - 1, 0), (0, ends)):
        assert Value.exact((1,), 0, low, high).format.word == 53
    for low, high in ((-(1 << 52) - 1, 0), (0, 1 << 52)):
        with pytest.raises(ValueError, match=r"^sums may reach .*, beyond 53 bits: fewer inputs or narrower words$"):
            Value.exact((1,), 0, low, high)


@pytest.mark.parametrize(("reach", "word", "fraction"), [(7, 3, -61), (1, 1, -62)])
def test_a_requantise_shifts_within_64_bits_and_not_beyond(reach, word, fraction):
    x = Value((1,), Format(53, 0), 0, reach)
    assert Requantise(("x",), "y", Format(8, fraction)).infer(x).high == 0
    with pytest.raises(ValueError, match=r"^a shift by 63 bits does not fit 64-bit integers$"):
        Requantise(("x",), "y", Format(8, -63)).infer(x)
    left = 63 - word
    with pytest.raises(ValueError, match=rf"^a shift by -{left} bits does not fit 64-bit integers$"):
        Requantise(("x",), "y", Format(8, left)).infer(x._replace(high=1 << word))
    assert Requantise(("x",), "y", Format(8, left)).infer(x).high == 127
    with pytest.raises(ValueError, match=r"does not fit 64-bit integers$"):  # the lower end counts as well
        Requantise(("x",), "y", Format(8, left)).infer(x._replace(low=-(1 << word)))
