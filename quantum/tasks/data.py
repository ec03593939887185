"""Labelled data for classifiers: data sets of scikit-learn, and files of the user."""

import hashlib
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile, is_zipfile

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine
from sklearn.decomposition import PCA
from sklearn.model_selection import train_test_split
from torch import Tensor

PARTS = ("train", "val", "test")
MOST_FEATURES = 16
LEAST_PER_CLASS = 6
"""With fewer samples of a class, the stratified validation part may have none of them."""

Raw = tuple[NDArray[np.float64], NDArray[np.object_ | np.int64 | np.str_]]


@dataclass(frozen=True, eq=False)
class Part:
    """Rows `x` (samples, features), float64 in [0, pi], and class indices `y` (samples,), int64."""

    x: Tensor
    y: Tensor


@dataclass(frozen=True, eq=False)
class Data:
    """One split of a data set: `train` for training, `val` for selection, `test` for one final evaluation."""

    name: str
    classes: tuple[str, ...]
    train: Part
    val: Part
    test: Part
    sha256: str

    @property
    def features(self) -> int:
        """The number of columns of `x`."""
        return self.train.x.shape[1]


def _digits(*classes: int) -> Raw:
    """The 8x8 digits of scikit-learn, averaged to 4x4 pixels for an angle encoder on 4 qubits."""
    digits = load_digits()
    images = digits.images.reshape(-1, 4, 2, 4, 2).mean(axis=(2, 4)).reshape(-1, 16)
    chosen = np.isin(digits.target, classes)
    return images[chosen], digits.target[chosen]


def _named(load: Callable[..., tuple[NDArray[np.float64], NDArray[np.int64]]]) -> Callable[[], Raw]:
    return lambda: load(return_X_y=True)


SETS: dict[str, Callable[[], Raw]] = {
    "digits36": lambda: _digits(3, 6),
    "digits4": lambda: _digits(0, 1, 2, 3),
    "iris": _named(load_iris),
    "wine": _named(load_wine),
    "cancer": _named(load_breast_cancer),
}
_FULL_SCALE = {"digits36": 16.0, "digits4": 16.0}
"""Grey levels have a fixed scale; other columns are scaled by the range of the training part."""
_COMPONENTS = {"wine": 8, "cancer": 8}


def load(name: str, seed: int) -> Data:
    """The data set called `name`, or the file at that path, in stratified random parts of 56, 19 and 25 % by `seed`.

    A `.npz` file holds `x` (samples, features) and `y` (samples,); a `.csv` file has one sample per line with its label
    last, and may have a header. More than 16 columns are projected on 16 principal components. The scaling and the
    components are fitted on the training part alone.
    """
    raw_x, labels = SETS[name]() if name in SETS else read(Path(name))
    _check(name, raw_x, labels)
    classes, y = np.unique(labels, return_inverse=True)
    rest, test = train_test_split(np.arange(len(y)), test_size=0.25, stratify=y, random_state=seed)
    train, val = train_test_split(rest, test_size=0.25, stratify=y[rest], random_state=seed)
    x = _scale(raw_x, train, _FULL_SCALE.get(name), _components(name, raw_x.shape[1]))
    train_part, val_part, test_part = (
        Part(torch.tensor(x[rows]), torch.tensor(y[rows])) for rows in (train, val, test)
    )
    digest = hashlib.sha256(np.ascontiguousarray(raw_x).tobytes() + "\n".join(map(str, labels)).encode()).hexdigest()
    return Data(name, tuple(map(str, classes)), train_part, val_part, test_part, digest)


def _components(name: str, columns: int) -> int | None:
    return _COMPONENTS.get(name, MOST_FEATURES if columns > MOST_FEATURES else None)


