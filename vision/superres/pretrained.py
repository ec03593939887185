"""The nets whose trained weights ship with the package; `vision.superres.pretrain` trains them."""

from functools import cache
from importlib.resources import files

from vision.superres.upscaler import Upscaler, from_bytes

SCALES = (2, 4)


@cache
def pretrained(scale: int) -> Upscaler:
    """The upscaler that ships for x2 or x4.

    >>> pretrained(2).scale
    2
    """
    if scale not in SCALES:
        raise ValueError(
            f"{scale=}: weights ship for {', '.join(map(str, SCALES))}; train others by `qwedge run superres`"
        )
    name = f"x{scale}.safetensors"
    return from_bytes(files("vision.superres").joinpath("pretrained", name).read_bytes(), name)
