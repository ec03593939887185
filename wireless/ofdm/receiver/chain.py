"""The receiver chain: an estimator, a demapper and a decoder, each a legacy block by name or an object.

`wireless.ofdm.catalogue.receiver` also takes the names of trained neural blocks.
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
from wireless.ofdm.receiver.borders import checked_bits, checked_channel, checked_llr
from wireless.ofdm.receiver.decoders import Decoder, HardViterbi, SoftViterbi
from wireless.ofdm.receiver.demappers import Demapper, Exact, Hard, MaxLog
from wireless.ofdm.receiver.estimators import (
    DFT,
    LS,
    ChannelEstimate,
    Estimator,
    KnownCovarianceLMMSE,
    Observation,
    PerfectCSI,
    RobustLMMSE,
)
from wireless.ofdm.receiver.feedback import decision_directed_update, reencode

ESTIMATORS: dict[str, Callable[[], Estimator]] = {
    kind.name: kind for kind in (LS, DFT, RobustLMMSE, KnownCovarianceLMMSE, PerfectCSI)
}
DEMAPPERS: dict[str, Callable[[], Demapper]] = {kind.name: kind for kind in (Hard, MaxLog, Exact)}
DECODERS: dict[str, Callable[[], Decoder]] = {kind.name: kind for kind in (HardViterbi, SoftViterbi)}


class AbstractReceiver(Protocol):
    """Anything that turns received symbols into bits: `Receiver`, `TurboReceiver`, or a receiver of your own."""

    def receive(
        self, observation: Observation, y: NDArray[np.complex64], rate: Rate, n: int, end: int | None = None
    ) -> "Received": ...


class Received(NamedTuple):
    """The output of a receiver for a batch of packets."""

    bits: NDArray[np.uint8]
    """(batch, n)."""
    llr: NDArray[np.float32]
    """LLRs of the rate-1/2 code, (batch, 2 steps), 0 for punctured bits."""
    channel: ChannelEstimate
    """The estimate with which these LLRs were computed."""


@dataclass(frozen=True)
class Receiver:
    """Estimates, demaps and decodes; then `passes` times estimates again, with its own decisions as training symbols.

    >>> Receiver(estimator="lmmse-robust", passes=1).decoder
    'soft-viterbi'
    """

    estimator: str | Estimator = "ls"
    demapper: str | Demapper = "max-log"
    decoder: str | Decoder = "soft-viterbi"
    passes: int = 0

    def receive(
        self, observation: Observation, y: NDArray[np.complex64], rate: Rate, n: int, end: int | None = None
    ) -> Received:
        """The first n of the bits in S symbols.

        `y` is complex64 (batch, S, K) on all used subcarriers, its pilots divided by the transmitted ones. `end` counts
        the bits after which the encoder is in state zero, by default all: in a frame that is after the tail, as the
        scrambled padding behind it leads to other states.
        """
        blocks, end = self.blocks(), y.shape[1] * rate.info if end is None else end
        observation = self._refine(blocks, observation, y, rate, end)
        channel = blocks.channel(observation, y)
        llr = _soft(blocks, observation, channel, y, rate)
        bits = blocks.decide(llr, end)
        return Received(bits[:, :n], llr, channel)

    def decide(self, observation: Observation, y: NDArray[np.complex64], rate: Rate, n: int) -> NDArray[np.uint8]:
        """`receive(...).bits` alone: several times as fast with max-log and soft Viterbi, which `fused` joins."""
        blocks, end = self.blocks(), y.shape[1] * rate.info
        return _decide(blocks, self._refine(blocks, observation, y, rate, end), y, rate, end)[:, :n]

    def blocks(self) -> "Blocks":
        """The three blocks; names are resolved to blocks with default settings."""
        return Blocks(
            block(ESTIMATORS, self.estimator, "estimator"),
            block(DEMAPPERS, self.demapper, "demapper"),
            block(DECODERS, self.decoder, "decoder"),
        )

    def _refine(
        self, blocks: "Blocks", observation: Observation, y: NDArray[np.complex64], rate: Rate, end: int
    ) -> Observation:
        symbols = end // rate.info  # a symbol that holds padding cannot be re-encoded from decided bits
        refined, data = observation, grid.data_positions(rate.ht)
        for _ in range(self.passes if symbols else 0):
            decided = _decide(blocks, refined, y, rate, end)[:, : symbols * rate.info]
            refined = decision_directed_update(observation, y[:, :symbols], reencode(decided, rate), data)
        return refined


class Blocks(NamedTuple):
    """The blocks of a receiver."""

    estimator: Estimator
    demapper: Demapper
    decoder: Decoder

    def channel(self, observation: Observation, y: NDArray[np.complex64]) -> ChannelEstimate:
        """The channel, in the shapes and types that the other blocks expect."""
        return checked_channel(self.estimator, self.estimator.estimate(observation), *y.shape)

    def decide(self, llr: NDArray[np.float32], end: int) -> NDArray[np.uint8]:
        """The bits up to `end`, from LLRs of the whole packet."""
        return checked_bits(self.decoder, self.decoder.decode(llr[:, : 2 * end], end), (len(llr), end))


def _soft(
    blocks: Blocks, observation: Observation, channel: ChannelEstimate, y: NDArray[np.complex64], rate: Rate
) -> NDArray[np.float32]:
    data = grid.data_positions(rate.ht)
    noise_var = (observation.total_noise_var + channel.err_var)[:, data]
    llr = blocks.demapper.demap(y[..., data], channel.h_hat[..., data], noise_var, rate.bits)
    llr = checked_llr(blocks.demapper, llr, (*y.shape[:2], rate.coded))
    return depuncture(deinterleave(llr, rate).reshape(len(llr), -1), rate.code)


def _decide(
    blocks: Blocks, observation: Observation, y: NDArray[np.complex64], rate: Rate, end: int
) -> NDArray[np.uint8]:
    channel = blocks.channel(observation, y)
    decoder = blocks.decoder
    if isinstance(blocks.demapper, MaxLog) and isinstance(decoder, SoftViterbi) and channel.h_hat.ndim == 2:
        return fused.decide(y, channel.h_hat, observation.total_noise_var + channel.err_var, rate, end, decoder.threads)
    return blocks.decide(_soft(blocks, observation, channel, y, rate), end)


def block(registry: dict[str, Callable[[], Any]], choice: Any, kind: str) -> Any:
    """The block named `choice`, with default settings; `choice` itself where it is not a name."""
    if not isinstance(choice, str):
        return choice
    if choice not in registry:
        raise ValueError(
            f"{kind} {choice!r} is unknown: it must be one of {', '.join(registry)}, or an object; "
            "wireless.ofdm.catalogue.receiver takes trained blocks by name"
        )
    return registry[choice]()
