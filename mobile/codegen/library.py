"""The files of a library: the net, its kernels, two programs, a CMakeLists."""

from pathlib import Path

from mobile.codegen.c import header, source
from mobile.codegen.pipe import pipe
from mobile.kernels import sources
from mobile.lowering.calls import Lowered

FIXED = ("bench.c", "CMakeLists.txt")
"""Files that are the same for every net."""


def library(net: Lowered) -> dict[str, bytes]:
    """Every file by name; C sources are ASCII, since names of values are."""
    folder = Path(__file__).parent
    fixed = {name: (folder / name).read_bytes() for name in FIXED}
    written = {"net.h": header(net), "net.c": source(net), "pipe.c": pipe(net)}
    return {**{name: text.encode("ascii") for name, text in written.items()}, **sources(), **fixed}
