"""Measured times of a library's kernel calls."""

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from mobile.runtime.compiler import CompilerError, build


class Times(NamedTuple):
    """CPU time in ms, by the name of the kernel call: medians, and the least."""

    instructions: str
    calls: Mapping[str, float]
    net: float
    least_calls: Mapping[str, float]
    least_net: float


def measure(files: Mapping[str, bytes], folder: Path, rounds: int = 31) -> Times:
    """Compiles the benchmark of a library in `folder` and runs it, on one thread."""
    return time_program(build(files, folder, "bench", shared=False), rounds)


def time_program(program: Path, rounds: int) -> Times:
    """Runs a benchmark that was compiled."""
    done = subprocess.run([str(program), str(rounds)], capture_output=True, text=True, timeout=600)
    if done.returncode:
        raise CompilerError(f"the library's benchmark ended with exit status {done.returncode}: {done.stderr.strip()}")
    (_, instructions), *lines = (line.split("\t") for line in done.stdout.splitlines())
    medians = {name: float(median) / 1e3 for name, median, _ in lines}
    least = {name: float(shortest) / 1e3 for name, _, shortest in lines}
    return Times(instructions, medians, medians.pop("net"), least, least.pop("net"))


def fastest(runs: Sequence[Times]) -> Times:
    """The least of several runs, of every call and of the net."""
    calls = {name: min(run.least_calls[name] for run in runs) for name in runs[0].calls}
    net = min(run.least_net for run in runs)
    return Times(runs[0].instructions, calls, net, calls, net)
