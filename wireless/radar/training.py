"""How the radar net is trained."""

from collections.abc import Iterator
from typing import Final

import numpy as np
import torch
from torch import nn

from wireless.radar.waveforms import draw

BATCH: Final = 128


def train(net: nn.Module, examples: int, epochs: int, rate: float, rng: np.random.Generator) -> Iterator[int]:
    """Trains `net` on fresh examples, yielding after every epoch; AdamW, one cycle of the rate (Smith 2018)."""
    x, y = draw(examples, rng)
    generator = torch.Generator().manual_seed(int(rng.integers(2**63)))
    steps = examples // BATCH
    adam = torch.optim.AdamW(net.parameters(), lr=rate, weight_decay=1e-3)
    cycle = torch.optim.lr_scheduler.OneCycleLR(adam, rate, total_steps=epochs * steps)
    for epoch in range(1, epochs + 1):
        net.train()
        for chosen in torch.randperm(examples, generator=generator)[: steps * BATCH].split(BATCH):
            adam.zero_grad()
            nn.functional.cross_entropy(net(x[chosen]), y[chosen]).backward()
            adam.step()
            cycle.step()
        yield epoch
    net.eval()
