"""From an integer program to a verified bitstream, as plain data that a row can hold."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, Literal

from fpga import folded, tools
from fpga.build import verify
from fpga.design.devices import Device, Resources
from fpga.design.interface import Design
from fpga.pricing import estimate
from fpga.synth import Built, build, mapped
from fpga.synth.flow import Pins
from fpga.unrolled import generate as unrolled
from shared.integer import Program, audit
from shared.integer.c_header import c_header
from shared.integer.files import to_json
from shared.integer.format import Integers
from shared.lab import Context

Style = Literal["auto", "folded", "unrolled"]

SMALL: Final = 0.25
"""A net without limits on its clocks is unrolled if that takes less than this share of the logic cells."""
FEW: Final = 400
"""Multiplications that are not worth sharing multipliers for."""
COMPILED: Final = 4000
"""Multiplications up to which g++ compiles hls4ml's parallel code in a minute; larger nets are streamed."""


@dataclass(frozen=True)
class Wish:
    """What is asked of a design. Clocks are limits; `None` leaves them to the mapper."""

    style: Style = "auto"
    clock_mhz: float = 100.0
    latency: int | None = None
    interval: int | None = None
    pins: Pins = "bytes"
    seeds: tuple[int, ...] = (1, 2, 3)


@dataclass(frozen=True)
class Drawn:
    """A design, and what each of its parts was estimated to take before any tool ran."""

    design: Design
    estimate: dict[str, Resources]


def draw(program: Program, device: Device, wish: Wish) -> Drawn:
    """The design of a program in the style that is asked for, or that fits it.

    Raises `ValueError` if it cannot be as fast or as small as that, with the way out.
    """
    style = wish.style if wish.style != "auto" else suited(program, device, wish)
    if style == "folded":
        plan = folded.plan(program, device, latency=wish.latency, interval=wish.interval)
        return Drawn(folded.generate(program, plan), estimate.folded(plan, device))
    design = unrolled.unroll(program, wish.clock_mhz)
    for name, limit, needed in (
        ("latency", wish.latency, design.latency),
        ("interval", wish.interval, design.interval),
    ):
        if limit is not None and needed > limit:
            raise ValueError(f"{name}={limit} clocks: unrolled it takes {needed}, to move bytes in and out")
    return Drawn(design, estimate.unrolled(program))


def suited(program: Program, device: Device, wish: Wish) -> Style:
    """Adders for every weight where a net is so small that they take little of the device; else shared multipliers."""
    few = audit(program).nonzero_macs <= FEW
    if not few or wish.latency is not None or wish.interval is not None:
        return "folded"
    return "unrolled" if estimate.total(estimate.unrolled(program)).lut < SMALL * device.holds.lut else "folded"


def workshop(design: Design) -> Path:
    """Where a design is built, and found again by its Verilog."""
    key = sha256(design.verilog.encode()).hexdigest()
    return tools.cache_folder().absolute() / "builds" / key[:32]


def verified(
    program: Program,
    device: Device,
    wish: Wish,
    context: Context,
    *,
    compared: int = 0,
    csim: bool = True,
    given: Integers | None = None,
    before: Sequence[verify.Step] = (),
) -> dict[str, Any]:
    """Builds the bitstream of a program and compares every step; what `fpga.build.page` shows, as JSON data.

    The RTL computes `compared` samples, 2,000 unless told, every other step a tenth of them. `given` are samples of the
    task, `before` further implementations to compare, such as the net it came from. Artefacts: the bitstream, the
    Verilog, the program as JSON and as C. Stages that are finished are not done again.

    Raises `ValueError` if the net does not fit, with the numbers and the way out.
    """
    about = _About(program, device, wish, context)
    compared = compared or verify.usual(verify.RTL)
    built = about.build()
    steps = [*before, *([about.csim(compared // 10)] if csim else []), *about.steps(built, compared)]
    rungs = [about.climb(step, k, len(steps), given) for k, step in enumerate(steps)]
    for name, data in about.files(built).items():
        context.artefact(name, data)
    return about.described(built) | {"ladder": rungs}


class _About:
    """One program on its way to one device."""

    def __init__(self, program: Program, device: Device, wish: Wish, context: Context) -> None:
        self.program, self.device, self.wish, self.context = program, device, wish, context
        context.progress(0, 1, "drawing the design")
        self.drawn = draw(program, device, wish)
        self.design = self.drawn.design
        self.folder = workshop(self.design)

    def build(self) -> Built:
        return build(
            self.design,
            self.device,
            self.folder,
            frequency_mhz=self.wish.clock_mhz,
            seeds=self.wish.seeds,
            pins=self.wish.pins,
            report=lambda line: self.context.progress(0, 1, line),
        )

    def csim(self, samples: int) -> verify.Step:
        """hls4ml's C++; a net that is too large to be unrolled by a compiler is streamed."""

        def run(x: Integers) -> Integers:
            from fpga.hls import lower

            small = audit(self.program).macs <= COMPILED
            project = lower(self.program, self.folder / "hls", io="io_parallel" if small else "io_stream")
            return verify.hls_step(project).implementation(x)

        return verify.Step("hls4ml C simulation", run, samples)

    def steps(self, built: Built, compared: int) -> list[verify.Step]:
        tenth = compared // 10
        cells = mapped(self.design, self.device, self.folder) if built.pins != "bytes" else built
        found = [verify.rtl_step(self.design, compared), verify.netlist_step(self.design, cells, tenth)]
        return [*found, verify.bitstream_step(self.design, built, tenth)] if self.device.family == "ice40" else found

    def climb(self, step: verify.Step, done: int, total: int, given: Integers | None) -> dict[str, Any]:
        self.context.progress(done, total, step.name)
        return self.context.checkpoint(step.name, partial(self._rung, step, given))  # type: ignore[no-any-return]

    def _rung(self, step: verify.Step, given: Integers | None) -> dict[str, Any]:
        (rung,) = verify.climb(self.program, [step], self.context.rng, given).rungs
        return verify.plain(rung)

    def files(self, built: Built) -> dict[str, bytes]:
        texts = {
            "top.v": self.design.verilog,
            "program.json": to_json(self.program),
            "net.h": c_header(self.program),
        }
        return {built.bitstream.name: built.bitstream.read_bytes(), **{n: text.encode() for n, text in texts.items()}}

    def described(self, built: Built) -> dict[str, Any]:
        estimated = self.drawn.estimate
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
