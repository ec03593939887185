"""Training learns, and a run that was stopped between epochs ends as if it had not been."""

import copy

import numpy as np
import pytest
import torch
from pictures import coloured_noise

from shared.f8net import F8Net
from shared.training.epochs import Schedule, Trainer
from vision.data.augment import PIXEL, Augmented, as_input
from vision.data.cifar10 import SHAPE
from vision.f8net.evaluate import correct
from vision.nets.resnet import drawn

IMAGES = coloured_noise(8)


def float_net():
    return drawn(2, torch.Generator().manual_seed(0))


def fixed_net():
    return F8Net(float_net(), shape=SHAPE, input=PIXEL).calibrate(as_input(torch.from_numpy(IMAGES.pixels)))


@pytest.mark.parametrize("make", [float_net, fixed_net])
def test_resumed_equals_uninterrupted(make):
    schedule = Schedule(epochs=3, rate=0.05, batch=32)
    whole, first = Trainer(make(), schedule), Trainer(make(), schedule)
    losses = [whole.run_epoch(Augmented(IMAGES), torch.Generator().manual_seed(epoch)) for epoch in range(3)]
    first.run_epoch(Augmented(IMAGES), torch.Generator().manual_seed(0))
    kept = {name: value.clone() for name, value in first.state().items()}
    second = Trainer(make(), schedule)
    second.restore(kept, 1)
    assert [second.run_epoch(Augmented(IMAGES), torch.Generator().manual_seed(epoch)) for epoch in (1, 2)] == losses[1:]
    ours, theirs = second.state(), whole.state()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_a_net_learns_what_is_there_to_learn():
    trainer = Trainer(drawn(4, torch.Generator().manual_seed(0)), Schedule(epochs=6, rate=0.05, batch=8))
    generator = torch.Generator().manual_seed(4)
    losses = [trainer.run_epoch(Augmented(IMAGES), generator) for _ in range(6)]
    assert losses[-1] < 0.6 * losses[0]
    assert correct(trainer.net, coloured_noise(8, seed=1)) > 40


def test_the_rate_rises_on_a_line_and_falls_to_zero():
    schedule = Schedule(epochs=4, rate=0.4, warm=0.25)
    rates = [schedule.rate_at(done) for done in np.linspace(0, 1, 101)]
    assert rates[0] == 0
    assert np.allclose(np.diff(rates[:26]), 0.4 / 25)
    assert np.argmax(rates) == 25
    assert all(np.diff(rates[25:]) < 0)
    assert rates[-1] == pytest.approx(0)
    assert Schedule(epochs=1, rate=0.4, warm=0.0).rate_at(0) == 0.4


def test_every_step_has_the_rate_of_its_place():
    trainer, rates = Trainer(float_net(), Schedule(epochs=2, rate=0.1, batch=20)), []
    trainer._step = lambda x, labels: rates.append(trainer.optimiser.param_groups[0]["lr"]) or 0.0
    for _ in range(2):
        trainer.run_epoch(Augmented(IMAGES), torch.Generator())
    assert rates == [trainer.schedule.rate_at(step / 8) for step in range(8)]


def test_only_weights_decay():
    trainer = Trainer(fixed_net(), Schedule(epochs=1, decay=0.3))
    decaying = {id(p) for group in trainer.optimiser.param_groups if group["weight_decay"] for p in group["params"]}
    for name, parameter in trainer.net.named_parameters():
        assert (id(parameter) in decaying) == (parameter.ndim > 1), name
    assert {group["weight_decay"] for group in trainer.optimiser.param_groups} == {0.3, 0}


def test_every_image_is_seen_once_in_an_epoch():
    images = copy.deepcopy(IMAGES)
    images.pixels[:] = np.arange(len(images.labels), dtype=np.uint8)[:, None, None, None] + 1
    trainer, seen = Trainer(float_net(), Schedule(epochs=1, batch=16)), []
    trainer._step = lambda x, labels: seen.append((x.amax((1, 2, 3)) * 256, labels)) or 0.0
    trainer.run_epoch(Augmented(images), torch.Generator().manual_seed(7))
    numbers, labels = (torch.cat(part) for part in zip(*seen, strict=True))
    assert sorted(numbers.tolist()) == list(range(1, 81))
    assert numbers.tolist() != sorted(numbers.tolist())
    assert torch.equal(labels, torch.from_numpy(images.labels)[numbers.long() - 1])


def test_a_diverging_run_says_so():
    trainer = Trainer(float_net(), Schedule(epochs=1, rate=1e30, warm=0.0, batch=8))
    with pytest.raises(ValueError, match=r"^training diverged: loss (nan|inf) in epoch 1 of Schedule\("):
        trainer.run_epoch(Augmented(IMAGES), torch.Generator())
