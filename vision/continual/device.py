"""The learner on a device: an integer encoder that is never trained again, and classes added by their means."""

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from shared.f8net import F8Net
from vision.continual.adaptation import class_means
from vision.continual.storage import ClassStorage
from vision.data.augment import PIXEL
from vision.nets.conv4 import Embedding

BATCH = 256


class OnDevice:
    """A method without an inner loop whose encoder is `encoder.program()`: 8-bit integers up to the last feature map.

    `samples` `(n, C, H, W)` calibrate it. What is left to floats is the average over the map, the centre and cosines.
    """

    def __init__(self, embedding: Embedding, samples: Tensor) -> None:
        *layers, pool, flatten = embedding.encoder
        self.encoder = F8Net(nn.Sequential(*layers), shape=samples.shape[1:], input=PIXEL).calibrate(samples).eval()
        self.rest = nn.Sequential(pool, flatten)
        self.centre = embedding.centre
        self.stored = ClassStorage(len(embedding.centre))

    def emptied(self) -> "OnDevice":
        """The same encoder, before its first class."""
        other = copy.copy(self)
        other.stored = ClassStorage(len(self.centre))
        return other

    @property
    def bytes_kept(self) -> int:
        """Bytes of all that is kept of the classes learned."""
        return self.stored.bytes_per_class * len(self.stored)

    @torch.no_grad()
    def learn(self, support: Mapping[str, Tensor]) -> None:
        """Adds one task: pictures `(shots, C, H, W)` in [0, 1) of each new class, by name."""
        labels = torch.arange(len(support)).repeat_interleave(torch.tensor([len(each) for each in support.values()]))
        means = class_means(self._embedded(torch.cat(list(support.values()))), labels, len(support))
        self.stored.write(list(support), means)

    @torch.no_grad()
    def scores(self, pictures: Tensor) -> Tensor:
        """Cosines `(B, classes)` of pictures `(B, C, H, W)` with every class, in the order of learning."""
        return torch.cat([self._embedded(part) for part in pictures.split(BATCH)]) @ self.stored.means.T

    def _embedded(self, pictures: Tensor) -> Tensor:
        return normalize(self.rest(self.encoder(pictures)) - self.centre, dim=1)
