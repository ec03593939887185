"""MAML, a control: an encoder and a layer of zeros, from where a few steps of gradient descent learn a task."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from vision.continual.adaptation import Parameters, descended
from vision.nets.encoder import Embedding

HEAD = "head"
"""The layer's name among parameters; the encoder's have a dot each."""

BATCH = 256


@dataclass(frozen=True)
class Descent:
    """The inner loop: `steps` of gradient descent at `rate`; `scale` multiplies what the layer computes."""

    steps: int = 5
    rate: float = 0.02
    scale: float = 10.0


def logits(embedding: Embedding, now: Parameters, pictures: Tensor, how: Descent) -> Tensor:
    """Scores `(B, classes)` of pictures, of which `now` holds the encoder and the layer."""
    encoder = {name: value for name, value in now.items() if name != HEAD}
    scores: Tensor = how.scale * functional_call(embedding, encoder, (pictures,)) @ now[HEAD].T
    return scores


def learned(embedding: Embedding, start: Parameters, pictures: Tensor, labels: Tensor, how: Descent) -> Parameters:
    """`start` after the inner loop on pictures `(B, C, H, W)` of classes `labels` `(B,)`."""
    return descended(
        start, lambda now: cross_entropy(logits(embedding, now, pictures, how), labels), how.steps, how.rate
    )


class MamlLoss(nn.Module):
    """The loss of tasks `(tasks, ways, shots + queries, C, H, W)`, each learned by itself: first-order MAML.

    C. Finn et al., arXiv 1703.03400. The layer begins as zeros for every task, so that the order of classes says
    nothing (H. Ye, W. Chao, arXiv 2106.16245, section 6). Running statistics of norms stay as they are.
    """

    def __init__(self, embedding: Embedding, how: Descent, queries: int) -> None:
        super().__init__()
        self.embedding, self.how, self.queries = embedding, how, queries

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        self.embedding.eval()
        return self

    def forward(self, tasks: Tensor) -> Tensor:
        ways, examples = tasks.shape[1:3]
        shots, loss = examples - self.queries, torch.zeros(())
        start = dict(self.embedding.named_parameters()) | {HEAD: torch.zeros(ways, len(self.embedding.centre))}
        for task in tasks:
            labels = torch.arange(ways).repeat_interleave(shots)
            now = learned(self.embedding, start, task[:, :shots].flatten(0, 1), labels, self.how)
            answers = torch.arange(ways).repeat_interleave(self.queries)
            loss = loss + cross_entropy(logits(self.embedding, now, task[:, shots:].flatten(0, 1), self.how), answers)
        return loss / len(tasks)


class Maml:
    """Learns task after task from where the last one ended; the layer has a row of zeros for each new class."""

    bytes_kept = 0

    def __init__(self, embedding: Embedding, how: Descent) -> None:
        self.embedding, self.how = embedding, how
        self.now: Parameters = dict(embedding.named_parameters()) | {HEAD: torch.zeros(0, len(embedding.centre))}

    def learn(self, support: Mapping[str, Tensor]) -> None:
        """Learns one task from pictures `(shots, C, H, W)` of each new class."""
        rows, features = self.now[HEAD].shape
        counts = torch.tensor([len(each) for each in support.values()])
        labels = rows + torch.arange(len(support)).repeat_interleave(counts)
        start = {**self.now, HEAD: torch.cat([self.now[HEAD], torch.zeros(len(support), features)])}
        now = learned(self.embedding, start, torch.cat(list(support.values())), labels, self.how)
        self.now = {name: value.detach() for name, value in now.items()}

    @torch.no_grad()
    def scores(self, pictures: Tensor) -> Tensor:
        """Scores `(B, classes)` of pictures `(B, C, H, W)`, in the order in which the classes were learned."""
        return torch.cat([logits(self.embedding, self.now, part, self.how) for part in pictures.split(BATCH)])
