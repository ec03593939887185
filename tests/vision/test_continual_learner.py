"""A learner: nothing is lost between tasks or over a saved state, and what it cannot read leaves it as it was."""

import json
import runpy
from pathlib import Path

import numpy as np
import pytest
import torch
from few_shot_files import tree
from safetensors import safe_open
from safetensors.torch import save
from small_learners import embedding, pictures

from vision.continual.adaptation import Adaptation, Discriminator
from vision.continual.frozen import NearestMeans
from vision.continual.learner import Learner
from vision.continual.storage import ClassStorage
from vision.data.few_shot import read_tree
from vision.nets.conv4 import Conv4
from vision.nets.encoder import Embedding
from vision.nets.encoders import ENCODERS


@pytest.fixture
def rng():
    return np.random.default_rng(3)


@pytest.fixture
def learner():
    return Learner(embedding(), Discriminator(8), Adaptation(steps=2, rate=0.01))


def test_a_stored_direction_is_within_half_a_step_of_its_largest_feature(rng):
    storage, means = ClassStorage(40), torch.from_numpy(rng.normal(size=(3, 40))).float()
    storage.write(["a", "b", "c"], means)
    peak = means.abs().amax(1, keepdim=True)
    assert ((storage.codes * peak / 127 - means).abs() <= peak / 254 * 1.001).all()
    assert torch.allclose(storage.means.norm(dim=1), torch.ones(3))
    assert storage.bytes_per_class == 40


@pytest.mark.parametrize(
    ("support", "said"),
    [
        ({}, "without classes"),
        ({"first": pictures(1)}, "'first' is stored already"),
        ({"third": pictures(0)}, "'third' has no picture"),
        ({"third": pictures(2)[:, :1]}, r"'third': needs a tensor of pictures \(B, 3, 16, 16\), not \(2, 1, 16, 16\)"),
        ({"third": pictures(2)[0]}, r"not \(3, 16, 16\)"),
        ({"third": 255 * pictures(2)}, "'third': needs numbers in 0 to 1"),
        ({"third": pictures(2) * torch.nan}, "'third': needs numbers in 0 to 1"),
        ({"third": pictures(2).double()}, "'third': needs float32 numbers, not torch.float64"),
        ({"third": pictures(2).numpy()}, r"'third': needs a tensor of pictures \(B, 3, 16, 16\), not a ndarray"),
        ({3: pictures(2)}, "class 3: needs a name, as a string"),
        ({"": pictures(2)}, "class '': needs a name"),
    ],
    ids=[
        "no class", "a name twice", "no picture", "other channels", "no batch", "bytes", "no number", "double", "array",
        "number for a name", "empty name",
    ],
)  # fmt: skip
def test_a_bad_task_is_refused_and_leaves_the_state_as_it_was(learner, support, said):
    learner.learn({"first": pictures(2), "second": pictures(2, 1)})
    before = learner.to_bytes()
    with pytest.raises(ValueError, match=said):
        learner.learn(support)
    assert learner.to_bytes() == before


def test_a_saved_learner_goes_on_as_if_nothing_had_happened(learner, tmp_path):
    first, second = {"a": pictures(2), "b": pictures(2, 1)}, {"c": pictures(2, 2)}
    learner.learn(first)
    learner.save(tmp_path / "state.safetensors")
    loaded = Learner.load(tmp_path / "state.safetensors")
    assert torch.equal(loaded.scores(pictures(4)), learner.scores(pictures(4)))
    for each in (learner, loaded):
        each.learn(second)
    assert torch.equal(loaded.scores(pictures(4, 5)), learner.scores(pictures(4, 5)))
    assert loaded.stored.names == ["a", "b", "c"]


def test_a_state_of_another_version_and_a_file_that_is_none_are_refused(learner, tmp_path):
    path = tmp_path / "state.safetensors"
    learner.save(path)
    path.write_bytes(path.read_bytes().replace(rb"format\": 2", rb"format\": 1"))
    with pytest.raises(ValueError, match="of version 1: this one reads 2"):
        Learner.load(path)
    path.write_bytes(b"something else")
    with pytest.raises(ValueError, match="no state of a learner"):
        Learner.load(path)
    path.write_bytes(save({"codes": torch.zeros(1)}, {"learner": json.dumps({"format": 2})}))
    with pytest.raises(ValueError, match="incomplete state of a learner"):
        Learner.load(path)
    path.write_bytes(save({"codes": torch.zeros(1)}, {"learner": "[]"}))
    with pytest.raises(ValueError, match="is no state of a learner"):
        Learner.load(path)


