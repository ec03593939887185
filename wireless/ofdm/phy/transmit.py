"""From a PSDU to samples at 20 MHz, in clause 17 or HT mixed format, one stream."""

import numpy as np
from numpy.typing import NDArray

from wireless.ofdm.phy import grid
from wireless.ofdm.phy.coding import encode, puncture
from wireless.ofdm.phy.constellation import modulate
from wireless.ofdm.phy.interleaver import interleave
from wireless.ofdm.phy.rates import RATES, Rate
from wireless.ofdm.phy.scrambler import scramble
from wireless.ofdm.phy.signal import MAX_LENGTH, HTSignal, ht_signal_bits, signal_bits

SCRAMBLER_STATE = 0b1011101  # the scrambler state of the standard's worked example, annex I


def transmit(
    psdu: bytes, rate: Rate, scrambler_state: int = SCRAMBLER_STATE, aggregation: bool = False
) -> NDArray[np.complex64]:
    """Samples (N,) of one frame at 20 MHz; `psdu` ends with its own frame check sequence, see `mac.fcs`.

    Every used subcarrier has unit power in every field, so samples have power 52 / 64, in the HT part 56 / 64.
    `scrambler_state` is 1 to 127; `aggregation` marks `psdu` as an A-MPDU in HT-SIG. Symbols are not windowed
    (T_TR = 0).

    >>> transmit(b"hello", RATES[6]).shape  # 320 of preamble, SIGNAL, 3 symbols of DATA
    (640,)
    """
    octets = np.frombuffer(psdu, np.uint8)[None]
    points = data_points(data_bits(octets, rate, scrambler_state), rate)
    return np.concatenate([header(rate, len(psdu), aggregation), grid.to_time(points, rate.guard)[0]])


def data_bits(psdus: NDArray[np.uint8], rate: Rate, scrambler_state: int = SCRAMBLER_STATE) -> NDArray[np.uint8]:
    """Scrambled bits of DATA: octets (batch, bytes) -> (batch, N_SYM * N_DBPS), with SERVICE, tail and padding.

    The six tail bits are set to zero after scrambling: they return the encoder to state zero.
    """
    batch, size = psdus.shape
    bits = np.zeros((batch, rate.symbols(size) * rate.info), np.uint8)
    bits[:, 16 : 16 + 8 * size] = np.unpackbits(psdus, axis=1, bitorder="little")
    bits = scramble(bits, scrambler_state)
    bits[:, 16 + 8 * size : 22 + 8 * size] = 0
    return bits


def data_points(bits: NDArray[np.uint8], rate: Rate) -> NDArray[np.complex64]:
    """Points of the DATA symbols with their pilots: scrambled bits (batch, S * N_DBPS) -> (batch, S, K)."""
    coded = interleave(puncture(encode(bits), rate.code).reshape(len(bits), -1, rate.coded), rate)
    return grid.symbols(modulate(coded, rate.bits), 3 if rate.ht else 1, rate.ht)


def header(rate: Rate, length: int, aggregation: bool = False) -> NDArray[np.complex64]:
    """All samples before DATA: 400 in clause 17 (preamble, SIGNAL), 720 in HT mixed format."""
    if not rate.ht:
        return np.concatenate([grid.preamble(), _signal(signal_bits(rate, length), 0)])
    fields = HTSignal(int(rate.name.split()[1]), length, rate.short_guard, aggregation)
    legacy = signal_bits(RATES[6], legacy_length(rate, length))
    parts = (grid.preamble(), _signal(legacy, 0), _signal(ht_signal_bits(fields), 1, 1j), grid.ht_preamble())
    samples: NDArray[np.complex64] = np.concatenate(parts)
    return samples


def legacy_length(rate: Rate, length: int) -> int:
    """LENGTH of the SIGNAL before an HT frame: at 6 Mb/s it lasts as long as the frame does (19.3.9.3.5).

    With the short guard interval the time is rounded up to whole symbols of 4 us.
    """
    samples = 4 * 80 + rate.symbols(length) * (grid.FFT + rate.guard)
    announced = 3 * -(-samples // 80) - 3
    if announced > MAX_LENGTH:
        raise ValueError(f"a PSDU of {length} bytes at {rate.name} takes longer than the 5.5 ms a SIGNAL can announce")
    return announced


def _signal(bits: NDArray[np.uint8], first: int, rotation: complex = 1) -> NDArray[np.complex64]:
    """Symbols of SIGNAL or HT-SIG: BPSK 1/2, not scrambled; HT-SIG has a `rotation` of 90 degrees, except on pilots."""
    coded = interleave(encode(bits[None]).reshape(1, -1, RATES[6].coded), RATES[6])
    points: NDArray[np.complex64] = (rotation * modulate(coded, 1)).astype(np.complex64)
    samples: NDArray[np.complex64] = grid.to_time(grid.symbols(points, first))[0]
    return samples
