"""The MAC fields that a receiver reads: frame check sequence, addresses, and the parts of an aggregate."""

import zlib
from collections.abc import Iterator
from typing import NamedTuple

_TYPES = ("management", "control", "data", "extension")
# Subtypes by type (IEEE 802.11-2020, table 9-1); subtypes without an entry are shown by number.
_SUBTYPES = (
    {
        0: "association request", 1: "association response", 2: "reassociation request", 3: "reassociation response",
        4: "probe request", 5: "probe response", 6: "timing advertisement", 8: "beacon", 9: "ATIM",
        10: "disassociation", 11: "authentication", 12: "deauthentication", 13: "action", 14: "action no ack",
    },
    {
        4: "beamforming report poll", 5: "VHT NDP announcement", 7: "control wrapper", 8: "block ack request",
        9: "block ack", 10: "PS-Poll", 11: "RTS", 12: "CTS", 13: "ACK", 14: "CF-End",
    },
    {0: "data", 4: "null", 8: "QoS data", 12: "QoS null"},
    {0: "DMG beacon", 1: "S1G beacon"},
)  # fmt: skip
_SHORT_CONTROL = {12, 13}  # CTS and ACK: the receiver's address alone


class Header(NamedTuple):
    """The header of an MPDU: its type and the addresses that this type has."""

    type: str
    receiver: str | None
    transmitter: str | None
    third: str | None
    sequence: int | None


class MPDU(NamedTuple):
    """One MAC frame with its frame check sequence, alone in a PSDU or part of an aggregate."""

    data: bytes
    fcs_ok: bool
    header: Header | None
    """None where the frame is too short for a header."""


def fcs(data: bytes) -> bytes:
    """The frame check sequence of `data`, four bytes as transmitted: the CRC-32 of Ethernet (9.2.4.8)."""
    return zlib.crc32(data).to_bytes(4, "little")


def fcs_ok(mpdu: bytes) -> bool:
    """True where the last four bytes are the frame check sequence of the bytes before them."""
    return len(mpdu) > 4 and fcs(mpdu[:-4]) == mpdu[-4:]


def mpdu(data: bytes) -> MPDU:
    """The MAC frame in `data`, with its check sequence tested and its header parsed."""
    return MPDU(data, fcs_ok(data), _header(data))


def crc8(bits: list[int]) -> int:
    """CRC x^8 + x^2 + x + 1 of HT-SIG and of an aggregate's delimiters: ones first, the result inverted (19.3.9.4.4).

    Bit 7 of the result is transmitted first.

    >>> f"{crc8([int(b) for b in '1111000100100110000000001110000000']):08b}"
    '10101000'
    """
    register = 0xFF
    for bit in bits:
        feedback = (register >> 7) ^ bit
        register = (register << 1 & 0xFF) ^ (0x07 if feedback else 0)
    return register ^ 0xFF


def aggregate(mpdus: list[bytes]) -> bytes:
    """An A-MPDU: a delimiter before each MAC frame, and all but the last padded to four bytes (9.7.1)."""
    parts = [_delimiter(len(data)) + data + bytes(-len(data) % 4) for data in mpdus[:-1]]
    return b"".join([*parts, *(_delimiter(len(data)) + data for data in mpdus[-1:])])


def deaggregate(psdu: bytes) -> Iterator[MPDU]:
    """The MAC frames of an A-MPDU; after a corrupt delimiter, frames up to the next valid one are lost (9.7.3)."""
    at = 0
    while at + 4 <= len(psdu):
        length = int.from_bytes(psdu[at : at + 2], "little") >> 4
        if psdu[at : at + 4] != _delimiter(length, psdu[at] & 0xF) or at + 4 + length > len(psdu):
            at += 4
            continue
        if length:
            yield mpdu(psdu[at + 4 : at + 4 + length])
        at += 4 + length + -length % 4


def _delimiter(length: int, low: int = 0) -> bytes:
    """Four reserved bits `low`, the length in 12 bits, CRC-8 with its bit 7 first, and the signature 'N'."""
    word = low | length << 4
    check = crc8([word >> k & 1 for k in range(16)])
    return bytes([word & 0xFF, word >> 8, int(f"{check:08b}"[::-1], 2), 0x4E])


def _header(data: bytes) -> Header | None:
    if len(data) < 14:
        return None
    type_, subtype = data[0] >> 2 & 3, data[0] >> 4
    name = _SUBTYPES[type_].get(subtype, f"{_TYPES[type_]} subtype {subtype}")
    receiver = _address(data, 4)
    if type_ == 1 and subtype in _SHORT_CONTROL:
        return Header(name, receiver, None, None, None)
    transmitter = _address(data, 10) if len(data) >= 20 else None
    if type_ in (1, 3) or len(data) < 28:
        return Header(name, receiver, transmitter, None, None)
    return Header(name, receiver, transmitter, _address(data, 16), int.from_bytes(data[22:24], "little") >> 4)


def _address(data: bytes, at: int) -> str:
    return data[at : at + 6].hex(":")
