"""A compressed radar net on an FPGA: from recorded samples to the waveform's name, every step compared."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

import fpga.build.page
from fpga.build.flow import DesignConstraints, build_and_verify, generate_design
from fpga.build.verify import rtl_check
from fpga.design.devices import DEVICES, device
from shared.integer import Program, outputs
from shared.integer.files import from_json, to_json
from shared.integer.format import Integers
from shared.lab import JSON, Context, Experiment, Number, Page, Row, Settings, Table, Text, cite, hash_file
from wireless.radar.compression.techniques import TECHNIQUES
from wireless.radar.compression.work import Work
from wireless.radar.datasets.generate import generate
from wireless.radar.datasets.recipe import Recipe
from wireless.radar.nets.classifier import Classifier
from wireless.radar.nets.inputs import FORMAT, as_input
from wireless.radar.nets.pretrained import NAMES, pretrained
from wireless.radar.recordings import in_windows, read
from wireless.radar.training import Endless
from wireless.radar.waveforms.catalogue import TWELVE

FIXED = tuple(name for name, entry in TECHNIQUES.items() if entry.bits is not None)
TRAINED_ON = Recipe(12_000)
"""Pulses of an epoch."""
RATE, BATCH = 3e-3, 128


class RadarFPGASettings(Settings):
    """Which net goes on which device, and which recording it is to name."""

    recording: str = Field(
        default="", description="samples as `qwedge classify` reads them; none: a fresh pulse of each class"
    )
    program: str = Field(
        default="", description="integer program (.json) of twelve classes, as a run of radar writes it"
    )
    net: str = Field(default="bank", description=f"without a program, the net that is compressed: {', '.join(NAMES)}")
    technique: str = Field(default="gradual-channels-int8", description=f"by which it is: {', '.join(FIXED)}")
    budget: float = Field(default=0.6, gt=0, le=1, description="share of its multiply-accumulates that it keeps")
    tuning: int = Field(default=3, gt=0, description=f"epochs of {TRAINED_ON.count:,} pulses that it trains for")
    snr_db: float = Field(default=10.0, description="of the fresh pulses, in dB")
    device: str = Field(default="ecp5-25k", description=f"one of {', '.join(DEVICES)}")
    clock_mhz: float = Field(default=100.0, gt=0, le=500, description="clock that place and route aims at")
    compared: int = Field(default=100, ge=10, description="windows that the RTL computes; other steps a tenth")


class RadarFPGA(Experiment[RadarFPGASettings]):
    """Name the waveforms in a recording by a compressed net on an FPGA, every step compared.

    One cell is one net, one device and one recording.
    """

    name = "radar_fpga"
    version = 1

    def cells(self, settings: RadarFPGASettings) -> Sequence[RadarFPGASettings]:
        device(settings.device)
        if settings.net not in NAMES:
            raise ValueError(f"no radar net {settings.net!r} ships: it must be one of {', '.join(NAMES)}")
        if settings.technique not in FIXED:
            raise ValueError(
                f"technique {settings.technique!r} ends in no integers: it must be one of {', '.join(FIXED)}"
            )
        if settings.program:
            _program(Path(settings.program))
        if settings.recording:
            recorded(settings)
        return (settings,)

    def data(self, cell: RadarFPGASettings) -> Mapping[str, str]:
        return {Path(path).name: hash_file(path) for path in (cell.recording, cell.program) if path}

    def run(self, cell: RadarFPGASettings, context: Context) -> Mapping[str, JSON]:
        program = from_json(context.stage("net", partial(self.compressed, cell, context)))
        pulses = recorded(cell) if cell.recording else fresh(cell)
        x = FORMAT.to_integers(as_input(pulses.windows).numpy())
        constraints = DesignConstraints("folded", cell.clock_mhz)
        target = device(cell.device)
        answers = context.stage("answers", lambda: _named(hardware(program, target.name, constraints, x)))
        built = build_and_verify(
            program, target, constraints, context, compared=cell.compared, csim=False, task_samples=x
        )
        return {
            "net": f"{cell.net}, {cell.technique}" if not cell.program else Path(cell.program).stem,
            "recording": Path(cell.recording).name,
            "starts": pulses.starts,
            "answers": answers,
            "answers_of_program": _named(outputs(program, x)[0]),
            "classes": pulses.classes,
            "notes": pulses.notes,
            **built,
        }

    def compressed(self, cell: RadarFPGASettings, context: Context) -> str:
        """The integer program, read or trained, as JSON."""
        if cell.program:
            return to_json(_program(Path(cell.program)))
        shipped: Classifier = pretrained(cell.net)
        work = Work(
            shipped.net,
            Endless(TRAINED_ON),
            shipped.samples,
            len(shipped.classes),
            cell.budget,
            cell.tuning,
            cell.tuning,
            RATE,
            BATCH,
            context.generator(),
            context.progress,
            "macs",
        )
        net = TECHNIQUES[cell.technique].compress(work).net
        assert isinstance(net, Program)
        return to_json(net)

    def page(self, rows: Sequence[Row]) -> Page:
        page = fpga.build.page.page(rows)
        verdict = Text(*(part for row in rows for part in _verdict(row)), *(page.verdict.parts if page.verdict else ()))
        title = "Radar waveforms named by an FPGA"
        return replace(page, title=title, blocks=[*map(_answers, rows), *page.blocks], verdict=verdict)


@dataclass(frozen=True, eq=False)
class Recorded:
    """Windows `(N, samples)` with the first sample of each; `classes` where the pulses are generated."""

    windows: NDArray[np.complex64]
    starts: list[int]
    classes: list[str]
    notes: list[str]


def recorded(cell: RadarFPGASettings) -> Recorded:
    """The windows of the recording. Raises `ValueError` for a file that is none."""
    samples, warnings = read(Path(cell.recording))
    starts, windows, notes = in_windows(samples, pretrained(cell.net).samples)
    return Recorded(windows, starts, [], [*warnings, *notes])


def fresh(cell: RadarFPGASettings) -> Recorded:
    """A pulse of each class, each in a window of its own."""
    pulses = generate(Recipe(len(TWELVE), snr_db=(cell.snr_db, cell.snr_db), seed=cell.seed))
    starts = [k * pulses.samples.shape[1] for k in range(len(pulses.labels))]
    return Recorded(pulses.samples, starts, [TWELVE[label] for label in pulses.labels], [])


def hardware(program: Program, name: str, constraints: DesignConstraints, x: Integers) -> Integers:
    """The scores `(windows, classes)` that the design's Verilog computes, simulated clock by clock."""
    return rtl_check(generate_design(program, device(name), constraints).design).implementation(x)


