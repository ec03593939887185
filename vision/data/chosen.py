"""Which images an experiment is trained and counted on: CIFAR-10 of a folder, or generated shapes for want of one."""

import os
from collections.abc import Mapping
from typing import Literal, NamedTuple

from pydantic import Field

from shared.lab import Seeded, hash_file
from vision.data.cifar10 import ARCHIVE, CAVEAT, Images, archive, load
from vision.data.shapes import ABOUT, shapes

WATCHED = 50
"""Validation images of each class that are counted after each epoch, to show its course."""


class Chosen(NamedTuple):
    """Images to train on, to watch training on, and to count; and what they are."""

    train: Images
    held_back: Images
    scored: Images
    about: str


class ImageSettings(Seeded):
    """How many images of what, and which of them are counted."""

    per_class: int = Field(default=300, gt=0, le=4500, description="training images of each class")
    scored: int = Field(default=1000, gt=0, le=1000, description="images of each class that are counted")
    part: Literal["test", "validation"] = Field(
        default="test",
        description="images that are counted; validation: every tenth training image, to choose settings by",
    )
    images: str = Field(
        default="$QWEDGE_DATA/cifar10",
        description=f"folder that holds {ARCHIVE}, $NAMES expanded; generated shapes where QWEDGE_DATA is not set",
    )

    @property
    def is_generated(self) -> bool:
        """Whether images are generated for want of a folder."""
        return self.images.startswith("$QWEDGE_DATA") and not os.environ.get("QWEDGE_DATA")

    def hashes(self) -> Mapping[str, str]:
        """The archive's hash, where one is read."""
        return {} if self.is_generated else {ARCHIVE: hash_file(archive(self.images))}

    def chosen(self) -> Chosen:
        """The images themselves."""
        parts = shapes() if self.is_generated else load(archive(self.images))
        counted = parts.test if self.part == "test" else parts.validation
        return Chosen(
            parts.train.first(self.per_class),
            parts.validation.first(WATCHED),
            counted.first(self.scored),
            ABOUT if self.is_generated else CAVEAT,
        )
