"""Labelled pictures in folders of the user's own: one folder for each class, and what Tiny-ImageNet has."""

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.lab import hash_file
from vision.data import few_shot
from vision.data.chosen import WATCHED, Chosen
from vision.data.cifar10 import HELD_BACK, Images
from vision.data.few_shot import SUFFIXES
from vision.data.pillow import import_pillow

CIFAR100, CIFAR100_TEST = "cifar100", 100
"""The set's name, and its test images of each class."""
TRAIN, OTHERS = "train", ("val", "validation", "valid", "test")
"""Folders of a split; the last one that there is, is for the test."""
UNLABELLED = "images"
"""The one folder in Tiny-ImageNet's `test`, whose labels are not published."""
ANNOTATIONS = "val_annotations.txt"
"""Of Tiny-ImageNet: a picture's file and its class in each line, separated by tabs."""

Paths = Mapping[str, Sequence[Path]]
"""The pictures of each class."""


class Tree(NamedTuple):
    """The pictures of a folder by part and class, not yet read. Classes are the same in all parts."""

    train: Paths
    validation: Paths
    test: Paths

    @property
    def classes(self) -> tuple[str, ...]:
        """Names, in the order of the class numbers."""
        return tuple(self.train)

    def hashes(self) -> Mapping[str, str]:
        """The SHA-256 of each part: of all names and bytes."""
        return {name: _digest(part) for name, part in zip(self._fields, self, strict=True)}


class Labelled(NamedTuple):
    """Images, their shape `(C, H, W)`, and how many classes they have."""

    images: Chosen
    shape: tuple[int, int, int]
    classes: int


def load(data: str, size: int, per_class: int, scored: int, part: Literal["test", "validation"]) -> Labelled:
    """The first images of each class of CIFAR-100 below `$QWEDGE_DATA`, or of a folder, $NAMES expanded.

    CIFAR-100 is the public copy of 80 classes. Raises `ValueError` as `tree` does, and where a set is not there.
    """
    if data == CIFAR100:
        about, classes = "CIFAR-100, 80 classes, JPEG copy: not the original arrays", len(few_shot.load(CIFAR100).all())
        train, validation, test = _cifar100()
    else:
        parts = tree(_folder(data))
        about, classes = f"pictures of {_folder(data).name}, centres scaled to {size}x{size}", len(parts.classes)
        counts = (per_class, max(WATCHED, scored), scored)
        train, validation, test = (
            read(paths, parts.classes, size, count) for paths, count in zip(parts, counts, strict=True)
        )
    counted = test if part == "test" else validation
    chosen = Chosen(train.first(per_class), validation.first(WATCHED), counted.first(scored), about)
    return Labelled(chosen, (3, *train.pixels.shape[1:3]), classes)


def hashes(data: str) -> Mapping[str, str]:
    """The SHA-256 of what `load` reads."""
    if data == CIFAR100:
        return {path.name: hash_file(path) for path in few_shot.files(CIFAR100)}
    return tree(_folder(data)).hashes()


def _folder(data: str) -> Path:
    return Path(os.path.expandvars(data)).expanduser()


def _cifar100() -> tuple[Images, Images, Images]:
    """Training images, every tenth of them for validation, and test images: the first ones of each class."""
    pictures = few_shot.load(CIFAR100).all().pictures
    parts = [
        Images(
            np.concatenate([each[cut] for each in pictures]),
            np.concatenate([np.full(len(each[cut]), label) for label, each in enumerate(pictures)]),
        )
        for cut in (slice(CIFAR100_TEST, None), slice(CIFAR100_TEST))
    ]
    return (*parts[0].split(), parts[1])


