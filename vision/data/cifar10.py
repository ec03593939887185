"""CIFAR-10 from an archive of JPEG files, decoded once and cached as bytes."""

import io
import os
import tarfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from lzma import LZMAError
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.lab import cache_folder, hash_file, write_atomic
from vision.data.pillow import import_pillow

ARCHIVE = "cifar10_jpg.tar.xz"
CAVEAT = "CIFAR-10, JPEG copy (quality 75, 4:2:0): not the original arrays, expect 1 to 3 points less than published"
SHAPE = (3, 32, 32)
HELD_BACK = 10
"""Every tenth training image of a class, in the order of file names, is for validation."""

FORMAT = 1
"""Version of the cached bytes: increase it when `_decoded` returns other ones."""

_RECORD = np.dtype([("test", np.bool_), ("label", np.uint8), ("pixels", np.uint8, (32, 32, 3))])


@dataclass(frozen=True, eq=False)
class Images:
    """Bytes `(N, 32, 32, 3)` and class numbers `(N,)`, sorted by class."""

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def first(self, count: int) -> "Images":
        """The first `count` images of each class, or all there are."""
        return self._where(self._ranks < count)

    def split(self) -> tuple["Images", "Images"]:
        """Training images, and every tenth image of each class for validation; the two are disjoint."""
        held_back = self._ranks % HELD_BACK == HELD_BACK - 1
        return self._where(~held_back), self._where(held_back)

    @property
    def _ranks(self) -> NDArray[np.int64]:
        """The number of images of the same class before each image."""
        ranks: NDArray[np.int64] = np.arange(len(self.labels)) - np.searchsorted(self.labels, self.labels)
        return ranks

    def _where(self, mask: NDArray[np.bool_]) -> "Images":
        return Images(self.pixels[mask], self.labels[mask])


class CIFAR10(NamedTuple):
    """Training images, validation images (every tenth training image of each class), and test images."""

    train: Images
    validation: Images
    test: Images


def archive(images: str) -> Path:
    """The archive in a folder. Rows name the folder by a variable, so that they are the same on every machine.

    Raises `ValueError` where it is not there.
    """
    path = Path(os.path.expandvars(images)).expanduser() / ARCHIVE
    if not path.is_file():
        raise ValueError(f"images={images}: no {ARCHIVE} there; set QWEDGE_DATA, or name its folder with images=DIR")
    return path


def load(archive: Path) -> CIFAR10:
    """The images of `cifar10_jpg.tar.xz`, whose files are `{train,test}/CLASS/NAME.jpg`, 32x32, RGB.

    Decoded at the first use and kept in the cache folder under the archive's SHA-256. They are
    lossy copies (JPEG quality 75): accuracies on them are not those on CIFAR-10. A. Krizhevsky, Learning Multiple
    Layers of Features from Tiny Images (2009).

    Raises `ValueError` for a file that is not such an archive, `ModuleNotFoundError` without pillow.
    """
    kept = cache_folder() / f"cifar10-{FORMAT}-{hash_file(archive)[:16]}.npy"
    try:
        records = np.load(kept)
    except (OSError, ValueError):
        records = _decoded(archive)
        _keep(records, kept)
    train, test = (_images(records[records["test"] == test]) for test in (False, True))
    return CIFAR10(*train.split(), test)


def _images(records: NDArray[Any]) -> Images:
    return Images(records["pixels"].copy(), records["label"].astype(np.int64))


def _keep(records: NDArray[Any], path: Path) -> None:
    buffer = io.BytesIO()
    np.save(buffer, records, allow_pickle=False)
    with suppress(OSError):  # a read-only home costs the seconds of decoding again, nothing else
        write_atomic(path, buffer.getvalue())


def _decoded(archive: Path) -> NDArray[Any]:
    try:
        with tarfile.open(archive, "r:xz") as files:
            pictures = sorted(_pictures(archive, files), key=lambda picture: picture[:3])
    except (tarfile.TarError, EOFError, LZMAError) as error:
        raise ValueError(f"{archive} is incomplete or corrupt: {error}; needs {ARCHIVE}") from None
    classes = sorted({name for part, name, *_ in pictures if part == "train"})
    if not pictures or {name for _, name, *_ in pictures} != set(classes):
        raise ValueError(f"{archive} needs files train/CLASS/NAME.jpg and test/CLASS/NAME.jpg of the same classes")
    rows = [(part == "test", classes.index(name), pixels) for part, name, _, pixels in pictures]
    return np.array(rows, dtype=_RECORD)


def _pictures(archive: Path, files: tarfile.TarFile) -> Iterator[tuple[str, str, str, NDArray[np.uint8]]]:
    """Part, class, name and bytes of each JPEG file."""
    image = import_pillow()
    for member in files:
        part, name, file = ("", "", *PurePosixPath(member.name).parts)[-3:]
        data = files.extractfile(member)
        if data is None or part not in ("train", "test") or not file.endswith(".jpg"):
            continue
        pixels = np.asarray(image.open(io.BytesIO(data.read())).convert("RGB"))
        if pixels.shape != (32, 32, 3):
            raise ValueError(f"{archive}: {member.name} is {pixels.shape[1]}x{pixels.shape[0]}; needs 32x32")
        yield part, name, file, pixels
