"""The parts of a page: plain values that a browser and a terminal can both show."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from shared.lab.records.statistics import mean_over_seeds
from shared.lab.records.store import Row


@dataclass(frozen=True)
class Number:
    """A number (or word) with the ids of the rows it was derived from; make one with `cite`.

    `form` is a format specification such as `.3f` or `.1%`; `low` and `high` are an interval around the value.
    """

    value: float | int | str | None
    rows: tuple[str, ...]
    form: str = ""
    unit: str = ""
    low: float | None = None
    high: float | None = None

    def __str__(self) -> str:
        return self._format(self.value) + (f" {self.unit}" if self.unit else "")

    @property
    def interval(self) -> str:
        """`[low, high]`, or nothing without an interval."""
        if self.low is None or self.high is None:
            return ""
        return f"[{self._format(self.low)}, {self._format(self.high)}]"

    def _format(self, value: float | int | str | None) -> str:
        if value is None:
            return "-"
        if isinstance(value, str):
            return value
        form = self.form or ("," if isinstance(value, int) else ".4g")
        return format(value, form)


def cite(
    value: float | int | str | None,
    *rows: Row,
    form: str = "",
    unit: str = "",
    low: float | None = None,
    high: float | None = None,
) -> Number:
    """`value` as derived from `rows`: on the page it links to them and to the commands that make them.

    >>> print(cite(0.9417, form=".1%"))
    94.2%
    """
    return Number(value, tuple(row.id for row in rows), form, unit, low, high)


def cite_mean(values: Sequence[float], *rows: Row, form: str = "", unit: str = "") -> Number:
    """The mean of one value per seed, with its 95 % interval where there are two seeds or more.

    >>> print(cite_mean([1.0, 3.0], form=".1f"), cite_mean([1.0, 3.0], form=".1f").interval)
    2.0 [-10.7, 14.7]
    """
    value, low, high = mean_over_seeds(values)
    return cite(value, *rows, form=form, unit=unit, low=low, high=high)


@dataclass(frozen=True)
class Text:
    """A paragraph; numbers inside it link to their rows."""

    parts: tuple[str | Number, ...]
    title: str = ""

    def __init__(self, *parts: str | Number, title: str = "") -> None:
        object.__setattr__(self, "parts", parts)
        object.__setattr__(self, "title", title)


@dataclass(frozen=True)
class KeyFigures:
    """The few numbers a reader should leave with: a short label over each."""

    figures: Sequence[tuple[str, Number]]


@dataclass(frozen=True)
class Table:
    """Rows of words and numbers under `columns`; the lines whose index is in `strong` stand out."""

    title: str
    columns: Sequence[str]
    lines: Sequence[Sequence[str | Number]]
    note: str = ""
    strong: Sequence[int] = ()

    def __post_init__(self) -> None:
        for line in self.lines:
            if len(line) != len(self.columns):
                raise ValueError(
                    f"table {self.title!r} has {len(self.columns)} columns, but this line has {len(line)}: "
                    f"{[str(entry) for entry in line]}"
                )


@dataclass(frozen=True)
class Figure:
    """A drawing as the SVG text of each of its panels, usually from `plot`; `rows` are the ids of the rows it shows."""

    title: str
    panels: Sequence[str]
    rows: tuple[str, ...] = ()
    caption: str = ""


@dataclass(frozen=True)
class Download:
    """A file the reader can save: an artefact of a row, embedded in the page under `name`."""

    name: str
    row: Row
    note: str = ""

    def __post_init__(self) -> None:
        if self.name not in self.row.artefacts:
            listed = ", ".join(self.row.artefacts) or "none"
            raise ValueError(f"row {self.row.id[:12]} has no artefact {self.name!r}; it has: {listed}")


def downloads(rows: Sequence[Row], files: Mapping[str, str]) -> list[Download]:
    """A download of each artefact in `files` (name to description) that a row has, with the row's seed."""
    return [
        Download(name, row, f"{note}, seed {row.seed}")
        for row in rows
        for name, note in files.items()
        if name in row.artefacts
    ]


def equal_settings(rows: Sequence[Row]) -> list[Row]:
    """The rows whose settings are those of the first, seeds aside: seeds of one experiment, which may be pooled."""

    def without_seeds(row: Row) -> dict[str, Any]:
        return {name: value for name, value in row.settings.items() if name not in ("seed", "seeds")}

    return [row for row in rows if without_seeds(row) == without_seeds(rows[0])]


Block: TypeAlias = Text | KeyFigures | Table | Figure | Download


@dataclass(frozen=True)
class Page:
    """A title, one sentence on what was run, the blocks in reading order, and what to conclude from them.

    The verdict is shown first. It is computed from the rows (see `verdict`), so that it says who is ahead, also where
    that is not us.
    """

    title: str
    summary: str
    blocks: Sequence[Block]
    verdict: Text | None = None
