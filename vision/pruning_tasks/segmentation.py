"""Segmentation into instances: generated scenes, the targets of a `MaskNet`, and the masks that its outputs mean."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, max_pool2d

from shared.lab import JSON
from shared.training.data import Pairs
from vision.data.instances import ABOUT, Scene, scenes
from vision.nets.mask_net import MaskNet
from vision.pruning_search.settings import PruningSearchSettings
from vision.pruning_search.workload import SHOWN
from vision.pruning_tasks.average_precision import Detection, Truth, mask_ap

SIDE = 32
CLASSES = 1
"""A shape is an instance of whatever kind it is."""
REACH = 8.0
"""Pixels that are 1 in a net's ways to the centre."""
SPREAD = 2.0
"""Standard deviation, in pixels, of the bump around a centre."""
CENTRES = 20.0
"""The weight of the centres in the loss, most of whose pixels are zero."""
LEAST, MOST = 0.1, 20
"""A centre is sure by so much at least, and there are so many at most."""


@dataclass(frozen=True, eq=False)
class Segmentation:
    """Scenes with exact masks; a net of each class, centre and way to the centre; mask AP in per cent."""

    settings: PruningSearchSettings
    key: str = "average_precision"
    about: str = ABOUT

    @cached_property
    def train(self) -> Pairs:
        pairs = [(as_input(scene.pixels), target(scene)) for scene in self._scenes(0, self.settings.pictures)]
        return Pairs(*map(torch.stack, zip(*pairs, strict=True)))

    @property
    def scored(self) -> int:
        return self.settings.scored

    @cached_property
    def truths(self) -> list[Scene]:
        return self._scenes(1 if self.settings.part == "test" else 2, self.scored)

    @cached_property
    def shown(self) -> Tensor:
        return torch.stack([as_input(scene.pixels) for scene in self.truths[:SHOWN]])

    def build(self) -> nn.Module:
        return MaskNet(CLASSES, self.settings.width)

    def loss(self, outputs: Any, y: Tensor) -> Tensor:
        """Cross entropy of classes and of centres, and the distance to the right way on the pixels of instances."""
        classes, centres, ways = outputs.split([1 + CLASSES, 1, 2], 1)
        labels, inside = y[:, 0].long(), (y[:, :1] > 0).float()
        off = ((ways - y[:, 2:]).abs() * inside).sum() / inside.sum().clamp(min=1)
        bumps = y[:, 1:2]
        near = binary_cross_entropy_with_logits(centres, bumps, weight=1 + CENTRES * bumps)
        total: Tensor = cross_entropy(classes, labels) + near + off
        return total

    def validated(self, net: nn.Module) -> Mapping[str, JSON]:
        return {}

    @torch.no_grad()
    def reached(self, net: nn.Module) -> JSON:
        net.eval()
        outputs = [net(as_input(scene.pixels)[None])[0].numpy() for scene in self.truths]
        truths = [[Truth(mask, 0) for mask in scene.masks] for scene in self.truths]
        return 100 * mask_ap([detections(each) for each in outputs], truths)

    def _scenes(self, part: int, count: int) -> list[Scene]:
        return scenes(np.random.default_rng((self.settings.seed, part)), count, SIDE)


def as_input(pixels: NDArray[np.uint8]) -> Tensor:
    """`(H, W, 3)` in bytes as `(3, H, W)` in [0, 1]."""
    return torch.from_numpy(pixels.transpose(2, 0, 1).astype(np.float32) / 255)


def target(scene: Scene) -> Tensor:
    """`(4, H, W)`: the class of each pixel, 0 for none; the bump of the nearest centre; the way to the own centre.

    A centre is the mean of an instance's visible pixels.
    """
    side = scene.pixels.shape[:2]
    place = np.stack(np.meshgrid(*map(np.arange, side), indexing="ij")).astype(np.float32)
    result = np.zeros((4, *side), np.float32)
    for mask in scene.masks:
        way = place[:, mask].mean(1)[:, None, None] - place
        result[0][mask] = 1
        result[1] = np.maximum(result[1], np.exp(-(way**2).sum(0) / (2 * SPREAD**2)))
        result[2:, mask] = way[:, mask] / REACH
    return torch.from_numpy(result)


def detections(outputs: NDArray[np.float32]) -> list[Detection]:
    """The instances that a net's outputs `(1 + classes + 3, H, W)` mean.

    Each local maximum of the centres is one. A pixel whose likeliest class is not the background belongs to the centre
    that is nearest to where its way leads. An instance has the class that is likeliest over its pixels, and is as sure
    as the centre and that class together.
    """
    numbers = torch.from_numpy(outputs)
    likely = numbers[:-3].softmax(0).numpy()
    heat = numbers[-3].sigmoid()
    peaks = (heat == max_pool2d(heat[None, None], 5, 1, 2)[0, 0]) & (heat > LEAST)
    rows, columns = peaks.nonzero(as_tuple=True)
    order = heat[rows, columns].argsort(descending=True)[:MOST]
    centres = torch.stack((rows, columns), 1)[order].numpy()
    inside = likely.argmax(0) > 0
    if not len(centres) or not inside.any():
        return []
    leads = np.stack(np.nonzero(inside), 1) + REACH * outputs[-2:, inside].T
    nearest = np.square(leads[:, None] - centres).sum(2).argmin(1)
    result = []
    for number, (row, column) in enumerate(centres):
        mask = np.zeros_like(inside)
        mask[inside] = nearest == number
        if mask.any():
            shares = likely[1:, mask].mean(1)
            label = int(shares.argmax())
            result.append(Detection(mask, label, float(heat[row, column]) * float(shares[label])))
    return result
