"""Continual few-shot learning beside its controls: an encoder trained on base classes, then streams of new ones."""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field, field_validator
from torch import Tensor, nn

from shared.lab import JSON, Context, Experiment, Page, Row, Seeded
from shared.training.data import Batches, Shuffled
from shared.training.epochs import NesterovCosine, Trainer
from shared.training.loop import seeded
from vision.continual.adaptation import Adaptation, Discriminator
from vision.continual.contrastive import Contrast, TwoViews
from vision.continual.controls import Tuned, Tuning
from vision.continual.device import IntegerEmbedding
from vision.continual.evaluate import Method
from vision.continual.figures import METHODS
from vision.continual.learner import Learner
from vision.continual.maml import Descent, Maml, MamlLoss
from vision.continual.meta import StreamLoss, between
from vision.continual.page import page
from vision.continual.plane import on_a_plane
from vision.continual.scoring import Embed, Scoring, stages
from vision.continual.streams import Episodes, Shape, pictures_of
from vision.data.augment import Augmented, as_input
from vision.data.cifar10 import Images
from vision.data.few_shot import ClassPictures, FewShotSet, contents, load
from vision.nets.encoder import Embedding, Encoder
from vision.nets.encoders import ENCODERS
from vision.training.stages import epochs

CENTRED_ON = 20
"""Pictures of each base class over which the centre of all embeddings is taken."""

