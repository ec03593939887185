"""F8Net against its float net: ResNet-8 on CIFAR-10, 8-bit multiplications only, counted on the integer program."""

import copy
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Literal, TypeVar

import torch
from pydantic import Field
from torch import nn

from shared.f8net import F8Net
from shared.integer import Program, audit
from shared.integer.files import to_json
from shared.lab import JSON, Context, Experiment, Page, Row, Seeded, hash_file
from shared.training.epochs import NesterovCosine, Trainer
from vision.data.augment import PIXEL, as_input
from vision.data.cifar10 import ARCHIVE, CAVEAT, CIFAR10, SHAPE, Images, archive, load
from vision.f8net.page import page
from vision.nets.resnet import ResNet8, random_resnet8
from vision.training.evaluate import correct, logits, program_logits, right
from vision.training.stages import trained

CALIBRATION = 500
"""Training images from which the first number formats are calibrated."""

Net = TypeVar("Net", bound=nn.Module)


class F8NetSettings(Seeded):
    """Training of both nets, the data, and the word length of fixed point."""

    epochs: int = Field(default=8, gt=0, description="epochs of float training, from which both nets start")
    tuning: int = Field(default=2, gt=0, description="further epochs, for F8Net and for the float net alike")
    batch: int = Field(default=128, gt=1, description="images of a training step")
    rate: float = Field(default=0.2, gt=0, description="highest learning rate of the float training")
    tuning_rate: float = Field(default=0.02, gt=0, description="highest learning rate of the further epochs")
    word: int = Field(default=8, ge=2, le=16, description="bits of weights and activations")
    width: int = Field(default=16, gt=0, description="channels of the first stage; MLPerf Tiny's net has 16")
    per_class: int = Field(default=4500, gt=0, le=4500, description="training images of each class")
    scored: int = Field(default=1000, gt=0, le=1000, description="images of each class that are counted")
    part: Literal["test", "validation"] = Field(
        default="test",
        description="images that are counted; validation: every tenth training image, to choose settings by",
    )
    images: str = Field(default="$QWEDGE_DATA/cifar10", description=f"folder that holds {ARCHIVE}, $NAMES expanded")


class F8NetGap(Experiment[F8NetSettings]):
    """Train an image classifier in 8-bit fixed point, beside its float net; count on the integer program.

    One cell is one seed: the float net, further training of it as float net and as F8Net, and all counts.
    """

    name = "f8net"
    version = 1

    def data(self, cell: F8NetSettings) -> Mapping[str, str]:
        return {ARCHIVE: hash_file(archive(cell.images))}

    def run(self, cell: F8NetSettings, context: Context) -> Mapping[str, JSON]:
        return _Cell(cell, context).result()

    def page(self, rows: Sequence[Row]) -> Page:
        return page(rows)


class _Cell:
    """The stages of one cell. Each epoch is stored once finished, so a killed run continues after the last one."""

    def __init__(self, settings: F8NetSettings, context: Context) -> None:
        self.settings, self.context = settings, context
        context.plan(settings.epochs + 2 * settings.tuning + 3)

    def result(self) -> Mapping[str, JSON]:
        s = self.settings
        first = NesterovCosine(s.epochs, s.rate, batch=s.batch)
        # No warm-up: both nets start from trained weights.
        more = NesterovCosine(s.tuning, s.tuning_rate, warm=0.0, batch=s.batch)
        seed = self.context.stage("first weights", lambda: int(self.context.rng.integers(2**62)))
        float_net, float_epochs = self.after(
            "float", random_resnet8(s.width, torch.Generator().manual_seed(seed)), first
        )
        control, control_epochs = self.after("control", copy.deepcopy(float_net), more)
        before = self.context.stage("calibrated", lambda: self.count(self.fixed(float_net)))
        fixed, fixed_epochs = self.after("F8Net", self.fixed(float_net), more)
        counts = self.context.stage("counts", lambda: self.counts(float_net, control, fixed))
        return {
            "data": {"name": CAVEAT, "part": s.part, "trained_on": len(self.train.labels)},
            "parameters": sum(parameter.numel() for parameter in float_net.parameters()),
            "epochs": {"float": float_epochs, "control": control_epochs, "F8Net": fixed_epochs},
            **counts,
            "correct": {**counts["correct"], "calibrated": before},
        }

    def after(self, name: str, net: Net, schedule: NesterovCosine) -> tuple[Net, list[Mapping[str, JSON]]]:
        """The net after all epochs of a schedule, and the results of each epoch."""
        trainer = Trainer(net, schedule)
        return net, trained(self.context, name, trainer, self.train, self.loaded.validation)

    def fixed(self, net: ResNet8) -> F8Net:
        """The float net in fixed point, with number formats from the first training images of each class."""
        calibration = self.train.first(CALIBRATION // 10)
        fixed = F8Net(net, shape=SHAPE, input=PIXEL, word=self.settings.word)
        return fixed.calibrate(as_input(torch.from_numpy(calibration.pixels)))

    def count(self, net: nn.Module) -> int:
        return correct(net, self.scored)

    def counts(self, float_net: nn.Module, control: nn.Module, fixed: F8Net) -> JSON:
        """Correct answers of all nets on the same images; for F8Net, of its integer program."""
        program = fixed.eval().program()
        self.keep(fixed, program)
        integer_logits = program_logits(program, self.scored, self.context.progress)
        ours, theirs = right(integer_logits, self.scored), right(logits(control, self.scored), self.scored)
        audited = audit(program)
        return {
            "scored": len(self.scored.labels),
            "correct": {"float": self.count(float_net), "control": int(theirs.sum()), "F8Net": int(ours.sum())},
            "only": {"control": int((theirs & ~ours).sum()), "F8Net": int((ours & ~theirs).sum())},
            "equal_to_float32": int((integer_logits == logits(fixed, self.scored)).all(1).sum()),
            "largest_sum": max(max(-value.low, value.high) for value in program.values.values()),
            "multipliers": [[*bits, count] for bits, count in audited.multipliers.items()],
            "macs": audited.macs,
            "bytes": audited.bytes,
        }

    def keep(self, fixed: F8Net, program: Program) -> None:
        self.context.artefact("resnet8.json", to_json(program).encode())
        self.context.artefact("resnet8.safetensors", _to_bytes(fixed.state_dict()))

    @cached_property
    def loaded(self) -> CIFAR10:
        return load(archive(self.settings.images))

    @cached_property
    def train(self) -> Images:
        return self.loaded.train.first(self.settings.per_class)

    @cached_property
    def scored(self) -> Images:
        part = self.loaded.test if self.settings.part == "test" else self.loaded.validation
        return part.first(self.settings.scored)


def _to_bytes(state: Mapping[str, torch.Tensor]) -> bytes:
    from safetensors.torch import save

    return save({name: value.detach().contiguous() for name, value in state.items()})
