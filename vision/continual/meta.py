"""The outer loop: an encoder whose means tell many classes apart, and a discriminator of new and stored embeddings."""

from collections.abc import Mapping
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, normalize

from vision.continual.adaptation import Adaptation, Discriminator
from vision.nets.conv4 import Embedding

SPREAD = 0.5
"""Length of the random part of a stand-in: pictures of a stored class are gone, and are played around its mean."""


class Reversal(torch.autograd.Function):
    """The identity whose gradient has the other sign: the encoder ascends where the discriminator descends.

    Y. Ganin, V. Lempitsky (arXiv 1409.7495), section 3.
    """

    @staticmethod
    def forward(context: object, x: Tensor) -> Tensor:
        return x.view_as(x)

    @staticmethod
    def backward(context: object, gradient: Tensor) -> Tensor:
        return -gradient


class StreamLoss(nn.Module):
    """The loss of a stream of tasks `(tasks, ways, shots + queries, C, H, W)` at its end, a number; `shots` may vary.

    The cross-entropy of the queries of all tasks over all classes, whose means and queries come of a single pass
    (prototypical networks, J. Snell et al., arXiv 1703.05175, section 2.2). Where `how` has an adversary, the classes
    of the first half play the stored ones, and the discriminator's loss is added. Running statistics of norms stay.
    """

    def __init__(self, embedding: Embedding, discriminator: Discriminator, how: Adaptation, queries: int) -> None:
        super().__init__()
        self.embedding, self.discriminator, self.how, self.queries = embedding, discriminator, how, queries
        self.generator = torch.Generator().manual_seed(0)

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        self.embedding.eval()
        return self

    def forward(self, tasks: Tensor) -> Tensor:
        pictures = tasks.flatten(0, 1)
        classes, examples = pictures.shape[:2]
        embedded = self.embedding(pictures.flatten(0, 1)).unflatten(0, (classes, examples))
        support, queries = embedded.split([examples - self.queries, self.queries], dim=1)
        means = normalize(support.mean(1), dim=1)
        answers = torch.arange(classes).repeat_interleave(self.queries)
        loss = cross_entropy(self.how.scale * queries.flatten(0, 1) @ means.T, answers)
        if not self.how.adversary:
            return loss
        stored = classes // 2
        return loss + self.how.adversary * self.told_apart(queries[stored:].flatten(0, 1), means[:stored].detach())

    def told_apart(self, new: Tensor, stored: Tensor) -> Tensor:
        """How badly the discriminator tells new embeddings from stand-ins around stored means."""
        noise = torch.randn(len(new), stored.shape[1], generator=self.generator) / stored.shape[1] ** 0.5
        picked = torch.randint(len(stored), (len(new),), generator=self.generator)
        stand_ins = normalize(stored[picked] + SPREAD * noise, dim=1)
        logits = self.discriminator(torch.cat([stand_ins, Reversal.apply(new)]))
        truth = torch.cat([torch.ones(len(stand_ins)), torch.zeros(len(new))])
        return binary_cross_entropy_with_logits(logits, truth)


def between(before: Mapping[str, Tensor], after: Mapping[str, Tensor], share: float) -> dict[str, Tensor]:
    """Parameters on the line from `before` (share 0) to `after` (share 1), by name.

    Half way, an encoder has what the outer loop taught and less of what it cost on classes that it never saw: M.
    Wortsman et al. (arXiv 2109.01903), section 3.
    """
    return {
        name: torch.lerp(value, after[name], share) if value.is_floating_point() else value
        for name, value in before.items()
    }
