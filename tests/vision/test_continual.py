"""Continual learning: nothing is lost between tasks or over a saved state, and every part does what its source says."""

import json
import runpy
from pathlib import Path

import numpy as np
import pytest
import torch
from few_shot_files import drawings, tree
from safetensors import safe_open
from safetensors.torch import save
from torch.nn.functional import normalize

from shared.integer import outputs
from shared.lab import Store, render, run
from shared.training.epochs import Trainer
from vision.continual.adaptation import Adaptation, Discriminator, adapted, class_means
from vision.continual.contrastive import Contrast, TwoViews
from vision.continual.controls import Tuned, Tuning
from vision.continual.device import IntegerEmbedding
from vision.continual.evaluate import follow, forgetting
from vision.continual.experiment import Continual, ContinualSettings
from vision.continual.figures import METHODS
from vision.continual.frozen import NearestMeans
from vision.continual.learner import Learner
from vision.continual.maml import Descent, Maml, MamlLoss
from vision.continual.meta import Reversal, StreamLoss, between
from vision.continual.plane import on_a_plane
from vision.continual.storage import ClassStorage
from vision.continual.streams import Episodes, Shape, Task, choices, pictures_of
from vision.data.augment import PIXEL
from vision.data.few_shot import ClassPictures, FewShotSet, load, read_tree
from vision.nets.conv4 import Conv4
from vision.nets.encoder import Embedding
from vision.nets.encoders import ENCODERS


def embedding(width=8):
    return Embedding(Conv4(3, 16, width)).eval()


@pytest.fixture
def learner():
    return Learner(embedding(), Discriminator(8), Adaptation(steps=2, rate=0.01))


@pytest.fixture
def classes(rng):
    """Twelve classes of ten pictures, each of a colour of its own."""
    colours = rng.integers(40, 215, (12, 1, 1, 1, 3))
    noise = rng.integers(-20, 20, (12, 10, 16, 16, 3))
    return ClassPictures(tuple(f"class {k}" for k in range(12)), tuple((colours + noise).astype(np.uint8)))


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def pictures(count, seed=0):
    return torch.rand(count, 3, 16, 16, generator=torch.Generator().manual_seed(seed))


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


def test_embeddings_that_are_all_alike_lie_on_one_point():
    assert on_a_plane([torch.ones(2, 3)], ["a"])["share"] == 1


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


def test_class_means_are_the_directions_of_the_means_of_each_class(rng):
    embedded, labels = torch.from_numpy(rng.normal(size=(6, 4))), torch.tensor([1, 0, 1, 2, 2, 2])
    expected = torch.stack([embedded[labels == k].mean(0) for k in range(3)])
    assert torch.allclose(class_means(embedded, labels, 3), expected / expected.norm(dim=1, keepdim=True))


def test_without_steps_nothing_moves_and_with_them_the_task_is_told_apart_better():
    net, x, labels = embedding(), pictures(4), torch.tensor([0, 0, 1, 1])
    stored = torch.nn.functional.normalize(torch.randn(3, 8), dim=1)

    def loss(now):
        embedded = torch.func.functional_call(net, now, (x,))
        means = torch.cat([class_means(embedded, labels, 2), stored])
        return torch.nn.functional.cross_entropy(10 * embedded @ means.T, labels).item()

    before = dict(net.named_parameters())
    still = adapted(net, Discriminator(8), x, labels, stored, Adaptation(steps=0))
    assert all(still[name] is before[name] for name in before)
    how = Adaptation(steps=3, rate=0.01, adversary=0.0)
    assert loss(dict(adapted(net, Discriminator(8), x, labels, stored, how))) < loss(before)


