"""How generators are trained: towards pairs, towards a teacher, and against a discriminator, all in one step."""

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import l1_loss, relu

from shared.training.data import Shuffled
from shared.training.epochs import OneCycle, Trainer
from vision.stylize.nets import Discriminator, Generator
from vision.stylize.pairs import Pair, Patches

BATCH = 8
ADVERSARIAL, JUDGED = 0.02, 0.1
"""The weights of how real a styled picture looks, and of the discriminator's own loss: Adam makes its steps equal."""
FEATURES = 0.1
"""Of the teacher's trunk in the loss."""


class Taught(nn.Module):
    """A generator with what it is trained by: pictures `(B, 3, H, W)` to what `loss` needs.

        log(|image - truth| + |image - teacher| + c |A trunk - teacher's trunk|) - a D(x, image)
        + d (max(0, 1 - D(x, truth)) + max(0, 1 + D(x, image)))

    means of absolute values, the image without a gradient in the second line and the discriminator in the first. The
    logarithm gives the price of a search and the discriminator the same weight beside any error. `A` is a 1x1
    convolution from the narrow trunk to the teacher's, trained along and not kept. The teacher stays as it is.

    J. H. Lim and J. C. Ye, *Geometric GAN* (arXiv 1705.02894); M. Li et al., *GAN compression* (arXiv 2003.08936).
    """

    def __init__(self, generator: nn.Module, discriminator: Discriminator, teacher: Generator | None = None) -> None:
        super().__init__()
        self.generator, self.discriminator = generator, discriminator
        self.teacher = None if teacher is None else copy.deepcopy(teacher).requires_grad_(False)
        self.adapter: nn.Conv2d | None = None
        if teacher is not None and isinstance(generator, Generator):
            self.adapter = nn.Conv2d(generator.shape.trunk, teacher.shape.trunk, 1)

    def train(self, mode: bool = True) -> "Taught":
        super().train(mode)
        if self.teacher is not None:
            self.teacher.eval()
        return self

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        if self.adapter is None:
            return x, self.generator(x)
        with captured(self.generator.blocks) as trunk:  # type: ignore[arg-type]
            image = self.generator(x)
        return x, image, self.adapter(trunk[0])

    def loss(self, outputs: Any, truth: Tensor) -> Tensor:
        """Of what `forward` returns."""
        x, image = outputs[:2]
        frozen = {name: value.detach() for name, value in self.discriminator.named_parameters()}
        looks = functional_call(self.discriminator, frozen, (x, image)).mean()
        judged = relu(1 - self.discriminator(x, truth)).mean() + relu(1 + self.discriminator(x, image.detach())).mean()
        loss: Tensor = self._distance(outputs, truth).log() - ADVERSARIAL * looks + JUDGED * judged
        return loss

    def _distance(self, outputs: tuple[Tensor, ...], truth: Tensor) -> Tensor:
        x, image = outputs[:2]
        distance = l1_loss(image, truth)
        if self.teacher is None:
            return distance
        with torch.no_grad(), captured(self.teacher.blocks) as trunk:
            taught = self.teacher(x)
        distance = distance + l1_loss(image, taught)
        return distance + FEATURES * l1_loss(outputs[2], trunk[0]) if self.adapter is not None else distance


@contextmanager
def captured(module: nn.Module) -> Iterator[list[Tensor]]:
    """What a module returns inside of the context, call by call."""
    results: list[Tensor] = []
    hook = module.register_forward_hook(lambda module, inputs, output: results.append(output))
    try:
        yield results
    finally:
        hook.remove()


def trainer(net: Taught, epochs: int, rate: float) -> Trainer:
    return Trainer(net, OneCycle(epochs, rate, BATCH, decay=0.0), net.loss)


def epoch_of(pairs: Sequence[Pair], size: int, steps: int, generator: torch.Generator) -> Shuffled:
    """The random patches of an epoch."""
    return Shuffled(Patches(pairs, size, steps * BATCH), BATCH, generator)
