"""What a net is for whose widths are searched: its examples, its loss, and what it reaches."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from shared.lab import JSON
from shared.training.data import Examples
from vision.data.augment import Augmented, as_input
from vision.data.chosen import Chosen
from vision.nets.repvgg import RepVGG
from vision.nets.resnet import ResNet8
from vision.pruning_search.settings import PruningSearchSettings
from vision.training.evaluate import correct

SHOWN = 100
"""Inputs on which a net for use is compared with the one that was trained."""


class Workload(Protocol):
    """Of one cell. What the nets reach is in its rows by `key`, which `vision.pruning_search.figures` reads."""

    @property
    def key(self) -> str: ...

    @property
    def about(self) -> str:
        """Where the examples are from."""

    @property
    def train(self) -> Examples: ...

    @property
    def scored(self) -> int:
        """How many examples are counted or compared."""

    @property
    def shown(self) -> Tensor:
        """Some of them as inputs, `(B, *shape)`."""

    def build(self) -> nn.Module:
        """The wide net."""

    def loss(self, outputs: Any, y: Tensor) -> Tensor:
        """Of the net's outputs and a batch's targets."""

    def validated(self, net: nn.Module) -> Mapping[str, JSON]:
        """What is kept of a net after each epoch, of examples that are in neither part."""

    def reached(self, net: nn.Module) -> JSON:
        """What a net reaches on the examples that are scored, as counts or raw numbers."""


@dataclass(frozen=True, eq=False)
class Classification:
    """Images of ten classes, mirrored and shifted in training; right answers are counted."""

    images: Chosen
    net: Callable[[], nn.Module]
    key: str = "correct"

    @property
    def about(self) -> str:
        return self.images.about

    @property
    def train(self) -> Augmented:
        return Augmented(self.images.train)

    @property
    def scored(self) -> int:
        return len(self.images.scored.labels)

    @cached_property
    def shown(self) -> Tensor:
        return as_input(torch.from_numpy(self.images.scored.pixels[:: max(self.scored // SHOWN, 1)]))

    def build(self) -> nn.Module:
        return self.net()

    def loss(self, outputs: Any, y: Tensor) -> Tensor:
        return cross_entropy(outputs, y)

    def validated(self, net: nn.Module) -> Mapping[str, JSON]:
        held_back = self.images.held_back
        return {"validation_correct": correct(net, held_back), "validation_of": len(held_back.labels)}

    def reached(self, net: nn.Module) -> JSON:
        return correct(net, self.images.scored)


def classification(settings: PruningSearchSettings) -> Classification:
    """Of the images and the net that are asked for."""
    width = settings.width
    nets = {"resnet8": lambda: ResNet8(width), "repvgg": lambda: RepVGG((width, 2 * width, 4 * width), (2, 2, 2))}
    return Classification(settings.chosen(), nets[settings.net])
