"""The files of a library: the net, its kernels, two programs, a CMakeLists."""

from pathlib import Path

from mobile.codegen.c import header, source
from mobile.codegen.pipe import pipe
from mobile.codegen.structures import constants
from mobile.kernels import sources
from mobile.lowering.calls import Lowered

FIXED = ("bench.c", "CMakeLists.txt")
"""Files that are the same for every net."""


MOST_WEIGHTS = 2**30
"""Bytes: each is four characters of C, which a compiler holds in memory several times over."""


def library(net: Lowered) -> dict[str, bytes]:
    """Every file by name; C sources are ASCII, since names of values are.

    Raises `ValueError` for more than `MOST_WEIGHTS` bytes of weights.
    """
    weights = sum(layer.bytes for layer in net.layers) + sum(constant.bytes for constant in constants(net))
    if weights > MOST_WEIGHTS:
        raise ValueError(
            f"the net has {weights / 2**20:,.0f} MiB of weights and tables, at most {MOST_WEIGHTS / 2**20:,.0f} can be "
            "written as C: compress it, or compile its parts one by one"
        )
    folder = Path(__file__).parent
    fixed = {name: (folder / name).read_bytes() for name in FIXED}
    written = {"net.h": header(net), "net.c": source(net), "pipe.c": pipe(net)}
    return {**{name: text.encode("ascii") for name, text in written.items()}, **sources(), **fixed}
