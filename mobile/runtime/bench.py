"""Measured times of a library's kernel calls."""

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from mobile.runtime.compiler import CompilerError, build

RUNS = 5
BEST = "best"
"""The benchmark's word for the best instructions."""


class Times(NamedTuple):
    """Medians of CPU time in ms, by the name of the kernel call; of several threads, time on the wall."""

    instructions: str
    calls: Mapping[str, float]
    net: float


def measure(files: Mapping[str, bytes], folder: Path, rounds: int = 31, threads: int = 1) -> Times:
    """Compiles the benchmark of a library in `folder` and runs it `RUNS` times: the `fastest` of them."""
    program = build(files, folder, "bench", shared=False)
    return fastest([time_program(program, rounds, threads) for _ in range(RUNS)])


def time_program(program: Path, rounds: int, threads: int = 1) -> Times:
    """Runs a benchmark that was compiled, with the best instructions of this machine."""
    words = [str(program), str(rounds), *([BEST, str(threads)] if threads > 1 else [])]
    done = subprocess.run(words, capture_output=True, text=True, timeout=600)
    if done.returncode:
        raise CompilerError(f"the library's benchmark ended with exit status {done.returncode}: {done.stderr.strip()}")
    (_, instructions), *lines = (line.split("\t") for line in done.stdout.splitlines())
    medians = {name: float(median) / 1e3 for name, median, _ in lines}
    return Times(instructions, medians, medians.pop("net"))


def fastest(runs: Sequence[Times]) -> Times:
    """The least median of several runs, of every call and of the net.

    What else runs on the machine only adds, by half where two threads share a core, and comes and goes: the least of
    short runs is that of the call alone. The least of single rounds would be that of an error of the clock.
    """
    calls = {name: min(run.calls[name] for run in runs) for name in runs[0].calls}
    return Times(runs[0].instructions, calls, min(run.net for run in runs))
