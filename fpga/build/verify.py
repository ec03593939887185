"""Verification: each implementation on the way to hardware, compared with the integer program bit for bit."""

import copy
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from fpga.design.devices import Family
from fpga.design.interface import Design
from fpga.design.stream import ends
from fpga.simulation.simulate import simulate
from fpga.synth import Built, Mapped, bitstream_verilog, netlist_verilog
from shared.integer import Program, outputs, run
from shared.integer.format import Integers

if TYPE_CHECKING:
    from fpga.hls import Project
    from shared.f8net import F8Net

Implementation = Callable[[Integers], Integers]
"""Integers `(B, *shape)` of the program's input to those of its output."""
Trace = Callable[[Integers], Mapping[str, Integers]]
"""The same integers to values by name, for those that an implementation exposes."""

RTL: Final = "RTL simulation"


class CannotRunError(Exception):
    """An implementation that cannot be run here; its check is skipped for this reason."""


def default_samples(name: str) -> int:
    """Samples that a check compares by default."""
    return 2000 if name == RTL else 200


@dataclass(frozen=True)
class Check:
    """An implementation to be compared. `samples` is how many; 0 takes `default_samples`."""

    name: str
    implementation: Implementation
    samples: int = 0
    trace: Trace | None = None
    """Gives inner values, so that a mismatch can be traced to an operation."""

    def __post_init__(self) -> None:
        if self.samples < 0:
            raise ValueError(f"{self.name} needs a positive number of samples, got {self.samples}")
        object.__setattr__(self, "samples", self.samples or default_samples(self.name))


@dataclass(frozen=True)
class Mismatch:
    """The first integer that differs."""

    sample: int
    element: tuple[int, ...]
    expected: int
    got: int
    operation: str = ""
    """The first operation whose value differs, if the implementation has a `trace`."""

    def __str__(self) -> str:
        inside = f", from {self.operation!r} on" if self.operation else ""
        return f"sample {self.sample}, element {self.element}: {self.expected} expected, got {self.got}{inside}"


@dataclass(frozen=True)
class CheckResult:
    """How one implementation compared.

    Raises `ValueError` for a check that passed without comparing all that it should have.
    """

    name: str
    status: Literal["passed", "failed", "skipped"]
    wanted: int
    """Samples that should have been compared."""
    samples: int
    """Samples that were compared."""
    mismatches: int
    """Integers of the output that differ."""
    seconds: float
    note: str = ""
    """Why it failed or was skipped."""
    first: Mismatch | None = None

    def __post_init__(self) -> None:
        if self.status == "passed" and not (self.samples == self.wanted > 0 and self.mismatches == 0):
            raise ValueError(
                f"{self.name} cannot have passed: {self.samples} of {self.wanted} samples, {self.mismatches} mismatches"
            )

    def __str__(self) -> str:
        fewer = f" ({default_samples(self.name)} are the default)" if self.wanted < default_samples(self.name) else ""
        note = f": {self.note}" if self.note else ""
        return f"{self.name}: {self.status}, {self.mismatches} mismatches in {self.samples} samples{fewer}{note}"

    def to_json_data(self) -> dict[str, Any]:
        """The result as JSON data, with its outcome as a word."""
        outcome = {"passed": "passed", "failed": "FAILED", "skipped": "not run"}[self.status]
        names = ("name", "wanted", "samples", "mismatches", "seconds", "note")
        return {name: getattr(self, name) for name in names} | {"outcome": outcome}


@dataclass(frozen=True)
class VerificationReport:
    """The results of all checks, in order."""

    results: tuple[CheckResult, ...]

    @property
    def passed(self) -> bool:
        """No check failed, and that of the RTL was not skipped. Others may have been: `str` says which, and why."""
        failed = any(result.status == "failed" for result in self.results)
        return not failed and any(result.name == RTL and result.status == "passed" for result in self.results)

    def __str__(self) -> str:
        return "\n".join(map(str, self.results))


def verify(
    program: Program, checks: Sequence[Check], rng: Generator, task_samples: Integers | None = None
) -> VerificationReport:
    """Compares implementations with `shared.integer.run`, each on its number of samples.

    Half of the stimuli are taken from `task_samples`. An implementation that raises fails; one that lacks a tool is
    skipped.

    Raises `ValueError` without checks, or unless the program has one input and one output.

    >>> from shared.integer.format import Format
    >>> from shared.integer import Input, Requantise
    >>> half = Program((Input("x", (2,), Format(8, 7)),), (Requantise(("x",), "y", Format(7, 6)),), ("y",))
    >>> print(verify(half, [Check("floor", lambda x: x >> 1)], np.random.default_rng(0)))
    floor: failed, 83 mismatches in 200 samples: sample 3, element (0,): -54 expected, got -55
    """
    ends(program)
    if not checks:
        raise ValueError("verification needs a check, got none")
    x = stimuli(program, max(check.samples for check in checks), rng, task_samples)
    (expected,) = outputs(program, x)
    return VerificationReport(
        tuple(_compared(program, check, x[: check.samples], expected[: check.samples]) for check in checks)
    )