def test_the_adversary_moves_a_task_to_where_the_discriminator_sees_stored_classes():
    net, x, labels, discriminator = embedding(), pictures(4), torch.tensor([0, 0, 1, 1]), Discriminator(8)
    stored = torch.nn.functional.normalize(torch.randn(3, 8), dim=1)

    def looks_stored(weight):
        now = dict(adapted(net, discriminator, x, labels, stored, Adaptation(3, 0.01, weight)))
        return discriminator(torch.func.functional_call(net, now, (x,))).mean().item()

    assert looks_stored(10.0) > looks_stored(0.0)


def test_the_outer_loop_reaches_every_weight_and_reversal_turns_its_gradient():
    x = torch.ones(3, requires_grad=True)
    Reversal.apply(x).sum().backward()
    assert x.grad.tolist() == [-1, -1, -1]
    loss = StreamLoss(embedding(), Discriminator(8), Adaptation(adversary=0.1), queries=2).train()
    assert not loss.embedding.encoder.training
    loss(torch.rand(3, 2, 3, 3, 16, 16)).backward()
    assert all(each.grad is not None and each.grad.isfinite().all() for each in loss.parameters())
    assert all(each.grad.abs().sum() > 0 for each in loss.discriminator.parameters())


def test_the_loss_of_a_stream_asks_every_query_among_the_means_of_all_its_classes():
    tasks, net = torch.rand(3, 2, 4, 3, 16, 16), embedding()
    embedded = net(tasks.flatten(0, 2)).unflatten(0, (6, 4))
    means = normalize(embedded[:, :2].mean(1), dim=1)
    logits = 20 * embedded[:, 2:].flatten(0, 1) @ means.T
    expected = torch.nn.functional.cross_entropy(logits, torch.arange(6).repeat_interleave(2))
    loss = StreamLoss(net, Discriminator(8), Adaptation(), queries=2)
    assert loss(tasks).item() == pytest.approx(expected.item(), rel=1e-5)
    assert loss(tasks.flip(0)).item() == pytest.approx(loss(tasks).item(), rel=1e-5)


def test_without_storage_a_query_is_asked_among_the_classes_of_its_own_task():
    tasks, net = torch.rand(3, 2, 4, 3, 16, 16), embedding()
    alone = [StreamLoss(net, Discriminator(8), Adaptation(), queries=2)(task[None]).item() for task in tasks]
    apart = StreamLoss(net, Discriminator(8), Adaptation(against_stored=False), queries=2)
    assert apart(tasks).item() == pytest.approx(np.mean(alone), rel=1e-5)


def test_the_inner_loop_of_the_outer_is_that_of_a_learner():
    """The last task moves the encoder against the classes stored before it; the rest is what bytes round."""
    tasks, net = torch.rand(3, 2, 4, 3, 16, 16), embedding()
    net.centre.copy_(net.encoder(tasks.flatten(0, 2)).mean(0).detach())
    outer = StreamLoss(net, Discriminator(8), Adaptation(steps=2, rate=0.01, adversary=0.1), queries=2)
    learner = Learner(net, outer.discriminator)
    for number, task in enumerate(tasks):
        learner.how = outer.how if number == 2 else Adaptation()
        learner.learn({f"{number} {k}": each[:2] for k, each in enumerate(task)})
    means, now = outer.learned(tasks[:, :, :2].flatten(0, 1), 2)
    torch.testing.assert_close(means, learner.stored.means, atol=0.02, rtol=0)
    for name, before in net.named_parameters():
        moved = (now[name] - before).norm()
        assert moved > 0
        assert (now[name] - learner.now[name]).norm() < 0.1 * moved
    outer.train()(tasks).backward()
    assert all(each.grad is not None and each.grad.isfinite().all() for each in outer.parameters())


def test_a_learner_is_nearest_means_unless_it_is_asked_to_adapt():
    net, tasks = embedding(), [{"a": pictures(3, 1), "b": pictures(2, 2)}, {"c": pictures(2, 3), "d": pictures(4, 4)}]
    learner, means = Learner(net, Discriminator(8)), NearestMeans(net, 8)
    for task in tasks:
        for method in (learner, means):
            method.learn(task)
    assert torch.equal(learner.scores(pictures(5)), means.scores(pictures(5)))


