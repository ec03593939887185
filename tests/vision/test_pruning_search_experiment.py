"""The pruning_search experiment: nets within the budget, a killed cell goes on, files are the net, figures follow."""

import json

import numpy as np
import pytest
from pictures import write_archive
from safetensors.torch import load

from shared.lab import Row, Store, run
from shared.training.epochs import Trainer
from vision.data.cifar10 import ARCHIVE
from vision.data.shapes import shapes
from vision.pruning_search.experiment import PruningSearch, PruningSearchSettings
from vision.pruning_search.figures import budget_error, gains, search_share, seconds
from vision.pruning_search.page import _verdict, page

TINY = {"epochs": 1, "search": 2, "tuning": 1, "exchange": 0.5, "width": 4, "batch": 32, "per_class": 6, "scored": 2}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    write_archive(folder / ARCHIVE)
    return PruningSearchSettings(macs=0.5, images=str(folder), **TINY)


@pytest.fixture(scope="module")
def whole(tiny, tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("whole"))
    [row] = run(PruningSearch(), [tiny], store)
    return row, store


def without_times(result):
    if isinstance(result, dict):
        return {key: without_times(value) for key, value in result.items() if key != "cpu_s"}
    return [without_times(value) for value in result] if isinstance(result, list) else result


def test_every_net_is_within_the_budget_and_named(whole, tiny):
    result = whole[0].result
    assert set(result["correct"]) | set(result["missing"]) == {"wide", "search", *tiny.controls}
    assert set(result["missing"]) <= {"torch_pruning"}
    assert all("torch-pruning" in reason for reason in result["missing"].values())
    for name, about in result["nets"].items():
        assert about["macs"] <= 0.5 * result["macs"]
        assert len(about["tuned"]) == (1 if name in ("search", "admm", "relaxation") else 2)
        assert "measured" not in about or about["measured"] == about["macs"]
    assert result["nets"]["search"]["reparam_error"] <= 1e-4
    assert budget_error(whole[0]) < 5  # nets of four channels
    assert seconds(whole[0], "search") > 0
    assert search_share(whole[0]) > 0


def test_a_cell_that_was_stopped_goes_on(whole, tiny, tmp_path, monkeypatch):
    class Killed(BaseException):
        pass

    calls, run_epoch = [], Trainer.run_epoch

    def counted(*arguments):
        calls.append(1)
        if len(calls) > 2:  # in the search
            raise Killed
        return run_epoch(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "run_epoch", counted)
        with pytest.raises(Killed):
            run(PruningSearch(), [tiny], Store(tmp_path))
    [row] = run(PruningSearch(), [tiny], Store(tmp_path))
    assert without_times(row.result) == without_times(whole[0].result)
    assert row.artefacts == whole[0].artefacts


def test_a_budget_that_no_net_meets_is_refused_before_training(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(Trainer, "run_epoch", lambda *arguments: pytest.fail("training began"))
    with pytest.raises(ValueError, match=r"the narrowest net, minimum=2 and multiple=1, costs"):
        run(PruningSearch(), [tiny.model_copy(update={"macs": 1e-6})], Store(tmp_path))


def test_files_are_the_net(whole):
    onnxruntime = pytest.importorskip("onnxruntime")
    row, store = whole
    weights = load(store.get(row.artefacts["net.safetensors"]))
    spec = json.loads(store.get(row.artefacts["widths.json"]))
    widths = [len(group["kept"]) for group in spec["groups"]]
    assert widths == row.result["nets"]["search"]["widths"]
    assert sorted(len(tensor) for name, tensor in weights.items() if tensor.ndim == 4)[0] == min(widths)
    session = onnxruntime.InferenceSession(store.get(row.artefacts["net.onnx"]))
    answers = session.run(None, {"image": np.zeros((3, 3, 32, 32), np.float32)})[0]
    assert answers.shape == (3, 10)
    assert np.isfinite(answers).all()


def test_the_page_shows_every_net_and_every_file(whole):
    shown = page([whole[0]])
    titles = [getattr(block, "title", "") for block in shown.blocks]
    assert titles[1:4] == ["At one budget", "Widths", "The search, epoch by epoch"]
    assert [block.name for block in shown.blocks[4:]] == ["net.safetensors", "widths.json", "net.onnx"]
    assert "JPEG copy" in shown.summary
    assert [line[0] for line in shown.blocks[1].lines][:2] == ["wide net, not pruned", "learned widths"]


def counted(seed, **correct):
    """A row with these counts of 1000 images."""
    nets = {name: {} for name in correct if name != "wide"}
    result = {"correct": correct, "scored": 1000, "nets": nets}
    return Row(f"id{seed}", "pruning_search", 1, {"seed": seed}, seed, result, {}, {})


def test_the_verdict_says_where_learned_widths_are_behind():
    rows = [
        counted(0, wide=900, search=850, uniform=800, random=880),
        counted(1, wide=902, search=853, uniform=804, random=884),
    ]
    assert gains(rows, "uniform") == pytest.approx([5.0, 4.9])
    text = "".join(map(str, _verdict(rows).parts))
    assert "has a higher accuracy than equal shares of every layer (+4.95 points)" in text
    assert "has a lower accuracy than random channels (-3.05 points)" in text


def test_shapes_stand_in_for_images_and_say_so(monkeypatch):
    monkeypatch.delenv("QWEDGE_DATA", raising=False)
    settings = PruningSearchSettings()
    assert settings.is_generated
    assert PruningSearch().data(settings) == {}
    assert not settings.model_copy(update={"images": "/elsewhere"}).is_generated
    monkeypatch.setenv("QWEDGE_DATA", "/nowhere")
    with pytest.raises(ValueError, match="no cifar10_jpg"):
        PruningSearch().data(settings)
    one, same, other = shapes(1, 4, 2), shapes(1, 4, 2), shapes(2, 4, 2)
    assert np.array_equal(one.train.pixels, same.train.pixels)
    assert not np.array_equal(one.train.pixels, other.train.pixels)
    assert np.bincount(one.test.labels).tolist() == [2] * 10
    assert len(np.unique(one.test.pixels)) > 100
