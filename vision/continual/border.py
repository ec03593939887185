"""What a learner reads, refused in one line before anything changes."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from vision.continual.storage import ClassStorage


def check_task(support: Mapping[str, Tensor], stored: ClassStorage) -> None:
    """Raises `ValueError` for names `stored` refuses, classes without a picture, and pictures of several shapes."""
    stored.check(list(support))
    shapes = {name: tuple(pictures.shape[1:]) for name, pictures in support.items()}
    first = next(iter(shapes))
    for name, pictures in support.items():
        if not len(pictures):
            raise ValueError(f"class {name!r} has no picture: needs one at least")
        if shapes[name] != shapes[first]:
            raise ValueError(
                f"class {name!r}: its pictures are {shapes[name]} and those of {first!r} {shapes[first]}; scale them"
            )


def check_pictures(pictures: Tensor, shape: Sequence[int], whose: str = "the pictures") -> None:
    """Raises `ValueError` for what is no float32 tensor `(B, *shape)` of numbers in 0 to 1."""
    expected = f"{whose}: needs a tensor of pictures (B, {', '.join(map(str, shape))}), not"
    if not isinstance(pictures, Tensor):
        raise ValueError(f"{expected} a {type(pictures).__name__}")
    if pictures.ndim != 4 or tuple(pictures.shape[1:]) != tuple(shape):
        raise ValueError(f"{expected} {tuple(pictures.shape)}")
    if pictures.dtype != torch.float32:
        raise ValueError(f"{whose}: needs float32 numbers, not {pictures.dtype}; `pictures.float()` makes them")
    if not ((pictures >= 0) & (pictures <= 1)).all():
        raise ValueError(f"{whose}: needs numbers in 0 to 1; of bytes `vision.data.augment.as_input` makes them")
