"""Integer programs run as torch's own layers do, hold no surprise that their construction did not refuse, and count."""

import copy
import doctest
import importlib
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from integer_programs import PROGRAMS, S8, U8, constant, dense, line, samples
from torch.nn import functional

from shared import integer
from shared.integer import (
    AbstractConvolution,
    AbstractWeighted,
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
    Operation,
    PixelShuffle,
    Program,
    Requantise,
    audit,
    bits,
    outputs,
    run,
)
from shared.integer.format import Format
from shared.integer.names import require_names, value_name

MODULES = ["", ".operations", ".elements", ".moves", ".tokens", ".program", ".run", ".audit"]


@pytest.mark.parametrize("module", [*MODULES, ".attributes", ".geometry"])
def test_examples_in_docstrings(module):
    assert doctest.testmod(importlib.import_module(f"shared.integer{module}")).failed == 0


@pytest.fixture(params=PROGRAMS)
def program(request):
    return PROGRAMS[request.param]()


def by_torch(operation, program, *inputs):
    """The operation on int64 tensors, without our windows, products and shifts."""
    if isinstance(operation, Requantise):
        ratio = 2.0 ** (operation.format.fraction - program.values[operation.inputs[0]].format.fraction)
        return torch.round(inputs[0].double() * ratio).clamp(operation.format.low, operation.format.high).long()
    if isinstance(operation, Clip):
        return inputs[0].clamp(operation.low, operation.high)
    if isinstance(operation, Add):
        fractions = [program.values[name].format.fraction for name in operation.inputs]
        return sum(x * 2 ** (max(fractions) - f) for x, f in zip(inputs, fractions, strict=True))
    if isinstance(operation, Flatten):
        return inputs[0].flatten(1)
    if isinstance(operation, PixelShuffle):
        return functional.pixel_shuffle(inputs[0], operation.factor)
    if isinstance(operation, AbstractWeighted):
        weight = torch.from_numpy(operation.weight.integers.astype(np.int64))
        bias = None if operation.bias is None else torch.from_numpy(operation.bias.integers.astype(np.int64))
        if isinstance(operation, AbstractConvolution):
            conv = functional.conv1d if isinstance(operation, Conv1d) else functional.conv2d
            return conv(inputs[0], weight, bias, operation.stride, operation.padding, groups=operation.groups)
        return inputs[0] @ weight.T + (0 if bias is None else bias)
    pools = {
        (MaxPool, 1): functional.max_pool1d,
        (MaxPool, 2): functional.max_pool2d,
        (AveragePool, 1): functional.avg_pool1d,
        (AveragePool, 2): functional.avg_pool2d,
    }
    pooled = pools[type(operation), len(operation.size)](inputs[0].double(), operation.size, operation.stride)
    return torch.round(pooled * np.prod(operation.size) if isinstance(operation, AveragePool) else pooled).long()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", PROGRAMS)
def test_every_value_is_torch_s_bit_for_bit(name, seed):
    program = PROGRAMS[name](seed)
    values = run(program, *samples(program, 50, seed))
    for operation in program.operations:
        expected = by_torch(operation, program, *(torch.from_numpy(values[i]) for i in operation.inputs))
        np.testing.assert_array_equal(values[operation.output], expected.numpy(), operation.output)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", PROGRAMS)
def test_no_value_leaves_its_shape_and_its_proven_range(name, seed):
    program = PROGRAMS[name](seed)
    for value, array in run(program, *samples(program, 200, seed)).items():
        about = program.values[value]
        assert array.shape[1:] == about.shape
        assert array.dtype == np.int64
        assert about.format.low <= about.low <= array.min()
        assert array.max() <= about.high <= about.format.high
        assert about.high < 2 ** bits(about)


def test_the_proven_range_of_a_sum_is_reached():
    weight = Constant(np.array([[3, -5]]), S8)
    program = Program((Input("x", (2,), S8),), (Linear(("x",), "y", weight),), ("y",))
    worst = run(program, np.array([[127, -128], [-128, 127]]))["y"].ravel().tolist()
    assert worst == [program.values["y"].high, program.values["y"].low]


def test_a_residual_is_added_at_the_finer_step():
    program = Program((Input("a", (1,), Format(8, 2)), Input("b", (1,), Format(8, 5))), (Add(("a", "b"), "y"),), ("y",))
    assert program.values["y"].format.fraction == 5
    assert run(program, np.array([[-3]]), np.array([[1]]))["y"].item() == -3 * 8 + 1


def test_an_average_over_a_power_of_two_is_the_average():
    program = Program((Input("x", (2, 4, 4), U8),), (AveragePool(("x",), "y", (2, 2)),), ("y",))
    (x,) = samples(program, 20)
    mean = functional.avg_pool2d(torch.from_numpy(U8.from_integers(x)), 2).numpy()
    np.testing.assert_array_equal(program.values["y"].format.from_integers(run(program, x)["y"]), mean)


