"""Every net by name."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import nn

from shared.training.loop import seeded
from wireless.radar.nets.iq import FIRST, WIDTHS, bank_net, iq_net
from wireless.radar.nets.spectrogram import SpectrogramNet
from wireless.radar.nets.transformer import PatchTransformer


class Entry(NamedTuple):
    """What a net is, and how it is built for so many classes and windows of so many samples."""

    title: str
    build: Callable[[int, int], nn.Module]


NETS: Mapping[str, Entry] = {
    "iq": Entry("separable CNN on raw samples, 34k", lambda classes, _: iq_net(classes, FIRST, WIDTHS)),
    "iq-10k": Entry("separable CNN on raw samples, 10k", lambda classes, _: iq_net(classes, 16, (24, 32, 40, 40, 40))),
    "bank": Entry("filter bank and separable CNN, 10k", lambda classes, _: bank_net(classes, 32, (32, 40, 40, 36))),
    "spectrogram": Entry("CNN on the spectrogram, 22k", lambda classes, _: SpectrogramNet(classes)),
    "transformer": Entry("transformer on patches of samples, 32k", PatchTransformer),
}


def build(name: str, classes: int, samples: int, generator: torch.Generator) -> nn.Module:
    """A net with weights sampled from `generator`. Raises `ValueError` for a name that is none of `NETS`."""
    if name not in NETS:
        raise ValueError(f"no radar net {name!r}: it must be one of {', '.join(NETS)}")
    return seeded(lambda: NETS[name].build(classes, samples), generator)
