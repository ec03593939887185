"""Streams of tasks, and what is measured on them."""

import numpy as np
import pytest
import torch
from small_learners import coloured_classes

from vision.continual.evaluate import follow, forgetting
from vision.continual.plane import on_a_plane
from vision.continual.streams import Episodes, Shape, Task, choices, pictures_of
from vision.data.few_shot import ClassPictures, FewShotSet


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def test_no_class_comes_twice_and_no_picture_is_both_learned_from_and_asked_about(rng):
    classes = coloured_classes()
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


def test_a_choice_gives_the_same_examples_whatever_they_are_read_as(rng):
    classes = coloured_classes()
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
def test_too_few_classes_or_pictures_are_said(shape, said):
    with pytest.raises(ValueError, match=said):
        shape.check(coloured_classes(), "to make tasks of")


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


def test_base_classes_that_do_not_train_the_encoder_make_tasks():
    classes = coloured_classes()

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


def test_embeddings_that_are_all_alike_lie_on_one_point():
    assert on_a_plane([torch.ones(2, 3)], ["a"])["share"] == 1
