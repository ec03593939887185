"""The nets whose trained weights ship with the package; `wireless.radar.experiment.pretrain` trains them."""

from functools import cache
from importlib.resources import files

from wireless.radar.nets.classifier import Classifier

NAMES = ("iq", "iq-10k", "bank")


@cache
def pretrained(name: str = "iq") -> Classifier:
    """One of `NAMES`, for the twelve classes in windows of 1024 samples.

    >>> pretrained().name, len(pretrained().classes), pretrained().samples
    ('iq', 12, 1024)
    """
    data = files("wireless.radar.nets").joinpath("pretrained", f"{name}.safetensors").read_bytes()
    return Classifier.from_bytes(data)
