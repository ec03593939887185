"""A method on a stream of tasks: right answers on every task seen so far, after each one."""

import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vision.continual.streams import Task


class Method(Protocol):
    """Whatever learns classes task by task."""

    @property
    def bytes_kept(self) -> int:
        """Bytes of all that is kept of tasks that are over."""

    def learn(self, support: Mapping[str, Tensor]) -> None:
        """Learns the classes of one task from pictures of each."""

    def scores(self, pictures: Tensor) -> Tensor:
        """A score of every picture for every class, in the order in which the classes were learned."""


class Trace(NamedTuple):
    """`accuracy[t, j]` on task j after task t (0 above the diagonal), bytes kept at the end, ms per class learned."""

    accuracy: NDArray[np.float64]
    bytes_kept: int
    ms_per_class: float


def follow(method: Method, tasks: Sequence[Task]) -> Trace:
    """`method` on a stream; answers are among all classes seen so far, whatever task they came in."""
    accuracy, seconds = np.zeros((len(tasks), len(tasks))), 0.0
    ways, queries = tasks[0].query.shape[:2]
    for number, task in enumerate(tasks):
        began = time.process_time()
        method.learn(dict(zip(task.names, task.support, strict=True)))
        seconds += time.process_time() - began
        asked = torch.cat([each.query.flatten(0, 1) for each in tasks[: number + 1]])
        truth = torch.arange((number + 1) * ways).repeat_interleave(queries)
        right = (method.scores(asked).argmax(1) == truth).view(number + 1, -1)
        accuracy[number, : number + 1] = right.double().mean(1).numpy()
    return Trace(accuracy, method.bytes_kept, 1000 * seconds / (ways * len(tasks)))


def after_each_task(accuracy: NDArray[np.float64]) -> NDArray[np.float64]:
    """The accuracy on all classes seen, after each task, `(..., tasks)` of `(..., tasks, tasks)`.

    >>> after_each_task(np.array([[1.0, 0.0], [0.5, 0.7]]))
    array([1. , 0.6])
    """
    means: NDArray[np.float64] = accuracy.sum(-1) / np.arange(1, accuracy.shape[-1] + 1)
    return means


def forgetting(accuracy: NDArray[np.float64]) -> float:
    """How far each task but the last has fallen at the end from its best, on the mean over tasks.

    A. Chaudhry et al., Riemannian Walk (arXiv 1801.10112), section 3.

    >>> forgetting(np.array([[1.0, 0.0], [0.75, 0.5]]))
    0.25
    """
    tasks = accuracy.shape[-1]
    if tasks == 1:
        return 0.0
    best = np.array([accuracy[task : tasks - 1, task].max() for task in range(tasks - 1)])
    return float((best - accuracy[-1, : tasks - 1]).mean())
