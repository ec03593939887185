"""How the radar net is trained."""

from collections.abc import Iterator
from typing import Final

import numpy as np
import torch
from torch import nn

from shared.training.data import Pairs, Shuffled
from shared.training.epochs import OneCycle, Trainer
from wireless.radar.five_class.waveforms import sample

BATCH: Final = 128


def train(
    net: nn.Module, examples: int, epochs: int, rate: float, rng: np.random.Generator, device: str | None = None
) -> Iterator[int]:
    """Trains `net` on fresh examples, yielding after every epoch; AdamW, one cycle of the rate (Smith 2018).

    On `device` as `shared.training.device.choose` reads it; at the end the net is back on the CPU. Raises `ValueError`
    where training diverges.
    """
    pairs = Pairs(*sample(examples, rng))
    generator = torch.Generator().manual_seed(int(rng.integers(2**63)))
    trainer = Trainer(net, OneCycle(epochs, rate, BATCH), device=device)
    batches = Shuffled(pairs.to(trainer.device), BATCH, generator)
    for epoch in range(1, epochs + 1):
        trainer.run_epoch(batches)
        yield epoch
    net.eval().cpu()
