"""From an integer program to a verified bitstream, as plain data that a row can hold."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, Literal

from fpga import folded
from fpga.build.verify import RTL, Check, bitstream_check, default_samples, hls_check, netlist_check, rtl_check, verify
from fpga.design.devices import Device, Resources
from fpga.design.interface import Design
from fpga.pricing import estimate
from fpga.synth import Built, build, map_design
from fpga.synth.flow import Pins
from fpga.unrolled import generate as unrolled
from fpga.unrolled.generate import MOST
from shared.integer import Program, audit
from shared.integer.c_header import c_header
from shared.integer.files import to_json
from shared.integer.format import Integers
from shared.integer.names import require_names
from shared.lab import Context, cache_folder

Style = Literal["auto", "folded", "unrolled"]

SMALL: Final = 0.25
"""A net without limits on its clocks is unrolled if that takes less than this share of the logic cells."""
FEW: Final = 400
"""Multiplications that are not worth sharing multipliers for."""
COMPILED: Final = 4000
"""Multiplications up to which g++ compiles hls4ml's parallel code in a minute; larger nets are streamed."""


@dataclass(frozen=True)
class DesignConstraints:
    """Limits on a design, in clocks and MHz; `None` leaves the clocks to the mapper."""

    style: Style = "auto"
    clock_mhz: float = 100.0
    latency: int | None = None
    interval: int | None = None
    pins: Pins = "bytes"
    seeds: tuple[int, ...] = (1, 2, 3)
    unrolled_macs: int = MOST
    """Most multiplications of an unrolled net."""


@dataclass(frozen=True)
class GeneratedDesign:
    """A design, and the estimated resources of each of its parts, before any tool ran."""

    design: Design
    estimate: dict[str, Resources]


def generate_design(program: Program, device: Device, constraints: DesignConstraints) -> GeneratedDesign:
    """The design of a program, in the style of the constraints, or in the one that `choose_style` picks.

    Raises `ValueError` if no design meets the constraints, with the way out.
    """
    style = constraints.style if constraints.style != "auto" else choose_style(program, device, constraints)
    if style == "folded":
        plan = folded.plan(program, device, latency=constraints.latency, interval=constraints.interval)
        return GeneratedDesign(folded.generate(program, plan), estimate.folded(plan, device))
    design = unrolled.unroll(program, constraints.clock_mhz, constraints.unrolled_macs)
    for name, limit, needed in (
        ("latency", constraints.latency, design.latency),
        ("interval", constraints.interval, design.interval),
    ):
        if limit is not None and needed > limit:
            raise ValueError(f"{name}={limit} clocks: unrolled it takes {needed} clocks to move bytes in and out")
    return GeneratedDesign(design, estimate.unrolled(program, constraints.unrolled_macs))


def choose_style(program: Program, device: Device, constraints: DesignConstraints) -> Style:
    """Unrolled adders where the net is so small that they take little of the device; otherwise folded multipliers."""
    few = audit(program).nonzero_macs <= FEW
    if not few or constraints.latency is not None or constraints.interval is not None:
        return "folded"
    return "unrolled" if estimate.total(estimate.unrolled(program)).lut < SMALL * device.capacity.lut else "folded"


def build_directory(design: Design) -> Path:
    """The folder in which a design is built, named after its Verilog."""
    key = sha256(design.verilog.encode()).hexdigest()
    return cache_folder() / "builds" / key[:32]


