"""The controls of continual learning: tuning, EWC, replay, MAML, and training without labels."""

import numpy as np
import pytest
import torch
from small_learners import coloured_classes, embedding, pictures

from vision.continual.contrastive import Contrast, TwoViews
from vision.continual.controls import Tuned, Tuning
from vision.continual.maml import Descent, Maml, MamlLoss
from vision.nets.conv4 import Conv4


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


def test_two_views_of_a_picture_are_nearer_than_those_of_others_and_the_loss_says_so():
    data = TwoViews(torch.from_numpy(np.concatenate(coloured_classes().pictures)), mirror=True)
    views, _ = data.batch(torch.tensor([0, 15, 30]), torch.Generator().manual_seed(0))
    assert views.shape == (3, 2, 3, 16, 16)
    assert not torch.equal(views[:, 0], views[:, 1])
    loss = Contrast(Conv4(3, 16, 8)).eval()
    loss.encoder, loss.head = torch.nn.Flatten(), torch.nn.Identity()
    twins = torch.eye(6)[:3, None, :].expand(3, 2, 6)
    strangers = torch.eye(6).reshape(3, 2, 6)
    assert loss(twins) < loss(strangers)
    assert loss(strangers).item() == pytest.approx(np.log(5))
