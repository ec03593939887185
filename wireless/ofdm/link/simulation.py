"""The link: packets through a channel, and the errors of a receiver on them."""

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
from wireless.ofdm.receiver.chain import AbstractReceiver, Receiver
from wireless.ofdm.receiver.estimators import Observation, Truth
from wireless.ofdm.receiver.feedback import reencode
from wireless.ofdm.recordings.tracking import track

TAIL = 6
"""Zero bits that return the encoder to state zero."""


class PacketBatch(NamedTuple):
    """A batch of received packets: the same for every receiver in a comparison."""

    bits: NDArray[np.uint8]
    """The transmitted bits without the tail, (batch, n)."""
    observation: Observation
    y: NDArray[np.complex64]
    """(batch, symbols, K), the pilots divided by the transmitted ones."""


@dataclass(frozen=True)
class ErrorCounts:
    """Errors in packets of `bits_per_packet` bits; `errors` holds the bit errors of each packet, in order."""

    bits_per_packet: int
    errors: tuple[int, ...] = ()

    @property
    def packets(self) -> int:
        return len(self.errors)

    @property
    def bits(self) -> int:
        return self.packets * self.bits_per_packet

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

    def __add__(self, other: "ErrorCounts") -> "ErrorCounts":
        if other.bits_per_packet != self.bits_per_packet:
            raise ValueError(
                f"counts of packets of {self.bits_per_packet} and of {other.bits_per_packet} bits cannot be added"
            )
        return ErrorCounts(self.bits_per_packet, self.errors + other.errors)


@dataclass(frozen=True)
class Link:
    """Packets of `symbols` OFDM symbols at a rate, a new channel realisation for each, and a receiver.

    A packet carries random bits and six zero tail bits, without SERVICE field and scrambler, neither of which changes
    error rates. Noise: `N0 = 1 / (Eb/N0 * bits per subcarrier * code rate)`; the energy of cyclic prefix, pilots and
    preamble is not counted in Eb.

    >>> from wireless.ofdm.channel.models import ExponentialFading
    >>> Link(ExponentialFading()).simulate(30.0, 64, np.random.default_rng(0)).packets
    64
    """

    channel: AbstractChannel
    receiver: AbstractReceiver = field(default_factory=Receiver)
    rate: Rate = RATES[24]
    symbols: int = 10
    impairments: tuple[Impairment, ...] = ()

    @property
    def bits_per_packet(self) -> int:
        """Bits of a packet, without the tail."""
        return self.symbols * self.rate.info - TAIL

    def packets(self, ebn0_db: float, packets: int, rng: Generator) -> PacketBatch:
        """A batch of packets at one Eb/N0, as the receiver gets it."""
        bits = random_bits(packets, self.bits_per_packet + TAIL, rng)
        bits[:, self.bits_per_packet :] = 0
        paths = self.channel.sample(packets, rng)
        n0 = noise_variance(ebn0_db, self.rate)
        per_subcarrier = paths.hertz is None and paths.delay.max() <= self.rate.guard and not self.impairments
        pass_through = self._multiply if per_subcarrier else self._convolve
        observation, y = pass_through(bits, paths, n0, rng)
        return PacketBatch(bits[:, : self.bits_per_packet], observation, y)

    def _multiply(
        self, bits: NDArray[np.uint8], paths: Paths, n0: float, rng: Generator
    ) -> tuple[Observation, NDArray[np.complex64]]:
        f = response(self.rate.data + 4, paths.delay).T.astype(np.complex64, order="C")
        h = fused.frequency_response(paths.gain, f)
        y = fused.transmit_and_fade(bits, h, n0, self.rate, rng)
        ls = h + gaussian(h.shape, n0 / self._training_symbols, rng)
        return self._observation(ls, n0, Truth(h, paths.power, paths.delay)), y

    def _convolve(
        self, bits: NDArray[np.uint8], paths: Paths, n0: float, rng: Generator
    ) -> tuple[Observation, NDArray[np.complex64]]:
        rate, pilots = self.rate, grid.data_pilots(self.rate, self.symbols)
        points = grid.symbols(reencode(bits, rate), 3 if rate.ht else 1, rate.ht)
        training = self._training()
        sent = np.hstack([np.tile(training, (len(bits), 1)), grid.to_time(points, rate.guard)])
        amplified = self._impair(sent, "transmitter", rng)
        received = paths.convolve(amplified)
        received = self._impair(received + gaussian(received.shape, n0, rng), "receiver", rng)
        fields = received[:, : len(training)]
        # The training symbols at the end of the field, without the guard interval before them.
        training_points = grid.to_frequency(fields[:, len(training) - 64 * self._training_symbols :], 0, rate.ht)
        ls = (training_points.mean(1) * grid.ltf(rate.ht)).astype(np.complex64)
        y = grid.to_frequency(received[:, len(training) :], rate.guard, rate.ht)
        middle = len(training) - 32 * self._training_symbols
        since = (len(training) + rate.guard + 32 - middle) / (64 + rate.guard)
        y = np.array([track(*one, pilots, n0, since, rate.ht) for one in zip(y, ls, strict=True)])
        middles = len(training) + rate.guard + 32 + np.arange(self.symbols) * (64 + rate.guard)
        h = _tracked_channel(paths, np.concatenate([[middle], middles]), rate)
        # The amplifier changes the mean gain: for every receiver that is part of the channel.
        gain = np.einsum("bn,bn->b", sent.conj(), amplified) / np.einsum("bn,bn->b", sent.conj(), sent)
        h = (h * gain.reshape(-1, *[1] * (h.ndim - 1))).astype(np.complex64)
        return self._observation(ls, n0, Truth(h, paths.power, paths.delay)), y

    @property
    def _training_symbols(self) -> int:
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
        return Observation(ls, np.full(len(ls), n0, np.float32), float(self._training_symbols), truth)

    def simulate(
        self,
        ebn0_db: float,
        packets: int,
        rng: Generator,
        *,
        errors: int | None = None,
        chunk: int = 64,
        threads: int = 1,
        previous: ErrorCounts | None = None,
        on_chunk: Callable[[ErrorCounts], None] | None = None,
    ) -> ErrorCounts:
        """The errors of this link's receiver in this many packets; see `compare`."""
        [counts] = compare(
            self,
            [self.receiver],
            ebn0_db,
            packets,
            rng,
            errors=errors,
            chunk=chunk,
            threads=threads,
            previous=None if previous is None else [previous],
            on_chunk=None if on_chunk is None else (lambda counts: on_chunk(counts[0])),
        )
        return counts

    def ber(self, ebn0_db: float, packets: int, rng: Generator) -> float:
        """Bit error rate in this many packets."""
        return self.simulate(ebn0_db, packets, rng).ber


