"""What every solver takes and returns."""

import math
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from shared.core.menu import Menu
from shared.core.price import Price
from shared.core.task import Progress, Task


@dataclass(frozen=True, eq=False)
class Solution:
    """The result of `Solver.solve`: `z` is the compressed point, the rest says how good it is and how it came about."""

    x: Tensor
    """`(blocks, size)`, the last trained point, off the menu."""
    z: Tensor
    """`(blocks, size)`, the best feasible point of the search, fine-tuned; on the menu."""
    free: Tensor
    """`(blocks, size)` bool, the coordinates of `z` that were left trainable."""
    loss: float
    """`task.loss(z)`."""
    price: float
    """The separable estimate for `z` by the last prices, in their unit."""
    measured: float
    """The target's own count for `z`, in the price's unit; never above `budget`."""
    budget: float
    residuals: tuple[float, ...]
    """`||x - z||` at each projection onto the menu."""
    converged: bool
    """Whether `x` and `z` came to agree before the steps ran out. A search that did not converge is still feasible."""
    steps: int
    """Steps taken, of those that the solver allows."""
    status: str
    """A sentence on how the search ended, for people."""


class Solver(Protocol):
    """The search for the best point of a menu within a budget; `shared.core.testing.check_solver` states its laws."""

    def solve(
        self,
        task: Task,
        *,
        on: Menu,
        price: Price,
        budget: float = math.inf,
        x: Tensor,
        progress: Progress | None = None,
    ) -> Solution:
        """The best point of the menu `on` that costs at most `budget` as measured, from a start `x`, `(blocks, size)`.

        `x` is not modified. `progress(done, total, note)` is called as the search goes on. Raises `ValueError` where
        nothing that was measured meets the budget, with the cheapest price, and `TypeError` for a task without the
        methods that the solver needs.
        """
