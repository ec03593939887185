"""Continual few-shot learning beside its controls: an encoder trained on base classes, then streams of new ones."""

import copy
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from shared.lab import JSON, Context, Experiment, Page, Row, Seeded, hash_file
from shared.training.data import Batches, Shuffled
from shared.training.epochs import NesterovCosine, Trainer
from shared.training.loop import seeded
from vision.continual.adaptation import Adaptation, Discriminator
from vision.continual.controls import Tuned, Tuning
from vision.continual.device import OnDevice
from vision.continual.evaluate import Method, follow, forgetting
from vision.continual.learner import Learner
from vision.continual.meta import StreamLoss
from vision.continual.page import page
from vision.continual.streams import Episodes, Shape, stream
from vision.data.augment import Augmented, as_input
from vision.data.cifar10 import Images
from vision.data.few_shot import ClassPictures, FewShotSet, files, load
from vision.nets.conv4 import Conv4, Embedding
from vision.training.stages import epochs

CENTRED_ON = 20
"""Pictures of each base class over which the centre of all embeddings is taken."""

STREAMS_OF_A_STAGE = 5


class ContinualSettings(Seeded):
    """The data, the streams, and the training of the encoder."""

    data: str = Field(default="omniglot", description="cifar100, miniimagenet, omniglot, or a folder")
    tasks_from: str = Field(default="", description="a folder whose classes the tasks are made of; else those of data")
    ways: int = Field(default=5, ge=2, description="new classes of a task")
    shots: int = Field(default=1, gt=0, description="pictures to learn each class from")
    tasks: int = Field(default=10, gt=0, description="most tasks of a stream; as many as there are classes for")
    queries: int = Field(default=5, gt=0, description="other pictures of each class that are asked about")
    streams: int = Field(default=50, gt=0, description="random streams that are scored")
    width: int = Field(default=64, gt=0, description="channels of Conv4")
    epochs: int = Field(default=5, gt=0, description="epochs of plain classification of the base classes")
    tuning: int = Field(default=2, gt=0, description="further epochs, of the outer loop and of plain classification")
    episodes: int = Field(default=100, gt=0, description="streams of an epoch of the outer loop")
    meta_tasks: int = Field(default=4, gt=1, description="tasks of such a stream")
    batch: int = Field(default=128, gt=1, description="pictures of a step of plain classification")
    rate: float = Field(default=0.1, gt=0, description="highest learning rate of plain classification")
    meta_rate: float = Field(default=0.02, gt=0, description="highest learning rate of the outer loop")
    inner_steps: int = Field(default=1, ge=0, description="steps of the inner loop")
    inner_rate: float = Field(default=0.01, gt=0, description="learning rate of the inner loop")
    adversary: float = Field(default=0.1, ge=0, description="weight of the discriminator in both loops")
    control_steps: int = Field(default=10, gt=0, description="steps on each task of the controls that are tuned")
    control_rate: float = Field(default=1e-3, gt=0, description="learning rate of those controls")
    elastic: float = Field(default=100.0, gt=0, description="weight of EWC's penalty")

    @property
    def adaptation(self) -> Adaptation:
        """The inner loop."""
        return Adaptation(self.inner_steps, self.inner_rate, self.adversary)


class Continual(Experiment[ContinualSettings]):
    """Learn classes from a few pictures, task by task, without forgetting: CML beside its controls.

    One cell is one seed: the encoder, the outer loop, and every method on the same streams.
    """

    name = "continual"
    version = 2

    def data(self, cell: ContinualSettings) -> Mapping[str, str]:
        paths = [path for name in (cell.data, cell.tasks_from) if name for path in files(name)]
        return {f"{path.parent.name}/{path.name}": hash_file(path) for path in paths}

    def run(self, cell: ContinualSettings, context: Context) -> Mapping[str, JSON]:
        return _Cell(cell, context).result()

    def page(self, rows: Sequence[Row]) -> Page:
        return page(rows)