def test_no_class_comes_twice_and_no_picture_is_both_learned_from_and_asked_about(classes, rng):
    stream = choices(classes, Shape(ways=3, shots=2, tasks=4, queries=3), rng)
    tasks = [choice.task(pictures_of(classes)) for choice in stream]
    names = [name for task in tasks for name in task.names]
    assert sorted(names) == sorted(set(names)) == sorted(classes.names)
    for task in tasks:
        learned, asked = ({each.numpy().tobytes() for each in part.flatten(0, 1)} for part in task[1:])
        assert len(learned) == 6
        assert len(asked) == 9
        assert not learned & asked
    batches = [batch for batch, _ in Episodes(classes, Shape(3, 1, 4, 3), (2, 5), 3, rng)]
    assert [batch.shape[2] for batch in batches] == [2 + 3, 5 + 3, 2 + 3]
    assert batches[0].shape == (4, 3, 5, 3, 16, 16)
    plain, varied = (
        [batch for batch, _ in Episodes(classes, Shape(3, 1, 4, 3), (2,), 1, np.random.default_rng(0), warping)]
        for warping in (None, torch.Generator().manual_seed(0))
    )
    assert varied[0].shape == plain[0].shape
    assert not torch.isclose(varied[0], plain[0]).flatten(3).all(3).any()


def test_a_choice_gives_the_same_examples_whatever_they_are_read_as(classes, rng):
    [choice, _] = choices(classes, Shape(ways=3, shots=2, tasks=2, queries=3), rng)
    of_pictures = choice.task(pictures_of(classes))
    means = [torch.from_numpy(each).float().mean((1, 2, 3)) / 256 for each in classes.pictures]
    of_means = choice.task(lambda k, examples: means[k][examples])
    assert of_means.names == of_pictures.names
    torch.testing.assert_close(of_means.support, of_pictures.support.mean((2, 3, 4)))
    torch.testing.assert_close(of_means.query, of_pictures.query.mean((2, 3, 4)))


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        (Shape(13, 1, 1, 1), "ways=13 needs 13 classes to make tasks of: there are 12; take fewer"),
        (Shape(2, 8, 2, 3), "need 11"),
    ],
    ids=["classes", "pictures"],
)
def test_too_few_classes_or_pictures_are_said(classes, shape, said):
    with pytest.raises(ValueError, match=said):
        shape.check(classes, "to make tasks of")


class Forgetful:
    """Answers right for the classes of the last task, and with its first class for all others."""

    bytes_kept = 7

    def __init__(self):
        self.classes = self.ways = 0

    def learn(self, support):
        self.ways = len(support)
        self.classes += self.ways

    def scores(self, x):
        answers = x[:, 0, 0, 0].long()
        first = self.classes - self.ways
        return torch.nn.functional.one_hot(answers.where(answers >= first, torch.tensor(first)), self.classes)


def test_accuracies_of_a_method_that_forgets_all_are_those_of_the_last_task():
    def task(number):
        labels = torch.arange(2) + 2 * number
        x = labels[:, None, None, None, None].expand(2, 1, 1, 1, 1).float()
        return Task((f"{number} a", f"{number} b"), x, x)

    trace = follow(Forgetful(), [task(number) for number in range(3)])
    assert trace.accuracy.tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    assert forgetting(trace.accuracy) == 1
    assert trace.own.tolist() == [[1, 0, 0], [0.5, 1, 0], [0.5, 0.5, 1]]
    assert trace.bytes_kept == 7


@pytest.mark.parametrize(("kept", "pictures_kept"), [(0, 0), (3, 3), (None, 8)])
def test_a_tuned_control_keeps_as_many_pictures_as_it_may(kept, pictures_kept):
    method = Tuned(embedding(), Tuning(steps=1, kept=kept), torch.Generator().manual_seed(0))
    for number in range(2):
        method.learn({f"{number} {k}": pictures(2, 10 * number + k) for k in range(2)})
    assert len(method.kept) == pictures_kept
    assert method.bytes_kept == pictures_kept * 3 * 16 * 16
    assert method.scores(pictures(5)).shape == (5, 4)


