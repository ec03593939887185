"""One loop: rates step by step, every example once an epoch, divergence caught, and a killed run that goes on."""

import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from shared.training.data import Pairs, Shuffled
from shared.training.device import choose, device_of
from shared.training.epochs import NesterovCosine, OneCycle, Trainer, fastest_layout
from shared.training.loop import Schedule, descend, seeded


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def net():
    return seeded(lambda: nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 2)), generator())


def pairs(count=40):
    x = torch.randn(count, 3, generator=generator(1))
    return Pairs(x, (x[:, 0] > 0).long())


@pytest.mark.parametrize(("steps", "rate", "floor"), [(1, 0.1, 0.0), (7, 0.1, 1e-3), (60, 2e-3, 5e-4), (5, 0.1, 0.1)])
def test_the_cosine_is_torchs_to_the_last_bit(steps, rate, floor):
    schedule, x = Schedule(steps, rate=rate, floor=floor), nn.Parameter(torch.zeros(1))
    ours, theirs = schedule.optimiser([x]), torch.optim.Adam([x], lr=rate)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(theirs, steps, floor)
    for step in range(steps):
        schedule.set_rate(ours, 0, step, steps)
        assert ours.param_groups[0]["lr"] == theirs.param_groups[0]["lr"]
        theirs.step()
        cosine.step()


@pytest.mark.parametrize(("epochs", "steps"), [(1, 1), (2, 3), (7, 11)])
def test_one_cycle_is_torchs_to_the_last_bit(epochs, steps):
    schedule, x = OneCycle(epochs, 8e-3), nn.Parameter(torch.zeros(1))
    ours, theirs = schedule.optimiser([x]), torch.optim.AdamW([x], lr=8e-3, weight_decay=1e-3)
    cycle = torch.optim.lr_scheduler.OneCycleLR(theirs, 8e-3, total_steps=epochs * steps)
    for step in range(epochs * steps):
        schedule.set_rate(ours, step // steps, step % steps, steps)
        for key in ("lr", "betas", "weight_decay"):
            assert ours.param_groups[0][key] == theirs.param_groups[0][key]
        theirs.step()
        cycle.step()


def test_the_rate_rises_on_a_line_and_falls_to_zero():
    schedule = NesterovCosine(epochs=4, rate=0.4, warm=0.25)
    rates = [schedule.rate_at(done) for done in np.linspace(0, 1, 101)]
    assert rates[0] == 0
    assert np.allclose(np.diff(rates[:26]), 0.4 / 25)
    assert np.argmax(rates) == 25
    assert all(np.diff(rates[25:]) < 0)
    assert rates[-1] == pytest.approx(0)
    assert NesterovCosine(epochs=1, rate=0.4, warm=0.0).rate_at(0) == 0.4


def test_every_step_has_the_rate_of_its_place():
    trainer, rates = Trainer(net(), NesterovCosine(epochs=2, rate=0.1, batch=10)), []
    trainer.loss = lambda y, labels: rates.append(trainer.optimiser.param_groups[0]["lr"]) or y.sum() * 0
    for _ in range(2):
        trainer.run_epoch(Shuffled(pairs(), 10, generator()))
    assert rates == [trainer.schedule.rate_at(step / 8) for step in range(8)]


@pytest.mark.parametrize(("size", "whole"), [(16, 32), (40, 40), (99, 40)])
def test_every_example_of_the_whole_batches_comes_once_in_an_epoch(size, whole):
    numbers = torch.arange(40)
    batches = Shuffled(Pairs(numbers, numbers), size, generator())
    first, second = (torch.cat([x for x, _ in batches]) for _ in range(2))
    assert len(batches) == len(list(batches))
    assert len(first) == len(first.unique()) == whole
    assert not torch.equal(first, second)


@pytest.mark.parametrize("schedule", [NesterovCosine(3, 0.05, batch=8), OneCycle(3, 0.01, batch=8)])
def test_resumed_equals_uninterrupted(schedule):
    """The optimiser's state, Adam's count of steps included, and the statistics of norms come back."""
    whole, first, second = (Trainer(net(), schedule) for _ in range(3))
    losses = [whole.run_epoch(Shuffled(pairs(), 8, generator(epoch))) for epoch in range(3)]
    first.run_epoch(Shuffled(pairs(), 8, generator(0)))
    second.restore({name: value.clone() for name, value in first.state().items()})
    assert [second.run_epoch(Shuffled(pairs(), 8, generator(epoch))) for epoch in (1, 2)] == losses[1:]
    ours, theirs = second.state(), whole.state()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_training_learns():
    trainer = Trainer(net(), OneCycle(20, 0.02, batch=8))
    losses = [trainer.run_epoch(Shuffled(pairs(), 8, generator(epoch))) for epoch in range(20)]
    assert losses[-1] < 0.3 * losses[0]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_divergence_is_caught_before_it_reaches_a_parameter(value):
    x = torch.ones(1, requires_grad=True)
    values = iter([1.0, value])
    with pytest.raises(ValueError, match=rf"^training diverged: loss {value} at step 2 of 5, epoch 1, of Schedule\(s"):
        descend([x], lambda: x.sum() * next(values), Schedule(5))
    assert x.isfinite().all()


def test_a_diverging_epoch_says_so():
    trainer = Trainer(net(), NesterovCosine(1, rate=1e30, warm=0.0, batch=8))
    with pytest.raises(
        ValueError, match=r"^training diverged: loss (nan|inf) at step \d of 5, epoch 1, of NesterovCos"
    ):
        trainer.run_epoch(Shuffled(pairs(), 8, generator()))


def test_devices_by_name(monkeypatch):
    assert choose() == choose("cpu") == device_of(net()) == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose("auto") == torch.device("cpu")
    with pytest.raises(ValueError, match=r"^device='cuda': torch .* finds no CUDA device; take 'auto' or 'cpu'"):
        choose("cuda")
    with pytest.raises(ValueError, match=r"^device='tpu': must be one of auto, cpu, cuda"):
        choose("tpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose("auto") == choose("cuda") == torch.device("cuda")
    monkeypatch.setenv("QWEDGE_DEVICE", "auto")
    assert choose() == torch.device("cuda")
    assert choose("cpu") == torch.device("cpu")


def test_examples_must_match():
    with pytest.raises(ValueError, match="as many targets as inputs, at least one: 2 and 3"):
        Pairs(torch.zeros(2), torch.zeros(3))


def test_training_loads_neither_pydantic_nor_a_newer_torch_only():
    """It runs from a checkout where only torch and NumPy are installed."""
    code = "import sys, shared.training.epochs; sys.exit('pydantic' in sys.modules or 'safetensors' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def strided(channels):
    pointwise = torch.nn.Conv2d(channels, 8, 1, stride=2)
    return torch.nn.Sequential(pointwise, torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(128, 3))


@pytest.mark.parametrize(
    ("channels", "layout"), [(3, torch.contiguous_format), (7, torch.contiguous_format), (8, torch.channels_last)]
)
def test_narrow_strided_pointwise_convolutions_are_not_trained_channels_last(channels, layout):
    net, x = strided(channels), torch.rand(16, channels, 8, 8).contiguous(memory_format=torch.channels_last)
    trainer = Trainer(net, NesterovCosine(epochs=1, rate=0.01))
    layouts = []
    net[1].register_forward_hook(lambda layer, inputs, output: layouts.append(output.is_contiguous()))
    trainer.run_epoch([(x, torch.arange(16) % 3)] * 20)
    assert fastest_layout(net) == layout
    assert layouts == [layout == torch.contiguous_format] * 20
