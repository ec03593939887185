"""Runs of continual learning: a cell that was stopped goes on, and what cannot be run is said."""

import numpy as np
import pytest
import torch
from few_shot_files import drawings, tree

from shared.lab import Store, render, run
from shared.training.epochs import Trainer
from vision.continual.experiment import Continual, ContinualSettings
from vision.continual.figures import METHODS
from vision.continual.learner import Learner
from vision.data.few_shot import load


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    tree(folder, [f"class {k:02}" for k in range(24)])
    return ContinualSettings(
        data=str(folder), ways=2, tasks=2, queries=2, streams=6, slow_streams=2, shots=(1, 2), width=4, epochs=1,
        tuning=1, episodes=2, batch=32, meta_tasks=2, meta_queries=1, control_steps=1,
    )  # fmt: skip


def without_times(result):
    if isinstance(result, dict):
        return {key: without_times(value) for key, value in result.items() if key not in ("cpu_s", "ms_per_class")}
    return [without_times(value) for value in result] if isinstance(result, list) else result


def test_a_cell_that_was_stopped_goes_on_and_ends_as_if_it_had_not_been(tiny, tmp_path, monkeypatch):
    class Killed(BaseException):
        pass

    [whole] = run(Continual(), [tiny], Store(tmp_path / "whole"))
    calls, run_epoch = [], Trainer.run_epoch

    def counted(*words):
        calls.append(1)
        if len(calls) > 2:
            raise Killed
        return run_epoch(*words)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "run_epoch", counted)
        with pytest.raises(Killed):
            run(Continual(), [tiny], Store(tmp_path / "parts"))
    [row] = run(Continual(), [tiny], Store(tmp_path / "parts"))
    assert without_times(row.result) == without_times(whole.result)
    assert row.artefacts == whole.artefacts
    assert [len(row.result["methods"]["2"][name]["final"]) for name in ("cml", "int8", "joint")] == [6, 6, 2]
    assert set(row.result["methods"]["1"]) == set(METHODS) - {"compiled"}
    courses = [row.result["methods"]["2"]["cml"][key] for key in ("forgetting_course", "forgetting_own_course")]
    assert [len(each) for each in courses] == [2, 2]
    assert courses[0][-1] == pytest.approx(np.mean(row.result["methods"]["2"]["cml"]["forgetting"]))
    html = render(Continual().page([row]), [row], Store(tmp_path / "parts"))
    assert "Accuracy after each task, from 2 pictures of a class" in html
    assert "Embeddings of pictures" in html
    assert "arXiv 2207.12303, without its inner loop." in html
    assert "Forgetting after each task, from 2 pictures of a class" in html
    assert "all parts but storage, and so no adversary" in html
    kept = tmp_path / "learner.safetensors"
    kept.write_bytes(Store(tmp_path / "whole").get(whole.artefacts[kept.name]))
    learner = Learner.load(kept)
    learner.learn({"a": torch.rand(2, 3, 32, 32), "b": torch.rand(2, 3, 32, 32)})
    assert set(learner.predict(torch.rand(3, 3, 32, 32))) <= {"a", "b"}


def test_tasks_of_another_folder_have_no_class_that_the_encoder_knows(tiny, tmp_path):
    of_the_encoder = load(tiny.data).base.names
    tree(tmp_path / "other", [of_the_encoder[0], "new 1", "new 2", "new 3"], size=32)
    changes = {"tasks_from": str(tmp_path / "other"), "tasks": 9, "inner_steps": 1, "adversary": 0.1}
    changes |= {"encoder": "efficientformer"}
    cell = tiny.model_copy(update=changes)
    [row] = run(Continual(), [cell], Store(tmp_path / "out"))
    assert row.result["novel_classes"] == 3
    assert set(METHODS) - set(row.result["methods"]["1"]) == {"compiled", "all_parts"}
    assert row.result["notes"] == [
        "3 classes make 1 tasks of 2, not 9.",
        f"The encoder knows these of {tmp_path / 'other'}, so no task has them: {of_the_encoder[0]}.",
    ]


def test_validation_classes_say_how_much_of_the_outer_loop_is_kept(tiny, tmp_path):
    """Of one that ruins the encoder nothing: CML answers as the frozen encoder then."""
    tree(tmp_path / "other", [f"new {k}" for k in range(4)], size=32)
    cell = tiny.model_copy(update={"tasks_from": str(tmp_path / "other"), "outer_share": "validated"})
    cell = cell.model_copy(update={"outer_rate": 3.0, "tasks": 1, "shots": (2,), "width": 8})
    [row] = run(Continual(), [cell], Store(tmp_path / "out"))
    [note] = [each for each in row.result["notes"] if "validation classes" in each]
    assert "6 validation classes decided: CML: 0;" in note
    assert row.result["methods"]["2"]["cml"]["accuracy"] == row.result["methods"]["2"]["nearest_mean"]["accuracy"]
    alone = tiny.model_copy(update={"outer_share": "validated"})
    with pytest.raises(ValueError, match="outer_share=validated needs classes that make no tasks"):
        run(Continual(), [alone], Store(tmp_path / "out"))


def test_what_makes_classes_too_few_is_said(tiny, tmp_path):
    tree(tmp_path / "five", [f"of mine {k}" for k in range(5)])
    cell = tiny.model_copy(update={"data": str(tmp_path / "five"), "ways": 4})
    with pytest.raises(
        ValueError, match=r"ways=4 needs 4 classes to make tasks of: there are 2 \(3 train the encoder\)"
    ):
        run(Continual(), [cell], Store(tmp_path / "out"))
    tree(tmp_path / "same", load(tiny.data).base.names[:2])
    cell = tiny.model_copy(update={"tasks_from": str(tmp_path / "same")})
    with pytest.raises(ValueError, match=r"there are 0 \(the encoder knows 2 of them\)"):
        run(Continual(), [cell], Store(tmp_path / "out"))


def test_pictures_that_the_encoder_cannot_read_are_refused(tiny, tmp_path):
    (tmp_path / "grey").mkdir()
    drawings(tmp_path / "grey", ("Korean", "Greek"))
    cell = tiny.model_copy(update={"tasks_from": str(tmp_path / "grey")})
    with pytest.raises(ValueError, match=r"pictures are \(1, 32, 32\) .* reads \(3, 32, 32\); take a set of the same"):
        run(Continual(), [cell], Store(tmp_path / "out"))
