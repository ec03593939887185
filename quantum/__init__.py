"""Variational quantum circuits: trained, compressed for the device that runs them, and evaluated under its noise."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager


class Note(UserWarning):
    """What a report must say about its input: columns rescaled, features renumbered, operations left out."""


@contextmanager
def notes_kept() -> Iterator[list[str]]:
    """The notes of the block, each once and in order, in a list that is complete when the block ends."""
    kept: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", Note)
        yield kept
    kept += dict.fromkeys(str(warning.message) for warning in caught if issubclass(warning.category, Note))
