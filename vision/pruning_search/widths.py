"""From scores of channels to the widths that meet a budget exactly as priced."""

import itertools
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from vision.pruning_search.price import WidthPrice

EXCHANGED = 3
"""Groups whose widths change in one exchange, at most."""
TRIED = 2000
"""Exchanges whose price is asked for, at most: of many groups a few are enough."""


def widths_within(
    scores: Sequence[Tensor],
    price: WidthPrice,
    budget: float,
    minimum: int = 1,
    multiple: int | Sequence[int] = 1,
    slack: float = 1.0,
) -> list[int]:
    """How many channels of each group, those of highest score, are kept for at most `budget`.

    One threshold for all groups: the lowest at which the widths, rounded down to a `multiple`, one for all groups or
    one for each, and to no less than `minimum` (a group that is narrower stays whole), are within the budget. What is
    left is spent on the next channels in the order of their scores, on each that still fits; of equal scores first in
    the group that kept least. Where more than the share `slack` of the budget is left even so, a group becomes narrower
    and others wider, or the other way round: the exchange that loses least score of those that leave so little, else
    the one that leaves least.

    Raises `ValueError` where the narrowest net costs more, with its price, and for a `multiple` below 1.

    >>> from vision.pruning_search.price import PairedPrice
    >>> cost = torch.zeros(3, 3, dtype=torch.float64)
    >>> cost[0, 1] = 1.0  # one layer, between two groups
    >>> scores = [torch.tensor([0.9, 0.8, 0.7, 0.1]), torch.tensor([0.9, 0.2, 0.1])]
    >>> widths_within(scores, PairedPrice(cost, "MAC"), budget=6)
    [3, 2]
    """
    multiples = [multiple] * len(scores) if isinstance(multiple, int) else multiple
    if min(multiples) < 1:
        raise ValueError(f"{multiple=}: widths are multiples of 1 or more")
    offered = [_offered(len(part), minimum, each) for part, each in zip(scores, multiples, strict=True)]
    ordered = [part.detach().cpu().double().sort(descending=True).values for part in scores]

    def cost(widths: Sequence[int]) -> float:
        return float(price.expected(torch.tensor(widths, dtype=torch.float64)))

    def above(threshold: float) -> list[int]:
        counts = [int((part > threshold).sum()) for part in ordered]
        return [max([n for n in each if n <= count] or each[:1]) for count, each in zip(counts, offered, strict=True)]

    narrowest = [each[0] for each in offered]
    if cost(narrowest) > budget:
        kept = f"{minimum=} and multiple={max(multiples)}"
        raise ValueError(f"budget={budget:g} {price.unit}: the narrowest net, {kept}, costs {cost(narrowest):g}")
    thresholds = [-torch.inf, *torch.cat(ordered).unique().tolist()]  # above the last only the narrowest is left
    low, high = -1, len(thresholds) - 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if cost(above(thresholds[middle])) <= budget else (middle, high)
    widths = _filled(above(thresholds[high]), offered, ordered, lambda widths: cost(widths) <= budget)
    return _exchanged(widths, offered, ordered, lambda widths: 1 - cost(widths) / budget, slack)


def _offered(size: int, minimum: int, multiple: int) -> list[int]:
    """The widths that a group may have, increasing: multiples from the minimum on, and all of it."""
    return [*(n for n in range(multiple, size, multiple) if n >= minimum), size]


def _filled(
    widths: list[int], offered: Sequence[list[int]], ordered: Sequence[Tensor], fits: Callable[[list[int]], bool]
) -> list[int]:
    """The widths with each group's next one taken as long as any fits."""
    open_groups = {group for group, each in enumerate(offered) if widths[group] < each[-1]}
    while open_groups:
        group = max(
            open_groups, key=lambda group: (float(ordered[group][widths[group]]), -widths[group] / offered[group][-1])
        )
        wider = min(n for n in offered[group] if n > widths[group])
        if fits([*widths[:group], wider, *widths[group + 1 :]]):
            widths[group] = wider
        else:
            open_groups.remove(group)  # nothing becomes cheaper as others grow
        if widths[group] == offered[group][-1]:
            open_groups.discard(group)
    return widths


def _exchanged(
    widths: list[int],
    offered: Sequence[list[int]],
    ordered: Sequence[Tensor],
    left: Callable[[list[int]], float],
    slack: float,
) -> list[int]:
    """The widths with a few of them one step up or down, so that `left`, the free share of the budget, is small."""
    best, least = widths, left(widths)
    if least > slack:
        for _, other in sorted(_exchanges(widths, offered, ordered))[:TRIED]:
            if 0 <= left(other) < least:
                best, least = other, left(other)
            if least <= slack:
                break
    return best


def _exchanges(
    widths: list[int], offered: Sequence[list[int]], ordered: Sequence[Tensor]
) -> Iterator[tuple[float, list[int]]]:
    """Widths of which some are one step wider and some narrower, and the score that is lost with them."""
    steps = []
    for group, (width, each) in enumerate(zip(widths, offered, strict=True)):
        place = each.index(width)
        for other in each[max(place - 1, 0) : place] + each[place + 1 : place + 2]:
            between = ordered[group][min(width, other) : max(width, other)]
            steps.append((group, other, float(between.sum()) * (1 if other < width else -1)))
    for count in range(2, EXCHANGED + 1):
        for taken in itertools.combinations(steps, count):
            groups = {group for group, _, _ in taken}
            wider = sum(other > widths[group] for group, other, _ in taken)
            if len(groups) == count and 0 < wider < count:
                changed = {group: other for group, other, _ in taken}
                new = [changed.get(group, width) for group, width in enumerate(widths)]
                yield sum(lost for _, _, lost in taken), new
