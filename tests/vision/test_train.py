"""Training learns, and a run that was stopped between epochs ends as if it had not been."""

import pytest
import torch
from pictures import coloured_noise

from shared.f8net import F8Net
from shared.training.data import Shuffled
from shared.training.epochs import NesterovCosine, Trainer
from vision.data.augment import PIXEL, Augmented, as_input
from vision.data.cifar10 import SHAPE
from vision.nets.resnet import random_resnet8
from vision.training.evaluate import correct

IMAGES = coloured_noise(8)


def one_epoch(trainer, generator):
    return trainer.run_epoch(Shuffled(Augmented(IMAGES), trainer.schedule.batch, generator))


def float_net():
    return random_resnet8(2, torch.Generator().manual_seed(0))


def fixed_net():
    return F8Net(float_net(), shape=SHAPE, input=PIXEL).calibrate(as_input(torch.from_numpy(IMAGES.pixels)))


@pytest.mark.parametrize("make", [float_net, fixed_net])
def test_resumed_equals_uninterrupted(make):
    schedule = NesterovCosine(epochs=3, rate=0.05, batch=32)
    whole, first = Trainer(make(), schedule), Trainer(make(), schedule)
    losses = [one_epoch(whole, torch.Generator().manual_seed(epoch)) for epoch in range(3)]
    one_epoch(first, torch.Generator().manual_seed(0))
    kept = {name: value.clone() for name, value in first.state().items()}
    second = Trainer(make(), schedule)
    second.restore(kept)
    assert [one_epoch(second, torch.Generator().manual_seed(epoch)) for epoch in (1, 2)] == losses[1:]
    ours, theirs = second.state(), whole.state()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_a_net_learns_what_is_there_to_learn():
    trainer = Trainer(random_resnet8(4, torch.Generator().manual_seed(0)), NesterovCosine(epochs=6, rate=0.05, batch=8))
    generator = torch.Generator().manual_seed(4)
    losses = [one_epoch(trainer, generator) for _ in range(6)]
    assert losses[-1] < 0.6 * losses[0]
    assert correct(trainer.net, coloured_noise(8, seed=1)) > 40


def test_only_weights_decay():
    trainer = Trainer(fixed_net(), NesterovCosine(epochs=1, decay=0.3))
    decaying = {id(p) for group in trainer.optimiser.param_groups if group["weight_decay"] for p in group["params"]}
    for name, parameter in trainer.net.named_parameters():
        assert (id(parameter) in decaying) == (parameter.ndim > 1), name
    assert {group["weight_decay"] for group in trainer.optimiser.param_groups} == {0.3, 0}


def test_a_diverging_run_says_so():
    trainer = Trainer(float_net(), NesterovCosine(epochs=1, rate=1e30, warm=0.0, batch=8))
    with pytest.raises(
        ValueError, match=r"^training diverged: loss (nan|inf) at step \d+ of 10, epoch 1, of NesterovCosine\("
    ):
        one_epoch(trainer, torch.Generator())
