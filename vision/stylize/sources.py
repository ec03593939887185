"""Where pairs come from: a folder of pairs, a folder of pictures that are styled here, or generated pictures."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vision.data.picture import SUFFIXES, read
from vision.data.picture_folder import hash_pictures, picture_files
from vision.data.pillow import import_pillow
from vision.stylize.classical import Pixels, classical
from vision.stylize.pairs import Bytes, Pair
from vision.stylize.scenes import scenes

FOLDERS = (("A", "B"), ("A64", "B64"))
"""Of pictures, and of the same in the style; the second is how the CUHK sketches of 64x64 are called."""
TEST, VALIDATION = 5, 10
"""One of so many pairs is for tests, and for validation."""
SIDE = 256
"""Pictures that are styled here are shrunk to sides of so many pixels at most."""


@dataclass(frozen=True, eq=False)
class Source:
    """The pairs of a run, in three parts that share none."""

    about: str
    train: Sequence[Pair]
    validation: Sequence[Pair]
    test: Sequence[Pair]


def load(folder: Path) -> Source:
    """The pairs of a folder: `paired` where it holds A and B, else `styled`."""
    _check(folder)
    return paired(folder, *pair_folders(folder)) if pair_folders(folder) else styled(folder)


def pair_folders(folder: Path) -> tuple[str, ...]:
    """The names of the two folders of pairs; none where there are not both."""
    return next((names for names in FOLDERS if all((folder / name).is_dir() for name in names)), ())


def paired(folder: Path, before: str, after: str) -> Source:
    """Files of equal names, without suffix, in two folders. A hash of the name says which part a pair is in."""
    first, second = ({path.stem: path for path in picture_files(folder / name)} for name in (before, after))
    if alone := sorted(set(first) ^ set(second)):
        where = before if alone[0] in first else after
        raise ValueError(
            f"{folder}: {len(alone)} pictures are in one of {before} and {after} only, {alone[0]} in {where}; pairs "
            "have equal names"
        )
    names = sorted(first, key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    _enough(folder, len(names))
    pairs = [_pair(name, first[name], second[name]) for name in names]
    tests, validation = _counts(len(pairs))
    about = f"{len(pairs)} pairs of {before} and {after}, parted by a hash of their names, {tests} for tests"
    return Source(about, pairs[tests + validation :], pairs[tests : tests + validation], pairs[:tests])


def styled(folder: Path) -> Source:
    """Every picture of a folder with what the classical stylizer makes of it.

    Neighbours in the order of names, often of one person or one scene, are in the same part: the last fifth is for
    tests, and what is before it for validation.
    """
    paths = picture_files(folder)
    _enough(folder, len(paths))
    pairs = [_styled_pair(path.name, shrunk(_colours(path))) for path in paths]
    about = f"{len(pairs)} pictures of at most {SIDE} pixels a side, styled by the classical stylizer"
    return _in_order(f"{about}; the last {_counts(len(pairs))[0]} in the order of names for tests", pairs)


def generated(seed: int = 0, count: int = 60, side: int = 96) -> Source:
    """Pictures generated on the spot, with what the classical stylizer makes of them."""
    pixels = enumerate(scenes(seed, count, side))
    pairs = [_styled_pair(f"generated {number}", _bytes(scene)) for number, scene in pixels]
    return _in_order("generated pictures, styled by the classical stylizer, for want of a folder", pairs)


def hashes(folder: Path) -> dict[str, str]:
    """What the pictures of a folder are identified by."""
    _check(folder)
    return {name or "pictures": hash_pictures(picture_files(folder / name)) for name in pair_folders(folder) or ("",)}


def shrunk(pixels: Bytes, side: int = SIDE) -> Bytes:
    """The picture, with its longer side at most `side`."""
    height, width = pixels.shape[:2]
    if max(height, width) <= side:
        return pixels
    scale = side / max(height, width)
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    small: Bytes = np.asarray(import_pillow().fromarray(pixels).resize(size, import_pillow().Resampling.LANCZOS))
    return small


def _pair(name: str, before: Path, after: Path) -> Pair:
    picture, style = _colours(before), _colours(after)
    if picture.shape != style.shape:
        sizes = " and ".join(f"{each.shape[1]}x{each.shape[0]}" for each in (picture, style))
        raise ValueError(f"{before} and {after} are {sizes}; a pair is of one size")
    return Pair(name, picture, style)


def _styled_pair(name: str, picture: Bytes) -> Pair:
    return Pair(name, picture, _bytes(classical(picture.astype(np.float32) / np.float32(255))))


def _in_order(about: str, pairs: Sequence[Pair]) -> Source:
    tests, validation = _counts(len(pairs))
    ends = (len(pairs) - tests - validation, len(pairs) - tests)
    return Source(about, pairs[: ends[0]], pairs[ends[0] : ends[1]], pairs[ends[1] :])


def _counts(pairs: int) -> tuple[int, int]:
    """Pairs for tests and for validation."""
    return max(pairs // TEST, 1), max(pairs // VALIDATION, 1)


def _colours(path: Path) -> Bytes:
    pixels = (read(path).unit() * 255).round().astype(np.uint8)
    return np.repeat(pixels, 3, 2) if pixels.shape[2] == 1 else pixels


def _bytes(pixels: Pixels) -> Bytes:
    return np.asarray(np.rint(pixels * 255).clip(0, 255), np.uint8)


def _check(folder: Path) -> None:
    if not folder.is_dir():
        raise ValueError(f"{folder} is no folder; name one that holds pictures, or folders A and B of pairs")


def _enough(folder: Path, count: int) -> None:
    if count < 3:
        raise ValueError(f"{folder} holds {count} of {', '.join(SUFFIXES)}; needs 3, to train, validate and test")
