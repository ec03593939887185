"""A value that is added to a layer's sums is added where they are computed, and nothing else changes."""

import numpy as np
import pytest

from mobile.build.check import stimuli
from mobile.build.compile import compile_program
from mobile.lowering.calls import Add as AddCall
from mobile.lowering.calls import Convolve
from mobile.lowering.formats import FORMATS
from mobile.lowering.lower import lower
from shared.integer import Add, Constant, Conv2d, Input, Linear, Program, Requantise, outputs
from shared.integer.format import Format


def constant(integers, fraction=7):
    return Constant(np.asarray(integers), Format(8, fraction))


def shortcut(rng, channels, size, kernel, term, to=None, swap=False, fraction=4, signed=True, groups=1):
    """`layer(x) + term`: the input itself, or what another layer makes of it, in bytes or in sums."""
    weight = rng.integers(-128, 128, (channels, channels // groups, kernel, kernel))
    pads = (kernel // 2,) * 2
    layer = Conv2d(("x",), "sums", constant(weight), None, (1, 1), pads, groups)
    beside = Conv2d(("x",), "beside", constant(rng.integers(-9, 9, (channels, channels, 3, 3))), None, (1, 1), (1, 1))
    steps = {
        "input": [],
        "bytes": [beside, Requantise(("beside",), "term", Format(8, fraction, signed))],
        "sums": [beside],
    }[term]
    name = steps[-1].output if steps else "x"
    terms = (name, "sums") if swap else ("sums", name)
    steps = [*steps, layer, Add(terms, "y")]
    if to is not None:
        steps.append(Requantise(("y",), "z", to))
    return Program((Input("x", (channels, *size), Format(8, fraction, signed)),), tuple(steps), (steps[-1].output,))


U8, S8 = Format(8, 2, signed=False), Format(8, 3)
CASES = [
    (8, (5, 9), 3, "input", U8),
    (8, (17, 16), 1, "input", S8, True, 2, False),
    (5, (3, 70), 3, "bytes", None),
    (12, (7, 7), 3, "bytes", U8, True, 15),
    (4, (9, 5), 5, "sums", S8),
    (6, (1, 1), 1, "sums", U8, True),
    (3, (2, 3), 3, "sums", None, False, 4, False),
    (4, (6, 6), 3, "input", Format(16, 8)),
    (8, (4, 4), 3, "bytes", Format(8, 14), False, 9),
    (8, (6, 5), 3, "input", U8, False, 4, True, 2),
]


@pytest.mark.parametrize("case", CASES)
def test_a_value_is_added_where_sums_are_computed(case):
    program = shortcut(np.random.default_rng(0), *case)
    format = list(FORMATS)[CASES.index(case) % 3]
    calls = lower(program, format=format).calls
    assert sum(isinstance(call, Convolve) and len(call.reads) == 2 for call in calls) == 1
    assert not any(isinstance(call, AddCall) and len(call.reads) == 2 for call in calls)
    compiled = compile_program(program, np.random.default_rng(1), format=format, count=3)
    [x] = stimuli(program, 5, np.random.default_rng(2))
    for threads in (1, 3):
        compiled.net.use_threads(threads)
        for instructions in compiled.net.available():
            compiled.net.use(instructions)
            assert (compiled.net(x)[0] == outputs(program, x)[0]).all()


def test_what_others_read_too_or_no_layer_computes_is_added_apart():
    rng = np.random.default_rng(0)
    read_twice = shortcut(rng, 4, (3, 3), 3, "input")
    read_twice = Program(read_twice.inputs, read_twice.operations, ("y", "sums"))
    depthwise = shortcut(rng, 4, (3, 3), 3, "input", groups=4)
    x = Input("x", (6,), Format(8, 4))
    itself = Program((x,), (Linear(("x",), "sums", constant(np.eye(6, dtype=int))), Add(("sums", "sums"), "y")), ("y",))
    for program in (read_twice, depthwise, itself):
        assert sum(isinstance(call, AddCall) for call in lower(program).calls) == 1
        compiled = compile_program(program, np.random.default_rng(1), format="dense", count=3)
        [x] = stimuli(program, 3, np.random.default_rng(2))
        assert all((a == b).all() for a, b in zip(compiled.net(x), outputs(program, x), strict=True))