@pytest.mark.parametrize(
    ("of_about", "of_tensors", "said"),
    [
        ({"classes": ["a"]}, {}, r"1 classes need codes \(1, 8\) of torch.int8, not \(2, 8\) of"),
        ({}, {"codes": torch.zeros(2, 3, dtype=torch.int8)}, r"not \(2, 3\) of torch.int8"),
        ({}, {"codes": torch.zeros(2, 8)}, r"not \(2, 8\) of torch.float32"),
        ({"classes": ["a", "a"]}, {}, "class 'a' is stored already"),
        ({}, {"now.encoder.0.weight": torch.zeros(2, 2)}, r"encoder.0.weight"),
        ({}, {"now.encoder.0.weight": None}, r"encoder.0.weight"),
    ],
    ids=["fewer names", "narrow codes", "codes of floats", "a name twice", "other shape", "a missing weight"],
)
def test_a_state_whose_parts_do_not_fit_is_refused(learner, tmp_path, of_about, of_tensors, said):
    learner.learn({"a": pictures(1), "b": pictures(1, 1)})
    path = tmp_path / "state.safetensors"
    learner.save(path)
    with safe_open(path, "pt") as file:
        about = json.loads(file.metadata()["learner"]) | of_about
        tensors = {name: file.get_tensor(name) for name in file.keys()} | of_tensors  # noqa: SIM118
    whole = {name: value for name, value in tensors.items() if value is not None}
    path.write_bytes(save(whole, {"learner": json.dumps(about)}))
    with pytest.raises(ValueError, match=f"incomplete state of a learner: .*{said}"):
        Learner.load(path)


def test_paths_may_be_strings(learner, tmp_path):
    learner.learn({"a": pictures(1)})
    learner.save(str(tmp_path / "state"))
    assert Learner.load(str(tmp_path / "state")).stored.names == ["a"]
    tree(tmp_path / "tree", ["x"], count=1)
    assert read_tree(str(tmp_path / "tree")).names == ("x",)


def test_before_the_first_class_there_is_no_answer_nor_to_pictures_of_another_size(learner):
    with pytest.raises(ValueError, match="no class was learned yet"):
        learner.predict(pictures(1))
    learner.learn({"a": pictures(1)})
    with pytest.raises(
        ValueError, match=r"the pictures: needs a tensor of pictures \(B, 3, 16, 16\), not \(1, 3, 8, 8\)"
    ):
        learner.predict(pictures(1)[:, :, :8, :8])


@pytest.mark.parametrize("name", list(ENCODERS))
def test_every_encoder_has_as_many_features_as_it_says_and_is_saved_by_name(name, tmp_path):
    learner = Learner(Embedding(ENCODERS[name](1, 20, 6)).eval(), Discriminator(ENCODERS[name](1, 20, 6).features))
    x = torch.rand(3, 1, 20, 20)
    learner.learn({"a": x[:1], "b": x[1:]})
    assert learner.embedding.encoder(x).shape == (3, learner.stored.bytes_per_class)
    learner.save(tmp_path / "state")
    loaded = Learner.load(tmp_path / "state")
    assert type(loaded.embedding.encoder) is ENCODERS[name]
    assert torch.equal(loaded.scores(x), learner.scores(x))


def test_pictures_that_leave_nothing_of_a_map_are_refused():
    with pytest.raises(ValueError, match="pictures of 8x8 are too small for Conv4: scale them to 16x16 at least"):
        Conv4(3, 8)


def test_a_learner_is_nearest_means_unless_it_is_asked_to_adapt():
    net, tasks = embedding(), [{"a": pictures(3, 1), "b": pictures(2, 2)}, {"c": pictures(2, 3), "d": pictures(4, 4)}]
    learner, means = Learner(net, Discriminator(8)), NearestMeans(net, 8)
    for task in tasks:
        for method in (learner, means):
            method.learn(task)
    assert torch.equal(learner.scores(pictures(5)), means.scores(pictures(5)))


def test_the_shipped_learner_does_what_the_page_says(tmp_path, monkeypatch, capsys):
    """Five kinds of patterns from five pictures each, a saved state, a sixth kind, a new picture of each."""
    page = (Path(__file__).parents[2] / "docs" / "vision.md").read_text()
    [example] = [block for block in page.split("```python\n") if "pretrained()" in block.partition("```")[0]]
    code, _, rest = example.partition("```\nprints\n```text\n")
    printed = rest.partition("```")[0]
    (tmp_path / "example.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    runpy.run_path("example.py")
    assert capsys.readouterr().out == printed
