"""Streams of tasks: which classes come in which task, and which of their pictures are learned from and asked about."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vision.data.augment import as_input, warped
from vision.data.few_shot import ClassPictures

Source = Callable[[int, NDArray[np.int64]], Tensor]
"""What a method reads of chosen examples of a class, `(examples, ...)`: their pictures, or what was made of them."""


@dataclass(frozen=True)
class Shape:
    """`tasks` of `ways` new classes each, of which `shots` pictures are learned from and `queries` asked about."""

    ways: int
    shots: int
    tasks: int
    queries: int

    def check(self, classes: ClassPictures, purpose: str, others: str = "") -> None:
        """Raises `ValueError` where the classes, or the pictures of one, are too few; `others` says where more are."""
        if self.ways > len(classes):
            raise ValueError(
                f"ways={self.ways} needs {self.ways} classes {purpose}: there are {len(classes)}{others}; take fewer"
            )
        needed = self.shots + self.queries
        for name, pictures in zip(classes.names, classes.pictures, strict=True):
            if len(pictures) < needed:
                raise ValueError(
                    f"class {name!r} has {len(pictures)} pictures: shots={self.shots} and queries={self.queries} "
                    f"need {needed}"
                )


class Task(NamedTuple):
    """New classes by name: examples to learn from, `(ways, shots, ...)`, and others to ask about."""

    names: tuple[str, ...]
    support: Tensor
    query: Tensor


class Choice(NamedTuple):
    """A task by numbers alone: those of its classes, and of each class's examples, the first `shots` to learn from."""

    names: tuple[str, ...]
    classes: tuple[int, ...]
    examples: NDArray[np.int64]
    shots: int

    def task(self, source: Source) -> Task:
        """The task as a method reads it."""
        x = torch.stack([source(k, examples) for k, examples in zip(self.classes, self.examples, strict=True)])
        return Task(self.names, x[:, : self.shots], x[:, self.shots :])


def choices(classes: ClassPictures, shape: Shape, rng: np.random.Generator) -> list[Choice]:
    """A random stream: no class comes twice, and no picture is both learned from and asked about."""
    order = rng.permutation(len(classes))[: shape.ways * shape.tasks].reshape(shape.tasks, shape.ways)
    return [_choice(classes, picked.tolist(), shape, rng) for picked in order]


def _choice(classes: ClassPictures, picked: Sequence[int], shape: Shape, rng: np.random.Generator) -> Choice:
    count = shape.shots + shape.queries
    examples = np.stack([rng.permutation(len(classes.pictures[k]))[:count] for k in picked])
    return Choice(tuple(classes.names[k] for k in picked), tuple(picked), examples, shape.shots)


def pictures_of(classes: ClassPictures) -> Source:
    """The pictures themselves, as inputs of a net."""
    return lambda k, examples: as_input(torch.from_numpy(classes.pictures[k][examples]))


@dataclass(frozen=True, eq=False)
class Episodes:
    """`count` random streams as the batches of an epoch: all pictures `(tasks, ways, examples, C, H, W)`.

    Numbers of pictures to learn from take turns; the last `shape.queries` examples of a class are asked about. Pictures
    are of characters where there is a generator to warp each of them.
    """

    classes: ClassPictures
    shape: Shape
    shots: Sequence[int]
    count: int
    rng: np.random.Generator
    warping: torch.Generator | None = None

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for number in range(self.count):
            shape = replace(self.shape, shots=self.shots[number % len(self.shots)])
            tasks = [choice.task(self._source) for choice in choices(self.classes, shape, self.rng)]
            yield torch.stack([torch.cat([task.support, task.query], dim=1) for task in tasks]), torch.empty(0)

    @property
    def _source(self) -> Source:
        if self.warping is None:
            return pictures_of(self.classes)
        generator = self.warping
        return lambda k, examples: warped(torch.from_numpy(self.classes.pictures[k][examples]), generator)
