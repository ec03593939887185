"""Images with an anchor are one kernel's work, and what it computes is the program's integers."""

import numpy as np
import pytest

from mobile.build.check import stimuli
from mobile.build.compile import compile_program
from mobile.lowering.calls import Add as AddCall
from mobile.lowering.calls import Shuffle
from mobile.lowering.lower import lower
from shared.integer import Add, Constant, Conv2d, Input, PixelShuffle, Program, Requantise, Resample, outputs
from shared.integer.format import Format


def constant(integers, word=8, fraction=0):
    return Constant(np.asarray(integers), Format(word, fraction))


def enlarged(name, x, channels, factor, rows, columns, by):
    """Each pixel as a square: by ones and a shuffle, or by places."""
    if by == "places":
        ones = [constant(np.ones((n * factor, 1), int)) for n in (rows, columns)]
        places = [constant(np.arange(n * factor)[:, None] // factor, 16) for n in (rows, columns)]
        return [Resample((x,), name, places[0], ones[0], places[1], ones[1])]
    weight = 32 * np.ones((channels * factor**2, 1, 1, 1), int)
    repeated = Conv2d((x,), f"{name}_ones", constant(weight, fraction=5), groups=channels)
    return [repeated, PixelShuffle((repeated.output,), name, factor)]


def program(rng, channels, factor, size, form, signed, to=None, swap=False, wide=True):
    rows, columns = size
    weight = rng.integers(-100, 100, (channels * factor**2, channels, 1, 1))
    steps = [Conv2d(("x",), "sums", constant(weight, fraction=7))]
    if not wide:
        steps.append(Requantise(("sums",), "image", Format(8, 3)))
    image = steps[-1].output
    if form == "early":
        more = enlarged("large", "x", channels, factor, rows, columns, "ones")[:1]
        terms = (image, more[0].output)
        steps += [*more, Add(terms[::-1] if swap else terms, "sum"), PixelShuffle(("sum",), "y", factor)]
    else:
        more = enlarged("large", "x", channels, factor, rows, columns, form)
        terms = ("square", "large")
        steps += [PixelShuffle((image,), "square", factor), *more, Add(terms[::-1] if swap else terms, "y")]
    if to is not None:
        steps.append(Requantise(("y",), "z", to))
    return Program((Input("x", (channels, rows, columns), Format(8, 4, signed)),), tuple(steps), (steps[-1].output,))


CASES = [  # channels, factor, size, form, signed, rounded to, swapped, of 32-bit sums
    (3, 2, (5, 37), "ones", True, None, False, True),
    (5, 2, (3, 70), "places", False, Format(8, 3), True, True),
    (1, 3, (4, 9), "early", False, Format(8, 4, signed=False), False, True),
    (2, 4, (3, 19), "early", True, None, True, True),
    (6, 6, (2, 5), "ones", True, Format(16, 9), False, True),
    (4, 1, (3, 8), "places", False, None, False, False),
    (7, 3, (2, 6), "ones", False, Format(8, 2), True, False),
    (2, 64, (1, 3), "ones", False, None, False, True),
]


@pytest.mark.parametrize("case", CASES)
def test_an_anchor_is_added_where_channels_become_squares(case):
    it = program(np.random.default_rng(0), *case)
    calls = lower(it).calls
    assert sum(isinstance(call, Shuffle) for call in calls) == 1
    assert not any(isinstance(call, AddCall) and len(call.reads) == 2 for call in calls)
    compiled = compile_program(it, np.random.default_rng(1), format="dense", count=3)
    [x] = stimuli(it, 5, np.random.default_rng(2))
    for threads in (1, 3):
        compiled.net.use_threads(threads)
        for instructions in compiled.net.available():
            compiled.net.use(instructions)
            assert (compiled.net(x)[0] == outputs(it, x)[0]).all()


def test_what_is_no_square_of_ones_is_computed_as_it_stands():
    it = program(np.random.default_rng(0), 2, 2, (3, 4), "ones", True)
    steps = list(it.operations)
    weight = steps[2].weight.integers.copy()
    weight[3] = 16
    steps[2] = Conv2d(("x",), "large_ones", constant(weight, fraction=5), groups=2)
    other = Program(it.inputs, tuple(steps), it.outputs)
    twice = Program(it.inputs, it.operations, ("y", "square"))
    early = program(np.random.default_rng(0), 2, 2, (3, 4), "early", True)
    again = enlarged("again", "x", 2, 2, 3, 4, "places")
    both = Program(early.inputs, (*early.operations, *again, Add(("y", "again"), "z")), ("z",))
    for each in (other, twice, both):
        assert sum(isinstance(call, Shuffle) for call in lower(each).calls) == (1 if each is both else 2)
        compiled = compile_program(each, np.random.default_rng(1), format="dense", count=3)
        [x] = stimuli(each, 3, np.random.default_rng(2))
        assert all((a == b).all() for a, b in zip(compiled.net(x), outputs(each, x), strict=True))


def test_a_square_beyond_the_kernel_is_named():
    x = Input("x", (65**2, 1, 1), Format(8, 4))
    with pytest.raises(ValueError, match="PixelShuffle 'y' enlarges by 65: at most 64 has a kernel"):
        lower(Program((x,), (PixelShuffle(("x",), "y", 65),), ("y",)))
