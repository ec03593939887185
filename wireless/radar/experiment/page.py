"""The page of a radar run."""

from collections.abc import Sequence

from shared.lab import Page, Row, Text


def page(rows: Sequence[Row]) -> Page:
    return Page("Radar waveforms", "", (), Text("."))
