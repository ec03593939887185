"""What weights cost on an FPGA, for the compression core: clocks of a folded net, tables of an unrolled one."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shared import CalibratedPrice, NonzeroPrice


def clocks(shape: tuple[int, ...], lanes: int, positions: int = 1) -> NonzeroPrice:
    """Clocks per sample of a folded weight `(out, in, *kernel)`, for the blocks of `fpga.pricing.menus.lane_blocks`.

    A block costs one clock at each position of the output. Exact as long as every group of lanes keeps at least as many
    blocks as it has lanes: it needs that long to hand its sums on.

    >>> clocks((24, 17), lanes=8).measure(torch.ones(51, 8))
    51.0
    """
    out, *rest = shape
    blocks = out // lanes * int(np.prod(rest))
    return NonzeroPrice(each=(float(positions),) * blocks, unit="clocks")


def adders(compile: Callable[[Tensor], float], fraction: int, base: float = 0.0, each: float = 10.0) -> CalibratedPrice:
    """Look-up tables of an unrolled net, where a weight is the adders of its nonzero signed digits.

        price(w) = each * digits(w * 2**fraction)        measure(z) = compile(z)

    `compile` builds the net with the weights `z` and counts, as `sum(fpga.unrolled.generate.cost(program).values())` or
    `fpga.synth.map_design` do. What it counts at `z = 0`, the activations, is `base`. Shared terms make adders cheaper
    than their digits say, so `each` is set anew around every point that is measured.

    `digits` are those of the canonical form: 7 = 8 - 1 has two (Reitwiesner 1960, *Binary arithmetic*). A weight that
    rounds to zero has one nevertheless: the net that is built may have a finer grid.
    """

    def estimate(values: Tensor) -> Tensor:
        w = values.detach().cpu().double().numpy()
        nonzero = np.maximum(digits(w * 2.0**fraction), w != 0)
        return torch.from_numpy(nonzero.sum(-1)).to(values.device)

    return CalibratedPrice(estimate, compile, unit="LUT", base=base, scale=each)


def digits(numbers: NDArray[np.float64]) -> NDArray[np.float64]:
    """How many digits of the nearest integers are not zero, in the signed form of fewest.

    >>> digits(np.array([0.0, 7.0, -5.0, 0.6])).tolist()
    [0.0, 2.0, 2.0, 1.0]
    """
    n = np.abs(np.rint(numbers)).astype(np.int64)
    counts: NDArray[np.float64] = np.bitwise_count(n ^ (3 * n)).astype(np.float64)
    return counts
