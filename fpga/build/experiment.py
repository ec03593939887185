"""Synth: one net on one FPGA, from its file to a bitstream that is compared with the net at every step."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from numpy.typing import NDArray
from pydantic import Field

from fpga.build.example import example
from fpga.build.flow import DesignConstraints, Style, build_and_verify
from fpga.build.page import page
from fpga.build.vendor import project
from fpga.build.verify import CheckResult, torch_check
from fpga.design.devices import DEVICES, device
from fpga.hls import BACKENDS
from fpga.unrolled.generate import MOST
from shared.f8net.agreement import accuracy, agreement
from shared.f8net.convert import NetFile, read_file
from shared.importers.arrays import load_array
from shared.importers.onnx_runtime import SAMPLES
from shared.importers.read import real_samples
from shared.integer import Program
from shared.integer.format import Integers
from shared.integer.onnx_reader import external_weights
from shared.lab import JSON, Context, Experiment, Page, Row, Settings, hash_file


class SynthSettings(Settings):
    """Which net goes on which device, and how fast it has to be there."""

    model: str = Field(
        default="", description="integer program (.json), ONNX, or safetensors with a spec; none: a tiny example"
    )
    samples: str = Field(default="", description="inputs as .npy: they calibrate float nets, and are compared too")
    labels: str = Field(default="", description="classes of the samples as .npy: whole numbers, for the accuracy")
    flow: Literal["open", "hls4ml"] = Field(default="open", description="a bitstream, or a project of hls4ml")
    backend: str = Field(default="vitis", description=f"of hls4ml: one of {', '.join(BACKENDS)}")
    device: str = Field(default="ecp5-25k", description=f"one of {', '.join(DEVICES)}")
    style: Style = Field(default="auto", description="multipliers shared over time, or adders for every weight")
    clock_mhz: float = Field(default=100.0, gt=0, le=500, description="clock that place and route aims at")
    latency: int | None = Field(default=None, gt=0, description="most clocks from the first byte in to the last out")
    interval: int | None = Field(default=None, gt=0, description="most clocks between samples")
    pins: Literal["bytes", "uart"] = Field(default="bytes", description="what stands at the pins of the device")
    seeds: int = Field(default=3, ge=1, le=32, description="placements tried until one reaches the clock")
    compared: int = Field(default=2000, ge=10, description="samples that the RTL computes; other steps a tenth")
    unrolled_macs: int = Field(default=MOST, gt=0, description="most multiplications of an unrolled net")
    csim: bool = Field(default=True, description="whether hls4ml's C++ is compiled and compared as well")


class Synth(Experiment[SynthSettings]):
    """Bring a net onto an FPGA with open tools, and compare every step bit for bit.

    One cell is one net on one device.
    """

    name = "synth"
    version = 2  # 2: what was read is compared with the runtime of its file, and with the float net

    def cells(self, settings: SynthSettings) -> Sequence[SynthSettings]:
        device(settings.device)
        if settings.backend not in BACKENDS:
            raise ValueError(f"backend {settings.backend!r} is unknown: it must be one of {', '.join(BACKENDS)}")
        for path in filter(None, (settings.model, settings.samples, settings.labels)):
            with Path(path).open("rb"):
                pass  # what is missing, or a folder, is an error that names it
        if settings.labels and not settings.samples:
            raise ValueError(f"labels={settings.labels}: samples are needed too, --samples")
        return (settings,)

    def data(self, cell: SynthSettings) -> Mapping[str, str]:
        model = Path(cell.model)
        named = {"model": model, "samples": Path(cell.samples), "labels": Path(cell.labels)}
        named["spec"] = model.parent / f"{model.stem}.json"
        if model.suffix.lower() == ".onnx" and model.is_file():  # their bytes are the net's as well
            named |= {f"weights {place}": path for place, path in enumerate(external_weights(model))}
        return {name: hash_file(path) for name, path in named.items() if path.is_file()}

    def run(self, cell: SynthSettings, context: Context) -> Mapping[str, JSON]:
        samples = load_array(cell.samples) if cell.samples else None
        file = read_file(cell.model, samples=samples) if cell.model else NetFile(example(context.rng))
        program = file.program
        task_samples = None if samples is None else _integers(program, samples)
        net: dict[str, JSON] = {"net": Path(cell.model).stem or "example", "notes": file.notes, **_answers(file, cell)}
        before = [torch_check(file.fixed, program, cell.compared // 10)] if file.fixed is not None else []
        if cell.flow == "hls4ml":
            clock_ns, compared = 1e3 / cell.clock_mhz, cell.compared // 10
            return net | _read(file, project(program, cell.backend, clock_ns, compared, context, task_samples, before))
        seeds = tuple(range(1, cell.seeds + 1))
        constraints = DesignConstraints(
            cell.style, cell.clock_mhz, cell.latency, cell.interval, cell.pins, seeds, cell.unrolled_macs
        )
        built = build_and_verify(
            program,
            device(cell.device),
            constraints,
            context,
            compared=cell.compared,
            csim=cell.csim,
            task_samples=task_samples,
            preceding=before,
        )
        return net | _read(file, built)

    def page(self, rows: Sequence[Row]) -> Page:
        return page(rows)


def _integers(program: Program, samples: NDArray[Any]) -> Integers:
    """Samples as the program takes them. Raises `ValueError` for those of another shape, NaN, or zeros alone."""
    real_samples(samples, program.inputs[0].shape)
    return program.inputs[0].format.to_integers(samples)


def _answers(file: NetFile, cell: SynthSettings) -> dict[str, JSON]:
    """How the integer net answers beside the float net, on the samples that there are."""
    answers: dict[str, JSON] = {"agreement": None, "accuracy": None}
    if file.compute is not None and file.samples is not None:
        compared = agreement(file.compute, file.program, file.samples.numpy())
        answers["agreement"] = asdict(compared) | {"warning": compared.warning}
    if cell.labels:
        samples = real_samples(load_array(cell.samples), file.program.inputs[0].shape).numpy()
        answers["accuracy"] = asdict(accuracy(file.compute, file.program, samples, load_array(cell.labels)))
    return answers


def _read(file: NetFile, result: dict[str, Any]) -> dict[str, Any]:
    """The result with the comparison of what was read as its first check."""
    if (compared := file.comparison) is None:
        return result
    status: Literal["passed", "skipped"] = "passed" if compared.runtime else "skipped"
    wanted = compared.samples or SAMPLES
    check = CheckResult("reader", status, wanted, compared.samples, 0, compared.seconds, compared.note)
    return result | {"ladder": [check.to_json_data(), *result["ladder"]]}
