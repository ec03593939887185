"""What a short OpenQASM text expands to, counted from the text before any gate is built.

A line `rx(0.3) q;` over a register of 999 qubits is 999 gates, and definitions multiply; parsers build all of them
before they can be counted.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

from quantum.interop.limits import MOST_GATES

_NOT_OPERATIONS = frozenset({"OPENQASM", "include", "creg", "bit", "input", "output", "opaque", "const"})
_SEVERAL_CONTROLS = 10
"""Gates that count for a gate under several controls: building it takes as long."""


class Line(NamedTuple):
    """One statement, with the number of its line."""

    number: int
    text: str
    end: str


def check_expansion(code: str) -> None:
    """Raises `ValueError` with a line for code (without comments) of more than `MOST_GATES` operations.

    Registers broadcast, definitions are expanded, and modifiers count for the gates that implement them.
    """
    sizes: dict[str, int] = {}
    costs: defaultdict[str, int] = defaultdict(lambda: 1)
    total, defined = 0, ""
    for line in _lines(code):
        words = line.text.split(None, 2)
        if line.end == "{":
            defined = words[1].partition("(")[0] if len(words) > 1 and words[0] == "gate" else ""
            costs[defined] = 1
        elif line.end == "}":
            defined = ""
        elif words and words[0] not in _NOT_OPERATIONS and not _declare(line.text, sizes):
            cost = _cost(line.text, sizes, costs)
            if defined:
                costs[defined] += cost
            else:
                total += cost
        if max(total, costs[defined]) > MOST_GATES:
            raise ValueError(
                f"OpenQASM line {line.number}: there are more than {MOST_GATES} gates after registers and definitions "
                "are expanded"
            )


def _lines(code: str) -> Iterator[Line]:
    number = 1
    pieces = re.split(r"([;{}])", code)
    for text, end in zip(pieces[::2], pieces[1::2], strict=False):
        begin = text.lstrip()
        yield Line(number + text.count("\n", 0, len(text) - len(begin)), begin.rstrip(), end)
        number += text.count("\n")


def _declare(text: str, sizes: dict[str, int]) -> bool:
    """Whether the statement declares qubits, or names for some; their sizes are noted."""
    if register := re.fullmatch(r"qreg\s+(\w+)\s*\[\s*(\d{1,4})\s*\]", text):
        sizes[register[1]] = int(register[2])
    elif qubits := re.fullmatch(r"qubit\s*(?:\[\s*(\d{1,4})\s*\])?\s*(\w+)", text):
        sizes[qubits[2]] = int(qubits[1] or 1)
    elif alias := re.match(r"let\s+(\w+)\s*=", text):
        sizes[alias[1]] = sum(sizes.values())
    else:
        return False
    return True


def _cost(text: str, sizes: dict[str, int], costs: defaultdict[str, int]) -> int:
    *modifiers, call = text.split("@")
    name = re.match(r"\s*(\w*)", call)
    operands = re.sub(r"\[[^\]:]*\]", "[]", call[name.end() if name else 0 :])  # an index is one qubit, a range several
    width = max(
        (sizes[word] for word in re.findall(r"\b[A-Za-z_]\w*\b(?!\s*\[\])", operands) if word in sizes), default=1
    )
    factor = 1
    several = (
        sum(int(number or 1) for number in re.findall(r"ctrl\s*(?:\(\s*(\d{1,3})\s*\))?", " ".join(modifiers))) > 1
    )
    if several:
        factor = _SEVERAL_CONTROLS
    if any("pow" in modifier for modifier in modifiers):
        factor *= 4 ** min(operands.count(",") + 1, 8)  # the gates of a unitary matrix
    return width * factor * costs[name[1] if name else ""]
