"""Radar nets are timed where their domain meets the compiler, and the page shows it."""

import numpy as np
import pytest
import torch

pytest.importorskip("onnxruntime", reason="pip install -e '.[mobile]'")
pytest.importorskip("numba", reason="pip install -e '.[wireless]'")

from mobile.pricing.example import EXAMPLE
from mobile.runtime.compiler import CompilerError
from qwedge.experiments import radar
from qwedge.experiments.radar import TimedRadar, medians
from shared.lab import Store, print_page, run
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


def test_every_net_of_a_sweep_is_timed_beside_the_dense_one(begun, tmp_path, capsys):
    [row] = run(TimedRadar(), TimedRadar().cells(begun), Store(tmp_path / "rows"))
    for result in (row.result, *row.result["techniques"].values()):
        assert set(result["ms"]) == {"compiled", "dense in ONNX Runtime"}
        assert all(ms > 0 for ms in result["ms"].values())
    print_page(TimedRadar().page([row]))
    shown = capsys.readouterr().out
    assert "compiled" in shown
    assert "Accuracy against size" in "".join(str(getattr(it, "title", "")) for it in TimedRadar().page([row]).blocks)


def test_without_a_compiler_nothing_is_begun(begun, monkeypatch):
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(CompilerError, match="is no program: install one"):
        TimedRadar().cells(begun)


def test_the_domain_alone_cannot_time(begun, tmp_path):
    with pytest.raises(ValueError, match=r"^timed=True needs a compiler of nets: "):
        run(Radar(), Radar().cells(begun), Store(tmp_path / "rows"))


def test_runs_take_turns_and_the_median_counts(monkeypatch):
    order, clock = [], iter(np.cumsum([0, 1, 0, 5, 0, 3, 0, 5, 0, 2, 0, 50]) * 1e-3)
    monkeypatch.setattr(radar.time, "process_time", lambda: next(clock))
    measured = medians({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, 3)
    assert order == ["a", "a", "b", "b"] * 3
    assert measured == pytest.approx({"a": 2.0, "b": 5.0})
