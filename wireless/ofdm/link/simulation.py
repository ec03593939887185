"""The link: packets through a channel, and the errors that a receiver makes on them."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from wireless.ofdm.channel.impairments import Impairment
from wireless.ofdm.channel.models import AbstractChannel, Paths
from wireless.ofdm.channel.noise import gaussian
from wireless.ofdm.channel.profile import response
from wireless.ofdm.phy import grid
from wireless.ofdm.phy.rates import RATES, Rate
from wireless.ofdm.receiver import fused
from wireless.ofdm.receiver.chain import Receiver, Receives
from wireless.ofdm.receiver.estimators import Observation, Truth
from wireless.ofdm.receiver.feedback import remap
from wireless.ofdm.recordings.tracking import track

TAIL = 6


class Burst(NamedTuple):
    """A batch of packets as they arrive: the same for every receiver that is compared on it."""

    bits: NDArray[np.uint8]
    """What was sent, without the tail, (batch, n)."""
    seen: Observation
    y: NDArray[np.complex64]
    """(batch, symbols, K), the pilots divided by what was sent in them."""


@dataclass(frozen=True)
class Tally:
    """Errors counted in packets of `bits_each` bits; `errors` holds the bit errors of each packet, in order."""

    bits_each: int
    errors: tuple[int, ...] = ()

    @property
    def packets(self) -> int:
        return len(self.errors)

    @property
    def bits(self) -> int:
        return self.packets * self.bits_each

    @property
    def bit_errors(self) -> int:
        return sum(self.errors)

    @property
    def packet_errors(self) -> int:
        return sum(map(bool, self.errors))

    @property
    def ber(self) -> float:
        return self.bit_errors / self.bits

    @property
    def per(self) -> float:
        return self.packet_errors / self.packets

    def __add__(self, other: "Tally") -> "Tally":
        if other.bits_each != self.bits_each:
            raise ValueError(f"packets of {self.bits_each} and of {other.bits_each} bits do not add up")
        return Tally(self.bits_each, self.errors + other.errors)


@dataclass(frozen=True)
class Link:
    """Packets of `symbols` OFDM symbols at a rate, a channel that is new for each, and a receiver.

        A packet carries random bits and six zero tail bits, without SERVICE field and scrambler, which change no error
        rate. Noise: `N0 = 1 / (Eb/N0 * bits per subcarrier * code rate)`; cyclic prefix, pilots and preamble are not
        charged.

    >>> from wireless.ofdm.channel.models import ExponentialFading
        >>> Link(ExponentialFading()).simulate(30.0, 64, np.random.default_rng(0)).packets
        64
    """

    channel: AbstractChannel
    receiver: Receives = field(default_factory=Receiver)
    rate: Rate = RATES[24]
    symbols: int = 10
    impairments: tuple[Impairment, ...] = ()

    @property
    def bits_each(self) -> int:
        """Bits of a packet, without the tail."""
        return self.symbols * self.rate.info - TAIL

    def packets(self, ebn0_db: float, packets: int, rng: Generator) -> Burst:
        """So many packets at one Eb/N0."""
        bits = random_bits(packets, self.bits_each + TAIL, rng)
        bits[:, self.bits_each :] = 0
        paths = self.channel.draw(packets, rng)
        n0 = noise_variance(ebn0_db, self.rate)
        plain = paths.hertz is None and paths.delay.max() <= self.rate.guard and not self.impairments
        seen, y = (self._multiply if plain else self._convolve)(bits, paths, n0, rng)
        return Burst(bits[:, : self.bits_each], seen, y)

    def _multiply(
        self, bits: NDArray[np.uint8], paths: Paths, n0: float, rng: Generator
    ) -> tuple[Observation, NDArray[np.complex64]]:
        f = response(self.rate.data + 4, paths.delay).T.astype(np.complex64, order="C")
        h = fused.respond(paths.gain, f)
        y = fused.arrive(bits, h, n0, self.rate, rng)
        ls = h + gaussian(h.shape, n0 / self._looks, rng)
        return self._observation(ls, n0, Truth(h, paths.power, paths.delay)), y

    def _convolve(
        self, bits: NDArray[np.uint8], paths: Paths, n0: float, rng: Generator
    ) -> tuple[Observation, NDArray[np.complex64]]:
        rate, pilots = self.rate, grid.data_pilots(self.rate, self.symbols)
        points = grid.symbols(remap(bits, rate), 3 if rate.ht else 1, rate.ht)
        training = self._training()
        sent = np.hstack([np.tile(training, (len(bits), 1)), grid.to_time(points, rate.guard)])
        amplified = self._impair(sent, "transmitter", rng)
        received = paths.convolve(amplified)
        received = self._impair(received + gaussian(received.shape, n0, rng), "receiver", rng)
        fields = received[:, : len(training)]
        # The last samples of the training fields, without the guard in front of them.
        looks = grid.to_frequency(fields[:, len(training) - 64 * self._looks :], 0, rate.ht)
        ls = (looks.mean(1) * grid.ltf(rate.ht)).astype(np.complex64)
        y = grid.to_frequency(received[:, len(training) :], rate.guard, rate.ht)
        middle = len(training) - 32 * self._looks
        since = (len(training) + rate.guard + 32 - middle) / (64 + rate.guard)
        y = np.array([track(*one, pilots, n0, since, rate.ht) for one in zip(y, ls, strict=True)])
        middles = len(training) + rate.guard + 32 + np.arange(self.symbols) * (64 + rate.guard)
        h = _seen_by_a_tracker(paths, np.concatenate([[middle], middles]), rate)
        # What the amplifier compresses is part of the channel that every receiver sees.
        gain = np.einsum("bn,bn->b", sent.conj(), amplified) / np.einsum("bn,bn->b", sent.conj(), sent)
        h = (h * gain.reshape(-1, *[1] * (h.ndim - 1))).astype(np.complex64)
        return self._observation(ls, n0, Truth(h, paths.power, paths.delay)), y

    @property
    def _looks(self) -> int:
        return 1 if self.rate.ht else 2

    def _training(self) -> NDArray[np.complex64]:
        """The long training fields before DATA: a guard of 32 and two symbols, or in HT a guard of 16 and one."""
        return grid.ht_preamble()[80:] if self.rate.ht else grid.preamble()[160:]

    def _impair(self, x: NDArray[np.complex64], place: str, rng: Generator) -> NDArray[np.complex64]:
        for impairment in self.impairments:
            if impairment.place == place:
                x = impairment.apply(x, rng)
        return x

    def _observation(self, ls: NDArray[np.complex64], n0: float, truth: Truth) -> Observation:
        return Observation(ls, np.full(len(ls), n0, np.float32), float(self._looks), truth)

    def simulate(
        self,
        ebn0_db: float,
        packets: int,
        rng: Generator,
        *,
        errors: int | None = None,
        chunk: int = 64,
        threads: int = 1,
        done: Tally | None = None,
        report: Callable[[Tally], None] | None = None,
    ) -> Tally:
        """The errors of this link's receiver in so many packets; see `compare`."""
        before = None if done is None else [done]
        told = None if report is None else (lambda tallies: report(tallies[0]))
        tallies = compare(
            self,
            [self.receiver],
            ebn0_db,
            packets,
            rng,
            errors=errors,
            chunk=chunk,
            threads=threads,
            done=before,
            report=told,
        )
        return tallies[0]

    def ber(self, ebn0_db: float, packets: int, rng: Generator) -> float:
        """Bit error rate in so many packets."""
        return self.simulate(ebn0_db, packets, rng).ber


