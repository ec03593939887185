"""Translation of pictures into a style: the generator and the pairs of `vision.stylize`, compared by SSIM."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import l1_loss

from shared.lab import JSON
from vision.pruning_search.settings import PruningSearchSettings
from vision.pruning_search.workload import SHOWN
from vision.stylize.nets import Generator, Shape
from vision.stylize.pairs import Patches, as_input
from vision.stylize.quality import quality
from vision.stylize.sources import Source
from vision.stylize.stylizer import stylizer

PATCH = 48
"""Pixels of a side in training."""
HALF_A_LEVEL = 1 / 512
"""Of a byte: what a perfect translation may be off."""
BLOCKS = 2
"""Residual blocks of the generator."""


@dataclass(frozen=True, eq=False)
class Translation:
    """Pairs of a picture and the same in a style; the mean SSIM of luma over whole pictures."""

    settings: PruningSearchSettings
    source: Source
    key: str = "ssim"

    @property
    def about(self) -> str:
        return self.source.about

    @cached_property
    def train(self) -> Patches:
        return Patches(self.source.train, PATCH, self.settings.pictures)

    @property
    def pairs(self) -> list[Any]:
        pairs = self.source.test if self.settings.part == "test" else self.source.validation
        return list(pairs[: self.settings.scored])

    @property
    def scored(self) -> int:
        return len(self.pairs)

    @cached_property
    def shown(self) -> Tensor:
        return torch.cat([as_input(pair.picture[None]) for pair in self.pairs[:SHOWN]])

    def build(self) -> nn.Module:
        return Generator(Shape.of(self.settings.width, BLOCKS))

    def loss(self, outputs: Any, y: Tensor) -> Tensor:
        """The logarithm of the mean distance, so that the price has the same weight beside any error."""
        return (l1_loss(outputs, y) + HALF_A_LEVEL).log()

    def validated(self, net: nn.Module) -> Mapping[str, JSON]:
        return {}

    def reached(self, net: nn.Module) -> JSON:
        assert isinstance(net, Generator)
        return quality(stylizer(net).styled, self.pairs)["ssim"]