ON_THE_PAGE = 10
"""Classes whose embeddings the page draws."""

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Where an encoder may stand between those before and after its outer loop, if validation classes decide."""

VALIDATION_STREAMS = 40

ADVERSARY = 0.1
"""Weight of the discriminator among all parts of the method, where CML goes without it."""


class ContinualSettings(Seeded):
    """The data, the streams, and the training of the encoder."""

    data: str = Field(default="omniglot", description="cifar100, miniimagenet, omniglot, or a folder")
    tasks_from: str = Field(default="", description="a folder whose classes the tasks are made of; else those of data")
    ways: int = Field(default=5, ge=2, description="new classes of a task")
    shots: tuple[int, ...] = Field(
        default=(1,), min_length=1, description="pictures to learn each class from; each number is scored by itself"
    )
    tasks: int = Field(default=10, gt=0, description="most tasks of a stream; as many as there are classes for")
    queries: int = Field(default=5, gt=0, description="other pictures of each class that are asked about")
    streams: int = Field(default=50, gt=0, description="random streams that are scored")
    slow_streams: int = Field(default=10, gt=0, description="the first of these, for the controls that are trained")
    base_classes: int = Field(
        default=0, ge=0, description="classes that train the encoder, the others make tasks; 0: as the set says"
    )
    size: int = Field(
        default=0, ge=0, description="pixels per side of all pictures; 0: those of the set, 32 of a folder"
    )
    encoder: Literal["conv4", "resnet12", "efficientformer"] = Field(
        default="conv4", description="the net: Encoder, ResNet-12, or the first two stages of an EfficientFormer"
    )
    width: int = Field(default=64, gt=1, description="channels of the encoder's first layers")
    epochs: int = Field(default=5, gt=0, description="epochs of plain classification of the base classes")
    tuning: int = Field(default=2, gt=0, description="further epochs, of the outer loop and of plain classification")
    further: int = Field(default=0, ge=0, description="those of plain classification alone; 0: as many as tuning")
    episodes: int = Field(default=150, gt=0, description="streams of an epoch of the outer loop")
    meta_tasks: int = Field(default=4, gt=1, description="tasks of such a stream")
    meta_queries: int = Field(default=3, gt=0, description="pictures of each class that such a stream asks about")
    outer_share: Annotated[float, Field(ge=0, le=1)] | Literal["validated"] = Field(
        default=0.5,
        description="where the encoder is between those before (0) and after the outer loop; validated: where classes "
        "of its set that make no tasks are told apart best",
    )
    batch: int = Field(default=128, gt=1, description="pictures of a step of plain classification")
    rate: float = Field(default=0.1, gt=0, description="highest learning rate of plain classification")
    outer_rate: float = Field(default=0.004, gt=0, description="highest learning rate of the outer loop")
    meta_rate: float = Field(default=0.02, gt=0, description="highest learning rate of MAML's outer loop")
    cosine_scale: float = Field(default=20.0, gt=0, description="of the cosines of which CML's loops take a softmax")
    inner_steps: int = Field(
        default=0, ge=0, description="steps of the inner loop; 0: none, and its row has a step by itself"
    )
    inner_rate: float = Field(default=0.001, gt=0, description="learning rate of the inner loop")
    adversary: float = Field(default=0.0, ge=0, description="weight of the discriminator in both loops")
    control_steps: int = Field(default=10, gt=0, description="steps on each task of the controls that are tuned")
    control_rate: float = Field(default=1e-3, gt=0, description="learning rate of those controls")
    elastic: float = Field(default=100.0, gt=0, description="weight of EWC's penalty")
    maml_tasks: int = Field(default=4, gt=0, description="tasks of a step of MAML's outer loop")
    maml_steps: int = Field(default=5, gt=0, description="steps of MAML's inner loop")
    maml_rate: float = Field(default=0.02, gt=0, description="learning rate of MAML's inner loop")

    @field_validator("shots", mode="before")
    @classmethod
    def _one_or_several(cls, shots: Any) -> Any:
        return (shots,) if isinstance(shots, int) else shots

    @field_validator("shots")
    @classmethod
    def _positive(cls, shots: tuple[int, ...]) -> tuple[int, ...]:
        if min(shots) < 1 or len(set(shots)) < len(shots):
            raise ValueError("needs numbers of at least 1, each once")
        return shots

    @property
    def adaptation(self) -> Adaptation:
        """The inner loop."""
        return Adaptation(self.inner_steps, self.inner_rate, self.adversary, self.cosine_scale)


class Continual(Experiment[ContinualSettings]):
    """Learn classes from a few pictures, task by task, without forgetting: CML beside its controls.

    One cell is one seed: the encoder, the outer loop, and every method on the same streams.
    """

    name = "continual"
    version = 5

    def data(self, cell: ContinualSettings) -> Mapping[str, str]:
        sets = [contents(name) for name in (cell.data, cell.tasks_from) if name]
        return {name: value for each in sets for name, value in each.items()}

    def run(self, cell: ContinualSettings, context: Context) -> Mapping[str, JSON]:
        return _Cell(cell, context, self).result()

    def compiled(self, integers: IntegerEmbedding) -> Mapping[str, Embed]:
        """By name, the integer encoder as this machine's own code: none here, `qwedge.experiments` has a compiler.

        Raises `ValueError` and `OSError` where that is impossible, which the page then says.
        """
        return {}

    def page(self, rows: Sequence[Row]) -> Page:
        return page(rows)


class _Cell:
    """The stages of one cell. Each epoch and each few streams are stored once finished."""

    def __init__(self, settings: ContinualSettings, context: Context, experiment: Continual) -> None:
        self.settings, self.context, self.experiment = settings, context, experiment
        self.refused: list[str] = []
        self.spent: dict[str, JSON] = {}
        self.chosen: dict[str, float] = {}
        for shots in settings.shots:
            self.shape(shots).check(self.set.novel, "to make tasks of", self.others)
            self.meta_shape(shots, settings.meta_tasks).check(self.set.base, "to train the encoder")
            if self.validated:
                self.validation_shape(shots).check(self.validation, "to choose outer_share with")
        trainings = settings.epochs + self.further + (3 + len(self.parts)) * settings.tuning + self.a_third
        validations = self.validated * (1 + len(self.parts))
        context.plan(4 + validations + trainings + len(settings.shots) * stages(settings.streams))

    def result(self) -> Mapping[str, JSON]:
        s = self.settings
        first = self.context.tensors("first weights", lambda: self.classifier(self.context.generator()).state_dict())
        classifier = self.classifier(torch.Generator())
        classifier.load_state_dict(first)
        plain = copy.deepcopy(classifier.encoder)
        self.train("classification", classifier, self.pictures, s.epochs, s.rate)
        frozen = self.centred(classifier.encoder)
        further = copy.deepcopy(classifier)
        self.train("further classification", further, self.pictures, self.further, s.rate / 5)
        outer = self.outer_loop("outer loop", frozen, s.adaptation)
        others = {
            name: self.outer_loop(f"outer loop, {name.replace('_', ' ')}", frozen, how)
            for name, how in self.parts.items()
        }
        alone = Adaptation(scale=s.cosine_scale, against_stored=False)
        prototypes = self.outer_loop("prototypes, one task at a time", frozen, alone)
        maml = MamlLoss(copy.deepcopy(frozen), self.descent, s.meta_queries)
        self.train("MAML", maml, partial(self.streams, None, s.maml_tasks), s.tuning, s.meta_rate)
        contrast = self.contrast(plain)
        self.train("self-supervised", contrast, self.views, self.a_third, s.rate)
        learner = self.learner("CML", frozen, outer)
        self.context.stage("learner", lambda: self.context.artefact("learner.safetensors", learner().to_bytes()))
        learners = {"cml": learner} | {name: self.learner(METHODS[name], frozen, each) for name, each in others.items()}
        adapting = {name: each for name, each in learners.items() if each().how.steps}
        scoring = Scoring(
            self.set.novel,
            len(frozen.centre),
            {
                **{name: each().embedding for name, each in learners.items() if name not in adapting},
                **self.on_device(learner().embedding),
                "no_averaging": self.centred(outer.embedding.encoder),
                "prototypes": self.centred(prototypes.embedding.encoder),
                "nearest_mean": frozen,
                "nearest_mean_further": self.centred(further.encoder),
                "nearest_mean_self_supervised": self.centred(contrast.encoder),
            },
            {"cml": learner},
            {**adapting, **self.controls(frozen, maml)},
        )
        methods = {
            str(shots): scoring.scored(self.shape(shots), s.streams, s.slow_streams, self.context) for shots in s.shots
        }
        return {
            "data": self.set.caveat,
            "notes": self.notes,
            "base_classes": len(self.set.base),
            "novel_classes": len(self.set.novel),
            "parameters": sum(parameter.numel() for parameter in frozen.parameters()),
            "bytes_per_class": len(frozen.centre),
            "epochs": self.spent,
            "embeddings": self.plane(learner().embedding),
            "methods": methods,
        }

    def train(self, name: str, net: nn.Module, batches: Callable[[], Batches], count: int, rate: float) -> None:
        """Trains `net` in place, and keeps the loss and the CPU seconds of each epoch."""
        loss = nn.functional.cross_entropy if isinstance(net, _Classifier) else _itself
        trainer = Trainer(net, NesterovCosine(count, rate, batch=self.settings.batch), loss)
        self.spent[name] = epochs(self.context, name, trainer, batches)
        net.eval()

    def outer_loop(self, name: str, frozen: Embedding, how: Adaptation) -> StreamLoss:
        """The encoder and the discriminator after the outer loop around the inner loop `how`."""
        s = self.settings
        outer = StreamLoss(copy.deepcopy(frozen), Discriminator(len(frozen.centre)), how, s.meta_queries)
        first = self.context.tensors(f"discriminator, {name}", lambda: self.discriminator(frozen).state_dict())
        outer.discriminator.load_state_dict(first)
        self.train(name, outer, partial(self.streams, outer, s.meta_tasks), s.tuning, s.outer_rate)
        return outer

    @property
    def parts(self) -> Mapping[str, Adaptation]:
        """All parts of the method, and all but one: each has an outer loop of its own. Without CML as it is set."""
        s = self.settings
        whole = replace(s.adaptation, steps=max(1, s.inner_steps), adversary=s.adversary or ADVERSARY)
        ways = {
            "all_parts": whole,
            # What is not stored cannot be played to a discriminator either.
            "no_storage": replace(whole, against_stored=False, adversary=0.0),
            "no_adversary": replace(whole, adversary=0.0),
            "no_inner_loop": replace(whole, steps=0),
        }
        return {name: how for name, how in ways.items() if how != s.adaptation}

    def learner(self, name: str, frozen: Embedding, outer: StreamLoss) -> Callable[[], Learner]:
        """New learners, whose encoder is between those before and after the outer loop."""
        encoders = {share: self.between(frozen, outer.embedding, share) for share in self.shares}
        if self.validated:
            finals = self.context.stage(f"validation, {name}", lambda: self.validate(encoders))
            # The first of equals: the encoder that the outer loop began with, if it is one of them.
            self.chosen[name] = SHARES[int(np.argmax(finals))]
        embedding = self.centred(encoders[self.chosen.get(name, self.shares[0])])
        return lambda: Learner(embedding, outer.discriminator, outer.how)

    def validate(self, encoders: Mapping[float, Encoder]) -> list[float]:
        """Accuracy of each as a frozen encoder, on all classes after the last task: the mean over `shots`."""
        frozen = {str(share): self.centred(encoder) for share, encoder in encoders.items()}
        features = next(iter(encoders.values())).features
        scoring = Scoring(self.validation, features, frozen, {}, {})
        finals = [
            scoring.finals(self.validation_shape(shots), VALIDATION_STREAMS, self.context.rng)
            for shots in self.settings.shots
        ]
        return [float(np.mean([final[name] for final in finals])) for name in frozen]

    @property
    def validated(self) -> bool:
        return self.settings.outer_share == "validated"

    @property
    def shares(self) -> tuple[float, ...]:
        """Where the encoder may stand between those before and after the outer loop."""
        share = self.settings.outer_share
        return SHARES if share == "validated" else (share,)

    @cached_property
    def validation(self) -> ClassPictures:
        """The classes of the encoder's set that neither train it nor make tasks. Raises `ValueError` without any."""
        if self.foreign is None:
            raise ValueError(
                "outer_share=validated needs classes that make no tasks: name the folder of the tasks with tasks_from, "
                "or take a number"
            )
        return self.own.novel.without(self.foreign.names)

    def validation_shape(self, shots: int) -> Shape:
        """Streams of as many validation classes as there are."""
        s = self.settings
        return Shape(s.ways, shots, max(1, min(s.tasks, len(self.validation) // s.ways)), s.queries)

    def on_device(self, embedding: Embedding) -> Mapping[str, Embed]:
        """The encoder in integers, and compiled. What is impossible is one of the page's notes."""
        methods: dict[str, Embed] = {}
        try:
            methods["int8"] = integers = IntegerEmbedding(embedding, self.sample())
            methods |= self.experiment.compiled(integers)
        except (ValueError, OSError) as error:
            self.refused.append(f"Not measured {'compiled' if methods else 'in integers'}: {error}.")
        return methods

    def classifier(self, generator: torch.Generator) -> "_Classifier":
        channels, size, _ = self.set.base.shape
        kind = ENCODERS[self.settings.encoder]
        return seeded(lambda: _Classifier(kind(channels, size, self.settings.width), len(self.set.base)), generator)

    def discriminator(self, embedding: Embedding) -> Discriminator:
        return seeded(lambda: Discriminator(len(embedding.centre)), self.context.generator())

    def pictures(self) -> Batches:
        """The base classes' pictures, as plain classification reads them."""
        base = self.set.base
        labels = np.repeat(np.arange(len(base)), [len(each) for each in base.pictures])
        examples = Augmented(Images(np.concatenate(base.pictures), labels), self.set.mirrored)
        return Shuffled(examples, self.settings.batch, self.context.generator())

    def streams(self, outer: StreamLoss | None, tasks: int) -> Batches:
        """Streams of base classes, as outer loops read them."""
        if outer is not None:
            outer.generator = self.context.generator()
        s = self.settings
        shape = self.meta_shape(s.shots[0], tasks)
        varied = None if self.set.mirrored else self.context.generator()
        return Episodes(self.set.base, shape, s.shots, s.episodes, self.context.rng, varied)

    @property
    def further(self) -> int:
        """Epochs of the frozen encoder that is trained further."""
        return self.settings.further or self.settings.tuning

    @property
    def a_third(self) -> int:
        """Epochs of two views a picture, made at random, that take as long as all epochs of plain classification."""
        return max(1, (self.settings.epochs + self.settings.tuning) // 3)

    def contrast(self, encoder: Encoder) -> Contrast:
        head = self.context.tensors(
            "first head", lambda: self._contrast(encoder, self.context.generator()).state_dict()
        )
        contrast = self._contrast(encoder, torch.Generator())
        contrast.load_state_dict(head)
        return contrast

    def _contrast(self, encoder: Encoder, generator: torch.Generator) -> Contrast:
        return seeded(lambda: Contrast(copy.deepcopy(encoder)), generator)

    def views(self) -> Batches:
        """The base classes' pictures, as training without labels reads them."""
        pixels = torch.from_numpy(np.concatenate(self.set.base.pictures))
        return Shuffled(TwoViews(pixels, self.set.mirrored), self.settings.batch, self.context.generator())

    def between(self, frozen: Embedding, outer: Embedding, share: float) -> Encoder:
        """An encoder between those before and after the outer loop."""
        encoder = copy.deepcopy(frozen.encoder)
        states = (frozen.encoder.state_dict(), outer.encoder.state_dict())
        encoder.load_state_dict(between(*states, share))
        return encoder

    @torch.no_grad()
    def centred(self, encoder: Encoder) -> Embedding:
        """A trained encoder around the mean of its embeddings of base classes."""
        embedding = Embedding(copy.deepcopy(encoder)).eval()
        embedding.centre.copy_(torch.cat([embedding.encoder(part) for part in self.sample().split(256)]).mean(0))
        return embedding

    def sample(self) -> Tensor:
        """A few pictures of every base class."""
        return as_input(torch.from_numpy(np.concatenate([each[:CENTRED_ON] for each in self.set.base.pictures])))

    @property
    def descent(self) -> Descent:
        return Descent(self.settings.maml_steps, self.settings.maml_rate)

    def controls(self, frozen: Embedding, maml: MamlLoss) -> Mapping[str, Callable[[], Method]]:
        """Methods that are trained on every task, each new for every stream."""
        s = self.settings
        tuning = Tuning(s.control_steps, s.control_rate)
        equal = len(frozen.centre) * s.ways * self.tasks // self.set.novel.pictures[0][0].size

        def tuned(**changes: Any) -> Callable[[], Method]:
            return lambda: Tuned(frozen, Tuning(**{**vars(tuning), **changes}), torch.Generator().manual_seed(s.seed))

        return {
            "maml": lambda: Maml(maml.embedding, self.descent),
            "fine_tuning": tuned(),
            "fine_tuning_random": tuned(imprinted=False),
            "ewc": tuned(elastic=s.elastic),
            "replay": tuned(kept=max(1, equal)),
            "joint": tuned(kept=None, balanced=True),
        }

    @torch.no_grad()
    def plane(self, embedding: Embedding) -> JSON:
        """A few pictures of some classes of tasks, embedded and brought to a plane."""
        novel, source = self.set.novel, pictures_of(self.set.novel)
        shown = range(min(ON_THE_PAGE, len(novel)))
        embedded = [embedding(source(k, np.arange(min(CENTRED_ON, len(novel.pictures[k]))))) for k in shown]
        return on_a_plane(embedded, [novel.names[k] for k in shown])

    @property
    def tasks(self) -> int:
        """As many as were asked for, or as the classes make."""
        return min(self.settings.tasks, len(self.set.novel) // self.settings.ways)

    def shape(self, shots: int) -> Shape:
        """What is asked of a stream."""
        return Shape(self.settings.ways, shots, self.tasks, self.settings.queries)

    @property
    def notes(self) -> list[str]:
        """What is not as it was asked for."""
        s, notes = self.settings, [*self.refused]
        if self.tasks < s.tasks:
            notes.append(f"{len(self.set.novel)} classes make {self.tasks} tasks of {s.ways}, not {s.tasks}.")
        if s.base_classes:
            notes.append(
                f"{s.base_classes} of the set's training classes train the encoder, which is weaker for it; the others "
                "make tasks too."
            )
        if self.chosen:
            shares = "; ".join(f"{name}: {share:g}" for name, share in self.chosen.items())
            notes.append(
                f"Where encoders stand between those before (0) and after (1) their outer loop, {len(self.validation)} "
                f"validation classes decided: {shares}."
            )
        if self.left_out:
            notes.append(f"The encoder knows these of {s.tasks_from}, so no task has them: {', '.join(self.left_out)}.")
        return notes

    def meta_shape(self, shots: int, tasks: int) -> Shape:
        """Streams of `tasks` tasks of base classes, or of as many as there are classes for."""
        s = self.settings
        return Shape(s.ways, shots, min(tasks, len(self.set.base) // s.ways), s.meta_queries)

    @cached_property
    def own(self) -> FewShotSet:
        own = load(self.settings.data, self.settings.size)
        return own.with_base(self.settings.base_classes) if self.settings.base_classes else own

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
    def others(self) -> str:
        """What no task may have, in brackets."""
        if self.foreign:
            return f" (the encoder knows {len(self.left_out)} of them)"
        return f" ({len(self.set.base)} train the encoder)"

    @property
    def left_out(self) -> list[str]:
        """Classes of the other folder that no task may have."""
        return sorted(set(self.foreign.names) & set(self.own.base.names)) if self.foreign else []


class _Classifier(nn.Module):
    """An encoder and a linear layer over its directions: `(B, C, H, W)` to `(B, classes)` logits."""

    def __init__(self, encoder: Encoder, classes: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(encoder.features, classes)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.encoder(x))
        return logits


def _itself(loss: Tensor, _: Tensor) -> Tensor:
    return loss