@pytest.mark.parametrize("imprinted", [True, False])
def test_a_tuned_control_begins_at_means_or_at_random(imprinted):
    net, support = embedding(), {"a": pictures(3), "b": pictures(2, 1)}
    method = Tuned(net, Tuning(steps=1, rate=0.0, imprinted=imprinted), torch.Generator().manual_seed(0))
    method.learn(support)
    means = torch.stack([net(each).mean(0) for each in support.values()])
    assert torch.allclose(method.weights, means, atol=1e-6) == imprinted
    assert method.weights.norm(dim=1).min() > 0.1


def test_ewc_holds_parameters_closer_to_where_they_were():
    def moved(elastic):
        method = Tuned(embedding_of_zero(), Tuning(steps=5, rate=0.01, elastic=elastic), torch.Generator())
        method.learn({"a": pictures(2), "b": pictures(2, 1)})
        before = [each.detach().clone() for each in method.embedding.parameters()]
        method.learn({"c": pictures(2, 2), "d": pictures(2, 3)})
        pairs = zip(method.embedding.parameters(), before, strict=True)
        return sum((now - then).square().sum().item() for now, then in pairs)

    def embedding_of_zero():
        torch.manual_seed(0)
        return embedding()

    assert moved(1e4) < moved(1e-9)


def test_joint_tuning_has_every_class_once_in_a_step():
    method = Tuned(embedding(), Tuning(kept=None, balanced=True), torch.Generator().manual_seed(0))
    y = torch.tensor([0, 0, 0, 1, 2, 2])
    x, labels = method._batch(torch.arange(6.0), y)
    assert labels.tolist() == [0, 1, 2]
    assert torch.equal(y[x.long()], labels)


def test_maml_learns_a_task_from_zeros_and_its_outer_loop_reaches_every_weight():
    net, dark, bright = embedding(), pictures(2) / 4, 1 - pictures(2) / 4
    method = Maml(net, Descent(steps=5, rate=0.01))
    method.learn({"dark": dark, "bright": bright})
    learned = torch.nn.functional.cross_entropy(method.scores(torch.cat([dark, bright])), torch.tensor([0, 0, 1, 1]))
    assert learned < np.log(2)
    method.learn({"noise": pictures(2, 2)})
    assert method.scores(pictures(5)).shape == (5, 3)
    loss = MamlLoss(net, Descent(), queries=2).train()
    assert not loss.embedding.encoder.training
    loss(torch.rand(2, 2, 3, 3, 16, 16)).backward()
    assert all(each.grad is not None and each.grad.isfinite().all() for each in loss.parameters())


def test_two_views_of_a_picture_are_nearer_than_those_of_others_and_the_loss_says_so(classes):
    data = TwoViews(torch.from_numpy(np.concatenate(classes.pictures)), mirror=True)
    views, _ = data.batch(torch.tensor([0, 15, 30]), torch.Generator().manual_seed(0))
    assert views.shape == (3, 2, 3, 16, 16)
    assert not torch.equal(views[:, 0], views[:, 1])
    loss = Contrast(Conv4(3, 16, 8)).eval()
    loss.encoder, loss.head = torch.nn.Flatten(), torch.nn.Identity()
    twins = torch.eye(6)[:3, None, :].expand(3, 2, 6)
    strangers = torch.eye(6).reshape(3, 2, 6)
    assert loss(twins) < loss(strangers)
    assert loss(strangers).item() == pytest.approx(np.log(5))


