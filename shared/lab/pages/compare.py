"""Two sets of rows side by side: paired differences of every number in their results."""

from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Any, NamedTuple

from shared.lab.pages.page import Number, Table
from shared.lab.records.identity import canonical
from shared.lab.records.statistics import paired_bootstrap
from shared.lab.records.store import Row

if TYPE_CHECKING:
    import numpy as np


class Difference(NamedTuple):
    """One number of the results in two sets of rows; `low` and `high` (95 %) are None for a single pair."""

    name: str
    first: float
    second: float
    difference: float
    low: float | None
    high: float | None
    pairs: int
    verdict: str


def compare(first: Sequence[Row], second: Sequence[Row], rng: "np.random.Generator") -> list[Difference]:
    """The mean of each number in both sets and of `first - second`, with a paired bootstrap interval.

    Raises ValueError if the rows cannot be paired one to one.
    """
    pairs = _pair(first, second)
    numbers = [(dict(_numbers(a.result)), dict(_numbers(b.result))) for a, b in pairs]
    names = [name for name in numbers[0][0] if all(name in a and name in b for a, b in numbers)]
    return [_difference(name, [a[name] for a, _ in numbers], [b[name] for _, b in numbers], rng) for name in names]


def differences_table(differences: Sequence[Difference], first: str, second: str) -> Table:
    """The differences as a table for terminal or page."""
    lines = [
        (
            it.name,
            Number(it.first, ()),
            Number(it.second, ()),
            Number(it.difference, (), low=it.low, high=it.high),
            it.verdict,
        )
        for it in differences
    ]
    pairs = differences[0].pairs if differences else 0
    return Table(
        f"{pairs} pair{'' if pairs == 1 else 's'} of rows",
        ("result", first, second, "difference", "first is"),
        lines,
        note="" if pairs == 1 else "Paired bootstrap, 95 %. A tie: the interval holds 0.",
    )


def _difference(name: str, first: list[float], second: list[float], rng: "np.random.Generator") -> Difference:
    middles = fmean(first), fmean(second)
    if len(first) == 1:
        gap = first[0] - second[0]
        verdict = "equal" if gap == 0 else "one pair: no verdict"
        return Difference(name, *middles, gap, None, None, 1, verdict)
    gap, low, high = paired_bootstrap(first, second, rng)
    verdict = "tie" if low <= 0 <= high else "higher" if gap > 0 else "lower"
    return Difference(name, *middles, gap, low, high, len(first), verdict)


def _pair(first: Sequence[Row], second: Sequence[Row]) -> list[tuple[Row, Row]]:
    if len(first) == len(second) == 1:
        return [(first[0], second[0])]
    shared = [key for key in first[0].settings if _values(first, key) == _values(second, key)] if first else []
    ours, theirs = ({_key(row, shared): row for row in rows} for rows in (first, second))
    if not ours or len(ours) != len(first) or len(theirs) != len(second) or ours.keys() != theirs.keys():
        raise ValueError(
            f"{len(first)} and {len(second)} rows cannot be paired by the settings both share "
            f"({', '.join(shared) or 'none'}); "
            "run both with the same seeds, or name single rows as FOLDER/ID"
        )
    return [(row, theirs[key]) for key, row in ours.items()]


def _key(row: Row, names: Sequence[str]) -> str:
    return canonical([row.settings.get(name) for name in names])


def _values(rows: Sequence[Row], key: str) -> set[str]:
    return {canonical(row.settings.get(key)) for row in rows}


def _numbers(result: Any, name: str = "") -> Iterator[tuple[str, float]]:
    """The numbers in a result by dotted name; lists are left out, for their entries have no names."""
    if isinstance(result, Mapping):
        for key, entry in result.items():
            yield from _numbers(entry, f"{name}.{key}" if name else key)
    elif isinstance(result, int | float) and not isinstance(result, bool):
        yield name, float(result)