def tree(folder: Path) -> Tree:
    """The pictures below a folder: `train/CLASS/...` with `val/CLASS/...` or `test/CLASS/...`, or `CLASS/...` alone.

    Pictures of a class may stand in folders of any depth; Tiny-ImageNet's `val` has a list of labels instead. Without a
    split every tenth picture of a class is for the test; without three parts every tenth training picture is for
    validation. Raises `ValueError` where there are no classes, for a class without a picture, and for a class that is
    not trained on.
    """
    if not folder.is_dir():
        raise ValueError(f"data={folder}: no such folder; give one with a folder of pictures for each class")
    if (folder / TRAIN).is_dir():
        train = _labelled(folder / TRAIN)
        others = [_labelled(folder / name) for name in OTHERS if (folder / name).is_dir()]
        others = [part for part in others if set(part) != {UNLABELLED}]
    else:
        train, others = _labelled(folder), []
    if not others:
        train, test = _split(train)
        others = [test]
    if len(others) == 1:
        train, validation = _split(train)
        others = [validation, *others]
    for part in others[-2:]:
        if unknown := sorted(set(part) - set(train)):
            raise ValueError(f"data={folder}: class {unknown[0]!r} has no training picture; give it some, or remove it")
    return Tree(train, others[-2], others[-1])


def read(paths: Paths, classes: Sequence[str], size: int, count: int) -> Images:
    """The first `count` pictures of each class, their centres scaled to `size` pixels a side."""
    labels = [label for label, name in enumerate(classes) for _ in paths.get(name, ())[:count]]
    pixels = [_pixels(path, size) for name in classes for path in paths.get(name, ())[:count]]
    return Images(np.stack(pixels), np.array(labels, np.int64))


def _labelled(folder: Path) -> Paths:
    annotations = folder / ANNOTATIONS
    if annotations.is_file():
        return _annotated(annotations)
    classes = {place.name: sorted(_pictures(place)) for place in sorted(folder.iterdir()) if place.is_dir()}
    if not classes:
        raise ValueError(f"{folder} holds no classes: needs one folder of pictures for each")
    for name, pictures in classes.items():
        if not pictures:
            raise ValueError(f"class {name!r} has no picture: put one of {', '.join(SUFFIXES)} into {folder / name}")
    return classes


def _annotated(annotations: Path) -> Paths:
    classes: dict[str, list[Path]] = {}
    for line in annotations.read_text().splitlines():
        file, _, rest = line.partition("\t")
        if not rest:
            raise ValueError(f"{annotations}: {line!r} is not a file and its class, separated by a tab")
        classes.setdefault(rest.partition("\t")[0], []).append(annotations.parent / "images" / file)
    return {name: classes[name] for name in sorted(classes)}


def _pictures(place: Path) -> Iterator[Path]:
    return (path for path in place.rglob("*") if path.suffix.lower() in SUFFIXES)


def _split(part: Paths) -> tuple[Paths, Paths]:
    """All but every tenth picture of each class, the last one at least, and the others."""
    held_back = {name: pictures[HELD_BACK - 1 :: HELD_BACK] or pictures[-1:] for name, pictures in part.items()}
    kept = {name: [path for path in pictures if path not in set(held_back[name])] for name, pictures in part.items()}
    for name, pictures in kept.items():
        if not pictures:
            raise ValueError(f"class {name!r} has too few pictures to split: needs one for each part, better hundreds")
    return kept, held_back


def _pixels(path: Path, size: int) -> NDArray[np.uint8]:
    image = import_pillow()
    from PIL import ImageOps

    try:
        with image.open(path) as picture:
            fitted: Any = ImageOps.fit(picture.convert("RGB"), (size, size), image.Resampling.BOX)
    except (OSError, ValueError, image.DecompressionBombError) as error:
        raise ValueError(f"{path} is not a picture that can be read: {error}") from None
    return np.asarray(fitted)


def _digest(part: Paths) -> str:
    digest = hashlib.sha256()
    for name, pictures in part.items():
        for path in pictures:
            digest.update(f"{name}/{path.name} {hash_file(path)}\n".encode())
    return digest.hexdigest()
