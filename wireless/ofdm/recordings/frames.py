"""Every frame in a recording, decoded as far as it can be, with a word on what stopped it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from wireless.ofdm.phy import grid
from wireless.ofdm.phy.mac import MPDU, deaggregate, mpdu
from wireless.ofdm.phy.rates import RATES, Rate
from wireless.ofdm.phy.scrambler import descramble
from wireless.ofdm.phy.signal import crc_right, read_ht_signal, read_signal
from wireless.ofdm.receiver.chain import Receiver
from wireless.ofdm.receiver.estimators import DFT, Observation
from wireless.ofdm.recordings.synchronisation import FLOOR, Preamble, find, turned
from wireless.ofdm.recordings.tracking import track

SYMBOL = 80
# Where fields begin, in samples after the first long training symbol.
_SIGNAL, _NEXT, _HT_LTF, _HT_DATA = 128, 208, 448, 528
_LEAST_NOISE = 1e-9  # N0 relative to the signal: a frame without any noise has 90 dB


@dataclass(frozen=True)
class Frame:
    """One frame as received: what its preamble shows, what its header says, and what it carried."""

    start: int
    """Sample at which the short training field begins."""
    stop: int
    """Sample after the last: of the frame where its length is known, else of what could be read."""
    snr_db: float
    """Mean signal over noise of a used subcarrier, from the difference of the two long training symbols."""
    cfo_hz: float
    format: str = ""
    """non-HT (clause 17), HT, VHT or HE; empty where SIGNAL could not be read."""
    rate: Rate | None = None
    length: int | None = None
    """Bytes of the PSDU."""
    psdu: bytes = b""
    mpdus: tuple[MPDU, ...] = ()
    """The MAC frame in the PSDU, or those of an aggregate."""
    error: str = ""
    """What stopped it; empty where every frame check sequence is right."""

    @property
    def time_s(self) -> float:
        """Seconds from the beginning of the recording to that of the frame."""
        return self.start / grid.SAMPLE_RATE

    @property
    def fcs_ok(self) -> bool:
        """True where there is a MAC frame and all have the right frame check sequence."""
        return bool(self.mpdus) and all(part.fcs_ok for part in self.mpdus)


class Burst(NamedTuple):
    """A frame ready for a receiver."""

    frame: Frame
    """What is known before DATA."""
    seen: Observation
    y: NDArray[np.complex64]
    """DATA symbols (1, S, K), their phases tracked, their pilots divided by what was sent in them."""
    rate: Rate
    end: int
    """Bits from SERVICE to the tail: after them the code is in state zero."""
    aggregation: bool

    def bits(self, receiver: Receiver) -> NDArray[np.uint8]:
        """Scrambled bits (end,) of DATA, from SERVICE to the tail."""
        bits: NDArray[np.uint8] = receiver.receive(self.seen, self.y, self.rate, self.end, self.end).bits[0]
        return bits


def decode(samples: NDArray[np.complex64], receiver: Receiver | None = None) -> list[Frame]:
    """The frames in `samples` (N,), complex at 20 MHz of any scale, in order of time.

    DATA goes through `receiver`, by default LS, max-log and soft Viterbi; SIGNAL and HT-SIG always through these.
    Raises ValueError for samples that are no recording: of another shape, or not finite.

    >>> from wireless.ofdm.phy.mac import fcs
    >>> from wireless.ofdm.phy.transmit import transmit
    >>> data = b"0123456789abcdefghijklmnopqrstuvwxyz"
    >>> sent = transmit(data + fcs(data), RATES[54])
    >>> [(frame.rate.name, frame.length, frame.fcs_ok) for frame in decode(np.pad(sent, 100))]
    [('54 Mb/s', 40, True)]
    """
    return list(frames(samples, receiver))


def frames(samples: NDArray[np.complex64], receiver: Receiver | None = None) -> Iterator[Frame]:
    """What `decode` returns, one after the other, for who wants to see how far it is."""
    resume = 0
    for found in bursts(samples):
        known = found.frame if isinstance(found, Burst) else found
        if known.start < resume:
            continue
        frame = finish(found, receiver or Receiver()) if isinstance(found, Burst) else found
        yield frame
        # One parity bit is not enough to believe that nothing else begins for up to 5.5 ms; newer formats have a CRC,
        # and training fields of their own that must not be taken for a preamble.
        resume = frame.stop if frame.fcs_ok or frame.format not in ("", "non-HT") else frame.start + 320


def bursts(samples: NDArray[np.complex64]) -> Iterator[Burst | Frame]:
    """What `decode` finds, up to DATA: a Burst, for one receiver or several, or the Frame where it ends before."""
    samples = _prepared(samples)
    for preamble in find(samples):
        yield _Reader(samples, preamble).read()


def finish(burst: Burst, receiver: Receiver) -> Frame:
    """The frame with the MAC frames that `receiver` makes of its DATA symbols."""
    psdu = np.packbits(descramble(burst.bits(receiver))[16:-6], bitorder="little").tobytes()
    mpdus = tuple(deaggregate(psdu)) if burst.aggregation else (mpdu(psdu),)
    wrong = sum(not part.fcs_ok for part in mpdus)
    error = "" if mpdus else "aggregate without a sound delimiter"
    if wrong:
        error = "FCS wrong" if len(mpdus) == 1 else f"FCS wrong in {wrong} of {len(mpdus)} MPDUs"
    return replace(burst.frame, psdu=psdu, mpdus=mpdus, error=error)


def _levelled(seen: Observation, y: NDArray[np.complex64]) -> tuple[Observation, NDArray[np.complex64]]:
    """Both scaled so that the channel has mean power one, on which priors and networks rely; the gain is unknown."""
    error = float(seen.noise[0]) / seen.looks
    power = float(np.mean(np.abs(seen.ls) ** 2))
    gain = np.float32(1 / np.sqrt(max(power - error, error)))
    return seen._replace(ls=seen.ls * gain, noise=seen.noise * gain**2), y * gain


def _prepared(samples: NDArray[np.complex64]) -> NDArray[np.complex64]:
    """Samples scaled to a largest part of 1, without the constant that a receiver's own oscillator leaks."""
    samples = np.asarray(samples)
    if samples.ndim != 1:
        raise ValueError(f"samples have the shape {samples.shape}: needs (N,), one recording of one antenna")
    parts = np.ascontiguousarray(samples, np.complex64).view(np.float32)
    if not np.isfinite(parts).all():
        at = int(np.flatnonzero(~np.isfinite(parts))[0]) // 2
        raise ValueError(f"sample {at} is {samples[at]}: needs finite numbers")
    if not parts.any():
        return samples.astype(np.complex64)
    # In double precision: squares of the largest float32 overflow, and of the smallest vanish.
    scaled: NDArray[np.complex64] = (
        (parts / np.abs(parts).max().astype(np.float64)).astype(np.float32).view(np.complex64)
    )
    constant = scaled.mean(dtype=np.complex128)
    if abs(constant) ** 2 > 25 * np.mean(np.abs(scaled) ** 2, dtype=np.float64) / len(scaled):
        scaled -= np.complex64(constant)
    return scaled


