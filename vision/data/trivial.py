"""TrivialAugment: one random operation of Pillow, of random strength, on each training image."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vision.data.pillow import import_pillow

OPERATIONS = (
    "identity", "autocontrast", "equalize", "posterize", "solarize", "rotate", "shear_x", "shear_y", "translate_x",
    "translate_y", "color", "contrast", "brightness", "sharpness",
)  # fmt: skip
ROTATED, SHEARED, MOVED, ENHANCED = 30.0, 0.3, 0.45, 0.9
"""The most: degrees, pixels per pixel, shares of a side, and what is added to or taken from an image's own 1."""


def trivially_augmented(pixels: Tensor, generator: torch.Generator) -> Tensor:
    """Each image of bytes `(B, H, W, 3)` after one of `OPERATIONS`, of a strength from none to the most, either way.

    S. Müller, F. Hutter, TrivialAugment (arXiv 2103.10158), in the space of RandAugment (arXiv 1909.13719): as good as
    a policy that is searched for, and nothing to tune.
    """
    image = import_pillow()
    picked = torch.randint(len(OPERATIONS), (len(pixels),), generator=generator).tolist()
    strengths = (2 * torch.rand(len(pixels), generator=generator) - 1).tolist()
    pictures = [image.fromarray(each) for each in pixels.numpy()]
    changed = [
        np.asarray(operation(OPERATIONS[number], strength)(picture))
        for picture, number, strength in zip(pictures, picked, strengths, strict=True)
    ]
    return torch.from_numpy(np.stack(changed))


def operation(name: str, strength: float) -> Callable[[Any], Any]:
    """What makes a picture of a picture; `strength` is from -1 to 1, and its sign does not always matter."""
    from PIL import ImageEnhance, ImageOps

    image, size = import_pillow(), abs(strength)
    match name:
        case "identity":
            return lambda picture: picture
        case "autocontrast":
            return ImageOps.autocontrast
        case "equalize":
            return ImageOps.equalize
        case "posterize":
            return lambda picture: ImageOps.posterize(picture, 8 - round(4 * size))
        case "solarize":
            return lambda picture: ImageOps.solarize(picture, round(256 * (1 - size)))
        case "rotate":
            return lambda picture: picture.rotate(ROTATED * strength, image.Resampling.BILINEAR)
        case "shear_x" | "shear_y" | "translate_x" | "translate_y":
            return lambda picture: picture.transform(
                picture.size, image.Transform.AFFINE, _affine(name, strength, picture.size), image.Resampling.BILINEAR
            )
        case "color" | "contrast" | "brightness" | "sharpness":
            enhancer = getattr(ImageEnhance, name.capitalize())
            return lambda picture: enhancer(picture).enhance(1 + ENHANCED * strength)
    raise ValueError(f"operation {name!r}: one of {', '.join(OPERATIONS)}")


def _affine(name: str, strength: float, size: tuple[int, int]) -> tuple[float, ...]:
    """The six numbers of Pillow: where each pixel is read; a shear keeps the middle in its place."""
    width, height = size
    match name:
        case "shear_x":
            return 1, SHEARED * strength, -SHEARED * strength * height / 2, 0, 1, 0
        case "shear_y":
            return 1, 0, 0, SHEARED * strength, 1, -SHEARED * strength * width / 2
        case "translate_x":
            return 1, 0, MOVED * strength * width, 0, 1, 0
        case _:
            return 1, 0, 0, 0, 1, MOVED * strength * height
