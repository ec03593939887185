"""A recording goes through the hardware of a compressed radar net and comes out with the names of its waveforms."""

from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("amaranth", reason="pip install -e '.[fpga]'")
pytest.importorskip("numba", reason="pip install -e '.[wireless]'")

from qwedge.experiments import radar_fpga
from qwedge.experiments.radar_fpga import RadarFPGA, RadarFPGASettings
from shared.integer import Constant, Conv1d, Flatten, Input, Linear, Program, Requantise, outputs
from shared.integer.files import to_json
from shared.integer.format import Format
from shared.lab import Store, print_page, run
from wireless.radar.nets.inputs import FORMAT, as_input


def small_program():
    """Windows of the right shape to twelve scores, in few operations."""
    rng = np.random.default_rng(0)
    word = Format(8, 7)
    first, last = (Constant(rng.integers(-90, 90, shape), word) for shape in ((4, 2, 8), (12, 64)))
    steps = (
        Conv1d(("x",), "first", first, stride=(64,)),
        Requantise(("first",), "relu", Format(8, 5, signed=False)),
        Flatten(("relu",), "flat"),
        Linear(("flat",), "scores", last),
    )
    return Program((Input("x", (2, 1024), FORMAT),), steps, ("scores",))


@pytest.fixture
def files(tmp_path):
    (tmp_path / "net.json").write_text(to_json(small_program()))
    rng = np.random.default_rng(1)
    np.save(tmp_path / "mine.npy", (rng.standard_normal(2048) + 1j * rng.standard_normal(2048)).astype("c8"))
    return {"program": str(tmp_path / "net.json"), "recording": str(tmp_path / "mine.npy")}


@pytest.mark.parametrize("simulated", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_what_the_hardware_answers_is_what_the_program_does(simulated, files, tmp_path, monkeypatch):
    """Its Verilog or, to be quick, the program itself; place and route, which has tests of its own, is left out."""
    if not simulated:
        monkeypatch.setattr(radar_fpga, "hardware", lambda program, name, constraints, x: outputs(program, x)[0])
    monkeypatch.setattr(radar_fpga, "build_and_verify", lambda *arguments, **options: {"built": options["compared"]})
    [row] = run(RadarFPGA(), RadarFPGA().cells(RadarFPGASettings(**files)), Store(tmp_path / "rows"))
    samples = np.load(files["recording"])
    windows = np.stack([samples[start : start + 1024] for start in (0, 512, 1024)])
    [scores] = outputs(small_program(), FORMAT.to_integers(as_input(windows).numpy()))
    assert row.result["starts"] == [0, 512, 1024]
    assert row.result["answers"] == [radar_fpga.TWELVE[index] for index in scores.argmax(1)]
    assert row.result["answers"] == row.result["answers_of_program"]
    assert (row.result["built"], row.result["net"]) == (100, "net")


def test_an_answer_that_differs_is_counted():
    result = {"answers": ["p1", "p2"], "answers_of_program": ["p1", "p3"], "classes": ["p1", "p2"]}
    row = radar_fpga.Row(
        "id", "radar_fpga", 1, {}, 0, {**result, "starts": [0, 9], "recording": "", "notes": ["so"]}, {}, {}
    )
    assert "".join(map(str, radar_fpga._verdict(row))) == (
        "The hardware names 1 of 2 windows as the integer program does, 2 of them rightly. "
    )
    assert [str(cell) for cell in radar_fpga._answers(row).lines[1]] == ["9", "p2", "p3", "p2"]


def test_without_a_program_a_net_that_ships_is_compressed(monkeypatch):
    calls = []

    def compress(work):
        calls.append((work.price, work.budget, work.epochs, work.samples))
        return radar_fpga.TECHNIQUES["int8"].compress  # anything without a program

    context = SimpleNamespace(generator=lambda: None, progress=None)
    entry = radar_fpga.TECHNIQUES["int8"]._replace(compress=compress)
    monkeypatch.setitem(radar_fpga.TECHNIQUES, "int8", entry)
    with pytest.raises(AttributeError, match="net"):
        RadarFPGA().compressed(RadarFPGASettings(technique="int8", budget=0.3, tuning=2), context)
    assert calls == [("macs", 0.3, 2, 1024)]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"device": "ecp6"}, r"^device 'ecp6' is unknown"),
        ({"net": "resnet"}, r"^no radar net 'resnet' ships: it must be one of iq, "),
        ({"technique": "magnitude"}, r"^technique 'magnitude' ends in no integers: it must be one of gradual-int8, "),
        ({"recording": "a.txt"}, r"a\.txt: format does not follow from its name"),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused_before_anything_is_computed(change, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.txt").write_text("nothing")
    with pytest.raises(ValueError, match=words):
        RadarFPGA().cells(RadarFPGASettings(**change))


def test_a_program_of_another_shape_is_refused(tmp_path):
    half = Program((Input("x", (2,), Format(8, 7)),), (Requantise(("x",), "y", Format(7, 6)),), ("y",))
    (tmp_path / "half.json").write_text(to_json(half))
    with pytest.raises(
        ValueError, match=r"half\.json: from \[\(2,\)\] to \(2,\); needs \(2, 1024\) in .* to 12 classes$"
    ):
        RadarFPGA().cells(RadarFPGASettings(program=str(tmp_path / "half.json")))


@pytest.mark.synth
def test_a_net_is_built_and_named_pulses_are_right(files, tmp_path, capsys):
    [row] = run(RadarFPGA(), RadarFPGA().cells(RadarFPGASettings(**files, compared=10)), Store(tmp_path / "rows"))
    assert {check["outcome"] for check in row.result["ladder"]} == {"passed"}
    print_page(RadarFPGA().page([row]))
    assert "of 3 windows as the integer program does" in capsys.readouterr().out
