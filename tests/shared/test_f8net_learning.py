"""Eight bits learn small tasks as well as floats."""

import copy
import math

import numpy as np
import pytest
import torch
from fixed_nets import S8
from torch import nn
from torch.nn import functional

from shared.f8net import F8Net
from shared.integer import audit, run


def spirals(count, generator):
    """Two arms; the coordinates lie in -1 to 1."""
    label = torch.randint(0, 2, (count,), generator=generator)
    turn = torch.rand(count, generator=generator)
    angle = 5 * turn + math.pi * label
    noise = 0.03 * torch.randn(count, 2, generator=generator)
    return (0.1 + 0.8 * turn)[:, None] * torch.stack([angle.cos(), angle.sin()], 1) + noise, label


def chirps(count, generator):
    """Tones, rising and falling chirps at a random phase, in noise, as I and Q."""
    label = torch.randint(0, 3, (count,), generator=generator)
    time = torch.linspace(0, 1, 32)
    slope = torch.tensor([0.0, 12.0, -12.0])[label][:, None]
    start = 2 * math.pi * torch.rand(count, 1, generator=generator)
    phase = start + 2 * math.pi * (4 * time + slope / 2 * time**2)
    x = torch.stack([phase.cos(), phase.sin()], 1) * 0.5
    return x + 0.5 * torch.randn(x.shape, generator=generator), label


def trained(net, draw, steps, rate):
    generator = torch.Generator().manual_seed(0)
    optimiser = torch.optim.Adam(net.parameters(), rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        x, label = draw(64, generator)
        optimiser.zero_grad()
        functional.cross_entropy(net(x), label).backward()
        optimiser.step()
        schedule.step()
    return net.eval()


def mlp_for_spirals():
    return nn.Sequential(
        nn.Linear(2, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 16), nn.ReLU(), nn.Linear(16, 2)
    )


def conv_for_chirps():
    first = nn.Conv1d(2, 8, 5, padding=2), nn.BatchNorm1d(8), nn.ReLU(), nn.MaxPool1d(2)
    second = nn.Conv1d(8, 8, 3), nn.BatchNorm1d(8), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten()
    return nn.Sequential(*first, *second, nn.Linear(8, 3))


@pytest.mark.parametrize(
    ("make", "draw", "shape"), [(mlp_for_spirals, spirals, (2,)), (conv_for_chirps, chirps, (2, 32))]
)
def test_eight_bits_learn_as_well_as_float(make, draw, shape):
    """Same start, same batches, same recipe; the integers decide, on 2,000 new samples."""
    torch.manual_seed(3)
    start = make()
    x, label = draw(2000, torch.Generator().manual_seed(9))
    float_net = trained(copy.deepcopy(start), draw, 100, 0.02)
    right = float((float_net(x).argmax(1) == label).float().mean())
    net = trained(F8Net(start, shape=shape, input=S8), draw, 100, 0.02)
    program = net.program()
    logits = run(program, S8.to_integers(x.numpy()))[program.outputs[0]]
    fixed = float(np.mean(logits.argmax(1) == label.numpy()))
    assert right > 0.9
    assert fixed > right - 0.02
    audit(program).require(8)
