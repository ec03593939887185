"""The outer loop: an encoder that answers well for all classes seen after each inner loop, and a discriminator."""

from collections.abc import Mapping
from typing import Self

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, normalize

from vision.continual.adaptation import Adaptation, Discriminator, adapted, class_means
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
    """The loss of a whole stream of tasks `(tasks, ways, shots + queries, C, H, W)`, a number; `shots` may vary.

    After each task, the cross-entropy of its queries and of those of all tasks before, over all classes seen; and the
    discriminator's, between new embeddings and stand-ins of stored ones. Running statistics of norms stay as they are.
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
        ways, examples = tasks.shape[1:3]
        shots, loss = examples - self.queries, torch.zeros(())
        queries = tasks[:, :, shots:]
        stored = torch.zeros(0, len(self.embedding.centre))
        for number, task in enumerate(tasks):
            pictures = task[:, :shots].flatten(0, 1)
            labels = torch.arange(ways).repeat_interleave(shots)
            now = dict(adapted(self.embedding, self.discriminator, pictures, labels, stored.detach(), self.how))
            asked = queries[: number + 1].flatten(0, 2)
            embedded = functional_call(self.embedding, now, (torch.cat([pictures, asked]),))
            new, of_queries = embedded[: len(pictures)], embedded[len(pictures) :]
            means = torch.cat([stored, class_means(new, labels, ways)])
            answers = torch.arange(len(means)).repeat_interleave(self.queries)
            loss = loss + cross_entropy(self.how.scale * of_queries @ means.T, answers)
            if number and self.how.adversary:
                loss = loss + self.how.adversary * self.told_apart(new, stored.detach())
            stored = means
        return loss / len(tasks)

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
