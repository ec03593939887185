"""The ladder of verification: what each step towards hardware made of a program, compared with it bit for bit."""

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
"""The same to values by name, for those that an implementation can tell."""

RTL: Final = "RTL simulation"


class CannotRunError(Exception):
    """An implementation that cannot be run here; its rung is skipped for this reason."""


def usual(name: str) -> int:
    """Samples that a rung compares unless told otherwise."""
    return 2000 if name == RTL else 200


@dataclass(frozen=True)
class Step:
    """An implementation to be compared. `samples` is how many, 0 means `usual`."""

    name: str
    implementation: Implementation
    samples: int = 0
    trace: Trace | None = None
    """Tells inner values, so that a mismatch can be traced to an operation."""

    def __post_init__(self) -> None:
        if self.samples < 0:
            raise ValueError(f"{self.name} needs a number of samples, got {self.samples}")
        object.__setattr__(self, "samples", self.samples or usual(self.name))


@dataclass(frozen=True)
class Mismatch:
    """The first integer that differs."""

    sample: int
    element: tuple[int, ...]
    expected: int
    got: int
    operation: str = ""
    """The first operation whose value differs, if the implementation tells its values."""

    def __str__(self) -> str:
        inside = f", from {self.operation!r} on" if self.operation else ""
        return f"sample {self.sample}, element {self.element}: {self.expected} expected, got {self.got}{inside}"


@dataclass(frozen=True)
class Rung:
    """How one implementation compared.

    Raises `ValueError` for one that passed without comparing all it should have.
    """

    name: str
    status: Literal["passed", "failed", "skipped"]
    wanted: int
    """Samples that should have been compared."""
    samples: int
    """Samples that were."""
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
        fewer = f" ({usual(self.name)} are usual)" if self.wanted < usual(self.name) else ""
        note = f": {self.note}" if self.note else ""
        return f"{self.name}: {self.status}, {self.mismatches} mismatches in {self.samples} samples{fewer}{note}"


def plain(rung: Rung) -> dict[str, Any]:
    """A rung as JSON data, with its outcome as a word."""
    outcome = {"passed": "passed", "failed": "FAILED", "skipped": "not run"}[rung.status]
    names = ("name", "wanted", "samples", "mismatches", "seconds", "note")
    return {name: getattr(rung, name) for name in names} | {"outcome": outcome}


@dataclass(frozen=True)
class Ladder:
    """All rungs, in order."""

    rungs: tuple[Rung, ...]

    @property
    def passed(self) -> bool:
        """No rung failed, and that of the RTL was not skipped. Others may have been: `str` tells which, and why."""
        failed = any(rung.status == "failed" for rung in self.rungs)
        return not failed and any(rung.name == RTL and rung.status == "passed" for rung in self.rungs)

    def __str__(self) -> str:
        return "\n".join(map(str, self.rungs))


def climb(program: Program, steps: Sequence[Step], rng: Generator, given: Integers | None = None) -> Ladder:
    """Compares implementations with `shared.integer.run`, each on its number of samples.

    `given` are samples of the task, which half of the stimuli are taken from. An implementation that raises fails; one
    that lacks a tool is skipped.

    Raises `ValueError` without steps, or unless the program has one input and one output.

    >>> from shared.integer.format import Format
    >>> from shared.integer import Input, Requantise
    >>> half = Program((Input("x", (2,), Format(8, 7)),), (Requantise(("x",), "y", Format(7, 6)),), ("y",))
    >>> print(climb(half, [Step("floor", lambda x: x >> 1)], np.random.default_rng(0)))
    floor: failed, 83 mismatches in 200 samples: sample 3, element (0,): -54 expected, got -55
    """
    ends(program)
    if not steps:
        raise ValueError("a ladder needs a step to climb, got none")
    x = stimuli(program, max(step.samples for step in steps), rng, given)
    (expected,) = outputs(program, x)
    return Ladder(tuple(_rung(program, step, x[: step.samples], expected[: step.samples]) for step in steps))


def stimuli(program: Program, count: int, rng: Generator, given: Integers | None = None) -> NDArray[np.int64]:
    """Samples `(count, *shape)` of the input: all low, all high, then `given` and random ones in turn.

    Random integers cover the whole range; one random sample in four has nothing but its ends, where sums are largest.
    Of `given`, the first ones are taken.

    Raises `ValueError` for `given` of another shape or beyond the input's format.
    """
    shape, format = program.inputs[0].shape, program.inputs[0].format
    if given is not None and (given.shape[1:] != shape or not format.holds(given)):
        raise ValueError(f"given samples must be (B, *{shape}), {format.low} to {format.high}, got {given.shape}")
    x = rng.integers(format.low, format.high + 1, (count, *shape))
    extreme = x[5::8]
    extreme[:] = np.where(rng.random(extreme.shape) < 0.5, format.low, format.high)
    if given is not None:
        places = x[2::2]
        places[: len(given)] = given[: len(places)]
    x[:1], x[1:2] = format.low, format.high
    return x


