"""An unrolled net equals its integer program bit for bit, costs what its weights cost, and keeps its clocks."""

from dataclasses import replace

import numpy as np
import pytest
from folded_programs import draw

from fpga.build.verify import stimuli
from fpga.simulation.simulate import simulate
from fpga.unrolled import adders
from fpga.unrolled import generate as unrolled
from fpga.unrolled.generate import MOST, cost, trace, unroll
from shared.integer import (
    Add,
    AveragePool,
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
    audit,
    outputs,
    run,
)
from shared.integer.format import Format, saturate, shift

S4, S8, U8 = Format(4, 2), Format(8, 5), Format(8, 6, signed=False)


def constant(rng, shape, format=S4):
    return Constant(rng.integers(format.low, format.high + 1, shape), format)


def bias(rng, out, fraction):
    return Constant(rng.integers(-(2**9), 2**9, out), Format(32, fraction))


def line(seed=0):
    """Every operation in one dimension: a strided and a depthwise convolution, a residual, both pools."""
    rng = np.random.default_rng(seed)
    return Program(
        (Input("x", (2, 7), S4),),
        (
            Conv1d(("x",), "a", constant(rng, (2, 2, 3)), bias(rng, 2, 4), (2,), (1,)),
            Requantise(("a",), "b", Format(5, 2, signed=False)),
            Conv1d(("b",), "c", constant(rng, (2, 1, 3)), bias(rng, 2, 4), padding=(1,), groups=2),
            Requantise(("c",), "d", Format(4, 1)),
            Add(("b", "d"), "e"),
            Requantise(("e",), "f", Format(4, 3, signed=False)),
            MaxPool(("f",), "g", (2,), (1,)),
            AveragePool(("g",), "h", (3,)),
            Flatten(("h",), "i"),
            Linear(("i",), "y", constant(rng, (5, 2)), bias(rng, 5, 7)),
        ),
        ("y",),
    )


def image(seed=0):
    """Two dimensions, with groups, uneven kernels, strides and padding."""
    rng = np.random.default_rng(seed)
    return Program(
        (Input("x", (2, 4, 3), U8),),
        (
            Conv2d(("x",), "a", constant(rng, (4, 2, 3, 2)), None, (1, 2), (1, 0)),
            Requantise(("a",), "b", Format(6, 4)),
            Conv2d(("b",), "c", constant(rng, (2, 2, 3, 1)), None, (2, 1), (0, 1), groups=2),
            Requantise(("c",), "d", Format(8, -2)),
            MaxPool(("d",), "e", (1, 2)),
        ),
        ("e",),
    )


def linear(weight, bias=None, given=S8, format=S8):
    weight = Constant(np.array(weight), format)
    offset = None if bias is None else Constant(np.array(bias), Format(32, given.fraction + format.fraction))
    return Program((Input("x", weight.integers.shape[1:], given),), (Linear(("x",), "y", weight, offset),), ("y",))


