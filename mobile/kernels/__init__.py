"""The C that every compiled net contains: kernels for every instruction set from one source."""

import platform
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

Architecture = Literal["x86_64", "arm64"]
INSTRUCTION_SETS: Final[Mapping[Architecture, tuple[str, ...]]] = {
    "x86_64": ("plain", "avx2", "vnni"),
    "arm64": ("plain", "neon", "dotprod"),
}
"""What the kernels are written for: vectors that every machine has, then those of an architecture, the best last."""

LANES: Final = 16
"""Pixels of the widest vector: planes are multiples of it, so that whole vectors are written."""


def architecture() -> Architecture:
    """That of this machine."""
    return "arm64" if platform.machine().lower() in ("aarch64", "arm64") else "x86_64"


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
