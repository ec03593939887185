"""The SIGNAL field of clause 17 and HT-SIG: the parameters of the DATA field (17.3.4, 19.3.9.4.3)."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from wireless.ofdm.phy.mac import crc8
from wireless.ofdm.phy.rates import MCS, RATES, Rate

# RATE bits R1 R2 R3 R4 in order of transmission, by Mb/s: table 17-6.
_CODES = {6: "1101", 9: "1111", 12: "0101", 18: "0111", 24: "1001", 36: "1011", 48: "0001", 54: "0011"}
MAX_LENGTH = 4095
"""Bytes of the longest PSDU that SIGNAL can announce."""
MAX_LENGTH_HT = 65535
"""The same of HT-SIG."""


class Signal(NamedTuple):
    """Rate and PSDU bytes of SIGNAL; in an HT frame they only state how long the frame lasts."""

    rate: Rate
    length: int


class HTSignal(NamedTuple):
    """HT-SIG: scheme, PSDU bytes, and the options that concern a receiver."""

    mcs: int
    length: int
    short_guard: bool = False
    aggregation: bool = False
    smoothing: bool = True
    not_sounding: bool = True
    wide: bool = False
    stbc: int = 0
    ldpc: bool = False
    extension: int = 0

    @property
    def rate(self) -> Rate:
        """The scheme; ValueError with the reason where this receiver does not support it."""
        reasons = (
            (self.wide, "40 MHz wide"),
            (self.mcs > 7, f"MCS {self.mcs}, of several streams or unequal modulation"),
            (self.ldpc, "LDPC coded"),
            (self.stbc, "space-time block coded"),
            (self.extension, f"with {self.extension} extension streams"),
            (self.length == 0, "a sounding frame without data"),
        )
        unsupported = ", ".join(reason for holds, reason in reasons if holds)
        if unsupported:
            raise ValueError(
                f"HT frame {unsupported}: only one stream, MCS 0 to 7, 20 MHz, convolutional code are decoded"
            )
        return MCS[self.mcs].short() if self.short_guard else MCS[self.mcs]


def signal_bits(rate: Rate, length: int) -> NDArray[np.uint8]:
    """The 24 bits of SIGNAL: RATE, a reserved 0, LENGTH with its low bit first, even parity, six zeros."""
    if not 1 <= length <= MAX_LENGTH:
        raise ValueError(f"a PSDU of {length} bytes: SIGNAL can announce 1 to {MAX_LENGTH}")
    code = next(code for mbps, code in _CODES.items() if RATES[mbps] == rate)
    front = [*map(int, code), 0, *_low_first(length, 12)]
    return np.array([*front, sum(front) % 2, *[0] * 6], np.uint8)


def read_signal(bits: NDArray[np.uint8]) -> Signal:
    """Inverts `signal_bits`; ValueError with the reason where the bits (24,) are not a valid SIGNAL field.

    The reserved bit is ignored, as 17.3.4.1 asks of receivers.
    """
    if bits[:18].sum() % 2:
        raise ValueError("SIGNAL parity is wrong")
    code = "".join(map(str, bits[:4]))
    mbps = next((mbps for mbps, rate_bits in _CODES.items() if rate_bits == code), None)
    if mbps is None:
        raise ValueError(f"SIGNAL announces the illegal rate {code}")
    length = _number(bits[5:17])
    if length == 0:
        raise ValueError("SIGNAL announces length 0")
    return Signal(RATES[mbps], length)


def ht_signal_bits(fields: HTSignal) -> NDArray[np.uint8]:
    """The 48 bits of HT-SIG, both symbols."""
    if not 0 <= fields.length <= MAX_LENGTH_HT:
        raise ValueError(f"a PSDU of {fields.length} bytes: HT-SIG can announce 0 to {MAX_LENGTH_HT}")
    front = [*_low_first(fields.mcs, 7), int(fields.wide), *_low_first(fields.length, 16)]
    front += [int(fields.smoothing), int(fields.not_sounding), 1, int(fields.aggregation)]
    front += [*_low_first(fields.stbc, 2), int(fields.ldpc), int(fields.short_guard), *_low_first(fields.extension, 2)]
    return np.array([*front, *_low_first(crc8(front), 8)[::-1], *[0] * 6], np.uint8)


def read_ht_signal(bits: NDArray[np.uint8]) -> HTSignal:
    """Inverts `ht_signal_bits`; ValueError where the CRC of the bits (48,) is wrong."""
    if not crc_ok(bits):
        raise ValueError("HT-SIG CRC is wrong")
    smoothing, not_sounding, _, aggregation = map(bool, bits[24:28])
    return HTSignal(
        mcs=_number(bits[:7]),
        length=_number(bits[8:24]),
        short_guard=bool(bits[31]),
        aggregation=aggregation,
        smoothing=smoothing,
        not_sounding=not_sounding,
        wide=bool(bits[7]),
        stbc=_number(bits[28:30]),
        ldpc=bool(bits[30]),
        extension=_number(bits[32:34]),
    )


def crc_ok(bits: NDArray[np.uint8]) -> bool:
    """True where the CRC of the bits (48,) of HT-SIG, or of VHT-SIG-A, is right."""
    return crc8(bits[:34].tolist()) == _number(bits[34:42][::-1])


def _low_first(value: int, width: int) -> list[int]:
    return [value >> k & 1 for k in range(width)]


def _number(bits: NDArray[np.uint8]) -> int:
    return sum(int(bit) << k for k, bit in enumerate(bits))