def stimuli(program: Program, count: int, rng: Generator, task_samples: Integers | None = None) -> NDArray[np.int64]:
    """Samples `(count, *shape)` of the input: all low, all high, then samples of the task and random ones in turn.

    Random integers cover the whole range; one random sample in four has nothing but its ends, where sums are largest.
    Of `task_samples`, the first ones are taken.

    Raises as `Input.require` for `task_samples` that are no inputs of the program.
    """
    (input,) = program.inputs
    format = input.format
    if task_samples is not None:
        input.require(task_samples)
    x = rng.integers(format.low, format.high + 1, (count, *input.shape))
    extreme = x[5::8]
    extreme[:] = np.where(rng.random(extreme.shape) < 0.5, format.low, format.high)
    if task_samples is not None:
        places = x[2::2]
        places[: len(task_samples)] = task_samples[: len(places)]
    x[:1], x[1:2] = format.low, format.high
    return x


def _compared(program: Program, check: Check, x: NDArray[np.int64], expected: NDArray[np.int64]) -> CheckResult:
    start = time.perf_counter()
    try:
        got = _integers_like(expected, check.implementation(x))
    except (CannotRunError, ModuleNotFoundError, FileNotFoundError) as error:
        return CheckResult(check.name, "skipped", len(x), 0, 0, time.perf_counter() - start, str(error))
    except (ValueError, TypeError, RuntimeError, OSError) as error:
        note = f"{type(error).__name__}: {error}"
        return CheckResult(check.name, "failed", len(x), 0, 0, time.perf_counter() - start, note)
    seconds, wrong = time.perf_counter() - start, int((got != expected).sum())
    if not wrong:
        return CheckResult(check.name, "passed", len(x), len(got), 0, seconds)
    first = _first(program, check, x, got, expected)
    return CheckResult(check.name, "failed", len(x), len(got), wrong, seconds, str(first), first)


def _integers_like(expected: NDArray[np.int64], got: Any) -> NDArray[Any]:
    array = np.asarray(got)
    if array.dtype.kind not in "iu" or array.shape != expected.shape:
        raise ValueError(f"{expected.shape} integers are needed, it returned {array.dtype} {array.shape}")
    return array


def _first(
    program: Program, check: Check, x: NDArray[np.int64], got: NDArray[Any], expected: NDArray[np.int64]
) -> Mismatch:
    sample, *element = np.argwhere(got != expected)[0].tolist()
    place = (sample, *element)
    name = "" if check.trace is None else _origin(program, check.trace, x[sample : sample + 1])
    return Mismatch(sample, tuple(element), int(expected[place]), int(got[place]), name)


def _origin(program: Program, trace: Trace, x: NDArray[np.int64]) -> str:
    """The first operation whose value differs in `trace`."""
    traced = trace(x)
    expected = run(program, x)
    names = [operation.output for operation in program.operations if operation.output in traced]
    return next((name for name in names if not np.array_equal(traced[name], expected[name])), "")


def torch_check(net: "F8Net", program: Program, samples: int = 0) -> Check:
    """The fixed-point net that the program comes from, outside training and in float64."""
    exact = copy.deepcopy(net).double().eval()

    def trace(x: Integers) -> dict[str, NDArray[np.int64]]:
        import torch

        with torch.no_grad():
            values = exact.values(torch.from_numpy(exact.input.format.from_integers(x)))
        return {name: _integers(values[name].numpy(), program, name) for name in program.values if name in values}

    return Check("fixed-point torch", lambda x: trace(x)[program.outputs[0]], samples, trace)


def _integers(reals: NDArray[np.float64], program: Program, name: str) -> NDArray[np.int64]:
    scaled = reals / program.values[name].format.step
    if not np.array_equal(scaled, np.rint(scaled)):
        raise ValueError(f"{name!r} has numbers between those of {program.values[name].format}")
    return scaled.astype(np.int64)


def hls_check(project: "Project", samples: int = 0) -> Check:
    """The C++ of an hls4ml project, compiled for this machine."""

    def csim(x: Integers) -> Integers:
        if shutil.which(project.backend.compiler) is None:
            raise CannotRunError(f"it needs {project.backend.compiler!r} on PATH")
        return project.compile().predict(x)

    return Check("hls4ml C simulation", csim, samples)


def rtl_check(design: Design, samples: int = 0, stalls: Generator | None = None) -> Check:
    """The design's Verilog, clock by clock; with `stalls`, both ends pause at random."""
    return Check(RTL, lambda x: _simulated(design, design.verilog, x, stalls=stalls), samples)


def netlist_check(design: Design, cells: Mapped, samples: int = 0) -> Check:
    """The cells that yosys mapped the design to."""

    def simulated(x: Integers) -> Integers:
        _need_bytes(cells)
        return _simulated(design, netlist_verilog(cells), x, cells=cells.device.family)

    return Check("netlist simulation", simulated, samples)


def bitstream_check(design: Design, built: Built, samples: int = 0) -> Check:
    """What the bits of the bitstream do; skipped unless the device is an iCE40."""

    def simulated(x: Integers) -> Integers:
        _need_bytes(built)
        if built.device.family != "ice40":
            raise CannotRunError(f"no open tool reads a bitstream of the {built.device.part} as logic")
        return _simulated(design, bitstream_verilog(built), x, cells=built.device.family)

    return Check("bitstream simulation", simulated, samples)


def _need_bytes(cells: Mapped) -> None:
    if cells.pins != "bytes":
        raise CannotRunError(f"it was built with pins={cells.pins!r}: only pins='bytes' are streams of bytes")


def _simulated(
    design: Design, verilog: str, x: Integers, *, cells: Family | None = None, stalls: Generator | None = None
) -> Integers:
    data = design.source.pack(x)
    return design.sink.unpack(simulate(verilog, data, design.sink.bytes, cells=cells, stalls=stalls).output)
