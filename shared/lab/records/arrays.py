"""NumPy files within limits: what a header claims is checked before a byte of its array is read."""

import lzma
import math
import struct
import tokenize
import zlib
from collections.abc import Callable, Collection
from pathlib import Path
from typing import IO
from zipfile import BadZipFile, ZipFile, is_zipfile

import numpy as np
from numpy.typing import NDArray

MOST_BYTES = 2**27
"""Bytes of the largest array; a compressed file of a few kilobytes can claim terabytes."""

# What NumPy, zipfile and the decompressors raise for damaged, encrypted or invented content.
_FAULTS = (
    *(ValueError, TypeError, LookupError, ArithmeticError, OSError, EOFError, RuntimeError, MemoryError, SyntaxError),
    *(tokenize.TokenError, BadZipFile, zlib.error, lzma.LZMAError, struct.error),
)


def read_npz(path: Path, names: Collection[str]) -> dict[str, NDArray[np.generic]]:
    """Those of the arrays `names` that a `.npz` archive holds. Nothing is unpickled.

    Raises `ValueError`, in one line, for a file that is no archive, is encrypted or damaged, or holds an array of
    objects or one above `MOST_BYTES`.
    """
    if not is_zipfile(path):
        raise ValueError(f"{path.name} is not a NumPy archive")
    try:
        with ZipFile(path) as archive:
            members = {name: f"{name}.npy" for name in names if f"{name}.npy" in archive.namelist()}
            return {name: _read(lambda member=member: archive.open(member)) for name, member in members.items()}  # type: ignore[misc]
    except _FAULTS as error:
        raise ValueError(f"{path.name} holds an entry that is not a plain array ({_reason(error)})") from None


def read_npy(path: Path) -> NDArray[np.generic]:
    """The array of a `.npy` file, within the same limits and with the same errors as `read_npz`."""
    try:
        return _read(lambda: open(path, "rb"))
    except FileNotFoundError:
        raise
    except _FAULTS as error:
        raise ValueError(f"{path.name} is not a plain NumPy array ({_reason(error)})") from None


def _read(reopen: Callable[[], IO[bytes]]) -> NDArray[np.generic]:
    with reopen() as file:
        version = np.lib.format.read_magic(file)
        header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = header(file)
    if min(shape, default=1) < 0 or math.prod(shape) * max(dtype.itemsize, 1) > MOST_BYTES:
        raise ValueError(f"it claims the shape {shape} of {dtype}; at most {MOST_BYTES // 2**20} MiB are read")
    with reopen() as file:
        array: NDArray[np.generic] = np.lib.format.read_array(file, allow_pickle=False)
    return array


def _reason(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