def _named(scores: Integers) -> list[str]:
    return [TWELVE[index] for index in scores.argmax(1)]


def _program(path: Path) -> Program:
    """The integer program in a file. Raises `ValueError` for one that is not of windows and the twelve classes."""
    program = from_json(path.read_text())
    inputs, [output] = [it.shape for it in program.inputs], program.outputs
    window = (2, pretrained(NAMES[0]).samples)
    scores = program.values[output].shape
    if inputs != [window] or scores != (len(TWELVE),) or program.inputs[0].format != FORMAT:
        raise ValueError(f"{path}: from {inputs} to {scores}; needs {window} in {FORMAT} to {len(TWELVE)} classes")
    return program


def _verdict(row: Row) -> Sequence[str | Number]:
    answers, wanted = row.result["answers"], row.result["answers_of_program"]
    alike = sum(a == b for a, b in zip(answers, wanted, strict=True))
    parts: list[str | Number] = ["The hardware names ", cite(alike, row), " of ", cite(len(answers), row)]
    parts += [" windows as the integer program does"]
    if row.result["classes"]:
        right = sum(a == b for a, b in zip(answers, row.result["classes"], strict=True))
        parts += [", ", cite(right, row), " of them rightly"]
    return [*parts, ". "]


def _answers(row: Row) -> Table:
    """Window after window: what the hardware names it, and what it is, where the pulse was generated."""
    result: Mapping[str, Any] = row.result
    waveforms = result["classes"] or [""] * len(result["answers"])
    lines = [
        (cite(start, row), answer, other, truth)
        for start, answer, other, truth in zip(
            result["starts"], result["answers"], result["answers_of_program"], waveforms, strict=True
        )
    ]
    notes = " ".join(f"{note[0].upper()}{note[1:]}." for note in result["notes"])
    columns = ("first sample", "hardware", "integer program", "waveform")
    title = f"Waveforms in {result['recording'] or 'fresh pulses'}"
    return Table(title, columns, lines, f"The hardware is its Verilog, simulated clock by clock. {notes}".strip())
