"""Where pictures come from: the published training sets, a folder of the user's own, or a generator."""

import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from lzma import LZMAError
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from shared.lab import hash_file
from vision.data.picture import SUFFIXES, read
from vision.data.picture_folder import FolderSettings, hash_pictures, picture_files

ARCHIVES = ("T91.tar.xz", "BSD200.tar.xz")
"""The 91 pictures of Yang et al. (2010), and the training half of the Berkeley Segmentation Dataset."""
SET5 = "Set5"
LEAKED = "302003.png"
"""Of BSD200: the same photograph as one of Set5, larger."""
HELD_BACK = 10
"""One of so many training pictures is for validation, and of a folder of the user's own, one for tests."""

Pixels = NDArray[np.float32]
"""`(H, W, C)` in [0, 1]."""


@dataclass(frozen=True, eq=False)
class Source:
    """The pictures of a run by their names, in three parts that share none."""

    about: str
    train: Mapping[str, Pixels]
    validation: Mapping[str, Pixels]
    test: Mapping[str, Pixels]


class Pictured(FolderSettings):
    """Settings of what is trained and compared on pictures."""

    data: str = Field(
        default="$QWEDGE_DATA/sr",
        description="folder of pictures, $NAMES expanded; one with T91 and BSD200 is tested on Set5; generated "
        "pictures where QWEDGE_DATA is not set",
    )

    def source(self) -> Source:
        """The pictures."""
        if self.is_generated:
            return generated()
        return published(self.folder) if is_published(self.folder) else own(self.folder)

    def hashes(self) -> dict[str, str]:
        """What they are identified by; nothing for generated ones, which the code makes."""
        return {} if self.is_generated else hashes(self.folder)


def is_published(folder: Path) -> bool:
    """Whether a folder is laid out as `published` reads it."""
    return all((folder / name).is_file() for name in ARCHIVES)


def published(folder: Path) -> Source:
    """T91 and BSD200 to train on, without the photograph that is in Set5 too, and Set5 for tests."""
    about = f"trained on T91 and BSD200 without {LEAKED}, a photograph that is in Set5 too; tested on Set5"
    return Source(about, *_parted(training_pictures(folder)), set5(folder))


def training_pictures(folder: Path) -> dict[str, Pixels]:
    """T91 and BSD200, without the photograph that is in Set5 too."""
    pictures = {name: pixels for part in ARCHIVES for name, pixels in _archived(folder / part)}
    return {name: pixels for name, pixels in pictures.items() if PurePosixPath(name).name != LEAKED}


def set5(folder: Path) -> dict[str, Pixels]:
    """The five pictures of Bevilacqua et al. (2012)."""
    return {path.name: read(path).unit() for path in _files(folder / SET5)}


def own(folder: Path) -> Source:
    """Every picture in a folder. Of ten in the order of their names, the last is for tests, one for validation."""
    paths = _files(folder)
    if len(paths) < 3:
        raise ValueError(
            f"{folder} holds {len(paths)} pictures ({', '.join(SUFFIXES)}); needs 3, to train, validate and test"
        )
    pictures = {path.name: read(path).unit() for path in paths}
    train, test = _parted(pictures)
    about = f"{len(paths)} pictures of your own, of which {len(test)} are for tests"
    return Source(about, *_parted(train), test)


def generated(seed: int = 0, train: int = 40, test: int = 5, side: int = 96) -> Source:
    """Pictures made on the spot: overlapping discs, bars and stripes of many sizes and colours."""
    rng = np.random.default_rng(seed)
    pictures = {f"generated {number}": _scene(rng, side) for number in range(train + test)}
    names = list(pictures)
    tested = {name: pictures.pop(name) for name in names[train:]}
    return Source("generated pictures of shapes, for want of a folder of pictures", *_parted(pictures), tested)


def hashes(folder: Path) -> dict[str, str]:
    """What the pictures of a folder are identified by."""
    if is_published(folder):
        return {name: hash_file(folder / name) for name in ARCHIVES} | {SET5: hash_pictures(_files(folder / SET5))}
    return {"pictures": hash_pictures(_files(folder))}


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise ValueError(f"{folder} is no folder; name one that holds pictures")
    return picture_files(folder)


def _parted(pictures: Mapping[str, Pixels]) -> tuple[dict[str, Pixels], dict[str, Pixels]]:
    """Those to keep, and every tenth, or the last of fewer."""
    every = min(HELD_BACK, len(pictures))
    parts: tuple[dict[str, Pixels], dict[str, Pixels]] = ({}, {})
    for number, (name, pixels) in enumerate(pictures.items(), 1):
        parts[number % every == 0][name] = pixels
    return parts


def _archived(archive: Path) -> Iterator[tuple[str, Pixels]]:
    try:
        with tarfile.open(archive, "r:xz") as members:
            for member in members:
                file = members.extractfile(member)
                if file is not None and PurePosixPath(member.name).suffix in SUFFIXES:
                    yield member.name, read(file.read(), f"{archive}: {member.name}").unit()
    except (tarfile.TarError, EOFError, LZMAError) as error:
        raise ValueError(f"{archive} is incomplete or corrupt: {error}") from None


def _scene(rng: np.random.Generator, side: int) -> Pixels:
    """Shapes over a gradient; edges are a pixel wide, as a lens leaves them."""
    axis = (np.arange(side, dtype=np.float32) - side / 2) / side
    v, u = np.meshgrid(axis, axis, indexing="ij")
    ends = rng.random((2, 3), np.float32)
    pixels = ends[0] + (ends[1] - ends[0]) * (u + 0.5)[..., None]
    for _ in range(14):
        angle, size, at = rng.uniform(0, np.pi), rng.uniform(0.04, 0.3), rng.uniform(-0.5, 0.5, 2)
        along = np.cos(angle) * (u - at[0]) + np.sin(angle) * (v - at[1])
        across = np.cos(angle) * (v - at[1]) - np.sin(angle) * (u - at[0])
        distance = (
            np.hypot(along, across) - size,
            np.maximum(np.abs(along) - size, np.abs(across) - size / 4),
            np.maximum(np.hypot(along, across) - size, size / 6 * np.sin(along * 20 / size) - 0.01),
        )[rng.integers(3)]
        inside = np.clip(0.5 - distance * side, 0, 1)[..., None]
        pixels = pixels + inside * (rng.random(3, np.float32) - pixels)
    scene: Pixels = np.clip(pixels, 0, 1).astype(np.float32)
    return scene
