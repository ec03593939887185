"""The files of a library: the net, its kernels, a benchmark, a CMakeLists."""

from pathlib import Path

from mobile.codegen.c import header, source
from mobile.kernels import sources
from mobile.lowering.calls import Lowered

FIXED = ("bench.c", "CMakeLists.txt")
"""Files that are the same for every net."""


def library(net: Lowered) -> dict[str, bytes]:
    """Every file by name; C sources are ASCII, since names of values are."""
    folder = Path(__file__).parent
    fixed = {name: (folder / name).read_bytes() for name in FIXED}
    return {"net.h": header(net).encode("ascii"), "net.c": source(net).encode("ascii"), **sources(), **fixed}
