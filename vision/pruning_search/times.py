"""Predicted milliseconds beside measured ones, as a table of a page."""

from collections.abc import Mapping, Sequence

from shared.lab import Number, Row, Table, cite_mean

Times = tuple[Sequence[float], Sequence[float]]
"""Milliseconds of a net, predicted and measured, one of each row."""


def times_table(rows: Sequence[Row], times: Mapping[str, Times], note: str, form: str = ".2f") -> Table:
    """One line for each net, by its name for a reader; measured above predicted in per cent."""
    lines: list[Sequence[str | Number]] = [
        (
            name,
            cite_mean(predicted, *rows, form=form, unit="ms"),
            cite_mean(measured, *rows, form=form, unit="ms"),
            cite_mean(
                [100 * (ms / at - 1) for at, ms in zip(predicted, measured, strict=True)], *rows, form="+.1f", unit="%"
            ),
        )
        for name, (predicted, measured) in times.items()
    ]
    return Table("Milliseconds", ("net", "predicted", "measured", "measured above predicted"), lines, note=note)
