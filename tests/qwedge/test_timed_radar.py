"""Radar nets are timed where their domain meets the compiler, and the page shows it."""

from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

pytest.importorskip("onnxruntime", reason="pip install -e '.[mobile]'")
pytest.importorskip("amaranth", reason="pip install -e '.[fpga]'")
pytest.importorskip("numba", reason="pip install -e '.[wireless]'")

from fpga.design.devices import Resources, device
from fpga.folded import plan
from mobile.pricing.example import EXAMPLE
from mobile.runtime.compiler import CompilerError
from qwedge.experiments import radar
from qwedge.experiments.radar import TimedRadar, medians
from shared.integer import Constant, Conv1d, Flatten, Input, Linear, Program
from shared.integer.format import Format
from shared.lab import Store, print_page, run
from wireless.radar.compression.early_exit import EarlyExit
from wireless.radar.experiment.run import Radar, RadarSettings
from wireless.radar.nets.classifier import fresh

TINY = RadarSettings(
    nets=("iq-10k",),
    classes=("cw", "t1"),
    samples=128,
    tested_db=(0.0, 10.0),
    tested=4,
    tuning=1,
    examples=96,
    batch=32,
    techniques=("int4",),
    timed=True,
)


@pytest.fixture
def begun(tmp_path, monkeypatch):
    monkeypatch.setattr("mobile.build.compile.calibrated", lambda progress=None: EXAMPLE)
    monkeypatch.setattr(radar, "ROUNDS", 3)
    weights = tmp_path / "mine.safetensors"
    weights.write_bytes(fresh("iq-10k", TINY.classes, 128, torch.Generator()).to_bytes())
    return TINY.model_copy(update={"weights": str(weights)})


@pytest.mark.slow
def test_every_net_of_a_sweep_is_timed_beside_the_dense_one(begun, tmp_path, capsys):
    begun = begun.model_copy(update={"device": "ecp5-25k"})
    [row] = run(TimedRadar(), TimedRadar().cells(begun), Store(tmp_path / "rows"))
    for result in (row.result, *row.result["techniques"].values()):
        assert set(result["ms"]) == {"compiled", "dense in ONNX Runtime"}
        assert all(ms > 0 for ms in result["ms"].values())
    assert row.result["techniques"]["int4"]["fpga"]["per_second"] > 10_000
    print_page(TimedRadar().page([row]))
    shown = capsys.readouterr().out
    assert "compiled" in shown
    columns = [getattr(it, "columns", ()) for it in TimedRadar().page([row]).blocks]
    assert any("windows a second" in each for each in columns)
    assert "Accuracy against size" in "".join(str(getattr(it, "title", "")) for it in TimedRadar().page([row]).blocks)


def test_a_net_is_timed_beside_the_dense_one(monkeypatch):
    """As the run of the test before, with functions for libraries."""
    monkeypatch.setattr(radar, "ROUNDS", 3)
    for name in ("_program", "_floats", "_onnx_runtime"):
        monkeypatch.setattr(radar, name, lambda net, x: partial(np.sort, np.zeros(20_000)))
    times = TimedRadar().milliseconds(nn.Flatten(), nn.Flatten(), 128)
    assert set(times) == {"compiled", "dense in ONNX Runtime"}


def test_the_time_of_an_early_exit_is_the_mean_over_windows(monkeypatch):
    net = EarlyExit(nn.Sequential(), nn.Sequential(nn.Flatten()), nn.Sequential(nn.Flatten()))
    net.onward = 0.25
    monkeypatch.setattr(radar, "_floats", lambda net, x: None)
    monkeypatch.setattr(radar, "_onnx_runtime", lambda net, x: None)
    monkeypatch.setattr(radar, "medians", lambda runs, rounds: dict(zip(sorted(runs), (3.0, 9.0, 2.0), strict=True)))
    times = TimedRadar().milliseconds(net, nn.Flatten(), 128)
    assert times == {"compiled": 3.0 + 0.25 * 2.0, "dense in ONNX Runtime": 9.0}


def test_a_fixed_point_net_is_planned_for_an_fpga():
    """Two products for each of 16 inputs: a clock for each byte of a window, whatever else is computed."""
    weight = Constant(np.ones((1, 1, 2), np.int8), Format(8, 6))
    program = Program((Input("x", (1, 16), Format(8, 5)),), (Conv1d(("x",), "y", weight),), ("y",))
    planned = radar.planned(program, "ecp5-25k")
    assert planned["per_second"] == 1e8 / plan(program, device("ecp5-25k")).interval
    assert 0 < planned["share"] < 0.1
    assert planned["dsp"] >= 1


