"""The C that every compiled net contains: kernels for three instruction sets from one source."""

import re
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


def tiles(instructions: str) -> Mapping[str, int]:
    """Pixels of a vector (`LANES`), vectors of a tile of each kernel, and pixels of a tile of floats.

    As the header of an instruction set says.

    >>> tiles("avx2")["LANES"]
    8
    """
    text = (Path(__file__).parent / f"{instructions}.h").read_text()
    defined = re.findall(r"^#define (LANES|VECTORS_\w|FLOAT_PIXELS) (\d+)$", text, re.MULTILINE)
    return {name: int(number) for name, number in defined}
