"""Tables of labelled samples as users keep them: CSV in the usual dialects, and NumPy archives."""

import csv
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shared.lab.records.arrays import read_npz

_HOW = "save numbers x (samples, features) and labels y (samples,) with numpy.savez"
_INDEX = re.compile(r"|unnamed: \d+|index|id|idx", re.IGNORECASE)
"""Names of a first column that numbers the rows: pandas' own, and those that need the values to agree."""


@dataclass(frozen=True, eq=False)
class LabelledTable:
    """Rows `x` (samples, features), one label per row, and notes on what was left out while reading.

    Labels are text, or numbers where every label is one: `8`, `8.0` and the integer 8 are one class.
    """

    x: NDArray[np.float64]
    labels: NDArray[np.object_]
    notes: tuple[str, ...] = ()

    def classes(self) -> tuple[tuple[str, ...], NDArray[np.int64]]:
        """The names of the classes, numbers in numeric order and text in alphabetical order; the class of each row."""
        order = sorted(set(self.labels.tolist()))
        index = {label: k for k, label in enumerate(order)}
        return tuple(map(str, order)), np.array([index[label] for label in self.labels.tolist()], dtype=np.int64)


def read_table(path: Path) -> LabelledTable:
    """The rows and labels of a `.npz` or `.csv` file, unscaled.

    A `.npz` file holds `x` and `y`. A `.csv` file has one sample per line with its label last, and may have a header;
    its cells are separated by commas, semicolons (then with decimal commas, too), tabs or spaces.

    Raises `ValueError`, in one line, with the place in the file and the way out.
    """
    if path.suffix.lower() == ".npz":
        return _read_npz(path)
    if path.suffix.lower() == ".csv":
        return _read_csv(path)
    raise ValueError(f"data file {path.name!r}: use .npz with x and y, or .csv with the label last")


def as_labels(labels: Sequence[object]) -> NDArray[np.object_]:
    """Labels as integers and floats where every one of them is a number, otherwise as text."""
    texts = [label.decode(errors="replace") if isinstance(label, bytes) else str(label).strip() for label in labels]
    numbers = [_as_number(text) for text in texts]
    out = np.empty(len(texts), dtype=object)
    out[:] = texts if any(number is None for number in numbers) else numbers
    return out


def _as_number(text: str) -> int | float | None:
    if re.fullmatch(r"[+-]?\d{1,300}", text):
        return int(text)
    if not _is_number(text):
        return None
    value = float(text)
    return int(value) if value.is_integer() else value


def _read_npz(path: Path) -> LabelledTable:
    try:
        arrays = read_npz(path, ("x", "y"))
    except ValueError as error:
        raise ValueError(f"{error}: {_HOW}") from None
    if missing := {"x", "y"} - set(arrays):
        raise ValueError(f"{path.name} lacks {' and '.join(sorted(missing))}: {_HOW}")
    x, y = arrays["x"], arrays["y"]
    for name, array in (("x", x), ("y", y)):
        if array.dtype.kind == "c":
            raise ValueError(f"{path.name}: {name} is complex: save real and imaginary parts as columns of their own")
        if array.dtype.kind not in "biufUS":
            raise ValueError(f"{path.name}: {name} is of type {array.dtype}: {_HOW}")
    try:
        numbers = x.astype(np.float64)
    except ValueError as error:
        raise ValueError(f"{path.name}: x is not all numbers ({error}): {_HOW}") from None
    if numbers.ndim != 2 or 0 in numbers.shape or y.shape != (len(numbers),):
        raise ValueError(
            f"{path.name}: x is {numbers.shape} and y {y.shape} but must be (samples, features) and (samples,)"
        )
    return LabelledTable(numbers, as_labels(y.tolist()))