def compare(
    link: Link,
    receivers: Sequence[AbstractReceiver],
    ebn0_db: float,
    packets: int,
    rng: Generator,
    *,
    errors: int | None = None,
    chunk: int = 64,
    threads: int = 1,
    previous: Sequence[ErrorCounts] | None = None,
    on_chunk: Callable[[Sequence[ErrorCounts]], None] | None = None,
) -> list[ErrorCounts]:
    """Error counts of several receivers on the same packets, one for each receiver.

    Stops after `packets` packets, or after the chunk in which every receiver has reached `errors` packet errors. Each
    chunk of packets has its own generator, spawned from `rng`: a run that continues from the counts `previous` of
    complete chunks, with a generator of the same seed, equals an uninterrupted one. `on_chunk` is called with the
    counts after every chunk. `threads` chunks are simulated in parallel, which changes nothing but the time; use more
    than one only for receivers without parallel kernels of their own, which Numba's default threading layer does not
    nest.
    """
    counts = list(previous) if previous is not None else [ErrorCounts(link.bits_per_packet) for _ in receivers]
    start, odd = divmod(counts[0].packets, chunk)
    if counts[0].packets >= packets:
        return counts
    if odd:
        raise ValueError(
            f"the previous counts hold {counts[0].packets} packets: to continue, give whole chunks of {chunk}"
        )
    chunks = [(own, min(chunk, packets - k * chunk)) for k, own in enumerate(rng.spawn(-(-packets // chunk)))]

    def count(own: Generator, size: int) -> list[ErrorCounts]:
        batch = link.packets(ebn0_db, size, own)
        wrong = (np.count_nonzero(_decided(it, batch, link) != batch.bits, axis=1) for it in receivers)
        return [ErrorCounts(link.bits_per_packet, tuple(errors.tolist())) for errors in wrong]

    with ThreadPoolExecutor(threads) as pool:
        each = pool.map if threads > 1 else map
        for first in range(start, len(chunks), threads):
            for new in each(count, *zip(*chunks[first : first + threads], strict=True)):
                if errors is not None and all(it.packet_errors >= errors for it in counts):
                    return counts
                counts = [before + further for before, further in zip(counts, new, strict=True)]
                if on_chunk is not None:
                    on_chunk(tuple(counts))
    return counts


def _decided(receiver: AbstractReceiver, batch: PacketBatch, link: Link) -> NDArray[np.uint8]:
    arguments = (batch.observation, batch.y, link.rate, link.bits_per_packet)
    return receiver.decide(*arguments) if isinstance(receiver, Receiver) else receiver.receive(*arguments).bits


def _tracked_channel(paths: Paths, middles: NDArray[np.int64], rate: Rate) -> NDArray[np.complex64]:
    """The channel (batch, K); one that changes with time (batch, symbols, K), in the middle of each symbol.

    The first of `middles` is the middle of the training field. The common phase that a changing channel gains from
    there on is removed, because tracking removes it from the symbols.
    """
    f = response(rate.data + 4, paths.delay)
    if paths.hertz is None:
        return (paths.gain @ f.T).astype(np.complex64)
    h = paths.at(middles).swapaxes(1, 2) @ f.T
    rotation = np.sum(h * h[:, :1].conj(), axis=-1, keepdims=True)
    derotated: NDArray[np.complex64] = (h * (rotation.conj() / np.abs(rotation)))[:, 1:].astype(np.complex64)
    return derotated


def noise_variance(ebn0_db: float, rate: Rate) -> float:
    """N0 of a subcarrier of unit mean power, at Eb/N0 in dB per data bit."""
    bits = rate.bits * rate.code[0] / rate.code[1]
    return float(1 / (10 ** (ebn0_db / 10) * bits))


def random_bits(packets: int, n: int, rng: Generator) -> NDArray[np.uint8]:
    """Independent bits, 0 and 1 equally likely, (packets, n)."""
    packed = np.frombuffer(rng.bytes(packets * -(-n // 8)), np.uint8).reshape(packets, -1)
    return np.unpackbits(packed, axis=1)[:, :n]
