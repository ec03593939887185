"""The outer loop: an encoder whose means tell many classes apart, and a discriminator of new and stored embeddings."""

from collections.abc import Mapping
from typing import Self

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, normalize

from vision.continual.adaptation import Adaptation, Discriminator, Parameters, adapted, class_means
from vision.nets.encoder import Embedding

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

    The last task plays the one that is learned, those before it are stored: its support moves the encoder by the inner
    loop of `how`, and the queries of all tasks are asked for cross-entropy among the means of all classes (prototypical
    networks, J. Snell et al., arXiv 1703.05175, section 2.2), or of their own task's where nothing is stored. Where
    `how` has an adversary, the discriminator's loss is added. Running statistics of norms stay.
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
        support, queries = tasks.flatten(0, 1).split([examples - self.queries, self.queries], dim=1)
        means, now = self.learned(support, ways)
        asked: Tensor = functional_call(self.embedding, dict(now), (queries.flatten(0, 1),))
        answers = torch.arange(len(support)).repeat_interleave(self.queries)
        logits = self.how.scale * asked @ means.T
        if not self.how.against_stored:
            strangers = answers[:, None] // ways != torch.arange(len(support)) // ways
            logits = logits.masked_fill(strangers, -torch.inf)
        loss = cross_entropy(logits, answers)
        if not self.how.adversary or len(tasks) == 1:
            return loss
        new, stored = asked[-ways * self.queries :], means[:-ways].detach()
        return loss + self.how.adversary * self.told_apart(new, stored)

    def learned(self, support: Tensor, ways: int) -> tuple[Tensor, Parameters]:
        """The means of all classes, those of the last task after the inner loop; and the parameters after it."""
        shots = support.shape[1]
        labels = torch.arange(len(support)).repeat_interleave(shots)
        means = class_means(self.embedding(support.flatten(0, 1)), labels, len(support))
        before: Parameters = dict(self.embedding.named_parameters())
        if not self.how.steps:
            return means, before
        stored, new = means[:-ways], support[-ways:].flatten(0, 1)
        now = adapted(self.embedding, self.discriminator, new, labels[: len(new)], stored.detach(), self.how)
        embedded = functional_call(self.embedding, dict(now), (new,))
        return torch.cat([stored, class_means(embedded, labels[: len(new)], ways)]), now

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