class _Cell:
    """The stages of one cell. Each epoch and each few streams are stored once finished."""

    def __init__(self, settings: ContinualSettings, context: Context) -> None:
        self.settings, self.context = settings, context
        self.shape.check(self.set.novel)
        self.meta_shape.check(self.set.base)
        context.plan(2 + settings.epochs + 2 * settings.tuning + -(-settings.streams // STREAMS_OF_A_STAGE))

    def result(self) -> Mapping[str, JSON]:
        s = self.settings
        first = self.context.tensors("first weights", lambda: self.classifier(self.context.generator()).state_dict())
        classifier = self.classifier(torch.Generator())
        classifier.load_state_dict(first)
        spent = {"classification": self.trained("classification", classifier, self.pictures, s.epochs, s.rate)}
        frozen = self.centred(classifier)
        further = copy.deepcopy(classifier)
        spent["further"] = self.trained("further classification", further, self.pictures, s.tuning, s.rate / 5)
        start = self.context.tensors("discriminator", lambda: self.discriminator().state_dict())
        outer = StreamLoss(copy.deepcopy(frozen), Discriminator(len(frozen.centre)), s.adaptation, s.shots)
        outer.discriminator.load_state_dict(start)
        spent["outer loop"] = self.trained("outer loop", outer, partial(self.streams, outer), s.tuning, s.meta_rate)
        self.keep(outer)
        methods = self.methods(outer, frozen, self.centred(further))
        return {
            "data": self.set.caveat,
            "notes": self.notes,
            "base_classes": len(self.set.base),
            "novel_classes": len(self.set.novel),
            "parameters": sum(parameter.numel() for parameter in frozen.parameters()),
            "bytes_per_class": len(frozen.centre),
            "epochs": spent,
            "methods": self.scored(methods),
        }

    def trained(
        self, name: str, net: nn.Module, batches: Callable[[], Batches], count: int, rate: float
    ) -> list[Mapping[str, JSON]]:
        """Trains `net` in place; the loss and the CPU seconds of each epoch."""
        loss = nn.functional.cross_entropy if isinstance(net, _Classifier) else _itself
        trainer = Trainer(net, NesterovCosine(count, rate, batch=self.settings.batch), loss)
        results = epochs(self.context, name, trainer, batches)
        net.eval()
        return results

    def classifier(self, generator: torch.Generator) -> "_Classifier":
        channels, size, _ = self.set.base.shape
        return seeded(lambda: _Classifier(Conv4(channels, size, self.settings.width), len(self.set.base)), generator)

    def discriminator(self) -> Discriminator:
        features = Conv4(*self.set.base.shape[:2], self.settings.width).features
        return seeded(lambda: Discriminator(features), self.context.generator())

    def pictures(self) -> Batches:
        """The base classes' pictures, as plain classification reads them."""
        base = self.set.base
        labels = np.repeat(np.arange(len(base)), [len(each) for each in base.pictures])
        examples = Augmented(Images(np.concatenate(base.pictures), labels), self.set.mirrored)
        return Shuffled(examples, self.settings.batch, self.context.generator())

    def streams(self, outer: StreamLoss) -> Batches:
        """Streams of base classes, as the outer loop reads them."""
        outer.generator = self.context.generator()
        return Episodes(self.set.base, self.meta_shape, self.settings.episodes, self.context.rng)

    @torch.no_grad()
    def centred(self, classifier: "_Classifier") -> Embedding:
        """The encoder of a trained classifier, around the mean of its embeddings of base classes."""
        embedding = Embedding(copy.deepcopy(classifier.encoder)).eval()
        embedding.centre.copy_(torch.cat([embedding.encoder(part) for part in self.sample().split(256)]).mean(0))
        return embedding

    def sample(self) -> Tensor:
        """A few pictures of every base class."""
        return as_input(torch.from_numpy(np.concatenate([each[:CENTRED_ON] for each in self.set.base.pictures])))

    def keep(self, outer: StreamLoss) -> None:
        """The learner before its first class, as a file that `Learner.load` reads."""
        learner = Learner(outer.embedding, outer.discriminator, self.settings.adaptation)
        self.context.stage("learner", lambda: self.context.artefact("learner.safetensors", learner.to_bytes()))

    def methods(self, outer: StreamLoss, frozen: Embedding, further: Embedding) -> Mapping[str, Callable[[], Method]]:
        """Every method by name, each new for every stream."""
        s = self.settings
        how, none = s.adaptation, Adaptation(steps=0)
        tuning = Tuning(s.control_steps, s.control_rate)
        equal = len(frozen.centre) * s.ways * self.shape.tasks // self.set.novel.pictures[0][0].size
        integers = OnDevice(outer.embedding, self.sample())

        def cml(**changes: Any) -> Callable[[], Method]:
            return lambda: Learner(outer.embedding, outer.discriminator, Adaptation(**{**vars(how), **changes}))

        def nearest_mean(embedding: Embedding) -> Callable[[], Method]:
            return lambda: Learner(embedding, outer.discriminator, none)

        def tuned(**changes: Any) -> Callable[[], Method]:
            return lambda: Tuned(frozen, Tuning(**{**vars(tuning), **changes}), torch.Generator().manual_seed(s.seed))

        return {
            "cml": cml(),
            "no_inner_loop": cml(steps=0),
            "int8": integers.emptied,
            "no_storage": cml(against_stored=False),
            "no_adversary": cml(adversary=0.0),
            "nearest_mean": nearest_mean(frozen),
            "nearest_mean_further": nearest_mean(further),
            "fine_tuning": tuned(),
            "ewc": tuned(elastic=s.elastic),
            "replay": tuned(kept=max(1, equal)),
            "joint": tuned(kept=None),
        }

    def scored(self, methods: Mapping[str, Callable[[], Method]]) -> Mapping[str, JSON]:
        """Every method on the same streams: accuracies, forgetting, what it keeps and how long a class takes."""
        count, results = self.settings.streams, []
        for first in range(0, count, STREAMS_OF_A_STAGE):
            last = min(first + STREAMS_OF_A_STAGE, count)
            results += self.context.stage(
                f"streams {first + 1} to {last}", partial(self.followed, methods, last - first)
            )
        return {name: _summary([result[name] for result in results]) for name in methods}

    def followed(self, methods: Mapping[str, Callable[[], Method]], count: int) -> JSON:
        results = []
        for number in range(count):
            tasks = stream(self.set.novel, self.shape, self.context.rng)
            traces = {}
            for name, method in methods.items():
                self.context.progress(number, count, f"{name} on streams")
                traces[name] = follow(method(), tasks)
            results.append(
                {
                    name: {"accuracy": it.accuracy.tolist(), "bytes": it.bytes_kept, "ms": it.ms_per_class}
                    for name, it in traces.items()
                }
            )
        return results

    @cached_property
    def shape(self) -> Shape:
        """What is asked of a stream: as many tasks as were asked for, or as the classes make."""
        s = self.settings
        return Shape(s.ways, s.shots, min(s.tasks, len(self.set.novel) // s.ways), s.queries)

    @property
    def notes(self) -> list[str]:
        """What is not as it was asked for."""
        s, notes = self.settings, []
        if self.shape.tasks < s.tasks:
            notes.append(f"{len(self.set.novel)} classes make {self.shape.tasks} tasks of {s.ways}, not {s.tasks}.")
        if self.left_out:
            notes.append(f"The encoder knows these of {s.tasks_from}, so no task has them: {', '.join(self.left_out)}.")
        return notes

    @property
    def meta_shape(self) -> Shape:
        s = self.settings
        return Shape(s.ways, s.shots, min(s.meta_tasks, len(self.set.base) // s.ways), s.queries)

    @cached_property
    def own(self) -> FewShotSet:
        return load(self.settings.data)

    @cached_property
    def set(self) -> FewShotSet:
        return self.own._replace(novel=self.foreign.without(self.own.base.names)) if self.foreign else self.own

    @cached_property
    def foreign(self) -> ClassPictures | None:
        """The classes of another folder, if one is named. Raises `ValueError` where the encoder cannot read them."""
        if not self.settings.tasks_from:
            return None
        expected = self.own.base.shape
        classes = load(self.settings.tasks_from, expected[1]).all()
        if classes.shape != expected:
            raise ValueError(
                f"tasks_from={self.settings.tasks_from}: its pictures are {classes.shape} (channels, height, width) "
                f"and the encoder of {self.settings.data} reads {expected}; take a set of the same kind"
            )
        return classes

    @property
    def left_out(self) -> list[str]:
        """Classes of the other folder that no task may have."""
        return sorted(set(self.foreign.names) & set(self.own.base.names)) if self.foreign else []


class _Classifier(nn.Module):
    """An encoder and a linear layer over its directions: `(B, C, H, W)` to `(B, classes)` logits."""

    def __init__(self, encoder: Conv4, classes: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(encoder.features, classes)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.encoder(x))
        return logits


def _itself(loss: Tensor, _: Tensor) -> Tensor:
    return loss


def _summary(traces: Sequence[Mapping[str, Any]]) -> Mapping[str, JSON]:
    accuracy = np.array([trace["accuracy"] for trace in traces])
    return {
        "accuracy": accuracy.mean(0).tolist(),
        "final": accuracy[:, -1].mean(1).tolist(),
        "single": accuracy[:, 0, 0].tolist(),
        "forgetting": [forgetting(each) for each in accuracy],
        "bytes_kept": int(np.median([trace["bytes"] for trace in traces])),
        "ms_per_class": float(np.median([trace["ms"] for trace in traces])),
    }
