"""Decoders: from the LLRs of the rate-1/2 code to bits. The trellis starts and ends in state zero."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from wireless.ofdm.receiver import viterbi


class Decoder(Protocol):
    """Turns LLRs into bits; tables show it as `name`.

    `llr` is float32 (batch, 2 steps) in the order of `phy.coding.encode`, positive for 1, and 0 for punctured bits.
    The result is uint8 (batch, n): the first n of the `steps` decoded bits, tail included.
    """

    name: str

    def decode(self, llr: NDArray[np.float32], n: int) -> NDArray[np.uint8]: ...


@dataclass(frozen=True)
class SoftViterbi:
    """Maximum likelihood over the trellis, on LLRs quantised to ten bits by `viterbi.quantise`."""

    threads: int = 1
    name = "soft-viterbi"

    def decode(self, llr: NDArray[np.float32], n: int) -> NDArray[np.uint8]:
        return viterbi.decode(llr, self.threads)[:, :n]


@dataclass(frozen=True)
class HardViterbi:
    """The code word nearest in Hamming distance to the signs of the LLRs; punctured bits do not count."""

    threads: int = 1
    name = "hard-viterbi"

    def decode(self, llr: NDArray[np.float32], n: int) -> NDArray[np.uint8]:
        return viterbi.decode(np.sign(llr).astype(np.int8), self.threads)[:, :n]