ODD = {
    "nothing": Program((Input("x", (3,), S8),), (), ("x",)),
    "two bytes each": Program((Input("x", (2, 3), Format(12, 3)),), (Flatten(("x",), "y"),), ("y",)),
    "one byte": Program((Input("x", (1,), S8),), (Requantise(("x",), "y", S4),), ("y",)),
    "bits": linear([[1, -1, 1], [0, 0, 1]], given=Format(1, 0, signed=False)),
    "signs": linear([[3, -1, 1], [0, 0, 0]], [-4, 12], given=Format(1, 0)),
    "constant outputs": linear([[0, 0], [0, 4], [0, 0]], [-4, 0, 12]),
    "the same sum, doubled and negated": linear([[3, 5], [6, 10], [-3, -5], [3, 5]]),
    "negative": linear([[-1, -8], [-4, 0]], given=Format(8, 5, signed=False)),
    "negative, rounded": Program(
        (Input("x", (2,), Format(8, 5, signed=False)),),
        (
            Linear(("x",), "a", Constant(np.array([[-1, -8], [-4, 0]]), S8)),
            Requantise(("a",), "b", Format(8, 4)),
            Linear(("b",), "y", Constant(np.array([[-1, 1], [-128, -2]]), S8)),
        ),
        ("y",),
    ),
    "neurons that are always 0 or always the largest": Program(
        (Input("x", (2,), S8),),
        (
            Linear(
                ("x",), "a", Constant(np.array([[0, 1], [-4, 1], [1, 1]]), S8), bias(np.random.default_rng(0), 3, 10)
            ),
            Requantise(("a",), "b", Format(2, 9, signed=False)),
            Linear(("b",), "y", Constant(np.array([[3, -1, 4], [5, 6, 7]]), S8)),
        ),
        ("y",),
    ),
    "more steps": Program((Input("x", (2,), Format(8, 2)),), (Requantise(("x",), "y", Format(12, 7)),), ("y",)),
    "twice itself": Program((Input("x", (2,), Format(8, 2)),), (Add(("x", "x"), "y"),), ("y",)),
}
PROGRAMS = {"line": line(), "image": image(), **ODD}


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_graph_of_adders_is_the_program(name):
    program = PROGRAMS[name]
    x = stimuli(program, 200, np.random.default_rng(0))
    np.testing.assert_array_equal(trace(program).predict(x), outputs(program, x)[0])


@pytest.mark.parametrize("seed", range(12))
def test_so_is_that_of_any_program(seed):
    rng = np.random.default_rng(seed)
    program = draw(rng, 3)
    try:
        core = trace(program)
    except ValueError as error:
        pytest.skip(str(error))
    x = stimuli(program, 100, rng)
    np.testing.assert_array_equal(core.predict(x), outputs(program, x)[0])


@pytest.mark.parametrize("to", [Format(1, 0), Format(3, 0), Format(8, 0)], ids="{0.word}".format)
@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("bits", [-2, 0, 1, 3, 8])
def test_rounding_and_saturation_by_every_input(bits, signed, to):
    from da4ml.trace import FixedVariableArray, comb_trace

    to = replace(to, signed=signed)
    for low, high in ((-128, 127), (0, 200), (-150, -3), (-1, 0)):
        for scale in (1, -1, 6):
            (x,) = FixedVariableArray.from_lhs(*np.array([[low], [high], [1]], float), adders.COSTS)._vars
            y = adders.requantised(x * float(scale), bits, to)
            every = np.arange(low, high + 1)
            expected = saturate(shift(scale * every, bits), to)
            assert (y.low, y.high) >= (to.low, int(expected.max()))
            assert y.high <= to.high
            got = comb_trace([x], [y], keep_dead_inputs=True).predict(every[:, None].astype(float))[:, 0]
            np.testing.assert_array_equal(got, expected, f"{low} to {high}, times {scale}")


def check_verilog(program, samples=200, **options):
    design = unroll(program, **options)
    x = stimuli(program, samples, np.random.default_rng(1))
    data = design.source.pack(x)
    for stalls in (None, np.random.default_rng(2)):
        ran = simulate(design.verilog, data, design.sink.bytes, stalls=stalls)
        np.testing.assert_array_equal(design.sink.unpack(ran.output), outputs(program, x)[0])
        if stalls is None:
            assert (ran.latency, ran.interval) == (design.latency, design.interval)
    return design


@pytest.mark.synth
def test_the_verilog_is_the_program_and_keeps_its_clocks():
    design = check_verilog(line())
    assert design.interval == 14 > design.sink.bytes


@pytest.mark.slow
@pytest.mark.synth
@pytest.mark.parametrize("clock_mhz", [50, 100, 150])
@pytest.mark.parametrize("name", PROGRAMS)
def test_every_verilog_is_its_program(name, clock_mhz):
    check_verilog(PROGRAMS[name], clock_mhz=clock_mhz)


