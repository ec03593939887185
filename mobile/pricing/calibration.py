"""The laws of all kernels, fitted on this machine in about a minute and kept."""

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mobile.codegen.library import library
from mobile.kernels import sources, tiles
from mobile.lowering import float_work as float_works
from mobile.lowering import work as works
from mobile.lowering.calls import Call, Lowered
from mobile.lowering.float_work import FloatWork, float_work
from mobile.lowering.floats import FloatCall
from mobile.lowering.formats import FORMATS
from mobile.lowering.lower import lower
from mobile.lowering.work import Work, work
from mobile.pricing import float_nets as random_float_nets
from mobile.pricing import law
from mobile.pricing import nets as random_nets
from mobile.pricing import token_nets as random_token_nets
from mobile.pricing.float_nets import random_float_net
from mobile.pricing.latency import Latency, Numbers
from mobile.pricing.law import features, fit
from mobile.pricing.nets import random_net
from mobile.pricing.token_nets import random_token_net
from mobile.runtime import bench
from mobile.runtime.bench import Times, fastest, time_program
from mobile.runtime.compiler import build, find, version
from shared.lab import cache_folder, canonical, hash_bytes, provenance, write_atomic

NETS, HELD_OUT, PASSES, ROUNDS = 48, 4, 12, 9
"""Random nets, of which every `HELD_OUT`th is predicted and not fitted; each is timed in `PASSES` turns."""
Progress = Callable[[int, int, str], None]
TOKEN_NETS = 12
"""Of attention and tables beside them, in integers."""
LEAST_NS = 20.0
"""Calls that take less are measured no better than this."""


_LAWS = {
    "int8": (works.__file__, law.__file__, random_nets.__file__, random_token_nets.__file__, bench.__file__),
    "float32": (float_works.__file__, law.__file__, random_float_nets.__file__, bench.__file__),
}
"""What else decides the coefficients."""


class Timed(NamedTuple):
    """The work of every call of a net with its milliseconds, and those of the net."""

    calls: tuple[tuple[Work | FloatWork, float], ...]
    ms: float


def calibrated(progress: Progress | None = None, numbers: Numbers = "int8") -> Latency:
    """The laws of this machine for nets of integers or of floats: from `QWEDGE_CACHE`, or measured now, in a minute.

    They are kept for this processor, compiler and version of the kernels and laws. Raises `CompilerError` without a
    compiler.
    """
    about = {"cpu": provenance("")["cpu"], "compiler": version(find()), "nets": NETS, "numbers": numbers}
    about["kernels"] = {name: hash_bytes(data) for name, data in sources().items()}
    about["laws"] = {Path(path).name: hash_bytes(Path(path).read_bytes()) for path in _LAWS[numbers]}
    path = cache_folder() / "mobile" / f"latency-{hash_bytes(canonical(about).encode())[:24]}.json"
    if path.exists():
        return Latency.from_json(path.read_text())
    rng = np.random.default_rng(0)
    if numbers == "float32":
        nets = [random_float_net(rng) for _ in range(NETS)]
    else:
        programs = [random_net(rng) for _ in range(NETS)]
        nets = [lower(program, format=list(FORMATS)[k % len(FORMATS)]) for k, program in enumerate(programs)]
        nets += [lower(random_token_net(rng), format="dense") for _ in range(TOKEN_NETS)]
    instructions, timed = timings(nets, progress=progress)
    latency = fitted(instructions, timed, about)
    write_atomic(path, latency.to_json().encode())
    return latency


def timings(
    nets: Sequence[Lowered],
    passes: int = PASSES,
    rounds: int = ROUNDS,
    progress: Progress | None = None,
) -> tuple[str, list[Timed]]:
    """The instruction set, and the times of nets, in turns: of each call the least median of all turns."""
    with compile_benches(nets, progress) as benches:
        runs = time_benches(benches, passes, rounds, progress)
    best = [fastest(turns) for turns in runs]
    timed = [
        Timed(tuple((work_of(call), times.calls[call.title]) for call in net.calls), times.net)
        for net, times in zip(nets, best, strict=True)
    ]
    return best[0].instructions, timed


def work_of(call: Call) -> Work | FloatWork:
    """The work of a call of either numbers."""
    return float_work(call) if isinstance(call, FloatCall) else work(call)


@contextmanager
def compile_benches(nets: Sequence[Lowered], progress: Progress | None = None) -> Iterator[list[Path]]:
    """The benchmark of every net, compiled."""
    with tempfile.TemporaryDirectory() as temporary:
        benches = []
        for k, net in enumerate(nets):
            folder = Path(temporary) / str(k)
            folder.mkdir()
            benches.append(build(library(net), folder, "bench", shared=False))
            if progress:
                progress(k + 1, len(nets), "compiling nets to calibrate with, once per machine")
        yield benches


def time_benches(
    benches: Sequence[Path], passes: int, rounds: int, progress: Progress | None = None, threads: int = 1
) -> list[list[Times]]:
    """The times of every benchmark in each of the passes, in turns: a disturbance meets all alike."""
    runs: list[list[Times]] = [[] for _ in benches]
    for turn in range(passes):
        for times, program in zip(runs, benches, strict=True):
            times.append(time_program(program, rounds, threads))
        if progress:
            progress(turn + 1, passes, "measuring nets to calibrate with, once per machine")
    return runs


def fitted(instructions: str, nets: Sequence[Timed], about: Mapping[str, object]) -> Latency:
    """The laws of all kernels in some nets, and how well they predict every fourth, which is left out of the fit."""
    tile = tiles(instructions)
    rows: dict[str, list[tuple[Sequence[float], float]]] = {}
    for k, net in enumerate(nets):
        for each, ms in net.calls if (k + 1) % HELD_OUT else ():
            rows.setdefault(each.kernel, []).append((features(each, tile), max(ms * 1e6, LEAST_NS)))
    laws = {kernel: fit(samples) for kernel, samples in sorted(rows.items())}
    latency = Latency(instructions, laws, about, {})
    tested = nets[HELD_OUT - 1 :: HELD_OUT]
    errors = [abs(sum(latency(each) for each, _ in net.calls) / net.ms - 1) for net in tested]
    held_out = {
        "nets": len(errors),
        "median_error": float(np.median(errors)),
        "p90_error": float(np.quantile(errors, 0.9)),
    }
    return Latency(instructions, laws, about, held_out)