def compare(
    link: Link,
    receivers: Sequence[Receives],
    ebn0_db: float,
    packets: int,
    rng: Generator,
    *,
    errors: int | None = None,
    chunk: int = 64,
    threads: int = 1,
    done: Sequence[Tally] | None = None,
    report: Callable[[Sequence[Tally]], None] | None = None,
) -> list[Tally]:
    """Errors of several receivers on the same packets, one tally each.

    Stops after `packets` packets, or after the chunk in which every receiver has made `errors` packet errors. Each
    chunk of packets has a generator of its own, spawned from `rng`: a run that goes on from the tallies `done` of
    whole chunks, with a generator of the same seed, equals one that was never stopped. `report` sees the tallies after
    every chunk. So many `threads` work on chunks side by side, which changes nothing but the time; more than one is
    for receivers without parallel kernels of their own, which Numba's default threading layer does not nest.
    """
    tallies = list(done) if done is not None else [Tally(link.bits_each) for _ in receivers]
    start, odd = divmod(tallies[0].packets, chunk)
    if tallies[0].packets >= packets:
        return tallies
    if odd:
        raise ValueError(f"{tallies[0].packets} packets are done: to go on, needs whole chunks of {chunk}")
    chunks = [(own, min(chunk, packets - k * chunk)) for k, own in enumerate(rng.spawn(-(-packets // chunk)))]

    def count(own: Generator, size: int) -> list[Tally]:
        burst = link.packets(ebn0_db, size, own)
        wrong = (np.count_nonzero(_decided(it, burst, link) != burst.bits, axis=1) for it in receivers)
        return [Tally(link.bits_each, tuple(errors.tolist())) for errors in wrong]

    with ThreadPoolExecutor(threads) as pool:
        each = pool.map if threads > 1 else map
        for first in range(start, len(chunks), threads):
            for found in each(count, *zip(*chunks[first : first + threads], strict=True)):
                if errors is not None and all(tally.packet_errors >= errors for tally in tallies):
                    return tallies
                tallies = [before + new for before, new in zip(tallies, found, strict=True)]
                if report is not None:
                    report(tuple(tallies))
    return tallies


def _decided(receiver: Receives, burst: Burst, link: Link) -> NDArray[np.uint8]:
    how = receiver.decide if isinstance(receiver, Receiver) else lambda *given: receiver.receive(*given).bits
    return how(burst.seen, burst.y, link.rate, link.bits_each)


def _seen_by_a_tracker(paths: Paths, middles: NDArray[np.int64], rate: Rate) -> NDArray[np.complex64]:
    """The channel (batch, K), or of one that moves (batch, symbols, K) in the middle of each symbol.

    The first of `middles` is that of the training fields. The phase by which a moving channel turns as a whole from
    there is taken off, because tracking takes it off the symbols.
    """
    f = response(rate.data + 4, paths.delay)
    if paths.hertz is None:
        return (paths.gain @ f.T).astype(np.complex64)
    h = paths.at(middles).swapaxes(1, 2) @ f.T
    turn = np.sum(h * h[:, :1].conj(), axis=-1, keepdims=True)
    still: NDArray[np.complex64] = (h * (turn.conj() / np.abs(turn)))[:, 1:].astype(np.complex64)
    return still


def noise_variance(ebn0_db: float, rate: Rate) -> float:
    """N0 of a subcarrier of unit mean power, at Eb/N0 in dB per data bit."""
    bits = rate.bits * rate.code[0] / rate.code[1]
    return float(1 / (10 ** (ebn0_db / 10) * bits))


def random_bits(packets: int, n: int, rng: Generator) -> NDArray[np.uint8]:
    """Fair bits, (packets, n)."""
    packed = np.frombuffer(rng.bytes(packets * -(-n // 8)), np.uint8).reshape(packets, -1)
    return np.unpackbits(packed, axis=1)[:, :n]