def _scale(
    raw: NDArray[np.float64], train: NDArray[np.int64], full_scale: float | None, components: int | None
) -> NDArray[np.float64]:
    """Columns as angles in [0, pi]."""
    if full_scale is not None:
        return raw / full_scale * np.pi
    spread = raw[train].std(axis=0)
    x = (raw - raw[train].mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    if components is not None:
        x = PCA(min(components, len(train)), svd_solver="full").fit(x[train]).transform(x)
    low, high = x[train].min(axis=0), x[train].max(axis=0)
    angles: NDArray[np.float64] = np.clip((x - low) / np.where(high > low, high - low, 1.0), 0, 1) * np.pi
    return angles


def read(path: Path) -> Raw:
    """The rows and labels of a `.npz` or `.csv` file, unscaled."""
    if not path.is_file():
        raise FileNotFoundError(f"data {str(path)!r} is neither a file nor one of {', '.join(SETS)}")
    if path.suffix == ".npz":
        return _read_npz(path)
    if path.suffix == ".csv":
        return _read_csv(path)
    raise ValueError(f"data file {path.name!r}: use .npz with x and y, or .csv with the label last")


def _read_npz(path: Path) -> Raw:
    how = "save numbers x (samples, features) and labels y (samples,) with numpy.savez"
    if not is_zipfile(path):
        raise ValueError(f"{path.name} is not a NumPy archive: {how}")
    try:
        with np.load(path, allow_pickle=False) as arrays:
            missing = {"x", "y"} - set(arrays)
            content = {name: arrays[name] for name in ("x", "y") if name not in missing}
            x = np.asarray(content.get("x", 0), dtype=np.float64)
    except (OSError, ValueError, BadZipFile, zlib.error) as error:
        raise ValueError(f"{path.name} holds an entry that is not a plain array ({error}): {how}") from None
    if missing:
        raise ValueError(f"{path.name} lacks {' and '.join(sorted(missing))}: {how}")
    return x, content["y"]


def _read_csv(path: Path) -> Raw:
    try:
        text = path.read_text(encoding="utf-8-sig")  # spreadsheets write a byte order mark first
    except UnicodeDecodeError as error:
        raise ValueError(f"{path.name} is not UTF-8 text: {error}") from None
    lines = [(number, line.split(",")) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    if not lines:
        raise ValueError(f"{path.name} is empty: write one sample per line, with its label last")
    columns = len(lines[0][1])
    is_header = not any(_is_number(cell) for cell in lines[0][1][:-1])
    rows = lines[is_header:]
    for number, cells in rows:
        here = f"{path.name}, line {number}"
        if len(cells) < 2:
            raise ValueError(f"{here}: needs numbers and a label, separated by commas, not {cells[0].strip()!r}")
        if len(cells) != columns:
            raise ValueError(f"{here}: {len(cells)} columns, the first line has {columns}")
        for cell in cells[:-1]:
            if not _is_number(cell):
                raise ValueError(f"{here}: {cell.strip()!r} is not a number")
        if not cells[-1].strip():
            raise ValueError(f"{here}: the label, the last column, is empty")
    numbers = np.array([cells[:-1] for _, cells in rows], dtype=np.float64).reshape(len(rows), columns - 1)
    return numbers, np.array([cells[-1].strip() for _, cells in rows])


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _check(name: str, x: NDArray[np.float64], labels: NDArray[np.generic]) -> None:
    if x.ndim != 2 or 0 in x.shape or labels.shape != (len(x),):
        raise ValueError(
            f"data {name!r}: x is {x.shape} and y {labels.shape} but must be (samples, features) and (samples,)"
        )
    bad = np.argwhere(~np.isfinite(x))
    if len(bad):
        row, column = bad[0]
        raise ValueError(f"data {name!r}: x[{row}, {column}] is {x[row, column]}; fill or drop such rows")
    unlabelled = np.flatnonzero(labels != labels)  # NaN
    if len(unlabelled):
        raise ValueError(f"data {name!r}: y[{unlabelled[0]}] is {labels[unlabelled[0]]}; drop samples without a label")
    classes, counts = np.unique(labels, return_counts=True)
    if len(classes) < 2:
        raise ValueError(f"data {name!r} has {len(classes)} class: a classifier needs at least 2")
    if counts.min() < LEAST_PER_CLASS:
        rare = classes[counts.argmin()]
        raise ValueError(
            f"data {name!r}: class {rare!s} has {counts.min()} samples, but a three-way split needs {LEAST_PER_CLASS}"
        )
