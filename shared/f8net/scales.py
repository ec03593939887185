"""What fixed-point numbers stand for, and which of them must stand for the same."""

from fractions import Fraction

import torch
from torch import Tensor, nn

REAL = "1"  # the group of eta = 1, whose fixed-point numbers are the real ones; no value can have this name


class Scale(nn.Module):
    """What one stands for in a group of values that must agree: `real = eta * fixed`, `eta = |alpha| unit`.

    `alpha` is PACT's clipping level, trained. `unit = 2**FL / top` makes the largest integer `top` of the leading
    activation mean `alpha`: then `PACT(x; alpha) = eta fix_quant(x / eta; FL)` for any `FL`. Inputs and outputs of the
    net have no `alpha`: their fixed-point numbers are the real ones.
    """

    def __init__(self, *, trained: bool) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(())) if trained else None
        self.unit: Tensor
        self.register_buffer("unit", torch.ones(()))

    def forward(self, dtype: torch.dtype | None = None) -> Tensor:
        unit = self.unit.to(dtype or self.unit.dtype)
        return unit if self.alpha is None else self.alpha.abs().to(unit.dtype) * unit


class Ties:
    """Scales that must agree up to a factor: union-find whose edges carry `eta(name) / eta(parent)`.

    >>> ties = Ties()
    >>> ties.tie("pooled", "x", Fraction(8, 9)), ties.tie("x", REAL), ties.tie("pooled", REAL)
    (True, True, False)
    >>> ties.root("pooled")
    ('1', Fraction(8, 9))
    """

    def __init__(self) -> None:
        self._parents: dict[str, tuple[str, Fraction]] = {}

    def root(self, name: str) -> tuple[str, Fraction]:
        """The group of a value, and `eta(value) / eta(group)`."""
        ratio = Fraction(1)
        while name in self._parents:
            name, step = self._parents[name]
            ratio *= step
        return name, ratio

    def tie(self, name: str, other: str, ratio: Fraction = Fraction(1)) -> bool:
        """Makes `eta(name) = ratio eta(other)`; False if that contradicts what is tied already."""
        (a, to_a), (b, to_b) = self.root(name), self.root(other)
        if a == b:
            return to_a == ratio * to_b
        if a == REAL:
            self._parents[b] = (a, to_a / (ratio * to_b))
        else:
            self._parents[a] = (b, ratio * to_b / to_a)
        return True
