"""Pictures by class for few-shot work: CIFAR-100, miniImageNet, Omniglot, and folder trees of the user's own.

Classes that an encoder is trained on (`base`) and classes that tasks are made of (`novel`) never overlap.
"""

import hashlib
import io
import json
import os
import tarfile
import zipfile
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shared.lab import hash_file
from vision.data.augment import as_input
from vision.data.drawings import FRAME, framed
from vision.data.pillow import import_pillow

SETS = ("cifar100", "miniimagenet", "omniglot")
"""Names of folders under `$QWEDGE_DATA`."""

NOVEL_ALPHABETS = ("Greek", "Sanskrit", "Tagalog")
"""Alphabets of Omniglot that tasks are made of; the others train the encoder."""

OMNIGLOT_SIZE = 28
"""Pixels per side, as in O. Vinyals et al., Matching Networks (arXiv 1606.04080), section 4.1."""

TREE_SIZE = 32
"""Pixels per side to which pictures of a folder tree are scaled."""

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")


@dataclass(frozen=True, eq=False)
class ClassPictures:
    """Names of classes and the pictures of each, bytes `(pictures, H, W, C)`; H, W and C are those of the set."""

    names: tuple[str, ...]
    pictures: tuple[NDArray[np.uint8], ...]

    @property
    def shape(self) -> tuple[int, int, int]:
        """C, H, W."""
        _, height, width, channels = self.pictures[0].shape
        return channels, height, width

    def __len__(self) -> int:
        return len(self.names)

    def inputs(self) -> dict[str, Tensor]:
        """The pictures of each class as a net reads them, `(pictures, C, H, W)` in [0, 1)."""
        return {name: as_input(torch.from_numpy(each)) for name, each in zip(self.names, self.pictures, strict=True)}

    def without(self, names: Collection[str]) -> "ClassPictures":
        """The classes of other names."""
        kept = [k for k, name in enumerate(self.names) if name not in names]
        return ClassPictures(tuple(self.names[k] for k in kept), tuple(self.pictures[k] for k in kept))

    def scaled(self, size: int) -> "ClassPictures":
        """The same pictures with `size` pixels per side, each the mean of what it covers."""
        if not len(self) or self.shape[1:] == (size, size):
            return self
        return ClassPictures(
            self.names, tuple(np.stack([_scaled(picture, size) for picture in each]) for each in self.pictures)
        )


class FewShotSet(NamedTuple):
    """Classes for the encoder, classes for tasks, what to know of both, and whether a mirrored picture is its class.

    `copies` names those classes for the encoder that are others turned.
    """

    base: ClassPictures
    novel: ClassPictures
    caveat: str
    mirrored: bool
    copies: tuple[str, ...] = ()

    def all(self) -> ClassPictures:
        """The classes of both parts, without turned copies."""
        both = ClassPictures(self.base.names + self.novel.names, self.base.pictures + self.novel.pictures)
        return both.without(self.copies)

    def with_base(self, count: int) -> "FewShotSet":
        """`count` of the base classes as base, and the others as novel classes too: more tasks, a weaker encoder.

        Which they are, the SHA-256 of their names says, and no seed. Raises `ValueError` where there are not so many,
        and for characters, whose turned copies would stand on both sides.
        """
        if not self.mirrored or not 1 < count < len(self.base):
            raise ValueError(
                f"base_classes={count}: needs 2 to {len(self.base) - 1} of this set's {len(self.base)} classes, "
                "and pictures that are no characters; take 0 for all"
            )
        order = sorted(self.base.names, key=lambda name: hashlib.sha256(name.encode()).hexdigest())
        parts = [self.base.without(order[count:]), self.base.without(order[:count])]
        novel = ClassPictures(parts[1].names + self.novel.names, parts[1].pictures + self.novel.pictures)
        return self._replace(base=parts[0], novel=novel)

    def scaled(self, size: int) -> "FewShotSet":
        """All pictures with `size` pixels per side, which the caveat then says."""
        _, height, width = self.all().shape
        if (height, width) == (size, size):
            return self
        caveat = f"{self.caveat}; scaled from {width}x{height} to {size}x{size}"
        return self._replace(base=self.base.scaled(size), novel=self.novel.scaled(size), caveat=caveat)