def _read_csv(path: Path) -> LabelledTable:
    try:
        text = path.read_text(encoding="utf-8-sig")  # spreadsheets write a byte order mark first
    except UnicodeDecodeError as error:
        raise ValueError(f"{path.name} is not UTF-8 text: {error}") from None
    plain = [(number, line.lstrip("# ")) for number, line in enumerate(text.splitlines(), 1) if line.strip("# ")]
    if not plain:
        raise ValueError(f"{path.name} is empty: write one sample per line, with its label last")
    try:
        split = _dialect(plain[-1][1])
        lines = [(number, [cell.strip() for cell in split(line)]) for number, line in plain]
    except csv.Error as error:
        raise ValueError(f"{path.name} is not a table: {error}") from None
    columns = len(lines[0][1])
    names = lines[0][1] if _is_header(lines[0][1]) else []
    rows = lines[1:] if names else lines
    for number, cells in rows:
        if len(cells) != columns:
            raise ValueError(f"{path.name}, line {number}: {len(cells)} columns, the first line has {columns}")
    skipped = int(_is_index(names, [cells[0] for _, cells in rows]))
    for number, cells in rows:
        _check_row(f"{path.name}, line {number}", cells, names, skipped)
    if not rows or columns < 2 + skipped:
        raise ValueError(f"{path.name} has a header and no sample: write one sample per line, with its label last")
    x = np.array([cells[skipped:-1] for _, cells in rows], dtype=np.float64)
    called = f"called {names[0]!r}" if skipped and names[0] else "without a name"
    notes = [f"{path.name}: the first column, {called}, numbers the rows and was left out"] * skipped
    return LabelledTable(x, as_labels([cells[-1] for _, cells in rows]), tuple(notes))


def _is_header(cells: list[str]) -> bool:
    """Whether a first line names the columns: in words, or as pandas numbers them, after an unnamed index or none."""
    counted = [str(k) for k in range(len(cells))]
    numbered = len(cells) > 2 and (cells == counted or cells == ["", *counted[:-1]])
    return numbered or not any(_is_number(cell) for cell in cells[:-1])


def _check_row(here: str, cells: list[str], names: list[str], skipped: int) -> None:
    if len(cells) < 2:
        raise ValueError(f"{here}: needs numbers and a label, separated by commas, not {cells[0]!r}")
    for k, cell in list(enumerate(cells[:-1]))[skipped:]:
        column = f"column {k + 1}" + (f" ({names[k]})" if names and names[k] else "")
        if not cell:
            raise ValueError(f"{here}: {column} is empty: write a number there, or delete the line")
        if not _is_number(cell):
            raise ValueError(f"{here}: {column}: {cell!r} is not a number: write one there, or delete the line")
    if not cells[-1]:
        raise ValueError(f"{here}: the label, the last column, is empty: write one there, or delete the line")


def _dialect(line: str) -> Callable[[str], list[str]]:
    """How a line of samples is split: by the first separator that leaves numbers and a label of it."""
    for split in (_by(";", decimal=","), _by("\t", decimal=","), _by(","), str.split):
        cells = split(line)
        if len(cells) > 1 and all(not cell.strip() or _is_number(cell) for cell in cells[:-1]):
            return split
    return _by(",")


def _by(separator: str, decimal: str = "") -> Callable[[str], list[str]]:
    def split(line: str) -> list[str]:
        [cells] = csv.reader([line], delimiter=separator)
        if not decimal:
            return cells
        return [re.sub(r"^(\s*[-+]?\d*),(\d+)", r"\1.\2", cell) for cell in cells[:-1]] + cells[-1:]

    return split


def _is_index(names: list[str], first: list[str]) -> bool:
    """Whether the first column numbers the rows: by pandas' mark, or by a name of an index and its values."""
    if not any(names[1:]) or not _INDEX.fullmatch(names[0]):
        return False
    counts = [[str(k) for k in range(start, start + len(first))] for start in (0, 1)]
    return not names[0] or names[0].lower().startswith("unnamed") or first in counts


def _is_number(text: str) -> bool:
    """Whether a file means a number by the text; Python alone also takes `1_000`."""
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text