@pytest.mark.slow
@pytest.mark.synth
@pytest.mark.parametrize("seed", range(20))
def test_any_verilog_is_its_program(seed):
    try:
        check_verilog(draw(np.random.default_rng(seed), 3))
    except ValueError as error:
        pytest.skip(str(error))


def test_a_faster_clock_means_more_stages():
    latencies = [unroll(line(), clock_mhz=mhz).latency for mhz in (50, 100, 150)]
    assert latencies == sorted(set(latencies))


def test_the_interval_is_that_of_the_longer_stream():
    wide = linear([[3, -7]] * 9)
    assert (unroll(wide).interval, unroll(wide).sink.bytes, unroll(wide).source.bytes) == (18, 18, 2)


def test_the_same_program_is_the_same_verilog():
    assert unroll(line()).verilog == unroll(line()).verilog


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_costs_of_operations_add_up(name):
    program = PROGRAMS[name]
    costs = cost(program)
    assert list(costs) == [operation.output for operation in program.operations]
    assert sum(costs.values()) == pytest.approx(trace(program).logic.cost)


def test_fewer_and_simpler_weights_cost_less():
    weight = np.array([[37, -75, 11], [91, 53, -29]])
    pruned, none, shifts = weight * [1, 0, 1], weight * 0, np.array([[32, -64, 8], [64, 64, -32]])
    costs = [cost(linear(w))["y"] for w in (weight, pruned, shifts, none)]
    assert costs == sorted(costs, reverse=True)
    assert costs[-1] == 0


def test_multiplications_by_zero_and_on_padding_are_not_carried_out():
    weight = np.ones((1, 1, 3), int)
    weight[0, 0, 0] = 0
    program = Program((Input("x", (1, 5), S4),), (Conv1d(("x",), "y", Constant(weight, S4), padding=(1,)),), ("y",))
    (part,) = unroll(program).parts
    assert audit(program).nonzero_macs == 10
    assert (part.macs, part.lanes, part.cycles, part.format) == (9, 0, 1, "s5.4")


@pytest.mark.parametrize(
    ("program", "message"),
    [
        (linear(np.ones((41, 100), int)), rf"needs 4100 multiply-accumulates at once, 1.0 times the {MOST}.*fold it"),
        (linear([[0, 0]], [3]), "output does not depend on the input"),
        (replace(line(), outputs=("y", "b")), "one input and one output, the program has 1 inputs and 2 outputs"),
        (linear([[1 << 24]], format=Format(26, 0)), "'y' has weights of more than 24 bits, which da4ml would round"),
    ],
    ids=["large", "constant", "two outputs", "weights"],
)
def test_what_cannot_be_unrolled_is_refused(program, message):
    with pytest.raises(ValueError, match=message):
        unroll(program)


def test_without_da4ml_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(unrolled, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install -e '\.\[fpga\]'"):
        unroll(line())


@pytest.mark.synth
@pytest.mark.slow
def test_sums_beyond_32_bits_are_exact_in_hardware_only():
    rng, word = np.random.default_rng(0), Format(16, 8)
    weight = Constant(rng.integers(word.low, word.high + 1, (3, 9)), word)
    program = Program((Input("x", (9,), word),), (Linear(("x",), "y", weight),), ("y",))
    assert program.values["y"].format.word > 32
    x, design = stimuli(program, 60, rng), unroll(program)
    actual = simulate(design.verilog, design.source.pack(x), design.sink.bytes)
    np.testing.assert_array_equal(design.sink.unpack(actual.output), outputs(program, x)[0])
    with pytest.raises(ValueError, match="cuts 'y' to 32 bits: simulate the Verilog"):
        trace(program).predict(x)


def test_channels_become_squares_of_pixels_without_an_adder():
    program = Program((Input("x", (8, 2, 3), Format(8, 0)),), (PixelShuffle(("x",), "y", 2),), ("y",))
    x = stimuli(program, 1, np.random.default_rng(0))
    symbols = adders.trace_operation(program.operations[0], [program.values["x"]], x[0])
    assert (symbols == run(program, x)["y"][0]).all()
