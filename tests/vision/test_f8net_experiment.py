"""The f8net experiment: a killed cell goes on where it was, counts are right, figures follow from them."""

import importlib.util
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from pictures import write_archive
from safetensors.torch import load

from shared.integer.files import from_json
from shared.lab import Row, Store, run
from shared.training.epochs import Trainer
from vision.data.cifar10 import ARCHIVE
from vision.f8net.experiment import F8NetGap, F8NetSettings
from vision.f8net.figures import accuracy, gap, reference
from vision.f8net.page import _verdict, widest


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    write_archive(folder / ARCHIVE)
    return F8NetSettings(epochs=2, tuning=1, width=2, batch=32, per_class=6, scored=2, images=str(folder))


@pytest.fixture(scope="module")
def whole(tiny, tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("whole"))
    [row] = run(F8NetGap(), [tiny], store)
    return row, store


def without_times(result):
    if isinstance(result, dict):
        return {key: without_times(value) for key, value in result.items() if key != "cpu_s"}
    return [without_times(value) for value in result] if isinstance(result, list) else result


@pytest.mark.parametrize("epochs", [1, 3])
def test_a_cell_that_was_stopped_goes_on_and_ends_as_if_it_had_not_been(whole, tiny, tmp_path, monkeypatch, epochs):
    class Killed(BaseException):
        pass

    calls, run_epoch = [], Trainer.run_epoch

    def counted(*given):
        calls.append(1)
        if len(calls) > epochs:
            raise Killed
        return run_epoch(*given)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "run_epoch", counted)
        with pytest.raises(Killed):
            run(F8NetGap(), [tiny], Store(tmp_path))
    calls.clear()
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "run_epoch", lambda *given: (calls.append(1), run_epoch(*given))[1])
        [row] = run(F8NetGap(), [tiny], Store(tmp_path))
    assert len(calls) == 4 - epochs  # of two float epochs, one of the control, one of F8Net
    assert without_times(row.result) == without_times(whole[0].result)
    assert row.artefacts == whole[0].artefacts


def test_a_row_holds_counts_and_the_program_they_come_from(whole):
    row, store = whole
    result = row.result
    assert result["scored"] == result["equal_to_float32"] == 20
    assert result["data"]["trained_on"] == 60
    assert result["correct"].keys() == {"float", "control", "calibrated", "F8Net"}
    assert result["correct"]["F8Net"] - result["correct"]["control"] == (
        result["only"]["F8Net"] - result["only"]["control"]
    )
    assert [len(epochs) for epochs in result["epochs"].values()] == [2, 1, 1]
    assert result["largest_sum"] < 2**24
    assert {tuple(bits) for *bits, _ in result["multipliers"]} == {(8, 8)}
    program = from_json(store.get(row.artefacts["resnet8.json"]).decode())
    assert program.inputs[0].shape == (3, 32, 32)
    assert "steps.0.layer.weight" in load(store.get(row.artefacts["resnet8.safetensors"]))


def test_the_part_that_is_counted_is_a_setting(tiny, tmp_path):
    settings = tiny.model_copy(update={"part": "validation", "epochs": 1})
    [row] = run(F8NetGap(), [settings], Store(tmp_path))
    assert row.result["data"]["part"] == "validation"
    assert row.result["scored"] == 20  # every tenth of 20 training images of each class; the test part has 30


def test_the_page_shows_every_net_and_every_file(whole):
    shown = F8NetGap().page([whole[0]])
    titles = [getattr(block, "title", "") for block in shown.blocks]
    assert titles[1:5] == ["Counts", "Integer program", "Training", "Published, not measured here"]
    assert [block.name for block in shown.blocks[5:]] == ["resnet8.json", "resnet8.safetensors"]
    assert "JPEG copy" in shown.summary
    assert [line[0] for line in shown.blocks[3].lines] == [
        *["float"] * 2,
        "float, trained further (equal epochs)",
        "F8Net (integer program)",
    ]


def counted(seed, **correct):
    """A row with these counts of 1000 images."""
    result = {"correct": correct, "scored": 1000}
    return Row(f"id{seed}", "f8net", 1, {"seed": seed}, seed, result, {}, {})


def test_the_verdict_says_which_nets_are_better_also_where_that_is_not_ours():
    rows = [
        counted(0, float=800, control=900, calibrated=700, F8Net=850),
        counted(1, float=803, control=904, calibrated=910, F8Net=852),
    ]
    text = "".join(map(str, _verdict(rows).parts))
    assert text == (
        "F8Net (integer program) has a higher accuracy than float (+4.95 points). "
        "It is level with fixed point, calibrated only (+4.60 points). "
        "It has a lower accuracy than float, trained further (equal epochs) (-5.10 points)."
    )


def test_every_seed_is_a_cell_of_its_own(tiny):
    cells = F8NetGap().cells(tiny.model_copy(update={"seeds": 3, "seed": 5}))
    assert [cell.seed for cell in cells] == [5, 6, 7]


def test_missing_images_are_said_at_once(tmp_path, monkeypatch):
    monkeypatch.delenv("QWEDGE_DATA", raising=False)
    words = r"^images=\$QWEDGE_DATA/cifar10: no cifar10_jpg.tar.xz there; set QWEDGE_DATA, or name its folder"
    with pytest.raises(ValueError, match=words):
        run(F8NetGap(), [F8NetSettings()], Store(tmp_path))


def row(float_, control, fixed, scored=200):
    correct = {"float": float_, "control": control, "F8Net": fixed, "calibrated": fixed}
    return SimpleNamespace(result={"correct": correct, "scored": scored, "multipliers": [[8, 7, 5], [6, 8, 1]]})


def test_figures_by_hand():
    rows = [row(100, 110, 108), row(104, 102, 100)]
    assert reference(rows) == "control"
    assert gap(rows).value == pytest.approx(1.0)  # of (110 - 108 and 102 - 100) / 200
    assert gap(rows).low == gap(rows).high == pytest.approx(1.0)
    assert accuracy(rows, "F8Net").value == pytest.approx(52.0)
    assert gap([row(111, 110, 100)]) == (pytest.approx(5.5), None, None)
    assert widest(rows) == 8


@pytest.fixture(scope="module")
def benchmark():
    # By path: a package called `benchmarks` may be installed by others.
    path = Path(__file__).parents[2] / "benchmarks" / "f8net.py"
    spec = importlib.util.spec_from_file_location("f8net_benchmark", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_without_images_the_benchmark_skips_and_says_so(benchmark, monkeypatch, tmp_path, capsys):
    monkeypatch.delenv("QWEDGE_DATA", raising=False)
    words = ["--quick", "--out", str(tmp_path / "rows"), "--json", str(tmp_path / "figures.json")]
    benchmark.main(F8NetGap(), benchmark.cells, benchmark.figures, words)
    assert "skipped: images=$QWEDGE_DATA/cifar10" in capsys.readouterr().err
    figures = json.loads((tmp_path / "figures.json").read_text())["figures"]
    assert figures["f8net_gap"]["value"] is None
    assert figures["f8net_gap"]["goal"] == "<= 0.5"


def test_the_benchmark_names_both_goals(benchmark, whole):
    found = benchmark.figures([whole[0]])
    assert found["f8net_gap"].goal == "<= 0.5"
    assert found["f8net_multiplier_bits"].met is True
