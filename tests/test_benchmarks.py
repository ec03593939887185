"""What every benchmark promises: `--quick` ends in figures, of however few rows."""

import importlib
import json
import runpy
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from shared.lab import Row

ROOT = Path(__file__).parents[1]
STORED = sorted((ROOT / "benchmarks" / "results").glob("*.json"))


@pytest.fixture
def benchmark(monkeypatch):
    """Imports `benchmarks.NAME` of this checkout: others install a package of that name too."""
    monkeypatch.syspath_prepend(ROOT)
    for name in [name for name in sys.modules if name.partition(".")[0] == "benchmarks"]:
        monkeypatch.delitem(sys.modules, name)

    def load(name: str):
        try:
            return importlib.import_module(f"benchmarks.{name}")
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] == "benchmarks":
                raise
            pytest.skip(f"benchmarks.{name} needs {error.name}, which no extra here has installed")

    return load


@pytest.mark.parametrize("path", STORED, ids=lambda path: path.stem)
def test_one_row_is_enough_for_figures(benchmark, path):
    """A quick run has one seed, and no interval over seeds: the first stored row of each part stands for it."""
    figures = benchmark(path.stem).figures
    rows = [Row(**row) for row in json.loads(path.read_text())["rows"]]
    parts = {row.settings.get("part", "") + row.settings.get("problem", ""): row for row in reversed(rows)}
    for row in parts.values():
        measured = figures([row])
        assert any(it.value is not None for it in measured.values())
        for it in measured.values():
            assert (it.low is None) == (it.high is None)
            assert it.low is None or it.low <= it.value <= it.high


@pytest.mark.parametrize("path", STORED, ids=lambda path: path.stem)
def test_the_stored_figures_follow_from_the_stored_rows(benchmark, path):
    stored = json.loads(path.read_text())
    rows = [Row(**row) for row in stored["rows"]]
    again = {name: it._asdict() for name, it in benchmark(path.stem).figures(rows).items()}
    assert json.loads(json.dumps(again)) == stored["figures"]


def test_a_disturbed_peer_makes_no_radar_net_look_faster(benchmark):
    """The large net is timed in ONNX Runtime beside every technique: what else ran meanwhile only adds to a time."""
    rows = [Row(**row) for row in json.loads((ROOT / "benchmarks" / "results" / "radar.json").read_text())["rows"]]
    figures = benchmark("radar").figures
    for row in rows:
        if "ms" in row.result:
            row.result["ms"]["dense in ONNX Runtime"] = 1e9
    assert figures(rows)["latency_ratio"].value < 1e3


def test_intervals_of_continual_learning_are_over_three_seeds_of_every_set(benchmark, monkeypatch):
    continual = benchmark("continual")
    monkeypatch.setattr(continual, "load", lambda data: None)
    cells = continual.cells(False, 0)
    assert {cell.seed for cell in cells} == {100, 101, 102}
    assert set(Counter(cell.data for cell in cells).values()) == {3}
    assert [cell.seed for cell in continual.cells(True, 2)] == [102]


@pytest.mark.parametrize(("names", "share"), [("abc", "validated"), ("vwxyz", 0.5)], ids=["others", "its own"])
def test_validation_classes_choose_where_a_folder_of_tasks_leaves_enough_of_them(
    benchmark, monkeypatch, capsys, names, share
):
    continual = benchmark("continual")
    few_shot = importlib.import_module("vision.data.few_shot")

    def of(names: str):
        return few_shot.ClassPictures(tuple(names), tuple(np.zeros((len(names), 1, 2, 2, 3), np.uint8)))

    def load(data: str):
        return few_shot.FewShotSet(of("b"), of("vwxyz") if data == "cifar100" else of(names), "", True)

    monkeypatch.setattr(continual, "load", load)
    [cell] = continual.cells(False, 1, "my pictures")
    assert (cell.seed, cell.outer_share) == (101, share)
    assert ("outer_share is not validated: my pictures has" in capsys.readouterr().err) == (share == 0.5)


@pytest.mark.parametrize(("words", "said"), [(["--data"], "expected one argument"), (["--data", "nowhere"], "no such")])
def test_a_folder_of_tasks_that_is_not_there_is_said(benchmark, monkeypatch, capsys, words, said):
    path = benchmark("continual").__file__
    monkeypatch.setattr(sys, "argv", [path, *words])
    with pytest.raises(SystemExit, match="2"):
        runpy.run_path(path, run_name="__main__")
    assert said in capsys.readouterr().err


@pytest.fixture
def peers(benchmark):
    pytest.importorskip("onnx")
    return benchmark("mobile.peers")


@pytest.fixture
def convolution(peers):
    """A net as ONNX, and a sample."""
    torch.manual_seed(0)
    model = peers.exported(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), torch.zeros(1, 3, 8, 8))
    return model, np.zeros((1, 3, 8, 8), np.float32)


def test_runtimes_that_are_missing_are_named(peers, convolution, monkeypatch):
    pytest.importorskip("onnxruntime")
    for module in ("openvino", "MNN"):
        monkeypatch.setitem(sys.modules, module, None)
    runs, missing = peers.peer_runs({"fp32": convolution})
    assert list(runs) == ["onnxruntime fp32"]
    assert missing == ["openvino: not installed", "MNN: not installed"]
    assert peers.mnn_sparse(*convolution) == {}


def test_mnn_computes_and_names_what_it_does_not_take(peers, convolution):
    pytest.importorskip("MNN")
    assert peers.mnn(*convolution)()
    assert peers.mnn(*convolution, sparse=True)()
    with pytest.raises(ValueError, match="MNN does not convert the model"):
        peers.mnn(b"no model", convolution[1])
