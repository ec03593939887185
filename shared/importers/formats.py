"""Formats as short text: `s8.4` is signed, 8 bits, 4 of them behind the point."""

import re

from shared.integer.format import Format


def short(format: Format) -> str:
    """The text of a format.

    >>> short(Format(8, 5, signed=False))
    'u8.5'
    """
    return f"{'s' if format.signed else 'u'}{format.word}.{format.fraction}"


def parse(text: str) -> Format:
    """The format of a text; of a format, itself.

    Raises `ValueError` for any other text.

    >>> parse("s8.-2")
    Format(word=8, fraction=-2, signed=True)
    """
    match = re.fullmatch(r"([su])(\d{1,2})\.(-?\d{1,3})", text) if isinstance(text, str) else None
    if match is None:
        raise ValueError(f"a format is a letter and two numbers, such as s8.4 or u8.7, got {text!r}")
    return Format(int(match[2]), int(match[3]), signed=match[1] == "s")


def as_format(format: Format | str) -> Format:
    """A format, or the format of a text such as `"s8.4"`. Raises `ValueError` as `parse`."""
    return format if isinstance(format, Format) else parse(format)