def load(data: str, size: int = 0) -> FewShotSet:
    """The set called `data` under `$QWEDGE_DATA`, or a folder: of an archive as those, or of one folder per class.

    Of a folder tree the first three of four classes by name are base classes and the others novel. Every picture is
    scaled to `size` pixels per side; 0 leaves photographs of an archive as they are, and scales characters to 28 and
    pictures of a tree to 32. Raises `ValueError` where there is no such set, for a class without a picture, and for a
    picture that cannot be read.
    """
    folder = Path(os.path.expandvars(f"$QWEDGE_DATA/{data}" if data in SETS else data)).expanduser()
    if not folder.is_dir():
        raise ValueError(f"data={data}: no folder {folder}; set QWEDGE_DATA, or name a folder: {', '.join(SETS)}")
    return next(read for holds, read in _READERS if holds(folder))(folder, size)


def contents(data: str) -> Mapping[str, str]:
    """What identifies the pictures that `load` would read: the SHA-256 of each file, and how drawings are framed."""
    paths = files(data)
    framing = {"drawings": FRAME} if any(path.suffix == ".zip" for path in paths) else {}
    return {f"{path.parent.name}/{path.name}": hash_file(path) for path in paths} | framing


def files(data: str) -> Sequence[Path]:
    """Every file of the set that `load` would read, sorted."""
    folder = Path(os.path.expandvars(f"$QWEDGE_DATA/{data}" if data in SETS else data)).expanduser()
    archives = sorted([*folder.glob("*.tar"), *folder.glob("images_background_small*.zip")])
    return archives or [path for place in _classes_of(folder) for path in _pictures_of(place)]


def _sheets(folder: Path, size: int) -> FewShotSet:
    """An archive of one sheet of tiles per class, with `index.json`: CIFAR-100 and miniImageNet."""
    [path] = sorted(folder.glob("*.tar"))[:1]
    tiles: dict[str, list[NDArray[np.uint8]]] = defaultdict(list)
    try:
        with tarfile.open(path) as archive:
            members = {PurePosixPath(member.name): member for member in archive if member.isfile()}
            [index_path] = [name for name in members if name.name == "index.json"]
            index = json.loads(_read(archive, members[index_path]))
            for name in sorted(members):
                if name.suffix == ".jpg":
                    tiles[name.stem].append(_tiles(_read(archive, members[name]), index, name))
        if not tiles:
            raise ValueError("it holds no sheet of pictures")
    except (tarfile.TarError, EOFError, ValueError, KeyError) as error:
        raise ValueError(f"{path} is incomplete or of another format: {error}") from None
    parts = {name: about.get("cifar_fs", about.get("split")) for name, about in index["classes"].items()}
    base = [name for name in sorted(tiles) if parts[name] == "train"]
    novel = [name for name in sorted(tiles) if parts[name] != "train"]
    caveat = f"{path.stem}, JPEG copy: expect a fraction of a point less than on the original pictures"
    read = FewShotSet(_classes(base, tiles), _classes(novel, tiles), caveat, mirrored=True)
    return read.scaled(size) if size else read