def build_and_verify(
    program: Program,
    device: Device,
    constraints: DesignConstraints,
    context: Context,
    *,
    compared: int = 0,
    csim: bool = True,
    task_samples: Integers | None = None,
    preceding: Sequence[Check] = (),
) -> dict[str, Any]:
    """Builds the bitstream of a program and verifies every step; what `fpga.build.page` shows, as JSON data.

    The RTL simulation compares `compared` samples, 2,000 by default, every other check a tenth of them. `task_samples`
    are part of the stimuli; `preceding` are further checks to run first, such as that of the net in torch. Artefacts:
    the bitstream, the Verilog, the program as JSON and as C. Finished stages are not run again.

    Raises `ValueError` if the net does not fit, with the numbers and the way out.
    """
    build = _Build(program, device, constraints, context)
    compared = compared or default_samples(RTL)
    built = build.run()
    checks = [*preceding, *([build.csim(compared // 10)] if csim else []), *build.checks(built, compared)]
    results = [build.verify(check, k, len(checks), task_samples) for k, check in enumerate(checks)]
    for name, data in build.files(built).items():
        context.artefact(name, data)
    return build.described(built) | {"ladder": results}


class _Build:
    """One program on its way to one device."""

    def __init__(self, program: Program, device: Device, constraints: DesignConstraints, context: Context) -> None:
        self.program, self.device, self.constraints, self.context = program, device, constraints, context
        require_names(program.values)
        context.progress(0, 1, "generating the design")
        self.generated = generate_design(program, device, constraints)
        self.design = self.generated.design
        self.folder = build_directory(self.design)

    def run(self) -> Built:
        return build(
            self.design,
            self.device,
            self.folder,
            frequency_mhz=self.constraints.clock_mhz,
            seeds=self.constraints.seeds,
            pins=self.constraints.pins,
            progress=lambda line: self.context.progress(0, 1, line),
        )

    def csim(self, samples: int) -> Check:
        """hls4ml's C++; a net that is too large to be unrolled by a compiler is streamed."""

        def run(x: Integers) -> Integers:
            from fpga.hls import lower

            small = audit(self.program).macs <= COMPILED
            project = lower(self.program, self.folder / "hls", io="io_parallel" if small else "io_stream")
            return hls_check(project).implementation(x)

        return Check("hls4ml C simulation", run, samples)

    def checks(self, built: Built, compared: int) -> list[Check]:
        tenth = compared // 10
        cells = map_design(self.design, self.device, self.folder) if built.pins != "bytes" else built
        checks = [rtl_check(self.design, compared), netlist_check(self.design, cells, tenth)]
        return [*checks, bitstream_check(self.design, built, tenth)] if self.device.family == "ice40" else checks

    def verify(self, check: Check, done: int, total: int, task_samples: Integers | None) -> dict[str, Any]:
        self.context.progress(done, total, check.name)
        return self.context.checkpoint(check.name, partial(self._result, check, task_samples))  # type: ignore[no-any-return]

    def _result(self, check: Check, task_samples: Integers | None) -> dict[str, Any]:
        (result,) = verify(self.program, [check], self.context.rng, task_samples).results
        return result.to_json_data()

    def files(self, built: Built) -> dict[str, bytes]:
        texts = {
            "top.v": self.design.verilog,
            "program.json": to_json(self.program),
            "net.h": c_header(self.program),
        }
        return {built.bitstream.name: built.bitstream.read_bytes(), **{n: text.encode() for n, text in texts.items()}}

    def described(self, built: Built) -> dict[str, Any]:
        estimated = self.generated.estimate
        parts = [asdict(part) | {"lut": estimated.get(part.name, Resources()).lut} for part in self.design.parts]
        return {
            "program": [asdict(count) for count in audit(self.program).counts],
            "design": {
                "kind": self.design.kind,
                "latency": self.design.latency,
                "interval": self.design.interval,
                "parts": parts,
            },
            "estimate": asdict(estimate.total(estimated)),
            "built": {
                "device": built.device.name,
                "used": asdict(built.used),
                "available": asdict(built.available),
                "frequency_mhz": built.frequency_mhz,
                "fmax_mhz": {str(seed): mhz for seed, mhz in built.fmax_mhz.items()},
                "seed": built.seed,
                "seconds": dict(built.seconds),
                "versions": dict(built.versions),
                "bitstream_bytes": built.bitstream.stat().st_size,
            },
        }
