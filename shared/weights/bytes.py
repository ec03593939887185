"""What weights cost: bytes of the packed network, or multiply-accumulates."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from shared.core.price import AbstractAdditivePrice, NonzeroPrice


@dataclass(frozen=True)
class PackedBytes(AbstractAdditivePrice):
    """Bytes of a network as `packing.pack` writes it, before its header: a bit says whether a weight is there.

    `sparse` counts parameters that a bitmap covers, as (start, end) ranges of blocks: 1 bit if zero, else `1 + word`.
    The others, biases, always take `word` bits.
    """

    word: int
    sparse: tuple[tuple[int, int], ...]
    unit: str = "bytes"

    def price(self, values: Tensor) -> Tensor:
        prunable = torch.zeros(len(values), 1, dtype=torch.bool, device=values.device)
        for start, end in self.sparse:
            prunable[start:end] = True
        kept = (values != 0).any(-1)
        bits = torch.where(prunable, 1.0 + self.word * kept, float(self.word))
        return bits.double() / 8


def macs(uses: Sequence[int]) -> NonzeroPrice:
    """Multiply-accumulates of one pass: each weight that is not zero, times how often it is used."""
    return NonzeroPrice(each=tuple(map(float, uses)), unit="MAC")
