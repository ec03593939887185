"""The net whose trained weights ship with the package; `wireless.radar.experiment.pretrain` trains it."""

from functools import cache
from importlib.resources import files

from wireless.radar.nets.classifier import Classifier

NAME = "iq"


@cache
def pretrained() -> Classifier:
    """The net on raw samples, for the twelve classes in windows of 1024 samples.

    >>> pretrained().name, len(pretrained().classes), pretrained().samples
    ('iq', 12, 1024)
    """
    data = files("wireless.radar.nets").joinpath("pretrained", f"{NAME}.safetensors").read_bytes()
    return Classifier.from_bytes(data)
