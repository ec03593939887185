"""Text of unknown origin, such as a stored row, on its way to a terminal."""

import re
from typing import Final

# Control characters (C0 without tab and newline, DEL, C1), marks that reorder a line, and halves of surrogate pairs.
_ACTIVE: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    r"""`text` with every character that a terminal would obey, or could not print, as JSON spells it.

    >>> printable("red: \x1b[31m")
    'red: \\u001b[31m'
    """
    return _ACTIVE.sub(lambda match: f"\\u{ord(match.group()):04x}", text)
