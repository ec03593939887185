"""Nearest class means of an encoder that never changes: the control to beat, and the learner on a device."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from vision.continual.adaptation import class_means
from vision.continual.border import check_task
from vision.continual.storage import ClassStorage

BATCH = 256


class NearestMeans:
    """Adds a class by the mean of its embeddings; `embed` makes unit vectors `(B, features)` of pictures."""

    def __init__(self, embed: Callable[[Tensor], Tensor], features: int) -> None:
        self.embed, self.stored = embed, ClassStorage(features)

    @property
    def bytes_kept(self) -> int:
        """Bytes of all that is kept of the classes learned."""
        return self.stored.bytes_per_class * len(self.stored)

    @torch.no_grad()
    def learn(self, support: Mapping[str, Tensor]) -> None:
        """Adds one task: pictures `(shots, C, H, W)` in [0, 1) of each new class, by name.

        Raises `ValueError` for a class without a picture, for one that is stored already, and for pictures of several
        shapes, and as `embed`; nothing changes then.
        """
        check_task(support, self.stored)
        labels = torch.arange(len(support)).repeat_interleave(torch.tensor([len(each) for each in support.values()]))
        self.stored.write(
            list(support), class_means(self.embed(torch.cat(list(support.values()))), labels, len(support))
        )

    @torch.no_grad()
    def scores(self, pictures: Tensor) -> Tensor:
        """Cosines `(B, classes)` of pictures `(B, C, H, W)` with every class, in the order of learning."""
        return torch.cat([self.embed(part) for part in pictures.split(BATCH)]) @ self.stored.means.T
