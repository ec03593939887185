"""The receiver: an estimator, a demapper and a decoder, each chosen by name or given as an object."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from wireless.ofdm import chain
from wireless.ofdm.decoders import Decoder, HardViterbi, SoftViterbi
from wireless.ofdm.demappers import Demapper, Exact, Hard, MaxLog
from wireless.ofdm.estimators import (
    DFT,
    LS,
    Channel,
    Estimator,
    KnownCovarianceLMMSE,
    Observation,
    PerfectCSI,
    RobustLMMSE,
)
from wireless.ofdm.feedback import observe_again, remap
from wireless.ofdm.phy import grid
from wireless.ofdm.phy.coding import depuncture
from wireless.ofdm.phy.interleaver import deinterleave
from wireless.ofdm.phy.rates import Rate

ESTIMATORS: dict[str, Callable[[], Estimator]] = {
    kind.name: kind for kind in (LS, DFT, RobustLMMSE, KnownCovarianceLMMSE, PerfectCSI)
}
DEMAPPERS: dict[str, Callable[[], Demapper]] = {kind.name: kind for kind in (Hard, MaxLog, Exact)}
DECODERS: dict[str, Callable[[], Decoder]] = {kind.name: kind for kind in (HardViterbi, SoftViterbi)}


class Received(NamedTuple):
    """What a receiver made of a batch of packets."""

    bits: NDArray[np.uint8]
    """(batch, n)."""
    llr: NDArray[np.float32]
    """Of the rate-1/2 code, (batch, 2 steps), 0 where nothing was sent."""
    channel: Channel


@dataclass(frozen=True)
class Receiver:
    """Estimates, demaps and decodes; with `passes`, estimates again from its own decisions so many times.

    >>> Receiver(estimator="lmmse-robust", passes=1).decoder
    'soft-viterbi'
    """

    estimator: str | Estimator = "ls"
    demapper: str | Demapper = "max-log"
    decoder: str | Decoder = "soft-viterbi"
    passes: int = 0

    def receive(self, seen: Observation, y: NDArray[np.complex64], rate: Rate, n: int) -> Received:
        """The first n of the bits in S symbols; the code must end in state zero with the last of them.

        `y` is complex64 (batch, S, K) on all used subcarriers, its pilots divided by what was sent in them.
        """
        blocks = self.blocks()
        seen = self._refine(blocks, seen, y, rate)
        channel = blocks.estimator.estimate(seen)
        llr = _soft(blocks, seen, channel, y, rate)
        bits = blocks.decoder.decode(llr, y.shape[1] * rate.info)
        return Received(bits[:, :n], llr, channel)

    def decide(self, seen: Observation, y: NDArray[np.complex64], rate: Rate, n: int) -> NDArray[np.uint8]:
        """`receive(...).bits` alone, which the fused chain gives several times as fast where the blocks are its own."""
        blocks = self.blocks()
        return _decide(blocks, self._refine(blocks, seen, y, rate), y, rate)[:, :n]

    def blocks(self) -> "Blocks":
        """The three blocks, those given by name made with their defaults."""
        return Blocks(
            block(ESTIMATORS, self.estimator, "estimator"),
            block(DEMAPPERS, self.demapper, "demapper"),
            block(DECODERS, self.decoder, "decoder"),
        )

    def _refine(self, blocks: "Blocks", seen: Observation, y: NDArray[np.complex64], rate: Rate) -> Observation:
        for _ in range(self.passes):
            decided = remap(_decide(blocks, seen, y, rate), rate)
            seen = observe_again(seen, y, decided, grid.data_places(rate.ht))
        return seen


class Blocks(NamedTuple):
    """What a receiver is made of."""

    estimator: Estimator
    demapper: Demapper
    decoder: Decoder


def _soft(
    blocks: Blocks, seen: Observation, channel: Channel, y: NDArray[np.complex64], rate: Rate
) -> NDArray[np.float32]:
    data = grid.data_places(rate.ht)
    noise = seen.noise[:, None] + channel.variance[:, data]
    llr = blocks.demapper.demap(y[..., data], channel.h[..., data], noise, rate.bits)
    return depuncture(deinterleave(llr, rate).reshape(len(llr), -1), rate.code)


def _decide(blocks: Blocks, seen: Observation, y: NDArray[np.complex64], rate: Rate) -> NDArray[np.uint8]:
    channel = blocks.estimator.estimate(seen)
    decoder = blocks.decoder
    if isinstance(blocks.demapper, MaxLog) and isinstance(decoder, SoftViterbi) and channel.h.ndim == 2:
        return chain.decide(y, channel.h, seen.noise[:, None] + channel.variance, rate, decoder.threads)
    return decoder.decode(_soft(blocks, seen, channel, y, rate), y.shape[1] * rate.info)


def block(known: dict[str, Callable[[], Any]], asked: Any, kind: str) -> Any:
    """The block of a name, made with its defaults; anything but a name is the block itself."""
    if not isinstance(asked, str):
        return asked
    if asked not in known:
        raise ValueError(f"{kind} {asked!r} is unknown: it must be one of {', '.join(known)}, or an object")
    return known[asked]()
