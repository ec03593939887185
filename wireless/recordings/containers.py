"""Samples as a file stores them: bytes, their type and their rate; raw files and WAV."""

import struct
from pathlib import Path
from typing import NamedTuple

RAW = {"cs8": ("i1", 0), "cu8": ("u1", 128), "cs16": ("<i2", 0), "cf32": ("<f4", 0)}
"""NumPy's type, and the value that represents zero, of raw files of I, Q, I, Q, ..."""
_WAV = {(1, 8): ("u1", 128), (1, 16): ("<i2", 0), (1, 32): ("<i4", 0), (3, 32): ("<f4", 0), (3, 64): ("<f8", 0)}
_EXTENSIBLE = 0xFFFE


class Stored(NamedTuple):
    """Complex samples in the bytes of a file."""

    path: Path
    """The file, for messages."""
    data: bytes
    """The samples alone, without headers: I and Q of every channel, then those of the next sample."""
    dtype: str
    zero: int
    """The value that represents zero."""
    rate: float | None = None
    """Samples per second, where the file states it."""
    channels: int = 1
    warnings: tuple[str, ...] = ()


def raw(path: Path, format: str) -> Stored:
    """A file of samples and nothing else."""
    return Stored(path, path.read_bytes(), *RAW[format])


def wav(path: Path) -> Stored:
    """A RIFF file whose channels are I and Q, or pairs of them: PCM of 8, 16 and 32 bits, or floats.

    The standard library reads neither floats nor the extensible header, which recorders of wide bands write.
    """
    content = path.read_bytes()
    chunks = _chunks(content) if content[:4] in (b"RIFF", b"RF64") and content[8:12] == b"WAVE" else {}
    head, data = chunks.get(b"fmt ", b""), chunks.get(b"data")
    if len(head) < 16 or data is None:
        raise ValueError(f"{path} is not a WAV file: it has no RIFF header with the chunks 'fmt ' and 'data'")
    kind, channels, rate, _, _, bits = struct.unpack("<HHIIHH", head[:16])
    if kind == _EXTENSIBLE and len(head) >= 26:
        kind = struct.unpack("<H", head[24:26])[0]
    if (kind, bits) not in _WAV:
        raise ValueError(
            f"{path}: samples of {bits} bits in format {kind}; PCM of 8, 16 or 32 bits and floats are read"
        )
    if channels == 0 or channels % 2:
        raise ValueError(f"{path} has {channels} channels; I and Q take two")
    return Stored(path, data, *_WAV[kind, bits], float(rate), channels // 2)


def _chunks(content: bytes) -> dict[bytes, bytes]:
    """The chunks of a RIFF file by name; a last one whose stated size exceeds the file ends with the file."""
    chunks: dict[bytes, bytes] = {}
    at = 12
    while at + 8 <= len(content):
        name, size = content[at : at + 4], int.from_bytes(content[at + 4 : at + 8], "little")
        chunks.setdefault(name, content[at + 8 : at + 8 + size])
        at += 8 + size + size % 2
    return chunks
