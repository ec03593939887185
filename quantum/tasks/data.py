"""Labelled data for classifiers: data sets of scikit-learn, and files of the user.

scikit-learn is imported where it is used: it takes seconds, and a wrong file name is answered without it.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from quantum.tasks.tables import LabelledTable, as_labels, read_table

PARTS = ("train", "val", "test")
MOST_FEATURES = 16
LEAST_PER_CLASS = 6
"""With fewer samples of a class, the stratified validation part may have none of them."""

COLUMNS = ("auto", "as-is", "range")
"""How columns become features: left as they are, or scaled to [0, pi]; `auto` depends on who reads them."""


@dataclass(frozen=True, eq=False)
class Part:
    """Rows `x` (samples, features), float64, and class indices `y` (samples,), int64."""

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
    notes: tuple[str, ...] = ()
    """What was done to the columns, in sentences."""

    @property
    def features(self) -> int:
        """The number of columns of `x`."""
        return self.train.x.shape[1]


def _digits(*classes: int) -> LabelledTable:
    """The 8x8 digits of scikit-learn, averaged to 4x4 pixels for an angle encoder on 4 qubits."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = digits.images.reshape(-1, 4, 2, 4, 2).mean(axis=(2, 4)).reshape(-1, 16)
    chosen = np.isin(digits.target, classes)
    return LabelledTable(images[chosen], as_labels(digits.target[chosen].tolist()))


def _named(name: str) -> Callable[[], LabelledTable]:
    def table() -> LabelledTable:
        from sklearn import datasets

        x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
        return LabelledTable(x, as_labels(y.tolist()))

    return table


SETS: dict[str, Callable[[], LabelledTable]] = {
    "digits36": lambda: _digits(3, 6),
    "digits4": lambda: _digits(0, 1, 2, 3),
    "iris": _named("iris"),
    "wine": _named("wine"),
    "cancer": _named("breast_cancer"),
}
_FULL_SCALE = {"digits36": 16.0, "digits4": 16.0}
"""Grey levels have a fixed scale; other columns are scaled by the range of the training part."""
_COMPONENTS = {"wine": 8, "cancer": 8}


def load(name: str, seed: int, columns: str = "range") -> Data:
    """The data set called `name`, or the file at that path, in stratified random parts of 56, 19 and 25 % by `seed`.

    Files are read by `quantum.tasks.tables`. With `columns="as-is"` the features are the columns of the file. With
    `"range"` they are angles: columns are scaled to [0, pi], and more than 16 of them are projected on 16 principal
    components; the scaling and the components are fitted on the training part alone.
    """
    table = SETS[name]() if name in SETS else read(Path(name))
    _check(name, table)
    classes, y = table.classes()
    from sklearn.model_selection import train_test_split

    rest, test = train_test_split(np.arange(len(y)), test_size=0.25, stratify=y, random_state=seed)
    train, val = train_test_split(rest, test_size=0.25, stratify=y[rest], random_state=seed)
    x, done = table.x, "are as they are in the file"
    if columns != "as-is":
        x, done = _scale(table.x, train, _FULL_SCALE.get(name), _components(name, table.x.shape[1]))
    train_part, val_part, test_part = (
        Part(torch.tensor(x[rows]), torch.tensor(y[rows])) for rows in (train, val, test)
    )
    content = np.ascontiguousarray(table.x).tobytes() + "\n".join(map(str, table.labels)).encode()
    notes = (*table.notes, f"the columns of {Path(name).name} {done}")
    return Data(name, classes, train_part, val_part, test_part, hashlib.sha256(content).hexdigest(), notes)


def resolved(columns: str, name: str, own: bool) -> str:
    """`as-is` or `range`: what `auto` means for the data set or file `name`.

    A circuit that reads its features itself (`own`) was trained on the columns of its file as they are; an encoder
    that is put before a circuit needs angles, and so do the named data sets.
    """
    if columns not in COLUMNS:
        raise ValueError(f"columns {columns!r} is unknown: use one of {', '.join(COLUMNS)}")
    if columns != "auto":
        return columns
    return "as-is" if own and name not in SETS else "range"


def _components(name: str, columns: int) -> int | None:
    return _COMPONENTS.get(name, MOST_FEATURES if columns > MOST_FEATURES else None)


def _scale(
    raw: NDArray[np.float64], train: NDArray[np.int64], full_scale: float | None, components: int | None
) -> tuple[NDArray[np.float64], str]:
    """Columns as angles in [0, pi], and what was done to them."""
    if full_scale is not None:
        return raw / full_scale * np.pi, f"are scaled from [0, {full_scale:g}] to [0, pi]"
    spread = raw[train].std(axis=0)
    x = (raw - raw[train].mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    done = "are scaled to [0, pi] by their range in the training part"
    if components is not None:
        from sklearn.decomposition import PCA

        x = PCA(min(components, len(train)), svd_solver="full").fit(x[train]).transform(x)
        done = (
            f"are standardised, projected on {x.shape[1]} principal components, and scaled to [0, pi], all fitted on "
            "the training part"
        )
    low, high = x[train].min(axis=0), x[train].max(axis=0)
    angles: NDArray[np.float64] = np.clip((x - low) / np.where(high > low, high - low, 1.0), 0, 1) * np.pi
    return angles, done


def read(path: Path) -> LabelledTable:
    """The rows and labels of a `.npz` or `.csv` file (`quantum.tasks.tables`), unscaled."""
    if not path.is_file():
        raise FileNotFoundError(f"data {str(path)!r} is neither a file nor one of {', '.join(SETS)}")
    return read_table(path)


def _check(name: str, table: LabelledTable) -> None:
    bad = np.argwhere(~np.isfinite(table.x))
    if len(bad):
        row, column = bad[0]
        raise ValueError(f"data {name!r}: x[{row}, {column}] is {table.x[row, column]}; fill or drop such rows")
    unlabelled = np.flatnonzero(table.labels != table.labels)  # NaN
    if len(unlabelled):
        raise ValueError(f"data {name!r}: y[{unlabelled[0]}] is nan; drop samples without a label")
    classes, y = table.classes()
    if len(classes) < 2:
        raise ValueError(f"data {name!r} has {len(classes)} class: a classifier needs at least 2")
    counts = np.bincount(y)
    if counts.min() < LEAST_PER_CLASS:
        rare = classes[counts.argmin()]
        raise ValueError(
            f"data {name!r}: class {rare} has {counts.min()} samples, but a three-way split needs {LEAST_PER_CLASS}"
        )
