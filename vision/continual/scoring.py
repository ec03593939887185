"""Every method on the same random streams."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shared.lab import JSON, Context
from vision.continual.evaluate import Method, Trace, follow, forgetting, milliseconds_per_class
from vision.continual.frozen import NearestMeans
from vision.continual.streams import Choice, Shape, Source, choices, pictures_of
from vision.data.few_shot import ClassPictures

STREAMS_OF_A_STAGE = 5
BATCH = 256

Embed = Callable[[Tensor], Tensor]


def stages(streams: int) -> int:
    """How many stages `Scoring.scored` has."""
    return 1 + -(-streams // STREAMS_OF_A_STAGE)


@dataclass(frozen=True, eq=False)
class Scoring:
    """Methods by name: encoders that never change, those that learn, and those of them that are asked of few streams.

    An encoder that never changes embeds every picture once, so that many streams cost next to nothing: a method that is
    among both is timed as one that learns, and asked as the frozen encoder that it is.
    """

    classes: ClassPictures
    features: int
    frozen: Mapping[str, Embed]
    learning: Mapping[str, Callable[[], Method]]
    slow: Mapping[str, Callable[[], Method]]

    def finals(self, shape: Shape, streams: int, rng: np.random.Generator) -> dict[str, float]:
        """Accuracy of each frozen encoder on all classes after the last task, on the mean over new streams."""
        traces = [self._of_frozen(choices(self.classes, shape, rng)) for _ in range(streams)]
        return {name: float(np.mean([each[name].accuracy[-1] for each in traces])) for name in self.frozen}

    def scored(self, shape: Shape, streams: int, few: int, context: Context) -> Mapping[str, JSON]:
        """Accuracies on `streams` streams, or on the first `few` of them, forgetting, bytes, and ms of a class."""
        title = f"shots={shape.shots}"
        took = context.stage(f"{title}, time of a class", lambda: self._took(shape, context))
        results: list[Mapping[str, Any]] = []
        for first in range(0, streams, STREAMS_OF_A_STAGE):
            numbers = range(first, min(first + STREAMS_OF_A_STAGE, streams))
            results += context.stage(
                f"{title}, streams {first + 1} to {numbers[-1] + 1}",
                partial(self._followed, shape, numbers, few, context),
            )
        return {
            name: {**_summary([result[name] for result in results if name in result]), "ms_per_class": ms}
            for name, ms in took.items()
        }

    def _took(self, shape: Shape, context: Context) -> dict[str, float]:
        tasks = [choice.task(pictures_of(self.classes)) for choice in choices(self.classes, shape, context.rng)]
        frozen = {name: partial(NearestMeans, embed, self.features) for name, embed in self.frozen.items()}
        methods: Mapping[str, Callable[[], Method]] = {**frozen, **self.slow, **self.learning}
        return {name: milliseconds_per_class(method(), tasks) for name, method in methods.items()}

    @cached_property
    def _sources(self) -> Mapping[str, Source]:
        return {name: self._source(embed) for name, embed in self.frozen.items()}

    @torch.no_grad()
    def _source(self, embed: Embed) -> Source:
        pictures = pictures_of(self.classes)
        embedded = []
        for k, each in enumerate(self.classes.pictures):
            parts = np.split(np.arange(len(each)), range(BATCH, len(each), BATCH))
            embedded.append(torch.cat([embed(pictures(k, part)) for part in parts]))
        return lambda k, examples: embedded[k][examples]

    def _of_frozen(self, stream: Sequence[Choice]) -> dict[str, Trace]:
        return {
            name: follow(NearestMeans(lambda x: x, self.features), [choice.task(source) for choice in stream])
            for name, source in self._sources.items()
        }

    def _followed(self, shape: Shape, numbers: Sequence[int], few: int, context: Context) -> JSON:
        results = []
        for done, number in enumerate(numbers):
            stream = choices(self.classes, shape, context.rng)
            traces = self._of_frozen(stream)
            tasks = [choice.task(pictures_of(self.classes)) for choice in stream]
            learning = {**self.slow, **self.learning} if number < few else self.learning
            for name, learner in learning.items():
                if name in traces:
                    continue
                context.progress(done, len(numbers), f"{name} on streams")
                traces[name] = follow(learner(), tasks)
            results.append(
                {
                    name: {"accuracy": it.accuracy.tolist(), "own": it.own.tolist(), "bytes": it.bytes_kept}
                    for name, it in traces.items()
                }
            )
        return results


def _summary(traces: Sequence[Mapping[str, Any]]) -> dict[str, JSON]:
    accuracy, own = (np.array([trace[key] for trace in traces]) for key in ("accuracy", "own"))

    def after_each(matrices: NDArray[np.float64]) -> list[float]:
        """Forgetting after each task, on the mean over streams."""
        tasks = range(1, matrices.shape[-1] + 1)
        return [float(np.mean([forgetting(each[:count, :count]) for each in matrices])) for count in tasks]

    return {
        "accuracy": accuracy.mean(0).tolist(),
        "final": accuracy[:, -1].mean(1).tolist(),
        "single": accuracy[:, 0, 0].tolist(),
        "forgetting": [forgetting(each) for each in accuracy],
        "forgetting_own": [forgetting(each) for each in own],
        "forgetting_course": after_each(accuracy),
        "forgetting_own_course": after_each(own),
        "bytes_kept": int(np.median([trace["bytes"] for trace in traces])),
    }
