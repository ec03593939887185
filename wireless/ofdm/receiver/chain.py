"""The receiver: an estimator, a demapper and a decoder, each a legacy one by name or an object.

`wireless.ofdm.catalogue.receiver` knows the trained neural blocks by name too.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from wireless.ofdm.phy import grid
from wireless.ofdm.phy.coding import depuncture
from wireless.ofdm.phy.interleaver import deinterleave
from wireless.ofdm.phy.rates import Rate
from wireless.ofdm.receiver import fused
from wireless.ofdm.receiver.decoders import Decoder, HardViterbi, SoftViterbi
from wireless.ofdm.receiver.demappers import Demapper, Exact, Hard, MaxLog
from wireless.ofdm.receiver.estimators import (
    DFT,
    LS,
    Channel,
    Estimator,
    KnownCovarianceLMMSE,
    Observation,
    PerfectCSI,
    RobustLMMSE,
)
from wireless.ofdm.receiver.feedback import observe_again, remap

ESTIMATORS: dict[str, Callable[[], Estimator]] = {
    kind.name: kind for kind in (LS, DFT, RobustLMMSE, KnownCovarianceLMMSE, PerfectCSI)
}
DEMAPPERS: dict[str, Callable[[], Demapper]] = {kind.name: kind for kind in (Hard, MaxLog, Exact)}
DECODERS: dict[str, Callable[[], Decoder]] = {kind.name: kind for kind in (HardViterbi, SoftViterbi)}


class Receives(Protocol):
    """What can stand at the end of a link: `Receiver`, and whatever joins its blocks in another way."""

    def receive(
        self, seen: Observation, y: NDArray[np.complex64], rate: Rate, n: int, end: int | None = None
    ) -> "Received": ...


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

    def receive(
        self, seen: Observation, y: NDArray[np.complex64], rate: Rate, n: int, end: int | None = None
    ) -> Received:
        """The first n of the bits in S symbols.

        `y` is complex64 (batch, S, K) on all used subcarriers, its pilots divided by what was sent in them. The code
        is in state zero after `end` bits, by default after all: in a frame it is there after the tail, and the
        scrambled padding leads it away again.
        """
        blocks, end = self.blocks(), y.shape[1] * rate.info if end is None else end
        seen = self._refine(blocks, seen, y, rate, end)
        channel = blocks.estimator.estimate(seen)
        llr = _soft(blocks, seen, channel, y, rate)
        bits = blocks.decoder.decode(llr[:, : 2 * end], end)
        return Received(bits[:, :n], llr, channel)

    def decide(self, seen: Observation, y: NDArray[np.complex64], rate: Rate, n: int) -> NDArray[np.uint8]:
        """`receive(...).bits` alone, which the fused chain gives several times as fast where the blocks are its own."""
        blocks, end = self.blocks(), y.shape[1] * rate.info
        return _decide(blocks, self._refine(blocks, seen, y, rate, end), y, rate, end)[:, :n]

    def blocks(self) -> "Blocks":
        """The three blocks, those given by name made with their defaults."""
        return Blocks(
            block(ESTIMATORS, self.estimator, "estimator"),
            block(DEMAPPERS, self.demapper, "demapper"),
            block(DECODERS, self.decoder, "decoder"),
        )

    def _refine(
        self, blocks: "Blocks", seen: Observation, y: NDArray[np.complex64], rate: Rate, end: int
    ) -> Observation:
        whole = end // rate.info  # a symbol with padding in it is known in part, and of no use
        again = seen
        for _ in range(self.passes if whole else 0):
            decided = _decide(blocks, again, y, rate, end)[:, : whole * rate.info]
            again = observe_again(seen, y[:, :whole], remap(decided, rate), grid.data_places(rate.ht))
        return again


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


def _decide(blocks: Blocks, seen: Observation, y: NDArray[np.complex64], rate: Rate, end: int) -> NDArray[np.uint8]:
    channel = blocks.estimator.estimate(seen)
    decoder = blocks.decoder
    if isinstance(blocks.demapper, MaxLog) and isinstance(decoder, SoftViterbi) and channel.h.ndim == 2:
        return fused.decide(y, channel.h, seen.noise[:, None] + channel.variance, rate, end, decoder.threads)
    return decoder.decode(_soft(blocks, seen, channel, y, rate)[:, : 2 * end], end)


def block(known: dict[str, Callable[[], Any]], asked: Any, kind: str) -> Any:
    """The block of a name, made with its defaults; anything but a name is the block itself."""
    if not isinstance(asked, str):
        return asked
    if asked not in known:
        raise ValueError(
            f"{kind} {asked!r} is unknown: it must be one of {', '.join(known)}, an object, or a trained block by "
            "wireless.ofdm.catalogue.receiver"
        )
    return known[asked]()
