"""Streams of tasks: which classes come in which task, and which of their pictures are learned from and asked about."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from vision.data.augment import as_input
from vision.data.few_shot import ClassPictures


@dataclass(frozen=True)
class Shape:
    """`tasks` of `ways` new classes each, of which `shots` pictures are learned from and `queries` asked about."""

    ways: int
    shots: int
    tasks: int
    queries: int

    def check(self, classes: ClassPictures) -> None:
        """Raises `ValueError` where the classes, or the pictures of one, are too few."""
        if self.ways > len(classes):
            raise ValueError(f"ways={self.ways} needs {self.ways} classes: there are {len(classes)}; take fewer")
        needed = self.shots + self.queries
        for name, pictures in zip(classes.names, classes.pictures, strict=True):
            if len(pictures) < needed:
                raise ValueError(
                    f"class {name!r} has {len(pictures)} pictures: shots={self.shots} and queries={self.queries} "
                    f"need {needed}"
                )


class Task(NamedTuple):
    """New classes by name: pictures to learn from, `(ways, shots, C, H, W)`, and others to ask about."""

    names: tuple[str, ...]
    support: Tensor
    query: Tensor


def stream(classes: ClassPictures, shape: Shape, rng: np.random.Generator) -> list[Task]:
    """A random stream: no class comes twice, and no picture is both learned from and asked about."""
    order = rng.permutation(len(classes))[: shape.ways * shape.tasks].reshape(shape.tasks, shape.ways)
    return [_task(classes, picked, shape, rng) for picked in order]


def _task(classes: ClassPictures, picked: np.ndarray, shape: Shape, rng: np.random.Generator) -> Task:
    count = shape.shots + shape.queries
    pictures = np.stack([rng.permutation(classes.pictures[k])[:count] for k in picked])
    x = as_input(torch.from_numpy(pictures).flatten(0, 1)).unflatten(0, (shape.ways, count))
    return Task(tuple(classes.names[k] for k in picked), x[:, : shape.shots], x[:, shape.shots :])


@dataclass(frozen=True, eq=False)
class Episodes:
    """`count` random streams as the batches of an epoch: all pictures `(tasks, ways, shots + queries, C, H, W)`."""

    classes: ClassPictures
    shape: Shape
    count: int
    rng: np.random.Generator

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for _ in range(self.count):
            tasks = stream(self.classes, self.shape, self.rng)
            yield torch.stack([torch.cat([task.support, task.query], dim=1) for task in tasks]), torch.empty(0)
