"""The inner and the outer loop of CML: every part does what its source says."""

import numpy as np
import pytest
import torch
from small_learners import embedding, pictures
from torch.nn.functional import normalize

from vision.continual.adaptation import Adaptation, Discriminator, adapted, class_means
from vision.continual.learner import Learner
from vision.continual.meta import Reversal, StreamLoss, between


@pytest.fixture
def rng():
    return np.random.default_rng(3)


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


def test_between_the_ends_stand_both_encoders():
    before, after = ({"weight": torch.full((2,), value), "count": torch.tensor(3)} for value in (1.0, 3.0))
    assert [between(before, after, share)["weight"][0].item() for share in (0, 0.5, 1)] == [1, 2, 3]
    assert between(before, after, 0.5)["count"] == 3
