"""The receiver: an estimator, a demapper and a decoder, each chosen by name or given as an object."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

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
    subcarriers,
)
from wireless.ofdm.feedback import observe_again, remap
from wireless.ofdm.phy.coding import depuncture
from wireless.ofdm.phy.interleaver import deinterleave
from wireless.ofdm.phy.rates import Rate

ESTIMATORS: dict[str, Callable[[], Estimator]] = {
    kind.name: kind for kind in (LS, DFT, RobustLMMSE, KnownCovarianceLMMSE, PerfectCSI)
}
DEMAPPERS: dict[str, Callable[[], Demapper]] = {kind.name: kind for kind in (Hard, MaxLog, Exact)}
DECODERS: dict[str, Callable[[], Decoder]] = {kind.name: kind for kind in (HardViterbi, SoftViterbi)}

PILOTS = (-21, -7, 7, 21)


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
        """The first n of the bits in S symbols; the code must be in state zero after `end` bits, by default after all.

        A frame of 802.11 has scrambled padding after its tail, so its code ends in state zero before its last symbol
        does. `y` is complex64 (batch, S, K) on all used subcarriers, its pilots divided by what was sent in them.
        """
        estimator = block(ESTIMATORS, self.estimator, "estimator")
        demapper = block(DEMAPPERS, self.demapper, "demapper")
        decoder = block(DECODERS, self.decoder, "decoder")
        data = data_positions(y.shape[2])
        steps = y.shape[1] * rate.info if end is None else end
        decided = steps // rate.info  # symbols without a bit that is not known
        for remaining in range(self.passes, -1, -1):
            channel = estimator.estimate(seen)
            noise = seen.noise[:, None] + channel.variance[:, data]
            llr = demapper.demap(y[..., data], channel.h[..., data], noise, rate.bits)
            llr = depuncture(deinterleave(llr, rate).reshape(len(llr), -1), rate.code)
            bits = decoder.decode(llr[:, : 2 * steps], steps)
            if remaining:
                points = remap(bits[:, : decided * rate.info], rate)
                seen = observe_again(seen, y[:, :decided], points, data)
        return Received(bits[:, :n], llr, channel)


def block(known: dict[str, Callable[[], Any]], asked: Any, kind: str) -> Any:
    """The block of a name, made with its defaults; anything but a name is the block itself."""
    if not isinstance(asked, str):
        return asked
    if asked not in known:
        raise ValueError(f"{kind} {asked!r} is unknown: it must be one of {', '.join(known)}, or an object")
    return known[asked]()


@cache
def data_positions(count: int) -> NDArray[np.int64]:
    """Where the data subcarriers stand among the used ones, 48 of 52 or 52 of 56; read-only."""
    positions = np.flatnonzero(~np.isin(subcarriers(count), PILOTS))
    positions.setflags(write=False)
    return positions
