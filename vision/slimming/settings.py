"""What a run of slimming is asked for: the largest net, its training, the budgets."""

from collections.abc import Mapping
from typing import Annotated, Literal, get_args

from pydantic import BeforeValidator, Field

from vision.data.chosen import ImageSettings
from vision.data.cifar10 import SHAPE
from vision.data.folders import Labelled, hashes, load
from vision.slimming.figures import Control
from vision.slimming.plan import STEP, Operator, Plan

CIFAR10 = "cifar10"
Budgets = Annotated[
    tuple[Annotated[float, Field(gt=0)], ...],
    BeforeValidator(lambda value: (value,) if isinstance(value, int | float) else value),
]
"""One number, or several: their nets come from one supernet."""


class SlimmingSettings(ImageSettings):
    """The largest net, its training, and the budgets."""

    data: str = Field(
        default=CIFAR10,
        description="cifar10, of `images`; cifar100, of QWEDGE_DATA; or a folder that has one for each class",
    )
    size: int = Field(default=32, ge=16, description="pixels per side to which pictures of a folder are scaled")
    stride: Literal[2, 4] = Field(default=2, description="pixels of an image's side beside those of the first map")
    macs: Budgets = Field(default=(0.5,), description="shares of the largest net's multiply-accumulates")
    budget_ms: Budgets = Field(
        default=(), description="instead of macs: milliseconds of the net as a library of floats, predicted"
    )
    runtime: Literal["qwedge", "onnxruntime"] = Field(
        default="qwedge", description="what milliseconds are of: `qwedge compile`, or ONNX Runtime on one thread"
    )
    widths: tuple[int, ...] = Field(default=(32, 64, 128), description="channels of the stages of the largest net")
    depths: tuple[int, ...] = Field(default=(2, 2, 4), description="blocks of its stages")
    attending: int = Field(default=2, ge=0, description="last blocks that are attention")
    controls: tuple[Control, ...] = Field(
        default=get_args(Control), description="nets within the same budgets, each trained too"
    )
    supernet: int = Field(default=8, gt=0, description="epochs of the supernet")
    tuning: int = Field(
        default=16, gt=0, description="epochs of uniform scaling; all nets are trained for these seconds, or more"
    )
    candidates: int = Field(
        default=4, gt=0, description="plans that race for a budget; 1: that of the course, without a race"
    )
    racing: float = Field(
        default=0.5, gt=0, description="time of all candidates that are dropped, in that of training one net"
    )
    batch: int = Field(default=64, gt=1, description="images of a training step")
    augment: Literal["shift", "trivial"] = Field(
        default="shift", description="training images are mirrored and shifted; trivial: after TrivialAugment too"
    )
    rate: float = Field(default=0.05, gt=0, description="highest learning rate")
    judged: int = Field(default=30, gt=0, description="validation images of each class by which plans are judged")

    def hashes(self) -> Mapping[str, str]:
        return super().hashes() if self.data == CIFAR10 else hashes(self.data)

    def labelled(self) -> Labelled:
        """The images, and what they are classified into."""
        if self.data != CIFAR10:
            return load(self.data, self.size, self.per_class, self.scored, self.part)
        chosen = self.chosen()
        return Labelled(chosen, SHAPE, 1 + int(chosen.train.labels.max()))

    def largest(self) -> Plan:
        """The net that is slimmed. Raises `ValueError` for stages that are not one of each."""
        if len(self.widths) != len(self.depths):
            raise ValueError(f"widths={self.widths} and depths={self.depths}: give one of each for every stage")
        if any(width % STEP or width < STEP for width in self.widths):
            raise ValueError(f"widths={self.widths}: needs multiples of {STEP}")
        if not self.depths or min(self.depths) < 0:
            raise ValueError(f"depths={self.depths}: needs a number of blocks for each stage, none below 0")
        *before, last = self.depths
        if self.attending > last:
            raise ValueError(f"attending={self.attending}: the last stage has {last} blocks")
        conv: Operator = "conv"
        attention: Operator = "attention"
        ending = (conv,) * (last - self.attending) + (attention,) * self.attending
        return Plan(self.widths, (*((conv,) * depth for depth in before), ending))
