"""A program becomes a library that was checked."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mobile.build.check import Check, check, stimuli
from mobile.build.cross import Cross, cross_compile
from mobile.codegen.library import library
from mobile.kernels import Architecture
from mobile.lowering.calls import Lowered
from mobile.lowering.choice import WorkPrice
from mobile.lowering.lower import lower
from mobile.pricing.calibration import calibrated
from mobile.runtime.bench import Times, measure
from mobile.runtime.compiler import build
from mobile.runtime.net import CompiledNet
from shared.integer import Program
from shared.integer.format import Integers

SAMPLES = 16
"""Random samples of the check on every compile."""


@dataclass(frozen=True, eq=False)
class Compiled:
    """A library whose outputs equalled the program's."""

    net: CompiledNet
    lowered: Lowered
    files: Mapping[str, bytes]
    checks: tuple[Check, ...]
    price: WorkPrice | None
    shared_library: bytes
    """For `CompiledNet`, on machines such as this one."""
    times: Times | None = None
    cross: Cross[tuple[Check, ...]] | None = None
    """The same for another architecture."""


def compile_program(
    program: Program,
    rng: np.random.Generator,
    *,
    price: WorkPrice | None = None,
    format: str | None = None,
    rounds: int = 0,
    threads: int = 1,
    samples: Sequence[Integers] = (),
    count: int = SAMPLES,
    target: Architecture | None = None,
) -> Compiled:
    """The library of a program, compared with it on `count` random samples and on `samples`.

    `price` is measured on this machine if it is not stated; with `format` (dense, 2x4, 1x4) every layer has that one.
    `rounds` times every kernel call that often, on `threads` threads, which check and net use too. With `target`
    programs for that architecture are compiled as well, and compared in an emulator where there is one.

    Raises `ValueError` for a program that has no kernels and `CompilerError` without a working compiler.

    >>> from mobile.build.example import example
    >>> rng = np.random.default_rng(0)
    >>> compiled = compile_program(example(rng), rng, format="2x4")
    >>> compiled.checks[0]
    Check(instructions='plain', samples=16, mismatches=0)
    """
    if price is None and format is None:
        price = calibrated()
    lowered = lower(program, price, format)
    files = library(lowered)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        library_file = build(files, folder, "net.so", shared=True)
        net = CompiledNet(library_file, program)
        net.use_threads(threads)
        compared = [stimuli(program, count, rng), *([samples] if len(samples) else [])]
        checks = _equal(net, compared)
        times = measure(files, folder, rounds, threads) if rounds else None
        binary = library_file.read_bytes()
    cross = target and cross_compile(files, target, lambda piped: _equal(CompiledNet(piped, program), compared))
    return Compiled(net, lowered, files, checks, price, binary, times, cross)


def _equal(net: CompiledNet, compared: Sequence[Sequence[Integers]]) -> tuple[Check, ...]:
    checks = tuple(each for samples in compared for each in check(net, samples))
    if any(each.mismatches for each in checks):
        raise RuntimeError(f"the library does not compute the program: {checks}")  # a fault of ours
    return checks