def _rung(program: Program, step: Step, x: NDArray[np.int64], expected: NDArray[np.int64]) -> Rung:
    start = time.perf_counter()
    try:
        got = _checked(step.implementation(x), expected)
    except (CannotRunError, ModuleNotFoundError, FileNotFoundError) as error:
        return Rung(step.name, "skipped", len(x), 0, 0, time.perf_counter() - start, str(error))
    except (ValueError, TypeError, RuntimeError, OSError) as error:
        note = f"{type(error).__name__}: {error}"
        return Rung(step.name, "failed", len(x), 0, 0, time.perf_counter() - start, note)
    seconds, wrong = time.perf_counter() - start, int((got != expected).sum())
    if not wrong:
        return Rung(step.name, "passed", len(x), len(got), 0, seconds)
    first = _first(program, step, x, got, expected)
    return Rung(step.name, "failed", len(x), len(got), wrong, seconds, str(first), first)


def _checked(got: Any, expected: NDArray[np.int64]) -> NDArray[Any]:
    array = np.asarray(got)
    if array.dtype.kind not in "iu" or array.shape != expected.shape:
        raise ValueError(f"{expected.shape} integers are due, it returned {array.dtype} {array.shape}")
    return array


def _first(
    program: Program, step: Step, x: NDArray[np.int64], got: NDArray[Any], expected: NDArray[np.int64]
) -> Mismatch:
    sample, *element = np.argwhere(got != expected)[0].tolist()
    place = (sample, *element)
    name = "" if step.trace is None else _origin(program, step.trace, x[sample : sample + 1])
    return Mismatch(sample, tuple(element), int(expected[place]), int(got[place]), name)


def _origin(program: Program, trace: Trace, x: NDArray[np.int64]) -> str:
    """The first operation whose value `trace` tells otherwise."""
    told = trace(x)
    expected = run(program, x)
    names = [operation.output for operation in program.operations if operation.output in told]
    return next((name for name in names if not np.array_equal(told[name], expected[name])), "")


def torch_step(net: "F8Net", program: Program, samples: int = 0) -> Step:
    """The fixed-point net that the program was made from, outside training and in float64."""
    exact = copy.deepcopy(net).double().eval()

    def trace(x: Integers) -> dict[str, NDArray[np.int64]]:
        import torch

        with torch.no_grad():
            told = exact.values(torch.from_numpy(exact.input.format.from_integers(x)))
        return {name: _integers(told[name].numpy(), program, name) for name in program.values if name in told}

    return Step("fixed-point torch", lambda x: trace(x)[program.outputs[0]], samples, trace)


def _integers(reals: NDArray[np.float64], program: Program, name: str) -> NDArray[np.int64]:
    scaled = reals / program.values[name].format.step
    if not np.array_equal(scaled, np.rint(scaled)):
        raise ValueError(f"{name!r} has numbers between those of {program.values[name].format}")
    return scaled.astype(np.int64)


def hls_step(project: "Project", samples: int = 0) -> Step:
    """The C++ of an hls4ml project, compiled for this machine."""

    def csim(x: Integers) -> Integers:
        if shutil.which(project.backend.compiler) is None:
            raise CannotRunError(f"it needs {project.backend.compiler!r} on PATH")
        return project.compile().predict(x)

    return Step("hls4ml C simulation", csim, samples)


def rtl_step(design: Design, samples: int = 0, stalls: Generator | None = None) -> Step:
    """The design's Verilog, clock by clock; with `stalls`, both ends pause at random."""
    return Step(RTL, lambda x: _simulated(design, design.verilog, x, stalls=stalls), samples)


def netlist_step(design: Design, cells: Mapped, samples: int = 0) -> Step:
    """The cells that yosys made of the design."""

    def simulated(x: Integers) -> Integers:
        _need_bytes(cells)
        return _simulated(design, netlist_verilog(cells), x, cells=cells.device.family)

    return Step("netlist simulation", simulated, samples)


def bitstream_step(design: Design, built: Built, samples: int = 0) -> Step:
    """What the bits of the bitstream do; skipped unless the device is an iCE40."""

    def simulated(x: Integers) -> Integers:
        _need_bytes(built)
        if built.device.family != "ice40":
            raise CannotRunError(f"no open tool reads a bitstream of the {built.device.part} as logic")
        return _simulated(design, bitstream_verilog(built), x, cells=built.device.family)

    return Step("bitstream simulation", simulated, samples)


def _need_bytes(cells: Mapped) -> None:
    if cells.pins != "bytes":
        raise CannotRunError(f"it was built with pins={cells.pins!r}: only pins='bytes' are streams of bytes")


def _simulated(
    design: Design, verilog: str, x: Integers, *, cells: Family | None = None, stalls: Generator | None = None
) -> Integers:
    data = design.source.pack(x)
    return design.sink.unpack(simulate(verilog, data, design.sink.bytes, cells=cells, stalls=stalls).output)
