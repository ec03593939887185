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
    """Accuracies on task j after task t, `[t, j]` (0 above the diagonal), and bytes kept at the end.

    Answers are among all classes learned by then in `accuracy`, and among the task's own alone in `own`.
    """

    accuracy: NDArray[np.float64]
    own: NDArray[np.float64]
    bytes_kept: int


def follow(method: Method, tasks: Sequence[Task]) -> Trace:
    """`method` on a stream, asked about every task so far after each."""
    accuracy, own = np.zeros((2, len(tasks), len(tasks)))
    ways, queries = tasks[0].query.shape[:2]
    labels = torch.arange(ways).repeat_interleave(queries)
    for number, task in enumerate(tasks):
        method.learn(dict(zip(task.names, task.support, strict=True)))
        asked = torch.cat([each.query.flatten(0, 1) for each in tasks[: number + 1]])
        for earlier, scores in enumerate(method.scores(asked).split(ways * queries)):
            first = earlier * ways
            accuracy[number, earlier] = _share(scores.argmax(1) == first + labels)
            own[number, earlier] = _share(scores[:, first : first + ways].argmax(1) == labels)
    return Trace(accuracy, own, method.bytes_kept)


def _share(right: Tensor) -> float:
    return float(right.double().mean())


def milliseconds_per_class(method: Method, tasks: Sequence[Task]) -> float:
    """CPU milliseconds in which `method` learns a class, on the mean over a stream."""
    began = time.process_time()
    for task in tasks:
        method.learn(dict(zip(task.names, task.support, strict=True)))
    return 1000 * (time.process_time() - began) / sum(len(task.names) for task in tasks)


def after_each_task(accuracy: NDArray[np.float64]) -> NDArray[np.float64]:
    """The accuracy on all classes seen, after each task, `(..., tasks)` of `(..., tasks, tasks)`.

    >>> after_each_task(np.array([[1.0, 0.0], [0.5, 0.7]]))
    array([1. , 0.6])
    """
    means: NDArray[np.float64] = accuracy.sum(-1) / np.arange(1, accuracy.shape[-1] + 1)
    return means


def forgetting(accuracy: NDArray[np.float64]) -> float:
    """How far each task but the last has fallen at the end from its best, on the mean over tasks.

    A. Chaudhry et al., Riemannian Walk (arXiv 1801.10112), section 3. Of accuracies among all classes learned it holds
    what the task's growing harder costs too, which is not forgetting: a frozen encoder with means that stay has it as
    well. Of accuracies among a task's own classes it is what was lost of the task itself.

    >>> forgetting(np.array([[1.0, 0.0], [0.75, 0.5]]))
    0.25
    """
    tasks = accuracy.shape[-1]
    if tasks == 1:
        return 0.0
    best = np.array([accuracy[task : tasks - 1, task].max() for task in range(tasks - 1)])
    return float((best - accuracy[-1, : tasks - 1]).mean())
