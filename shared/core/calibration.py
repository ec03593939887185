"""A separable estimate that is scaled until it agrees with what the target counts."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from torch import Tensor


def calibration(measured: float, spent: float, base: float, scale: float) -> tuple[float, float]:
    """`(base, scale)` with `base + scale * spent == measured`, for an estimate that says `spent`.

    `base` is the part that no choice changes; it is lowered where the target counts less than that. An estimate of 0
    says nothing about its scale, which then stays.

    >>> calibration(measured=50.0, spent=20.0, base=10.0, scale=1.0)
    (10.0, 2.0)
    """
    if spent <= 0:
        return measured, scale
    base = min(base, measured)
    return base, (measured - base) / spent


@dataclass(frozen=True)
class CalibratedPrice:
    """A cheap estimate of each block, made tight by one factor wherever the target itself has counted.

        price(values) = base / blocks + scale * estimate(values)        measure(z) = compile(z)

    `estimate` gives `(blocks, k)` for entries `(blocks, k, size)`, at least 0; `compile` gives the target's own count
    for a point `(blocks, size)`. `base` is what the target counts beside the blocks, in `unit`. Compilers share terms
    and merge operations, so `scale` holds around one point only: `reprice` sets it anew.

    >>> import torch
    >>> kept = lambda values: (values != 0).any(-1).double()
    >>> price = CalibratedPrice(kept, compile=lambda z: 3.0 * z.count_nonzero(), unit="LUT")
    >>> price.reprice(torch.tensor([[1.0], [2.0], [0.0]])).price(torch.tensor([[[0.0], [1.0]]]))
    tensor([[0., 3.]], dtype=torch.float64)
    """

    estimate: Callable[[Tensor], Tensor]
    compile: Callable[[Tensor], float]
    unit: str
    base: float = 0.0
    scale: float = 1.0

    def price(self, values: Tensor) -> Tensor:
        return self.base / len(values) + self.scale * self.estimate(values)

    def measure(self, z: Tensor) -> float:
        return float(self.compile(z))

    def reprice(self, z: Tensor) -> "CalibratedPrice":
        spent = float(self.estimate(z[:, None]).double().sum())
        base, scale = calibration(self.measure(z), spent, self.base, self.scale)
        return replace(self, base=base, scale=scale)