def tiny():
    weight = Constant(np.arange(-6, 6, dtype=np.int8).reshape(3, 4), Format(8, 6))
    return Program((Input("x", (2, 2), Format(8, 5)),), (Flatten(("x",), "f"), Linear(("f",), "y", weight)), ("y",))


def test_a_placed_net_has_the_clock_that_it_reaches(monkeypatch):
    """With numbers for a place and route, whose own tests are those of `fpga.synth`."""
    built = SimpleNamespace(fmax_mhz={1: 90.0, 2: 130.0}, seed=2, used=Resources(lut=7))
    monkeypatch.setattr("fpga.synth.build", lambda *arguments, **options: built)
    placed = TimedRadar().planned(tiny(), "ecp5-25k", placed=True)
    assert placed["routed_mhz"] == 130.0
    assert placed["routed_per_second"] == pytest.approx(
        1.3 * placed["per_second"], rel=0.3
    )  # the whole design's clocks
    assert placed["used"]["lut"] == 7

    def full(*arguments, **options):
        raise ValueError("it needs 9 multipliers, the device has 8")

    monkeypatch.setattr("fpga.synth.build", full)
    assert TimedRadar().planned(tiny(), "ecp5-25k", placed=True)["short"].startswith("it needs 9")


def test_a_net_is_an_onnx_file_that_was_checked(monkeypatch):
    import onnxruntime

    layers = nn.Sequential(nn.Conv1d(2, 3, 5), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten()).eval()
    for net in (tiny(), layers):
        file = TimedRadar().onnx(net, 2 if isinstance(net, Program) else 128)
        session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
        assert len(session.get_inputs()) == len(session.get_outputs()) == 1
    other = nn.Sequential(nn.Conv1d(2, 3, 5), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten()).eval()
    wrong = radar._onnx(other, np.zeros((1, 2, 128), np.float32))
    monkeypatch.setattr(radar, "_onnx", lambda net, x: wrong)
    with pytest.raises(RuntimeError, match=r"^ONNX Runtime computes other answers"):
        TimedRadar().onnx(layers, 128)


def test_a_net_that_no_plan_fits_is_a_row_too():
    weight = Constant(np.ones((160, 128), np.int8), Format(8, 6))  # more bits than the device has in its memories
    program = Program((Input("x", (128,), Format(8, 5)),), (Linear(("x",), "y", weight),), ("y",))
    planned = radar.planned(program, "ice40-hx8k")
    assert planned["device"] == "ice40-hx8k"
    assert "block RAM" in planned["short"]


def test_an_unknown_fpga_is_refused_before_anything_is_computed(begun):
    with pytest.raises(ValueError, match=r"^device 'ecp6' is unknown"):
        TimedRadar().cells(begun.model_copy(update={"device": "ecp6", "timed": False}))


@pytest.mark.parametrize(
    ("net", "setting"), [("transformer", "timed"), ("spectrogram", "timed"), ("spectrogram", "onnx")]
)
def test_a_net_that_no_runtime_takes_is_refused_before_training(net, setting):
    settings = TINY.model_copy(update={"nets": (net,), "techniques": (), "timed": False} | {setting: True})
    with pytest.raises(ValueError, match=f"^{setting}=True: .*{net} .*; leave one out$"):
        TimedRadar().cells(settings)
    assert TimedRadar().cells(settings.model_copy(update={setting: False}))


def test_without_a_compiler_nothing_is_begun(begun, monkeypatch):
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(CompilerError, match="is no program: install one"):
        TimedRadar().cells(begun)


def test_the_domain_alone_cannot_time_nor_plan(begun, tmp_path):
    with pytest.raises(ValueError, match=r"^timed=True needs a compiler of nets: "):
        run(Radar(), Radar().cells(begun), Store(tmp_path / "rows"))
    with pytest.raises(ValueError, match=r"^device='ecp5-25k' needs plans of FPGAs: "):
        Radar().planned(None, "ecp5-25k", placed=False)
    with pytest.raises(ValueError, match=r"^onnx=True needs ONNX Runtime: "):
        Radar().onnx(nn.Flatten(), 128)


def test_runs_take_turns_and_the_median_counts(monkeypatch):
    order, clock = [], iter(np.cumsum([0, 1, 0, 5, 0, 3, 0, 5, 0, 2, 0, 50]) * 1e-3)
    monkeypatch.setattr(radar.time, "process_time", lambda: next(clock))
    measured = medians({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, 3)
    assert order == ["a", "a", "b", "b"] * 3
    assert measured == pytest.approx({"a": 2.0, "b": 5.0})
