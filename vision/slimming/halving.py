"""Successive halving: candidates train side by side, and the half that loses more stops, until one is left."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple


class Round(NamedTuple):
    """The share of its whole training that each candidate has behind it, and what each then loses."""

    share: float
    losses: Mapping[str, float]

    def kept(self) -> list[str]:
        """The half that loses less, the best first; the larger half of an odd number."""
        order = sorted(self.losses, key=self.losses.__getitem__)
        return order[: (len(order) + 1) // 2]


def rounds(names: Sequence[str], loss_at: Callable[[str, float], float], cost: float) -> Iterator[Round]:
    """The rounds of a race, each when it is over; what the last one keeps is the winner, and none for one candidate.

    `loss_at(name, share)` trains a candidate up to that share of its whole training and says what it loses there. It
    goes on from where it was, so the winner has lost nothing. Each round goes
    twice as far as the one before; the first goes so far that all candidates that are dropped take together what
    `cost` whole trainings take, or less where a share would exceed 1.

    K. Jamieson, A. Talwalkar, *Non-stochastic best arm identification* (arXiv 1502.07943).

    >>> losses = {"a": 0.3, "b": 0.1, "c": 0.2, "d": 0.4}
    >>> [(each.share, each.kept()) for each in rounds(list(losses), lambda name, share: losses[name], 0.5)]
    [(0.125, ['b', 'c']), (0.25, ['b'])]
    """
    counts = [len(names)]
    while counts[-1] > 1:
        counts.append((counts[-1] + 1) // 2)
    dropped = sum((before - after) * 2**k for k, (before, after) in enumerate(pairwise(counts)))
    for k in range(len(counts) - 1):
        share = min(cost / dropped, 0.5 ** (len(counts) - 2)) * 2**k
        this = Round(share, {name: loss_at(name, share) for name in names})
        yield this
        names = this.kept()