def test_between_the_ends_stand_both_encoders():
    before, after = ({"weight": torch.full((2,), value), "count": torch.tensor(3)} for value in (1.0, 3.0))
    assert [between(before, after, share)["weight"][0].item() for share in (0, 0.5, 1)] == [1, 2, 3]
    assert between(before, after, 0.5)["count"] == 3


def test_base_classes_that_do_not_train_the_encoder_make_tasks(classes):
    def of(count, **changes):
        return (
            FewShotSet(classes, ClassPictures(("new",), classes.pictures[:1]), "", True)
            ._replace(**changes)
            .with_base(count)
        )

    fewer = of(4)
    assert len(fewer.base) == 4
    assert sorted(fewer.base.names + fewer.novel.names) == sorted((*classes.names, "new"))
    assert set(fewer.base.names) < set(of(5).base.names)
    for count, changes in ((12, {}), (1, {}), (4, {"mirrored": False})):
        with pytest.raises(ValueError, match=r"needs 2 to 11 of this set's 12 classes.* take 0 for all"):
            of(count, **changes)


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


def test_a_device_answers_as_its_integer_program_does():
    integers = IntegerEmbedding(embedding(), pictures(40))
    device = NearestMeans(integers, 8)
    support = {"a": pictures(3, 1), "b": pictures(2, 2)}
    device.learn(support)
    asked = pictures(20, 3)
    program = integers.encoder.program()
    [answers] = outputs(program, PIXEL.to_integers(asked.numpy()))
    reals = torch.from_numpy(program.values[program.outputs[0]].format.from_integers(answers)).float()
    embedded = normalize(integers.rest(reals) - integers.centre, dim=1)
    torch.testing.assert_close(device.scores(asked), embedded @ device.stored.means.T, atol=1e-5, rtol=0)
    assert device.stored.names == ["a", "b"]
    assert device.bytes_kept == 16


@pytest.mark.parametrize(
    ("support", "said"),
    [
        ({}, "without classes"),
        ({"a": pictures(1)}, "'a' is stored already"),
        ({"b": pictures(0)}, "'b' has no picture"),
        (
            {"b": pictures(1), "c": pictures(1)[:, :, :8]},
            r"'c': its pictures are \(3, 8, 16\) and those of 'b'",
        ),
        ({"b": pictures(1)[:, :, :8, :8]}, r"needs a tensor of pictures \(B, 3, 16, 16\), not \(1, 3, 8, 8\)"),
        ({"b": 255 * pictures(1)}, "needs numbers in 0 to 1"),
        ({"b": pictures(1) * torch.nan}, "needs numbers in 0 to 1"),
    ],
    ids=["no class", "a name twice", "no picture", "two shapes", "other shape", "bytes", "no number"],
)
def test_a_device_refuses_a_bad_task_and_keeps_what_it_has(device, support, said):
    before = device.stored.names[:], device.stored.codes.clone()
    with pytest.raises(ValueError, match=said):
        device.learn(support)
    assert device.stored.names == before[0]
    assert torch.equal(device.stored.codes, before[1])


@pytest.fixture(scope="module")
def integers():
    torch.manual_seed(0)
    return IntegerEmbedding(embedding(), pictures(40))


@pytest.fixture
def device(integers):
    device = NearestMeans(integers, 8)
    device.learn({"a": pictures(1)})
    return device


def test_integers_are_centred_on_their_own_features_and_so_nearer_to_the_floats():
    torch.manual_seed(0)
    net, x = embedding(), pictures(300)
    with torch.no_grad():
        for norm in list(net.encoder)[1:16:4]:
            norm.bias.fill_(1.0)
        net.centre.copy_(net.encoder(x).mean(0))
        integers = IntegerEmbedding(net, x)
        features = integers.rest(integers.encoder(x))
        torch.testing.assert_close(features.mean(0), integers.centre)
        own, of_floats = (
            (net(x) * normalize(features - each, dim=1)).sum(1).mean() for each in (integers.centre, net.centre)
        )
    assert own > of_floats + 0.01


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
