"""Every rung of the ladder compares what it says, finds one wrong bit, and passes nothing that did not run."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from fpga.build import verify
from fpga.build.verify import RTL, CannotRunError, Ladder, Rung, Step, climb, stimuli
from fpga.design.devices import device
from fpga.unrolled.generate import trace, unroll
from shared.f8net import F8Net
from shared.integer import Constant, Input, Linear, Program, Requantise, outputs, run
from shared.integer.format import Format

S4 = Format(4, 2)


def small(seed=0):
    rng = np.random.default_rng(seed)
    weights = [Constant(rng.integers(-8, 8, shape), S4) for shape in ((3, 3), (2, 3))]
    return Program(
        (Input("x", (3,), S4),),
        (
            Linear(("x",), "a", weights[0]),
            Requantise(("a",), "b", Format(4, 1, signed=False)),
            Linear(("b",), "y", weights[1]),
        ),
        ("y",),
    )


def planted(program, place=-1):
    """The same program with one bit of one weight wrong."""
    operations = list(program.operations)
    weight = operations[place].weight
    wrong = weight.integers.copy()
    wrong.flat[0] ^= 1
    operations[place] = replace(operations[place], weight=Constant(wrong, weight.format))
    return replace(program, operations=tuple(operations))


def right(x):
    return outputs(small(), x)[0]


def rng(seed=0):
    return np.random.default_rng(seed)


def only(implementation, name=RTL, samples=0, **options):
    """The rung of one implementation, beside the ladder that has no other."""
    ladder = climb(small(), [Step(name, implementation, samples)], rng(), **options)
    return ladder.rungs[0], ladder


def test_a_right_implementation_passes_on_all_samples_that_are_usual():
    ladder = climb(small(), [Step(RTL, right), Step("netlist simulation", right)], rng())
    assert [(rung.status, rung.samples, rung.mismatches) for rung in ladder.rungs] == [
        ("passed", 2000, 0),
        ("passed", 200, 0),
    ]
    assert ladder.passed


def test_fewer_samples_pass_where_they_were_asked_for_and_are_shown():
    rung, ladder = only(right, samples=30)
    assert ladder.passed
    assert str(rung) == "RTL simulation: passed, 0 mismatches in 30 samples (2000 are usual)"


def test_the_first_integer_that_differs_is_located():
    def wrong(x):
        y = right(x)
        y[7, 1] += 3
        y[9, 0] -= 1
        return y

    rung, ladder = only(wrong)
    expected = int(right(stimuli(small(), 2000, rng()))[7, 1])
    assert not ladder.passed
    assert (rung.status, rung.mismatches, rung.samples) == ("failed", 2, 2000)
    assert rung.first == verify.Mismatch(7, (1,), expected, expected + 3)
    assert f"sample 7, element (1,): {expected} expected, got {expected + 3}" in str(rung)


@pytest.mark.parametrize(("place", "name"), [(0, "a"), (2, "y")])
def test_a_mismatch_is_traced_to_the_first_operation_whose_value_differs(place, name):
    wrong = planted(small(), place)
    step = Step(RTL, lambda x: outputs(wrong, x)[0], trace=lambda x: run(wrong, x))
    (rung,) = climb(small(), [step], rng()).rungs
    assert rung.first.operation == name
    assert str(rung).endswith(f", from {name!r} on")


@pytest.mark.parametrize(
    ("implementation", "note"),
    [
        (lambda x: right(x)[:0], "ValueError: (2000, 2) integers are due, it returned int64 (0, 2)"),
        (lambda x: right(x)[:-1], "ValueError: (2000, 2) integers are due, it returned int64 (1999, 2)"),
        (lambda x: right(x)[:, :1], "ValueError: (2000, 2) integers are due, it returned int64 (2000, 1)"),
        (lambda x: right(x) / 1, "ValueError: (2000, 2) integers are due, it returned float64 (2000, 2)"),
        (lambda x: None, "ValueError: (2000, 2) integers are due, it returned object ()"),
    ],
    ids=["none", "one less", "elements", "floats", "nothing"],
)
def test_what_does_not_compare_every_sample_fails(implementation, note):
    rung, ladder = only(implementation)
    assert (rung.status, rung.samples, rung.note) == ("failed", 0, note)
    assert not ladder.passed


@pytest.mark.parametrize("error", [RuntimeError, ValueError, OSError])
def test_what_breaks_fails(error):
    def breaks(x):
        raise error("it hangs")

    rung, ladder = only(breaks)
    assert (rung.status, rung.note) == ("failed", f"{error.__name__}: it hangs")
    assert not ladder.passed


@pytest.mark.parametrize("error", [CannotRunError, ModuleNotFoundError, FileNotFoundError])
def test_what_cannot_run_is_skipped_with_its_reason_and_passes_nothing(error):
    def missing(x):
        raise error("no yosys")

    rung, ladder = only(missing)
    assert (rung.status, rung.samples, rung.note) == ("skipped", 0, "no yosys")
    assert not ladder.passed
    other = climb(small(), [Step(RTL, right), Step("bitstream simulation", missing)], rng())
    assert other.passed
    assert "bitstream simulation: skipped, 0 mismatches in 0 samples: no yosys" in str(other)


def test_a_ladder_without_rtl_is_not_passed():
    assert not climb(small(), [Step("hls4ml C simulation", right)], rng()).passed
    assert not Ladder(()).passed


@pytest.mark.parametrize("counts", [(0, 0, 0), (10, 9, 0), (10, 10, 1)])
def test_nothing_can_claim_to_have_passed(counts):
    with pytest.raises(ValueError, match="RTL simulation cannot have passed"):
        Rung(RTL, "passed", *counts, seconds=1.0)


def test_stimuli_begin_with_the_corners_and_reach_the_whole_range():
    x = stimuli(small(), 400, rng())
    assert (x[0] == S4.low).all()
    assert (x[1] == S4.high).all()
    assert set(x.ravel()) == set(range(S4.low, S4.high + 1))
    np.testing.assert_array_equal(x, stimuli(small(), 400, rng()))
    assert (x != stimuli(small(), 400, rng(1))).any()


def test_half_of_the_stimuli_are_given_ones():
    given = rng(5).integers(-2, 2, (3, 3))
    np.testing.assert_array_equal(stimuli(small(), 50, rng(), given)[2:8:2], given)
    many = rng(5).integers(-2, 2, (900, 3))
    x = stimuli(small(), 20, rng(), many)
    np.testing.assert_array_equal(x[2::2], many[:9])
    assert (x[:2] == [[S4.low], [S4.high]]).all()


@pytest.mark.parametrize("given", [np.zeros((5, 4), int), np.full((5, 3), 8)])
def test_given_samples_must_be_inputs(given):
    with pytest.raises(ValueError, match=r"given samples must be \(B, \*\(3,\)\), -8 to 7, got"):
        stimuli(small(), 10, rng(), given)


def test_a_ladder_needs_steps_and_a_step_samples():
    with pytest.raises(ValueError, match="a ladder needs a step"):
        climb(small(), [], rng())
    with pytest.raises(ValueError, match="netlist simulation needs a number of samples, got -1"):
        Step("netlist simulation", right, -1)


def test_a_rung_is_plain_data():
    rung, _ = only(right, samples=10)
    assert verify.plain(rung) | {"seconds": 0} == {
        "name": RTL,
        "wanted": 10,
        "samples": 10,
        "mismatches": 0,
        "seconds": 0,
        "note": "",
        "outcome": "passed",
    }


# Each rung on what its generator makes of a program: it passes as it is, and fails with one bit of one weight wrong.


def by_graph(program, folder):
    return Step(RTL, trace(program).predict, 200)


def by_rtl(program, folder):
    return verify.rtl_step(unroll(program), 200, rng(1))


def by_hls(program, folder):
    pytest.importorskip("hls4ml")
    from fpga.hls import lower

    return verify.hls_step(lower(program, folder / "hls"), 200)


def by_netlist(name):
    def step(program, folder):
        from fpga.synth import mapped

        design = unroll(program)
        return verify.netlist_step(design, mapped(design, device(name), folder), 200)

    return step


def by_bitstream(program, folder):
    from fpga.synth import build

    design = unroll(program)
    built = build(design, device("ice40-hx8k"), folder, frequency_mhz=20, seeds=(1,))
    return verify.bitstream_step(design, built, 200)


RUNGS = [
    pytest.param(by_graph, id="graph"),
    pytest.param(by_rtl, id="rtl", marks=pytest.mark.synth),
    pytest.param(by_hls, id="hls", marks=pytest.mark.slow),
    pytest.param(by_netlist("ecp5-25k"), id="ecp5", marks=[pytest.mark.slow, pytest.mark.synth]),
    pytest.param(by_netlist("ice40-hx8k"), id="ice40", marks=[pytest.mark.slow, pytest.mark.synth]),
    pytest.param(by_bitstream, id="bitstream", marks=[pytest.mark.slow, pytest.mark.synth]),
]


@pytest.mark.parametrize("make", RUNGS)
def test_one_wrong_bit_of_one_weight_fails_every_rung(make, tmp_path):
    rungs = []
    for name, program in (("right", small()), ("wrong", planted(small()))):
        (tmp_path / name).mkdir()
        step = make(program, tmp_path / name)
        rungs += climb(small(), [step], rng()).rungs
    if rungs[0].status == "skipped":
        pytest.skip(rungs[0].note)
    assert [rung.status for rung in rungs] == ["passed", "failed"]
    assert all(rung.samples == 200 for rung in rungs)
    assert rungs[1].mismatches > 0
    assert rungs[1].first.element == (0,)


def test_one_wrong_bit_fails_the_torch_rung_and_is_traced():
    torch.manual_seed(0)
    float_net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    net = F8Net(float_net, shape=(3,), input=S4).calibrate(torch.rand(64, 3))
    program = net.program()
    step = verify.torch_step(net, program)
    assert climb(program, [step], rng()).rungs[0].status == "passed"
    (rung,) = climb(planted(program), [step], rng()).rungs
    assert (rung.status, rung.first.operation) == ("failed", program.outputs[0])


def test_a_bitstream_that_nobody_can_read_is_skipped():
    from fpga.synth import Built

    built = Built.__new__(Built)
    object.__setattr__(built, "device", device("ecp5-25k"))
    object.__setattr__(built, "pins", "bytes")
    (rung,) = climb(small(), [verify.bitstream_step(unroll(small()), built)], rng()).rungs
    assert (rung.status, rung.note) == ("skipped", "no open tool reads a bitstream of the LFE5U-25F as logic")
    object.__setattr__(built, "pins", "uart")
    (rung,) = climb(small(), [verify.netlist_step(unroll(small()), built)], rng()).rungs
    assert (rung.status, rung.note[:29]) == ("skipped", "it was built with pins='uart'")
