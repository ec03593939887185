"""Readouts in words: what a user's own circuit means by its measured bits.

A readout has one score per class, separated by commas; the class with the highest score is the decision. A score is a
sum of

- `Z0`, or products such as `Z0*Z2`; `parity` is the product over all wires;
- bit strings such as `0011`, as Qiskit prints them (the last character is wire 0, `x` stands for either bit): the
  probability of measuring it;
- numbers with a decimal point, alone (a bias) or as a factor: `0.5*Z0 - 0.1`.

With two classes, one score without bit strings decides by its sign: the first class where it is positive (a bit 0 has
Z = 1). Classes named -1 and 1 are the sign itself.
"""

import re
from collections import defaultdict
from collections.abc import Sequence
from itertools import combinations

from quantum.circuits.readout import Readout, per_class

_TERM = re.compile(
    r"(?P<sign>[+-]?)(?:(?P<factor>\d+\.\d*|\.\d+)\*?)?(?:(?P<parity>parity)|(?P<z>Z\d{1,3}(?:\*?Z\d{1,3})*)|(?P<bits>[01x]+))?"
)
MOST_BITS = 10
"""Fixed bits of a bit string, which is a sum over all parities of them."""

Score = dict[tuple[int, ...], float]
"""Coefficients by the wires of a parity; no wires are the constant 1."""


def class_readout(text: str, wires: int, classes: Sequence[str], scale: float = 1.0) -> Readout:
    """The readout that `text` spells, or for `auto` that of `per_class`: the wires in turn."""
    if text == "auto":
        return per_class(wires, len(classes), scale)
    return parse_readout(text, wires, classes, scale)


def parse_readout(text: str, wires: int, classes: Sequence[str], scale: float = 1.0) -> Readout:
    """The readout that `text` spells for a circuit on `wires` wires and these classes.

    Raises `ValueError` for text that is no readout, and for one with another number of scores than there are classes.

    >>> parse_readout("Z0", 2, ("0", "1")).weights
    ((1.0,), (-1.0,))
    """
    spelled = re.sub(r"\s", "", text).replace("z", "Z").replace("X", "x")
    scores = [_score(text, part, wires) for part in spelled.split(",")]
    if len(scores) == 1 and len(classes) == 2 and not re.search(r"(?<![Z\d.])[01x]+(?![\d.])", spelled):
        sign = -1.0 if set(classes) == {"-1", "1"} else 1.0
        scores = [{string: way * c for string, c in scores[0].items()} for way in (sign, -sign)]
    if len(scores) != len(classes):
        raise ValueError(
            f"readout {text!r} has {len(scores)} score{'s' * (len(scores) > 1)} for {len(classes)} classes "
            f"({', '.join(classes[:6])}): give one for each, separated by commas"
        )
    strings = sorted({string for score in scores for string in score}, key=lambda string: (len(string), string))
    if not any(strings):
        raise ValueError(f"readout {text!r} reads no wire: name one, such as Z0")
    weights = tuple(tuple(score.get(string, 0.0) for string in strings) for score in scores)
    return Readout(tuple(strings), weights, scale)


def _score(text: str, part: str, wires: int) -> Score:
    total: Score = defaultdict(float)
    at = 0
    while at < len(part) or not part:
        match = _TERM.match(part, at)
        if match is None or match.end() == at or match[0] in ("+", "-") or (at and not match["sign"]):
            raise ValueError(
                f"readout {text!r}: {part[at:] or 'an empty score'!r} is not a term: write Z0, Z0*Z1, parity, a bit "
                f"string such as {'0' * wires}, or a number such as 0.1"
            )
        factor = float(match["factor"] or 1) * (-1 if match["sign"] == "-" else 1)
        for string, coefficient in _term(text, match, wires).items():
            total[string] += factor * coefficient
        at = match.end()
    return {string: coefficient for string, coefficient in total.items() if coefficient}


def _term(text: str, match: re.Match[str], wires: int) -> Score:
    if match["parity"]:
        return {tuple(range(wires)): 1.0}
    if match["bits"]:
        return _probability(text, match["bits"], wires)
    string: frozenset[int] = frozenset()
    for wire in map(int, re.findall(r"\d+", match["z"] or "")):
        if wire >= wires:
            raise ValueError(f"readout {text!r}: Z{wire} on a circuit of {wires} wires: use Z0 to Z{wires - 1}")
        string ^= {wire}  # Z*Z = 1
    return {tuple(sorted(string)): 1.0}


def _probability(text: str, bits: str, wires: int) -> Score:
    """`P(bits) = 2**-n sum_S (-1)**(ones in S) <Z_S>` over all subsets S of the n fixed bits."""
    fixed = {wire: bit for wire, bit in enumerate(reversed(bits)) if bit != "x"}
    if len(bits) != wires or not 0 < len(fixed) <= MOST_BITS:
        raise ValueError(
            f"readout {text!r}: {bits!r} must have {wires} bits, one for each wire, of which at most {MOST_BITS} are "
            f"not x"
        )
    return {
        subset: (-1.0) ** sum(fixed[wire] == "1" for wire in subset) / 2 ** len(fixed)
        for size in range(len(fixed) + 1)
        for subset in combinations(sorted(fixed), size)
    }


def in_words(readout: Readout, classes: Sequence[str]) -> str:
    """The scores of the classes: `0: <Z0> + <Z1>; 1: <Z2> + <Z3>`."""
    return "; ".join(
        f"{name}: {_sum(readout, weights)}" for name, weights in zip(classes, readout.weights, strict=False)
    )


def _sum(readout: Readout, weights: Sequence[float]) -> str:
    terms = [(weight, string) for string, weight in zip(readout.strings, weights, strict=True) if weight]
    if len(terms) > 8:
        return f"a sum of {len(terms)} parities"
    words = [f"{'-' if weight < 0 else '+'} {_product(abs(weight), string)}" for weight, string in terms]
    return " ".join(words).removeprefix("+ ") or "0"


def _product(factor: float, string: tuple[int, ...]) -> str:
    if not string:
        return f"{factor:g}"
    return ("" if factor == 1 else f"{factor:g} ") + "<" + "".join(f"Z{wire}" for wire in string) + ">"
