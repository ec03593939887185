"""Every check compares what it says, finds one wrong bit, and passes nothing that did not run."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from fpga.build.verify import (
    RTL,
    CannotRunError,
    Check,
    CheckResult,
    Mismatch,
    VerificationReport,
    bitstream_check,
    hls_check,
    netlist_check,
    rtl_check,
    stimuli,
    torch_check,
    verify,
)
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
    """The result of one implementation, and the report that has no other."""
    report = verify(small(), [Check(name, implementation, samples)], rng(), **options)
    return report.results[0], report


def test_a_correct_implementation_passes_on_the_default_number_of_samples():
    report = verify(small(), [Check(RTL, right), Check("netlist simulation", right)], rng())
    assert [(result.status, result.samples, result.mismatches) for result in report.results] == [
        ("passed", 2000, 0),
        ("passed", 200, 0),
    ]
    assert report.passed


def test_fewer_samples_pass_where_they_were_asked_for_and_are_shown():
    result, report = only(right, samples=30)
    assert report.passed
    assert str(result) == "RTL simulation: passed, 0 mismatches in 30 samples (2000 are the default)"


def test_the_first_integer_that_differs_is_located():
    def wrong(x):
        y = right(x)
        y[7, 1] += 3
        y[9, 0] -= 1
        return y

    result, report = only(wrong)
    expected = int(right(stimuli(small(), 2000, rng()))[7, 1])
    assert not report.passed
    assert (result.status, result.mismatches, result.samples) == ("failed", 2, 2000)
    assert result.first == Mismatch(7, (1,), expected, expected + 3)
    assert f"sample 7, element (1,): {expected} expected, got {expected + 3}" in str(result)


@pytest.mark.parametrize(("place", "name"), [(0, "a"), (2, "y")])
def test_a_mismatch_is_traced_to_the_first_operation_whose_value_differs(place, name):
    wrong = planted(small(), place)
    check = Check(RTL, lambda x: outputs(wrong, x)[0], trace=lambda x: run(wrong, x))
    (result,) = verify(small(), [check], rng()).results
    assert result.first.operation == name
    assert str(result).endswith(f", from {name!r} on")


@pytest.mark.parametrize(
    ("implementation", "note"),
    [
        (lambda x: right(x)[:0], "ValueError: (2000, 2) integers are needed, it returned int64 (0, 2)"),
        (lambda x: right(x)[:-1], "ValueError: (2000, 2) integers are needed, it returned int64 (1999, 2)"),
        (lambda x: right(x)[:, :1], "ValueError: (2000, 2) integers are needed, it returned int64 (2000, 1)"),
        (lambda x: right(x) / 1, "ValueError: (2000, 2) integers are needed, it returned float64 (2000, 2)"),
        (lambda x: None, "ValueError: (2000, 2) integers are needed, it returned object ()"),
    ],
    ids=["none", "one less", "elements", "floats", "nothing"],
)
def test_what_does_not_compare_every_sample_fails(implementation, note):
    result, report = only(implementation)
    assert (result.status, result.samples, result.note) == ("failed", 0, note)
    assert not report.passed


@pytest.mark.parametrize("error", [RuntimeError, ValueError, OSError])
def test_what_breaks_fails(error):
    def breaks(x):
        raise error("it hangs")

    result, report = only(breaks)
    assert (result.status, result.note) == ("failed", f"{error.__name__}: it hangs")
    assert not report.passed


@pytest.mark.parametrize("error", [CannotRunError, ModuleNotFoundError, FileNotFoundError])
def test_what_cannot_run_is_skipped_with_its_reason_and_passes_nothing(error):
    def missing(x):
        raise error("no yosys")

    result, report = only(missing)
    assert (result.status, result.samples, result.note) == ("skipped", 0, "no yosys")
    assert not report.passed
    other = verify(small(), [Check(RTL, right), Check("bitstream simulation", missing)], rng())
    assert other.passed
    assert "bitstream simulation: skipped, 0 mismatches in 0 samples: no yosys" in str(other)


def test_a_report_without_rtl_is_not_passed():
    assert not verify(small(), [Check("hls4ml C simulation", right)], rng()).passed
    assert not VerificationReport(()).passed


@pytest.mark.parametrize("counts", [(0, 0, 0), (10, 9, 0), (10, 10, 1)])
def test_nothing_can_claim_to_have_passed(counts):
    with pytest.raises(ValueError, match="RTL simulation cannot have passed"):
        CheckResult(RTL, "passed", *counts, seconds=1.0)


def test_stimuli_begin_with_the_corners_and_reach_the_whole_range():
    x = stimuli(small(), 400, rng())
    assert (x[0] == S4.low).all()
    assert (x[1] == S4.high).all()
    assert set(x.ravel()) == set(range(S4.low, S4.high + 1))
    np.testing.assert_array_equal(x, stimuli(small(), 400, rng()))
    assert (x != stimuli(small(), 400, rng(1))).any()


def test_half_of_the_stimuli_are_samples_of_the_task():
    few = rng(5).integers(-2, 2, (3, 3))
    np.testing.assert_array_equal(stimuli(small(), 50, rng(), few)[2:8:2], few)
    many = rng(5).integers(-2, 2, (900, 3))
    x = stimuli(small(), 20, rng(), many)
    np.testing.assert_array_equal(x[2::2], many[:9])
    assert (x[:2] == [[S4.low], [S4.high]]).all()


@pytest.mark.parametrize(
    ("task_samples", "message"),
    [
        (np.zeros((5, 4), int), "input 'x' needs (batch, *(3,)), got (5, 4)"),
        (np.full((5, 3), 8), "input 'x' holds -8 to 7, got 8 to 8"),
    ],
)
def test_samples_of_the_task_must_be_inputs(task_samples, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        stimuli(small(), 10, rng(), task_samples)


def test_verification_needs_checks_and_a_check_samples():
    with pytest.raises(ValueError, match="verification needs a check"):
        verify(small(), [], rng())
    with pytest.raises(ValueError, match="netlist simulation needs a positive number of samples, got -1"):
        Check("netlist simulation", right, -1)


def test_a_result_is_json_data():
    result, _ = only(right, samples=10)
    assert result.to_json_data() | {"seconds": 0} == {
        "name": RTL,
        "wanted": 10,
        "samples": 10,
        "mismatches": 0,
        "seconds": 0,
        "note": "",
        "outcome": "passed",
    }


# Each check on the hardware of a program: it passes as it is, and fails with one bit of one weight wrong.


def by_graph(program, folder):
    return Check(RTL, trace(program).predict, 200)


def by_rtl(program, folder):
    return rtl_check(unroll(program), 200, rng(1))


def by_hls(program, folder):
    pytest.importorskip("hls4ml")
    from fpga.hls import lower

    return hls_check(lower(program, folder / "hls"), 200)


def by_netlist(name):
    def check(program, folder):
        from fpga.synth import map_design

        design = unroll(program)
        return netlist_check(design, map_design(design, device(name), folder), 200)

    return check


def by_bitstream(program, folder):
    from fpga.synth import build

    design = unroll(program)
    built = build(design, device("ice40-hx8k"), folder, frequency_mhz=20, seeds=(1,))
    return bitstream_check(design, built, 200)


CHECKS = [
    pytest.param(by_graph, id="graph"),
    pytest.param(by_rtl, id="rtl", marks=pytest.mark.synth),
    pytest.param(by_hls, id="hls", marks=pytest.mark.slow),
    pytest.param(by_netlist("ecp5-25k"), id="ecp5", marks=[pytest.mark.slow, pytest.mark.synth]),
    pytest.param(by_netlist("ice40-hx8k"), id="ice40", marks=[pytest.mark.slow, pytest.mark.synth]),
    pytest.param(by_bitstream, id="bitstream", marks=[pytest.mark.slow, pytest.mark.synth]),
]


@pytest.mark.parametrize("make", CHECKS)
def test_one_wrong_bit_of_one_weight_fails_every_check(make, tmp_path):
    results = []
    for name, program in (("right", small()), ("wrong", planted(small()))):
        (tmp_path / name).mkdir()
        check = make(program, tmp_path / name)
        results += verify(small(), [check], rng()).results
    if results[0].status == "skipped":
        pytest.skip(results[0].note)
    assert [result.status for result in results] == ["passed", "failed"]
    assert all(result.samples == 200 for result in results)
    assert results[1].mismatches > 0
    assert results[1].first.element == (0,)


def test_one_wrong_bit_fails_the_torch_check_and_is_traced():
    torch.manual_seed(0)
    float_net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    net = F8Net(float_net, shape=(3,), input=S4).calibrate(torch.rand(64, 3))
    program = net.program()
    check = torch_check(net, program)
    assert verify(program, [check], rng()).results[0].status == "passed"
    (result,) = verify(planted(program), [check], rng()).results
    assert (result.status, result.first.operation) == ("failed", program.outputs[0])


def test_a_bitstream_that_nobody_can_read_is_skipped():
    from fpga.synth import Built

    built = Built.__new__(Built)
    object.__setattr__(built, "device", device("ecp5-25k"))
    object.__setattr__(built, "pins", "bytes")
    (result,) = verify(small(), [bitstream_check(unroll(small()), built)], rng()).results
    assert (result.status, result.note) == ("skipped", "no open tool reads a bitstream of the LFE5U-25F as logic")
    object.__setattr__(built, "pins", "uart")
    (result,) = verify(small(), [netlist_check(unroll(small()), built)], rng()).results
    assert (result.status, result.note[:29]) == ("skipped", "it was built with pins='uart'")
