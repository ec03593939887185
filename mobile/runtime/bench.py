"""Measured times of a library's kernel calls."""

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from mobile.runtime.compiler import CompilerError, build


class Times(NamedTuple):
    """Medians of CPU time in ms, by the name of the kernel call."""

    instructions: str
    calls: Mapping[str, float]
    net: float


def measure(files: Mapping[str, bytes], folder: Path, rounds: int = 31) -> Times:
    """Compiles the benchmark of a library in `folder` and runs it, on one thread."""
    program = build(files, folder, "bench", shared=False)
    done = subprocess.run([str(program), str(rounds)], capture_output=True, text=True, timeout=600)
    if done.returncode:
        raise CompilerError(f"the library's benchmark ended with exit status {done.returncode}: {done.stderr.strip()}")
    (_, instructions), *lines = (line.split("\t") for line in done.stdout.splitlines())
    medians = {name: float(median) / 1e3 for name, median, _ in lines}
    return Times(instructions, medians, medians.pop("net"))