def _read(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    data = archive.extractfile(member)
    assert data is not None
    return data.read()


def _tiles(data: bytes, index: Mapping[str, Any], name: PurePosixPath) -> NDArray[np.uint8]:
    cell, size = index["cell"], index.get("image", index["cell"])
    sheet = _pixels(data, str(name))
    rows, columns = sheet.shape[0] // cell, index["columns"]
    tiles = sheet[: rows * cell].reshape(rows, cell, columns, cell, 3).swapaxes(1, 2).reshape(-1, cell, cell, 3)
    about = index["classes"][name.stem]
    return tiles[: about.get("count", about.get(name.parent.name)), :size, :size].copy()


def _omniglot(folder: Path, size: int) -> FewShotSet:
    """Characters of the alphabets in the zip files, framed; base characters are turned by quarters too.

    B. Lake et al., Human-level concept learning through probabilistic program induction, Science 350 (2015). Turned
    characters count as classes of their own: A. Santoro et al. (arXiv 1605.06065), section 4.1.
    """
    drawings: dict[str, list[NDArray[np.uint8]]] = defaultdict(list)
    alphabets: set[str] = set()
    for path in sorted(folder.glob("images_background_small*.zip")):
        with zipfile.ZipFile(path) as archive:
            names = sorted(name for name in archive.namelist() if name.endswith(".png") and "__MACOSX" not in name)
            for name in names:
                alphabet, character = PurePosixPath(name).parts[-3:-1]
                if alphabet not in alphabets:
                    drawing = framed(_picture(archive.read(name), name, "L"), size or OMNIGLOT_SIZE)
                    drawings[f"{alphabet}/{character}"].append(np.asarray(drawing))
            alphabets |= {PurePosixPath(name).parts[-3] for name in names}
    novel = [name for name in sorted(drawings) if name.split("/")[0] in NOVEL_ALPHABETS]
    base = [name for name in sorted(drawings) if name not in novel]
    turned = {
        f"{name} {90 * turns}" if turns else name: [np.rot90(each, turns) for each in drawings[name]]
        for name in base
        for turns in range(4)
    }
    caveat = f"Omniglot, {len(alphabets)} of 50 alphabets, each drawing framed: published splits cannot be compared"
    if size not in (0, OMNIGLOT_SIZE):
        caveat += f"; {size}x{size} pixels, not {OMNIGLOT_SIZE}x{OMNIGLOT_SIZE}"
    return FewShotSet(
        _classes(list(turned), turned),
        _classes(novel, drawings),
        caveat,
        mirrored=False,
        copies=tuple(name for name in turned if name not in drawings),
    )


def _tree(folder: Path, size: int) -> FewShotSet:
    size = size or TREE_SIZE
    classes = read_tree(folder, size)
    count = max(1, 3 * len(classes) // 4)
    base, novel = (
        ClassPictures(classes.names[part], classes.pictures[part]) for part in (slice(count), slice(count, None))
    )
    return FewShotSet(base, novel, f"pictures of {folder.name}, scaled to {size}x{size}", mirrored=True)


def read_tree(folder: str | Path, size: int = TREE_SIZE) -> ClassPictures:
    """One folder per class, every picture in it turned as its EXIF orientation says and scaled to `size` x `size`.

    Hidden folders are no classes. Raises `ValueError` for what is no folder or has no classes, a class without a
    picture, and a picture that cannot be read.
    """
    if not Path(folder).is_dir():
        raise ValueError(f"{folder} is no folder: needs one that holds a folder of pictures for each class")
    pictures: dict[str, list[NDArray[np.uint8]]] = {}
    for place in _classes_of(Path(folder)):
        paths = _pictures_of(place)
        if not paths:
            raise ValueError(f"class {place.name!r} has no picture: put one of {', '.join(SUFFIXES)} into {place}")
        pictures[place.name] = [_pixels(path.read_bytes(), str(path), size) for path in paths]
    if not pictures:
        raise ValueError(f"{folder} holds no classes: needs one folder of pictures for each")
    return _classes(list(pictures), pictures)


def _classes_of(tree: Path) -> list[Path]:
    return sorted(each for each in tree.glob("*") if each.is_dir() and not each.name.startswith("."))


def _pictures_of(place: Path) -> list[Path]:
    return sorted(path for path in place.iterdir() if path.is_file() and path.suffix.lower() in SUFFIXES)


def _classes(names: Sequence[str], pictures: Mapping[str, Sequence[NDArray[np.uint8]]]) -> ClassPictures:
    return ClassPictures(
        tuple(names), tuple(np.concatenate([_batched(each) for each in pictures[name]]) for name in names)
    )


def _batched(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """`(N, H, W, C)` of a batch, or of one picture with or without a channel axis."""
    if pixels.ndim == 4:
        return pixels
    return pixels.reshape(1, *pixels.shape[:2], -1)


def _pixels(data: bytes, name: str, size: int | None = None) -> NDArray[np.uint8]:
    picture = _picture(data, name, "RGB")
    return np.asarray(picture if size is None else picture.resize((size, size), import_pillow().Resampling.BOX))


def _picture(data: bytes, name: str, mode: str) -> Any:
    image = import_pillow()
    from PIL import ImageOps, UnidentifiedImageError

    try:
        return ImageOps.exif_transpose(image.open(io.BytesIO(data))).convert(mode)
    except UnidentifiedImageError:
        raise ValueError(f"{name} is not a picture that can be read: of a kind that Pillow does not know") from None
    except (OSError, ValueError, image.DecompressionBombError) as error:
        raise ValueError(f"{name} is not a picture that can be read: {error}") from None


def _scaled(pixels: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    image = import_pillow()
    picture = image.fromarray(pixels.squeeze()).resize((size, size), image.Resampling.BOX)
    return np.asarray(picture).reshape(size, size, -1)


def _has(pattern: str) -> Callable[[Path], bool]:
    return lambda folder: next(folder.glob(pattern), None) is not None


_READERS: Sequence[tuple[Callable[[Path], bool], Callable[[Path, int], FewShotSet]]] = (
    (_has("*.tar"), _sheets),
    (_has("images_background_small*.zip"), _omniglot),
    (Path.is_dir, _tree),
)
"""What a folder holds, and the function that reads it at so many pixels per side; 0: at the set's own."""
