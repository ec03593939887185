"""Which format a layer gets, and the sentence that says why."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mobile.lowering.calls import Lists
from mobile.lowering.formats import FORMATS, lists, share
from mobile.lowering.work import Work

WorkPrice = Callable[[Work], float]
"""Predicted milliseconds of a kernel call; see `mobile.pricing`."""


class Choice(NamedTuple):
    """A format with its lists, its predicted time, and why it was chosen."""

    format: str
    lists: Lists
    predicted_ms: float | None
    reason: str


def choose(
    blocks: NDArray[np.int8],
    offsets: NDArray[np.int32],
    call: Callable[[str, Lists], Work],
    price: WorkPrice | None,
    fixed: str | None,
) -> Choice:
    """The format of the least predicted time; without a price, that of the fewest multiply-accumulates.

    `call(format, lists)` is the work of the layer in a format. `fixed` names the format instead. Equal prices go to
    the denser format, which reads its weights in order.
    """
    every = {name: lists(name, blocks, offsets) for name in FORMATS}
    cost = {name: price(call(name, it)) if price else float(it.macs) for name, it in every.items()}
    best = fixed or min(FORMATS, key=lambda name: cost[name])
    chosen = Choice(best, every[best], cost[best] if price else None, "asked for")
    if fixed is not None:
        return chosen
    if not blocks.any():
        return chosen._replace(reason="every weight is zero: only the bias is computed; check that the net was trained")
    return chosen._replace(reason=_reason(best, cost, blocks, price))


def _reason(best: str, cost: Mapping[str, float], blocks: NDArray[np.int8], price: WorkPrice | None) -> str:
    shares = " and ".join(f"{share(blocks, name):.0%} of its {name} blocks" for name in ("2x4", "1x4"))
    if best == "dense":
        near = min(("2x4", "1x4"), key=lambda name: cost[name])
        return f"{shares} hold weights: {near} would take {cost[near] / max(cost[best], 1e-12):.2f} x as long"
    what = "predicted time" if price else "multiply-accumulates"
    part = cost[best] / cost["dense"]
    return f"{share(blocks, best):.0%} of its {best} blocks hold weights: {part:.2f} of the dense {what}"
