"""The encoders by name."""

from collections.abc import Mapping
from typing import Final

from vision.nets.conv4 import Conv4
from vision.nets.efficientformer_stem import EfficientFormerStem
from vision.nets.encoder import Encoder
from vision.nets.resnet12 import ResNet12

ENCODERS: Final[Mapping[str, type[Conv4] | type[EfficientFormerStem] | type[ResNet12]]] = {
    "conv4": Conv4,
    "resnet12": ResNet12,
    "efficientformer": EfficientFormerStem,
}
"""Of the same arguments: channels and size of a picture, and a width."""


def name_of(encoder: Encoder) -> str:
    """The name under which `ENCODERS` has an encoder's class."""
    return next(name for name, each in ENCODERS.items() if type(encoder) is each)
