"""The net whose trained weights ship with the package; `vision.stylize.pretrain` trains it."""

from functools import cache
from importlib.resources import files

from vision.stylize.stylizer import Stylizer, from_bytes

NAME = "classical.safetensors"


@cache
def pretrained() -> Stylizer:
    """The stylizer that ships: the style of `vision.stylize.classical`, learned from generated pictures alone.

    >>> pretrained().reach % 4
    0
    """
    return from_bytes(files("vision.stylize").joinpath("pretrained", NAME).read_bytes(), NAME)
