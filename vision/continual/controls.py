"""What a continual learner has to beat: an encoder with a linear layer, trained on as each task comes."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from shared.training.loop import Schedule, descent
from vision.nets.encoder import Embedding

BATCH = 256


@dataclass(frozen=True)
class Tuning:
    """`steps` of Adam at `rate` on each task, and what is kept of the tasks before.

    `kept` is how many pictures stay in memory (a random choice of all seen, J. S. Vitter's reservoir); None: all.
    A new class's weights begin at its mean embedding (`imprinted`) or at random, as in a layer that is new. With
    `balanced` a step is of one picture of each class at random, and not of all pictures of the task and in memory.
    `elastic` weighs the penalty that holds parameters where they were, by their Fisher information (EWC, J.
    Kirkpatrick et al., arXiv 1612.00796, section 2.1).
    """

    steps: int = 50
    rate: float = 1e-3
    kept: int | None = 0
    elastic: float = 0.0
    balanced: bool = False
    imprinted: bool = True
    scale: float = 10.0


class Tuned:
    """An encoder and one unit vector of weights per class, both tuned on each task with the pictures that were kept."""

    def __init__(self, embedding: Embedding, how: Tuning, generator: torch.Generator) -> None:
        self.embedding, self.how, self.generator = copy.deepcopy(embedding).eval(), how, generator
        self.weights = nn.Parameter(torch.zeros(0, len(embedding.centre)))
        self.kept: list[tuple[Tensor, int]] = []
        self.offered = 0
        self.anchor: list[tuple[Tensor, Tensor]] = []

    @property
    def bytes_kept(self) -> int:
        """Bytes of the pictures in memory, one byte for each number, and of what holds the parameters."""
        of_pictures = sum(picture.numel() for picture, _ in self.kept)
        return of_pictures + sum(4 * (value.numel() + weight.numel()) for value, weight in self.anchor)

    def learn(self, support: Mapping[str, Tensor]) -> None:
        """Tunes on one task: pictures `(shots, C, H, W)` of each new class."""
        first = len(self.weights)
        pictures = torch.cat(list(support.values()))
        labels = torch.cat([torch.full((len(each),), first + k) for k, each in enumerate(support.values())])
        with torch.no_grad():
            embedded = self.embedding(pictures)
            new = torch.stack([embedded[labels == first + k].mean(0) for k in range(len(support))])
            if not self.how.imprinted:
                new = normalize(torch.randn(new.shape, generator=self.generator), dim=1)
        self.weights = nn.Parameter(torch.cat([self.weights.detach(), new]))
        x = torch.cat([pictures, *(picture[None] for picture, _ in self.kept)])
        y = torch.cat([labels, torch.tensor([label for _, label in self.kept], dtype=labels.dtype)])
        parameters = [*self.embedding.parameters(), self.weights]
        schedule = Schedule(steps=self.how.steps, rate=self.how.rate)
        losses = (partial(self._loss, *self._batch(x, y)) for _ in range(schedule.steps))
        for _ in descent(schedule.optimiser(parameters), schedule, losses, schedule.steps):
            pass
        if self.how.elastic:
            self._hold(pictures, labels)
        self._keep(pictures, labels)

    @torch.no_grad()
    def scores(self, pictures: Tensor) -> Tensor:
        """Scores `(B, classes)` of pictures `(B, C, H, W)`, in the order in which the classes were learned."""
        return torch.cat([self._logits(part) for part in pictures.split(BATCH)])

    def _logits(self, pictures: Tensor) -> Tensor:
        cosines: Tensor = self.embedding(pictures) @ normalize(self.weights, dim=1).T
        return self.how.scale * cosines

    def _batch(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        if not self.how.balanced:
            return x, y
        shuffled = torch.randperm(len(y), generator=self.generator)
        picked = torch.stack([shuffled[y[shuffled] == label][0] for label in y.unique()])
        return x[picked], y[picked]

    def _loss(self, x: Tensor, y: Tensor) -> Tensor:
        loss = cross_entropy(self._logits(x), y)
        for parameter, (value, weight) in zip(self.embedding.parameters(), self.anchor, strict=False):
            loss = loss + self.how.elastic / 2 * (weight * (parameter - value).square()).sum()
        return loss

    def _hold(self, pictures: Tensor, labels: Tensor) -> None:
        """Adds this task's Fisher information, the squared gradient of each picture's loss, to what is held."""
        parameters = list(self.embedding.parameters())
        before = [weight for _, weight in self.anchor] or [torch.zeros_like(each) for each in parameters]
        for x, y in zip(pictures.split(1), labels.split(1), strict=True):
            gradients = torch.autograd.grad(cross_entropy(self._logits(x), y), parameters)
            before = [weight + each.square() / len(pictures) for weight, each in zip(before, gradients, strict=True)]
        self.anchor = [(each.detach().clone(), weight) for each, weight in zip(parameters, before, strict=True)]

    def _keep(self, pictures: Tensor, labels: Tensor) -> None:
        for picture, label in zip(pictures, labels.tolist(), strict=True):
            self.offered += 1
            if self.how.kept is None or len(self.kept) < self.how.kept:
                self.kept.append((picture, label))
            elif (place := int(torch.randint(self.offered, (), generator=self.generator))) < self.how.kept:
                self.kept[place] = (picture, label)
