"""The C that every compiled net contains: kernels for three instruction sets from one source."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

INSTRUCTION_SETS: Final = ("plain", "avx2", "vnni")
"""What the kernels are written for: vectors that every machine has, AVX2, and AVX-512 with VNNI."""

LANES: Final = 16
"""Pixels of the widest vector: planes are multiples of it, so that whole vectors are written."""


def sources() -> Mapping[str, bytes]:
    """The C files by name, as they are shipped."""
    folder = Path(__file__).parent
    return {path.name: path.read_bytes() for path in sorted([*folder.glob("*.c"), *folder.glob("*.h")])}