@dataclass(frozen=True)
class _Reader:
    """Reads one frame field by field, from a preamble on."""

    samples: NDArray[np.complex64]
    preamble: Preamble

    def read(self) -> Burst | Frame:
        seen, snr_db = self._train()
        hz = self.preamble.cfo * grid.SAMPLE_RATE
        frame = Frame(self.preamble.start, self._after(_SIGNAL), snr_db, hz)
        if self._at(_NEXT) > len(self.samples):
            return replace(frame, stop=len(self.samples), error="recording ends before SIGNAL")
        try:
            # Whatever follows SIGNAL has pilots that help to follow its phase.
            signal = read_signal(self._bits(seen, self._header(seen, 2)[:1]))
        except ValueError as wrong:
            return replace(frame, stop=self._after(_NEXT), error=str(wrong))
        symbols = signal.rate.symbols(signal.length)
        stop = self._after(_NEXT + symbols * SYMBOL)
        frame = replace(frame, stop=stop, format="non-HT", rate=signal.rate, length=signal.length)
        header = self._header(seen, 3)
        if signal.rate is RATES[6] and symbols >= 2 and len(header) == 3:
            frame = replace(frame, format=self._format(seen, header))
        if frame.format == "HT":
            return self._read_ht(frame, seen, header[1:])
        if frame.format != "non-HT":
            error = f"{frame.format} frames are not decoded"
            return replace(frame, rate=None, length=None, error=error)
        return self._burst(frame, seen, signal.rate, _NEXT, False)

    def _train(self) -> tuple[Observation, float]:
        """The channel from the two long training symbols, and the signal-to-noise ratio in dB."""
        two = grid.to_frequency(self._cut(0, 128)[None], 0)[0]
        ls = two.mean(0) * grid.ltf()
        noise = np.mean(np.abs(two[0] - two[1]) ** 2) / 2
        signal = np.mean(np.abs(ls) ** 2)
        noise = max(noise, _LEAST_NOISE * signal, _LEAST_NOISE * FLOOR)
        snr = max(signal - noise / 2, _LEAST_NOISE * noise) / noise
        return Observation(ls[None], np.array([noise], np.float32)), float(10 * np.log10(snr))

    def _read_ht(self, frame: Frame, legacy: Observation, signal: NDArray[np.complex64]) -> Burst | Frame:
        frame = replace(frame, rate=None, length=None)
        bits = self._bits(legacy, signal * np.complex64(-1j))
        if not crc_right(bits):
            return replace(frame, stop=self._after(_HT_DATA), error="HT-SIG CRC is wrong")
        try:
            fields = read_ht_signal(bits)
            rate = fields.rate
        except ValueError as wrong:
            return replace(frame, error=str(wrong))
        stop = self._after(_HT_DATA + rate.symbols(fields.length) * (grid.FFT + rate.guard))
        frame = replace(frame, stop=stop, rate=rate, length=fields.length)
        if self._at(_HT_DATA) > len(self.samples):
            return self._beyond(frame)
        ls = grid.to_frequency(self._cut(_HT_LTF, SYMBOL)[None], 16, True)[0] * grid.ltf(True)
        return self._burst(frame, Observation(ls, legacy.noise, 1.0), rate, _HT_DATA, fields.aggregation)

    def _burst(self, frame: Frame, seen: Observation, rate: Rate, offset: int, aggregation: bool) -> Burst | Frame:
        assert frame.length is not None
        symbols = rate.symbols(frame.length)
        if self._at(offset + symbols * (grid.FFT + rate.guard)) > len(self.samples):
            return self._beyond(frame)
        y = self._symbols(offset, symbols, seen, 3 if rate.ht else 1, rate.guard, rate.ht)
        seen, y = _levelled(seen, y[None])
        return Burst(frame, seen, y, rate, 16 + 8 * frame.length + 6, aggregation)

    def _beyond(self, frame: Frame) -> Frame:
        return replace(frame, error=f"length goes {frame.stop - len(self.samples)} samples beyond the recording")

    def _format(self, seen: Observation, header: NDArray[np.complex64]) -> str:
        """What sent SIGNAL and the two symbols after it, (3, 52) (19.3.9.4.3, 21.3.8.3.3, 27.3.11.6).

        HT turns the first of the two by a quarter, VHT the second, under a CRC of the same kind; HE repeats SIGNAL.
        """
        signal, one, two = (header * seen.ls[0].conj())[:, grid.data_places()]
        # Twice: where nothing but noise follows, neither part has more energy than the other.
        if np.sum(one.imag**2) > 2 * np.sum(one.real**2):
            return "HT"
        if np.sum(two.imag**2) > 2 * np.sum(two.real**2):
            upright = header[1:] * np.array([[1], [-1j]], np.complex64)
            return "VHT" if crc_right(self._bits(seen, upright)) else "non-HT"
        alike = np.vdot(signal, one).real > 0.8 * np.linalg.norm(signal) * np.linalg.norm(one)
        return "HE" if alike else "non-HT"

    def _header(self, seen: Observation, count: int) -> NDArray[np.complex64]:
        """Symbols from SIGNAL on, `count` or as many as there are."""
        there = (len(self.samples) - self._at(_SIGNAL)) // SYMBOL
        return self._symbols(_SIGNAL, min(count, there), seen, first=0)

    def _symbols(
        self, offset: int, count: int, seen: Observation, first: int, guard: int = 16, ht: bool = False
    ) -> NDArray[np.complex64]:
        """Tracked symbols (count, K) from `offset` samples after the training on; `first` is their pilots' polarity."""
        y = grid.to_frequency(self._cut(offset, count * (guard + grid.FFT))[None], guard, ht)[0]
        trained = _HT_LTF + 16 if ht else grid.FFT / 2
        since = (offset + guard - trained) / SYMBOL
        # The pilots' own LS error would turn the whole frame; with the error of 16 taps it is a third of that in power.
        h = DFT().estimate(seen).h[0]
        return track(y, h, grid.pilots(first, count, ht), float(seen.noise[0]), since, ht)

    def _cut(self, offset: int, count: int) -> NDArray[np.complex64]:
        """`count` samples, the first `offset` after the training begins, with the carrier offset taken out."""
        return turned(self.samples, self._at(offset), count, self.preamble.cfo, self.preamble.body)

    def _bits(self, seen: Observation, y: NDArray[np.complex64]) -> NDArray[np.uint8]:
        """Bits of SIGNAL or HT-SIG: BPSK 1/2 in whole symbols, ended by a tail."""
        bits: NDArray[np.uint8] = Receiver().receive(seen, y[None], RATES[6], 24 * len(y)).bits[0]
        return bits

    def _at(self, offset: int) -> int:
        """The sample from which a field is cut."""
        return self.preamble.body + offset

    def _after(self, offset: int) -> int:
        """The sample at which a field begins, or the one before it ends."""
        return self.preamble.start + 192 + offset
