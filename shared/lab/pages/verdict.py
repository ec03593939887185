"""Who is ahead, level and behind: sentences from the numbers of the rows, whatever they say."""

from collections.abc import Sequence
from typing import Literal, NamedTuple, TypeAlias

from shared.lab.pages.page import Number, Text

Standing: TypeAlias = Literal["ahead", "level", "behind"]


class Comparison(NamedTuple):
    """Where ours stands beside one other, and the numbers that show it."""

    other: str
    standing: Standing
    numbers: tuple[Number, ...] = ()


def compared(other: str, difference: Number, *, less_is_better: bool = False, margin: float = 0.0) -> Comparison:
    """Ours beside one other by a difference, ours minus theirs.

    Level: the difference is at most `margin`, or its interval holds 0.

    >>> compared("theirs", Number(-0.02, (), low=-0.05, high=0.01)).standing
    'level'
    """
    return Comparison(other, standing(difference, less_is_better=less_is_better, margin=margin), (difference,))


def standing(difference: Number, *, less_is_better: bool = False, margin: float = 0.0) -> Standing:
    """Where ours stands by a difference, ours minus theirs; see `compared`. Raises TypeError if it is no number."""
    if not isinstance(difference.value, int | float):
        raise TypeError(f"{difference.value!r} is not a difference: use a number")
    holds_0 = difference.low is not None and difference.high is not None and difference.low <= 0 <= difference.high
    if holds_0 or abs(difference.value) <= margin:
        return "level"
    return "ahead" if (difference.value < 0) == less_is_better else "behind"


def verdict(
    ours: str,
    comparisons: Sequence[Comparison],
    ahead: str = "is ahead of",
    level: str = "is level with",
    behind: str = "is behind",
) -> Text:
    """Sentences that say of every other whether `ours` is ahead of it, level with it or behind it, with the numbers.

    >>> verdict("Ours", [Comparison("A", "ahead"), Comparison("B", "level"), Comparison("C", "ahead")]).parts
    ('Ours is ahead of ', 'A', ' and ', 'C', '. It is level with ', 'B', '.')
    """
    parts: list[str | Number] = []
    for kind, words in (("ahead", ahead), ("level", level), ("behind", behind)):
        others = [it for it in comparisons if it.standing == kind]
        if others:
            parts.append(f". It {words} " if parts else f"{ours} {words} ")
        for place, it in enumerate(others):
            parts += [*([] if place == 0 else [" and " if place == len(others) - 1 else "; "]), it.other, *_shown(it)]
    return Text(*parts, ".") if parts else Text(f"{ours} stands beside no other.")


def _shown(comparison: Comparison) -> list[str | Number]:
    parts: list[str | Number] = []
    for number in comparison.numbers:
        parts += [", " if parts else " (", number]
    return [*parts, ")"] if parts else []
