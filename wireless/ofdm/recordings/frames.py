"""Every frame in a recording, decoded as far as possible, with the reason where decoding stopped."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from wireless.ofdm.phy import grid
from wireless.ofdm.phy.mac import MPDU, deaggregate, mpdu
from wireless.ofdm.phy.rates import RATES, Rate
from wireless.ofdm.phy.scrambler import descramble
from wireless.ofdm.phy.signal import crc_ok, read_ht_signal, read_signal
from wireless.ofdm.receiver.chain import AbstractReceiver, Receiver
from wireless.ofdm.receiver.estimators import DFT, Observation
from wireless.ofdm.recordings.cleaning import without_constant
from wireless.ofdm.recordings.interference import Residuals, in_data, in_preamble
from wireless.ofdm.recordings.synchronisation import FLOOR, Preamble, derotated, find
from wireless.ofdm.recordings.tracking import track
from wireless.recordings.wild import wild_samples

SYMBOL = 80
# Start of each field, in samples after the first long training symbol.
_SHORT, _SIGNAL, _NEXT, _HT_LTF, _HT_DATA = -160, 128, 208, 448, 528
_MIN_NOISE = 1e-9  # N0 relative to the signal: a noiseless frame is taken to have 90 dB SNR


@dataclass(frozen=True)
class Frame:
    """One received frame: measurements on its preamble, the contents of its header, and its payload."""

    start: int
    """Sample at which the short training field begins; negative where the recording begins after that."""
    stop: int
    """Sample after the last of the frame, or of what could be read where the header does not state its length."""
    snr_db: float
    """Mean signal-to-noise ratio of a used subcarrier, from the difference of the two long training symbols."""
    cfo_hz: float
    """Carrier frequency offset."""
    format: str = ""
    """non-HT (clause 17), HT, HT greenfield, VHT, HE or EHT; empty where SIGNAL could not be read."""
    rate: Rate | None = None
    length: int | None = None
    """Bytes of the PSDU."""
    psdu: bytes = b""
    mpdus: tuple[MPDU, ...] = ()
    """The MAC frame in the PSDU, or the frames of an aggregate."""
    error: str = ""
    """The reason where decoding stopped; empty where every frame check sequence is right."""
    width_hz: float = grid.SAMPLE_RATE
    """Width of the channel, which is the rate of the samples."""

    @property
    def time_s(self) -> float:
        """Seconds from the beginning of the recording to that of the frame."""
        return self.start / self.width_hz

    @property
    def mbps(self) -> float | None:
        """Data bits per microsecond; in a channel of half the width half as many."""
        return self.rate.mbps * self.width_hz / grid.SAMPLE_RATE if self.rate else None

    @property
    def rate_name(self) -> str:
        """The name of the rate in a channel of this width, or nothing where it could not be read."""
        if self.rate is None or self.width_hz == grid.SAMPLE_RATE or self.rate.ht:
            return self.rate.name if self.rate else ""
        return f"{self.mbps:g} Mb/s"

    @property
    def fcs_ok(self) -> bool:
        """True where there is a MAC frame and all have the right frame check sequence."""
        return bool(self.mpdus) and all(part.fcs_ok for part in self.mpdus)


class Burst(NamedTuple):
    """A frame whose header is decoded and whose DATA symbols are ready for a receiver."""

    frame: Frame
    """The frame without a payload."""
    observation: Observation
    y: NDArray[np.complex64]
    """DATA symbols (1, S, K), with phases tracked and pilots divided by the transmitted ones."""
    rate: Rate
    end: int
    """Bits from SERVICE to the tail, after which the encoder is in state zero."""
    aggregation: bool

    def bits(self, receiver: AbstractReceiver) -> NDArray[np.uint8]:
        """Scrambled bits (end,) of DATA, from SERVICE to the tail."""
        bits: NDArray[np.uint8] = receiver.receive(self.observation, self.y, self.rate, self.end, self.end).bits[0]
        return bits


def decode(
    samples: NDArray[np.complex64], receiver: Receiver | None = None, width_hz: float = grid.SAMPLE_RATE
) -> list[Frame]:
    """The frames in `samples` (N,), complex at the rate `width_hz` and of any scale, in order of time.

    DATA goes through `receiver`, by default LS, max-log and soft Viterbi; SIGNAL and HT-SIG always through these.
    Raises ValueError for samples of another shape or with values that are not finite.

    >>> from wireless.ofdm.phy.mac import fcs
    >>> from wireless.ofdm.phy.transmit import transmit
    >>> data = b"0123456789abcdefghijklmnopqrstuvwxyz"
    >>> sent = transmit(data + fcs(data), RATES[54])
    >>> [(frame.rate.name, frame.length, frame.fcs_ok) for frame in decode(np.pad(sent, 100))]
    [('54 Mb/s', 40, True)]
    """
    return list(frames(samples, receiver, width_hz))


def frames(
    samples: NDArray[np.complex64], receiver: Receiver | None = None, width_hz: float = grid.SAMPLE_RATE
) -> Iterator[Frame]:
    """The frames of `decode`, one at a time, for progress while a long recording is decoded."""
    resume = -len(grid.preamble())
    for result in bursts(samples, width_hz):
        header = result.frame if isinstance(result, Burst) else result
        if header.start < resume:
            continue
        frame = decode_burst(result, receiver or Receiver()) if isinstance(result, Burst) else result
        yield frame
        # SIGNAL has one parity bit only, too little to skip up to 5.5 ms for a frame that turns out wrong. Newer
        # formats have a CRC, and further training fields that must not be taken for a preamble.
        resume = frame.stop if frame.fcs_ok or frame.format not in ("", "non-HT") else frame.start + 320


def bursts(samples: NDArray[np.complex64], width_hz: float = grid.SAMPLE_RATE) -> Iterator[Burst | Frame]:
    """Every frame up to its DATA field: a `Burst` for one or several receivers, or a `Frame` if that fails."""
    samples = _prepared(samples)
    for preamble in find(samples):
        yield _Reader(samples, preamble, width_hz).read()


def decode_burst(burst: Burst, receiver: AbstractReceiver) -> Frame:
    """The frame with the MAC frames that `receiver` decodes from its DATA symbols."""
    psdu = np.packbits(descramble(burst.bits(receiver))[16:-6], bitorder="little").tobytes()
    mpdus = tuple(deaggregate(psdu)) if burst.aggregation else (mpdu(psdu),)
    wrong = sum(not part.fcs_ok for part in mpdus)
    error = "" if mpdus else "aggregate without a valid delimiter"
    if wrong:
        error = "FCS wrong" if len(mpdus) == 1 else f"FCS wrong in {wrong} of {len(mpdus)} MPDUs"
    return replace(burst.frame, psdu=psdu, mpdus=mpdus, error=error)


def _normalised(observation: Observation, y: NDArray[np.complex64]) -> tuple[Observation, NDArray[np.complex64]]:
    """Both scaled to a channel of mean power one, which priors and networks assume; a recording has any gain."""
    ls_err_var = float(observation.noise_var[0]) / observation.training_symbols
    power = float(np.average(np.abs(observation.ls) ** 2 - ls_err_var, weights=observation.white_share**2))
    gain = np.float32(1 / np.sqrt(max(power, ls_err_var)))
    scaled = observation._replace(ls=observation.ls * gain, noise_var=observation.noise_var * gain**2)
    if observation.interference is not None:
        scaled = scaled._replace(interference=observation.interference * gain**2)
    return scaled, y * gain


def _prepared(samples: NDArray[np.complex64]) -> NDArray[np.complex64]:
    """Samples scaled to a largest part of 1, without wild samples and without a DC offset."""
    samples = np.asarray(samples)
    if samples.ndim != 1:
        raise ValueError(f"samples have the shape {samples.shape}: a recording of one antenna has (N,)")
    if not np.iscomplexobj(samples):
        raise ValueError(f"samples are real, of {samples.dtype}: a recording has I and Q in complex numbers")
    parts = np.ascontiguousarray(samples, np.complex64).view(np.float32)
    if not np.isfinite(parts).all():
        at = int(np.flatnonzero(~np.isfinite(parts))[0]) // 2
        raise ValueError(f"sample {at} is {samples[at]}: all samples must be finite")
    if not parts.any():
        return samples.astype(np.complex64)
    # In double precision: squares of the largest float32 overflow, and of the smallest vanish.
    sizes = np.abs(parts)
    largest = np.maximum(sizes[0::2], sizes[1::2])
    wild = wild_samples(largest)
    largest[wild] = 0
    scaled: NDArray[np.complex64] = (parts / largest.max().astype(np.float64)).astype(np.float32).view(np.complex64)
    scaled[wild] = 0
    return without_constant(scaled)


class _Training(NamedTuple):
    """What the training fields of a frame tell."""

    observation: Observation
    residuals: Residuals
    long: NDArray[np.complex64]
    """The two long training symbols, (2, 52)."""
    snr_db: float


@dataclass(frozen=True)
class _Reader:
    """Reads one frame field by field, starting at its preamble."""

    samples: NDArray[np.complex64]
    preamble: Preamble
    width_hz: float

    def read(self) -> Burst | Frame:
        training = self._train()
        if training.observation.interference is not None:
            # The carrier offset followed the interference as much as the signal: measured again on the other
            # subcarriers, it leaves a cleaner training.
            ahead = np.vdot(training.long[0] * training.observation.white_share[0], training.long[1])
            cfo = self.preamble.cfo + float(np.angle(ahead)) / (2 * np.pi * grid.FFT)
            again = replace(self, preamble=self.preamble._replace(cfo=cfo))
            return again._read(again._train())
        return self._read(training)

    def _read(self, training: "_Training") -> Burst | Frame:
        observation = training.observation
        hz = self.preamble.cfo * self.width_hz
        frame = Frame(self.preamble.start, self._after(_SIGNAL), training.snr_db, hz, width_hz=self.width_hz)
        if self._at(_NEXT) > len(self.samples):
            return replace(frame, stop=len(self.samples), error="the recording ends before SIGNAL")
        # The symbol after SIGNAL is tracked with it, as its pilots improve the phase of SIGNAL.
        header = self._header(observation, 2)
        if self._greenfield(observation, header):
            stop, error = self._after(_NEXT + SYMBOL), "HT greenfield frames are not decoded"
            return replace(frame, stop=stop, format="HT greenfield", error=error)
        try:
            signal = read_signal(self._bits(observation, header[:1]))
        except ValueError as wrong:
            return replace(frame, stop=self._after(_NEXT), error=str(wrong))
        symbols = signal.rate.symbols(signal.length)
        stop = self._after(_NEXT + symbols * SYMBOL)
        frame = replace(frame, stop=stop, format="non-HT", rate=signal.rate, length=signal.length)
        header = self._header(observation, 3)
        if signal.rate is RATES[6] and symbols >= 2 and len(header) == 3:
            frame = replace(frame, format=self._format(observation, header, signal.length))
        if frame.format == "HT":
            return self._read_ht(frame, training, header[1:])
        if frame.format != "non-HT":
            error = f"{frame.format} frames are not decoded"
            return replace(frame, rate=None, length=None, error=error)
        return self._burst(frame, training, signal.rate, _NEXT, False)

    def _train(self) -> "_Training":
        """The channel from the two long training symbols, the noise in both training fields, and their ratio in dB."""
        two = grid.to_frequency(self._cut(0, 128)[None], 0)[0]
        begins = self._at(_SHORT) >= 0
        short = grid.to_frequency(self._cut(_SHORT, 128)[None], 0)[0] if begins else two[:0]
        ls = two.mean(0) * grid.ltf()
        noise_var = np.mean(np.abs(two[0] - two[1]) ** 2) / 2
        signal = np.mean(np.abs(ls) ** 2)
        noise_var = max(noise_var, _MIN_NOISE * signal, _MIN_NOISE * FLOOR)
        snr = max(signal - noise_var / 2, _MIN_NOISE * noise_var) / noise_var
        observation = Observation(ls[None], np.array([noise_var], np.float32))
        residuals = in_preamble(short, two)
        if residuals.narrowband(signal):
            observation = residuals.put_into(observation)
        return _Training(observation, residuals, two, float(10 * np.log10(snr)))

    def _read_ht(self, frame: Frame, training: "_Training", signal: NDArray[np.complex64]) -> Burst | Frame:
        frame, legacy = replace(frame, rate=None, length=None), training.observation
        bits = self._bits(legacy, signal * np.complex64(-1j))
        if not crc_ok(bits):
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
        interference = None
        if legacy.interference is not None:
            interference = np.pad(legacy.interference, ((0, 0), (2, 2)), mode="edge")  # -28..28 instead of -26..26
        training = training._replace(observation=Observation(ls, legacy.noise_var, 1.0, interference=interference))
        return self._burst(frame, training, rate, _HT_DATA, fields.aggregation)

    def _burst(self, frame: Frame, training: "_Training", rate: Rate, offset: int, aggregation: bool) -> Burst | Frame:
        assert frame.length is not None
        symbols = rate.symbols(frame.length)
        if self._at(offset + symbols * (grid.FFT + rate.guard)) > len(self.samples):
            return self._beyond(frame)
        y = self._data(offset, symbols, training.observation, rate)
        observation = in_data(training.residuals, training.observation, y, rate.bits)
        if observation.interference is not None:  # phases once more, without the pilots that it disturbs
            y = self._data(offset, symbols, observation, rate)
            observation = in_data(training.residuals, observation, y, rate.bits)
        observation, y = _normalised(observation, y[None])
        return Burst(frame, observation, y, rate, 16 + 8 * frame.length + 6, aggregation)

    def _beyond(self, frame: Frame) -> Frame:
        return replace(frame, error=f"the frame extends {frame.stop - len(self.samples)} samples beyond the recording")

    def _greenfield(self, observation: Observation, header: NDArray[np.complex64]) -> bool:
        """Whether HT-SIG follows the training at once, both of its symbols rotated by 90 degrees (19.3.9.5.4)."""
        symbols = (header * observation.ls[0].conj())[:, grid.data_positions()]
        turned = np.sum(symbols.imag**2, axis=1) > 2 * np.sum(symbols.real**2, axis=1)
        return len(header) == 2 and bool(turned.all()) and crc_ok(self._bits(observation, header * np.complex64(-1j)))

    def _format(self, observation: Observation, header: NDArray[np.complex64], length: int) -> str:
        """The frame format, from SIGNAL and the two symbols after it, (3, 52) (19.3.9.4.3, 21.3.8.3.3, 27.3.11.6).

        HT rotates the first of the two by 90 degrees, VHT the second, and both protect them by the same CRC; HE and EHT
        repeat SIGNAL, with a length that three divides in EHT (36.3.12.5) and does not divide in HE (27.3.11.5.2).
        """
        signal, one, two = (header * observation.ls[0].conj())[:, grid.data_positions()]
        # A factor of two: in noise alone, the two parts have nearly equal energy.
        if np.sum(one.imag**2) > 2 * np.sum(one.real**2):
            return "HT"
        if np.sum(two.imag**2) > 2 * np.sum(two.real**2):
            derotated = header[1:] * np.array([[1], [-1j]], np.complex64)
            return "VHT" if crc_ok(self._bits(observation, derotated)) else "non-HT"
        repeated = np.vdot(signal, one).real > 0.8 * np.linalg.norm(signal) * np.linalg.norm(one)
        if repeated:
            return "HE" if length % 3 else "EHT"
        return "non-HT"

    def _header(self, observation: Observation, count: int) -> NDArray[np.complex64]:
        """Symbols from SIGNAL on, `count` or as many as the recording has."""
        available = (len(self.samples) - self._at(_SIGNAL)) // SYMBOL
        return self._symbols(_SIGNAL, min(count, available), observation, first=0)

    def _data(self, offset: int, symbols: int, observation: Observation, rate: Rate) -> NDArray[np.complex64]:
        return self._symbols(offset, symbols, observation, 3 if rate.ht else 1, rate.guard, rate.ht)

    def _symbols(
        self, offset: int, count: int, observation: Observation, first: int, guard: int = 16, ht: bool = False
    ) -> NDArray[np.complex64]:
        """Tracked symbols (count, K), from `offset` samples after the training on; `first` counts pilot polarities."""
        y = grid.to_frequency(self._cut(offset, count * (guard + grid.FFT))[None], guard, ht)[0]
        trained = _HT_LTF + 16 if ht else grid.FFT / 2
        since = (offset + guard - trained) / SYMBOL
        # LS errors on the pilots would rotate the whole frame; truncation to 16 taps lowers their power to a third.
        h_hat = DFT().estimate(observation).h_hat[0]
        pilots, share = grid.pilots(first, count, ht), observation.white_share[0]
        return track(y, h_hat, pilots, float(observation.noise_var[0]), since, ht, share)

    def _cut(self, offset: int, count: int) -> NDArray[np.complex64]:
        """`count` samples, the first `offset` after the training begins, with the carrier offset removed."""
        return derotated(self.samples, self._at(offset), count, self.preamble.cfo, self.preamble.body)

    def _bits(self, observation: Observation, y: NDArray[np.complex64]) -> NDArray[np.uint8]:
        """Bits of SIGNAL or HT-SIG: BPSK 1/2, terminated by a tail."""
        bits: NDArray[np.uint8] = Receiver().receive(observation, y[None], RATES[6], 24 * len(y)).bits[0]
        return bits

    def _at(self, offset: int) -> int:
        """The first sample of the window in which a field is read."""
        return self.preamble.body + offset

    def _after(self, offset: int) -> int:
        """The sample at which a field begins, or after which the field before it ends."""
        return self.preamble.start + 192 + offset
