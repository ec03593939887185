"""Synth: one net on one FPGA, from its file to a bitstream that is compared with the net at every step."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from fpga.build.example import example
from fpga.build.flow import DesignConstraints, Style, build_and_verify
from fpga.build.page import page
from fpga.build.vendor import project
from fpga.design.devices import DEVICES, device
from fpga.hls import BACKENDS
from shared.f8net.convert import read
from shared.lab import JSON, Context, Experiment, Page, Row, Settings, hash_file


class SynthSettings(Settings):
    """Which net goes on which device, and how fast it has to be there."""

    model: str = Field(
        default="", description="integer program (.json), ONNX, or safetensors with a spec; none: a tiny example"
    )
    samples: str = Field(default="", description="inputs as .npy: they calibrate float nets, and are compared too")
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
    csim: bool = Field(default=True, description="whether hls4ml's C++ is compiled and compared as well")


class Synth(Experiment[SynthSettings]):
    """Bring a net onto an FPGA with open tools, and compare every step bit for bit.

    One cell is one net on one device.
    """

    name = "synth"
    version = 1

    def cells(self, settings: SynthSettings) -> Sequence[SynthSettings]:
        device(settings.device)
        if settings.backend not in BACKENDS:
            raise ValueError(f"backend {settings.backend!r} is unknown: it must be one of {', '.join(BACKENDS)}")
        for path in filter(None, (settings.model, settings.samples)):
            if not Path(path).is_file():
                raise FileNotFoundError(f"{path}: no such file")
        return (settings,)

    def data(self, cell: SynthSettings) -> Mapping[str, str]:
        model = Path(cell.model)
        named = {"model": model, "samples": Path(cell.samples), "spec": model.parent / f"{model.stem}.json"}
        return {name: hash_file(path) for name, path in named.items() if path.is_file()}

    def run(self, cell: SynthSettings, context: Context) -> Mapping[str, JSON]:
        samples = np.load(cell.samples, allow_pickle=False) if cell.samples else None
        program = read(cell.model, samples=samples) if cell.model else example(context.rng)
        task_samples = None if samples is None else program.inputs[0].format.to_integers(samples)
        net: dict[str, JSON] = {"net": Path(cell.model).stem or "example"}
        if cell.flow == "hls4ml":
            return net | project(
                program, cell.backend, 1e3 / cell.clock_mhz, cell.compared // 10, context, task_samples
            )
        seeds = tuple(range(1, cell.seeds + 1))
        constraints = DesignConstraints(cell.style, cell.clock_mhz, cell.latency, cell.interval, cell.pins, seeds)
        built = build_and_verify(
            program,
            device(cell.device),
            constraints,
            context,
            compared=cell.compared,
            csim=cell.csim,
            task_samples=task_samples,
        )
        return net | built

    def page(self, rows: Sequence[Row]) -> Page:
        return page(rows)
