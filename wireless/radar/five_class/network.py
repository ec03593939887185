"""A small convolutional net that tells radar waveforms apart."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from torch import nn

from wireless.radar.five_class.waveforms import WAVEFORMS

CHANNELS: Final = (12, 24, 32, 40)


def network(channels: Sequence[int] = CHANNELS) -> nn.Sequential:
    """Four convolutions of so many outputs, and a linear layer.

    With the default channels, 9,709 weights and biases, and the work of the layers is alike, so that folding balances.
    """
    first, second, third, last = channels
    return nn.Sequential(
        *_block(2, first, 7, 4),
        *_block(first, second, 5, 2),
        *_block(second, third, 5, 2),
        *_block(third, last, 3, 2),
        nn.AvgPool1d(32),
        nn.Flatten(),
        nn.Linear(last, len(WAVEFORMS)),
    )


def fresh(rng: np.random.Generator, channels: Sequence[int] = CHANNELS) -> nn.Sequential:
    """A network with weights of its own."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(rng.integers(2**63)))
        return network(channels)


def _block(inputs: int, outputs: int, kernel: int, stride: int) -> tuple[nn.Module, ...]:
    return nn.Conv1d(inputs, outputs, kernel, stride, kernel // 2, bias=False), nn.BatchNorm1d(outputs), nn.ReLU()