def test_an_average_is_shifted_by_the_nearest_power_of_two():
    for n in range(1, 65):
        assert 2**-0.5 <= 2 ** AveragePool(("x",), "y", (n,)).bits / n <= 2**0.5


def test_programs_are_values(program):
    assert program == copy.deepcopy(program)
    assert hash(program) == hash(copy.deepcopy(program))
    wrong = dense().operations[0].weight.integers.copy()
    wrong[0, 0] ^= 1
    first = replace(dense().operations[0], weight=Constant(wrong, S8))
    assert replace(dense(), operations=(first, *dense().operations[1:])) != dense()


def test_constants_cannot_be_changed():
    integers = np.array([[1, 2]])
    kept = Constant(integers, S8)
    integers[0, 0] = 9
    assert kept.integers.tolist() == [[1, 2]]
    with pytest.raises(ValueError, match="read-only"):
        kept.integers[0, 0] = 9
    assert (kept.integers.dtype, Constant(integers, Format(9, 0)).integers.dtype) == (np.int8, np.int16)


RNG = np.random.default_rng(0)
X = (Input("x", (4,), S8),)
C = (Input("x", (4, 6), S8),)


@pytest.mark.parametrize(
    ("inputs", "operation", "message"),
    [
        (X, Linear(("x",), "y", constant(RNG, (3, 5))), r"Linear 'y': a weight \(3, 5\) needs \(5,\), got \(4,\)"),
        (X, Linear(("x",), "y", constant(RNG, (3, 4)), constant(RNG, (3,))), "'y': the bias needs 10 fraction bits, 5"),
        (X, Linear(("x",), "y", constant(RNG, (3, 4)), constant(RNG, (4,))), r"the bias must be \(3,\), got \(4,\)"),
        (X, Linear(("z",), "y", constant(RNG, (3, 4))), "Linear 'y': no value 'z' so far; there are x"),
        (X, Flatten(("x",), "x"), "Flatten 'x': the name is taken"),
        (X, Flatten(("x",), "not a name"), "names are letters"),
        (X, Add(("x",), "y"), "Add 'y' takes 2 inputs"),
        (X, MaxPool(("x",), "y", (2,)), r"a window \(2,\) needs 2 axes, got \(4,\)"),
        (C, MaxPool(("x",), "y", (7,)), r"a window \(7,\) does not fit \(6,\)"),
        (C, MaxPool(("x",), "y", (2,), (0,)), r"stride \(0,\)"),
        (C, Conv1d(("x",), "y", constant(RNG, (2, 3, 3))), r"does not fit an input \(4, 6\)"),
        (C, Conv1d(("x",), "y", constant(RNG, (3, 2, 3)), groups=2), "in 2 groups does not fit"),
        (C, Conv2d(("x",), "y", constant(RNG, (2, 4, 3))), "must have 4 axes"),
        (X, Requantise(("x",), "y", Format(8, 70)), "a shift by -65 bits does not fit"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(inputs, operation, message):
    with pytest.raises(ValueError, match=message):
        Program(inputs, (operation,), ("y",))


def test_terms_of_two_shapes_are_refused():
    with pytest.raises(ValueError, match=r"the terms must have one shape, got \(4,\) and \(3,\)"):
        Program((*X, Input("z", (3,), S8)), (Add(("x", "z"), "y"),), ("y",))


def test_a_sum_that_may_overflow_gets_a_wider_word_or_is_refused():
    wide, x = Format(16, 0), (Input("x", (4,), Format(16, 0)),)
    weight = Constant(np.full((1, 4), wide.low), wide)
    assert Program(x, (Linear(("x",), "y", weight),), ("y",)).values["y"].format.word == 53
    huge = Constant(np.array([[2**50]]), Format(53, 0))
    with pytest.raises(ValueError, match=r"Linear 'y': sums may reach .* beyond 53 bits"):
        Program((Input("x", (1,), S8),), (Linear(("x",), "y", huge),), ("y",))


def test_inputs_are_checked():
    with pytest.raises(TypeError, match=r"input 'x' needs integers, got float64: use Format\(.*\).to_integers"):
        run(dense(), np.zeros((1, 7)))
    with pytest.raises(ValueError, match="input 'x' holds -128 to 127, got 0 to 128"):
        run(dense(), np.array([[0, 0, 0, 0, 0, 0, 128]]))
    with pytest.raises(ValueError, match=r"input 'x' needs \(batch, \*\(7,\)\), got \(1, 6\)"):
        run(dense(), np.zeros((1, 6), dtype=np.int64))
    with pytest.raises(ValueError, match="the program has 1 inputs, got 0"):
        run(dense())
    with pytest.raises(TypeError, match="Constant needs integers, got float64"):
        Constant(np.array([0.5]), S8)
    with pytest.raises(ValueError, match=r"holds -128 to 127, got 0 to 300"):
        Constant(np.array([0, 300]), S8)


def test_an_empty_batch_has_empty_values():
    assert outputs(line(), np.zeros((0, 2, 23), dtype=np.int64))[0].shape == (0, 5)


def test_an_audit_counts_what_torch_multiplies(program):
    """Ones everywhere, in and out: each output is then the number of its products, but for padding."""
    ones = []
    for operation in program.operations:
        if isinstance(operation, AbstractWeighted):
            x = torch.ones(1, *program.values[operation.inputs[0]].shape, dtype=torch.int64)
            if isinstance(operation, AbstractConvolution):
                for axis, p in enumerate(operation.padding, start=2):
                    shape = list(x.shape)
                    shape[axis] += 2 * p
                    x = torch.ones(shape, dtype=torch.int64)
                operation = replace(operation, padding=(0,) * operation.axes)
            weight = Constant(np.ones_like(operation.weight.integers), S8)
            ones.append(int(by_torch(replace(operation, weight=weight, bias=None), program, x).sum()))
    actual = audit(program)
    assert [count.macs for count in actual.counts if count.multiplier] == ones
    assert actual.macs == sum(ones) == actual.multipliers[8, 8]


def test_an_audit_counts_zeros_and_bytes():
    weight = Constant(np.array([[1, 0, 2], [0, 0, 3]]), S8)
    bias = Constant(np.array([1, 2]), Format(32, 10))
    actual = audit(Program((Input("x", (3,), S8),), (Linear(("x",), "y", weight, bias),), ("y",)))
    assert (actual.macs, actual.nonzero_macs, actual.bytes) == (6, 3, 6 + 8)


def test_an_audit_proves_eight_bits(program):
    audit(program).require(8)
    wide = Constant(np.array([[1] * 7]), Format(9, 0))
    second = Linear(("x",), "z", wide)
    more = Program(program.inputs[:0] + dense().inputs, (*dense().operations, second), ("y", "z"))
    with pytest.raises(ValueError, match="Linear 'z' multiplies 8 x 9 bits, more than 8 x 8"):
        audit(more).require(8)


def test_an_audit_lets_no_float_pass():
    @dataclass(frozen=True)
    class Scale(Operation):
        factor: float = 0.5

        def infer(self, *inputs):
            return inputs[0]

    @dataclass(frozen=True)
    class Leaky(Requantise):
        slope: float = 0.1

    scaled = Program(X, (Scale(("x",), "y"),), ("y",))
    with pytest.raises(TypeError, match="Scale 'y' is not an integer operation"):
        audit(scaled)
    with pytest.raises(TypeError, match="Scale is not an operation of an integer program"):
        run(scaled, np.zeros((1, 4), dtype=np.int64))
    with pytest.raises(TypeError, match="Leaky 'y' is not an integer operation"):
        audit(Program(X, (Leaky(("x",), "y", S8),), ("y",)))


def test_every_public_name_is_re_exported():
    homes = [importlib.import_module(f"shared.integer{module}") for module in MODULES[1:]]
    defined = {
        name
        for home in homes
        for name, noun in vars(home).items()
        if getattr(noun, "__module__", "") == home.__name__ and not name.startswith("_")
    }
    assert defined == set(integer.__all__)


@pytest.mark.parametrize(
    "name", ["int", "class", "co_await", "wire", "always_ff", "uint8_t", "INT64_C", "linux", "__x"]
)
def test_a_word_of_the_languages_that_a_net_is_written_in_is_no_name(name):
    with pytest.raises(
        ValueError, match=f"^the value '{name}' has a word of C, C\\+\\+ or Verilog as its name: rename it$"
    ):
        require_names(["x", name])
    require_names([value_name(name)])
    assert value_name(name) == f"v_{name}"


def test_values_that_no_machine_holds_are_refused_before_anything_is_allocated():
    with pytest.raises(
        ValueError, match=r"^input 'x' has the shape \(1099511627776, 4\): more than 67,108,864 elements"
    ):
        Program((Input("x", (1 << 40, 4), Format(8, 0)),), (), ("x",))
    kernel = Constant(np.ones((1, 1, 1), int), Format(8, 0))
    padded = Conv1d(("x",), "y", kernel, None, (1,), (1 << 40,))
    with pytest.raises(ValueError, match=r"^Conv1d 'y' has the shape \(1, 2199023255560\): more than"):
        Program((Input("x", (1, 8), Format(8, 0)),), (padded,), ("y",))
