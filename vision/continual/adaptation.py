"""The inner loop: an encoder moved a little for a task, against all classes stored and towards where they lie.

CML, arXiv 2207.12303; its abstract names the parts (metric classification, class storage, adversarial learning inside a
MAML-like framework), the equations here are our reconstruction.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, normalize

Parameters = Mapping[str, Tensor]


@dataclass(frozen=True)
class Adaptation:
    """`steps` of gradient descent at `rate`; `adversary` weighs the discriminator, `scale` multiplies cosines.

    With `against_stored=False` a task's classes are told apart from one another alone.
    """

    steps: int = 1
    rate: float = 0.01
    adversary: float = 0.1
    scale: float = 20.0
    against_stored: bool = True


class Discriminator(nn.Sequential):
    """Tells embeddings `(B, D)` of a new task from stored ones: a logit each, positive for stored."""

    def __init__(self, features: int, width: int = 64) -> None:
        super().__init__(nn.Linear(features, width), nn.ReLU(), nn.Linear(width, 1), nn.Flatten(0))


def class_means(embedded: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Unit vectors `(classes, D)` of the mean of each class of `embedded` `(B, D)`."""
    sums = torch.zeros(classes, embedded.shape[1], dtype=embedded.dtype).index_add(0, labels, embedded)
    return normalize(sums, dim=1)


def descended(start: Parameters, loss: Callable[[Parameters], Tensor], steps: int, rate: float) -> Parameters:
    """Parameters after `steps` of gradient descent on `loss`.

    Gradients reach `start` as if the loop had added constants (first-order MAML, C. Finn et al., arXiv 1703.03400,
    section 5.2).
    """
    now = start
    for _ in range(steps):
        with torch.enable_grad():
            here = {name: value.detach().requires_grad_() for name, value in now.items()}
            slopes = torch.autograd.grad(loss(here), list(here.values()))
        now = {name: value - rate * slope for (name, value), slope in zip(now.items(), slopes, strict=True)}
    return now


def adapted(
    embedding: nn.Module,
    discriminator: nn.Module,
    pictures: Tensor,
    labels: Tensor,
    stored: Tensor,
    how: Adaptation,
) -> Parameters:
    """The parameters of `embedding` after the inner loop on a task's support.

    `pictures` `(B, C, H, W)`, `labels` `(B,)` from 0, `stored` `(classes, D)`.
    """
    classes = int(labels.max()) + 1
    others = stored if how.against_stored else stored[:0]

    def loss(now: Parameters) -> Tensor:
        embedded = functional_call(embedding, dict(now), (pictures,))
        means = torch.cat([class_means(embedded, labels, classes), others])
        told_apart = cross_entropy(how.scale * embedded @ means.T, labels)
        if not how.adversary or not len(stored):
            return told_apart
        looks_stored = discriminator(embedded)
        return told_apart + how.adversary * binary_cross_entropy_with_logits(
            looks_stored, torch.ones_like(looks_stored)
        )

    return descended(dict(embedding.named_parameters()), loss, how.steps, how.rate)
