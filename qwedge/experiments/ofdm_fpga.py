"""The receiver's channel estimator on an FPGA: compressed for the price that the flow sets, built, and counted."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import Any

import torch
from pydantic import Field
from torch import Tensor

import fpga.build.page
from fpga.build.flow import DesignConstraints, build_and_verify, build_directory, generate_design
from fpga.design.devices import DEVICES, device
from fpga.pricing import estimate
from fpga.pricing.prices import adders
from fpga.synth import map_design
from fpga.unrolled.generate import cost
from shared import Sparsity
from shared.integer import Program, audit
from shared.integer.files import from_json, to_json
from shared.lab import (
    JSON,
    Context,
    Experiment,
    Number,
    Page,
    Row,
    Seeded,
    Table,
    Text,
    cite,
    cite_mean,
    compared,
    verdict,
)
from shared.training.loop import Schedule
from shared.weights.files import from_tensors
from shared.weights.packing import SOLVER
from shared.weights.task import ParameterTask
from wireless.ofdm.channel.models import ExponentialFading
from wireless.ofdm.compression.fixed_point import TUNING, FixedEstimator, calibrated, train_fixed
from wireless.ofdm.link.errors import GROUP, errors
from wireless.ofdm.link.rates import over_packets, pooled, ratio
from wireless.ofdm.link.simulation import Link
from wireless.ofdm.neural import DelayGate, NeuralEstimator
from wireless.ofdm.receiver.chain import Receiver
from wireless.ofdm.training.blocks import estimator_loss, train_estimator

WIDE = 16
"""Bits of hls4ml's default, `ap_fixed<16, 6>`: what a net costs that nobody has compressed."""

SIZES = (("wide", "unrolled"), ("wide", "folded"), ("fixed", "folded"), ("small", "unrolled"), ("small", "folded"))

NAMES = {
    "float": "as trained, 32-bit floating point",
    "wide": "16-bit, not retrained",
    "fixed": "8-bit, F8Net",
    "small": "8-bit, F8Net, pruned by ADMM for tables",
}


class OFDMFPGASettings(Seeded):
    """How far the estimator is compressed, where it goes, and on how many packets it is tried."""

    device: str = Field(default="ecp5-25k", description=f"one of {', '.join(DEVICES)}")
    latency_us: float = Field(default=4.0, gt=0, description="most time for one estimate; a symbol takes 4 us")
    clock_mhz: float = Field(default=100.0, gt=0, le=500, description="clock that place and route aims at")
    share: float = Field(default=0.3, gt=0, le=1, description="tables of the pruned net, relative to all its weights")
    ebn0_db: tuple[float, ...] = Field(default=(6.0, 10.0, 14.0), min_length=1, description="Eb/N0 of the trial, in dB")
    packets: int = Field(default=400, gt=0, multiple_of=GROUP, description="packets at each")
    training: float = Field(default=1.0, gt=0, le=10, description="training steps relative to the usual number")
    compared: int = Field(default=2000, ge=10, description="samples that the RTL computes; other steps a tenth")
    csim: bool = Field(default=True, description="whether hls4ml's C++ is compiled and compared as well")


class OFDMFPGA(Experiment[OFDMFPGASettings]):
    """Compress the receiver's estimator for an FPGA's price, build it, compare every step.

    One cell is one seed: its networks, their errors, their hardware.
    """

    name = "ofdm_fpga"
    version = 3

    def cells(self, settings: OFDMFPGASettings) -> Sequence[OFDMFPGASettings]:
        device(settings.device)
        return super().cells(settings)

    def run(self, cell: OFDMFPGASettings, context: Context) -> Mapping[str, JSON]:
        return _Cell(cell, context).result()

    def page(self, rows: Sequence[Row]) -> Page:
        page = fpga.build.page.page(rows)
        return replace(
            page,
            title="The OFDM estimator on an FPGA",
            blocks=[_errors(rows), _sizes(rows), *page.blocks],
            verdict=Text(*_verdict(rows), *(page.verdict.parts if page.verdict else ())),
        )


class _Cell:
    """Stages that a killed run goes on from."""

    def __init__(self, settings: OFDMFPGASettings, context: Context) -> None:
        self.settings, self.context, self.device = settings, context, device(settings.device)
        context.plan(4 + len(settings.ebn0_db) + len(SIZES))

    def result(self) -> Mapping[str, JSON]:
        gate = from_tensors(DelayGate(), self.context.tensors("gate", self.train))
        programs = {
            "wide": from_json(self.context.stage("wide", partial(self.wide, gate))),
            "fixed": from_json(self.context.stage("fixed", partial(self.fixed, gate))),
        }
        small = self.context.stage("small", partial(self.small, gate))
        programs["small"] = from_json(small["program"])
        estimators = {"float": NeuralEstimator.of(gate)} | {n: FixedEstimator(p) for n, p in programs.items()}
        stage = self.context.stage
        counted = [stage(f"{db:g} dB", partial(self.count, estimators, db)) for db in self.settings.ebn0_db]
        sizes = {
            f"{name}, {style}": stage(f"{name}, {style}", partial(self.size, programs[name], style))
            for name, style in SIZES
        }
        constraints = DesignConstraints("folded", self.settings.clock_mhz, latency=self.clocks)
        compared, csim = self.settings.compared, self.settings.csim
        built = build_and_verify(
            programs["fixed"], self.device, constraints, self.context, compared=compared, csim=csim
        )
        pruned = {name: value for name, value in small.items() if name != "program"}
        return {"net": "delay gate", "pruned": pruned, "errors": counted, "sizes": sizes, **built}

    @property
    def clocks(self) -> int:
        """The latency that is allowed."""
        return int(self.settings.latency_us * self.settings.clock_mhz)

    def scaled(self, schedule: Schedule) -> Schedule:
        return replace(schedule, steps=max(round(schedule.steps * self.settings.training), 1))

    def train(self) -> Mapping[str, Tensor]:
        context = self.context
        gate = train_estimator(context.generator(), self.scaled(Schedule()), progress=context.progress)
        return dict(gate.named_parameters())

    def wide(self, gate: DelayGate) -> JSON:
        return to_json(calibrated(gate, self.context.generator(), WIDE).program())

    def fixed(self, gate: DelayGate) -> JSON:
        net = train_fixed(gate, self.context.generator(), schedule=self.scaled(TUNING), progress=self.context.progress)
        return to_json(net.program())

    def small(self, gate: DelayGate) -> JSON:
        """Which weights stay, by ADMM under the price of adders; then they are trained in fixed point."""
        generator = self.context.generator()
        task = ParameterTask(gate, lambda net, g: estimator_loss(net, 512, g), generator)
        price = adders(lambda z: tables(gate, z), fraction=5)
        whole = price.measure(task.x)
        solver = replace(SOLVER, steps=max(round(SOLVER.steps * self.settings.training), 1))
        solution = solver.solve(
            task,
            on=Sparsity(),
            price=price,
            budget=self.settings.share * whole,
            x=task.x,
            progress=self.context.progress,
        )
        left = with_weights(gate, solution.x)
        keep = [weight != 0 for weight in with_weights(gate, solution.z).parameters() if weight.ndim > 1]
        net = train_fixed(left, generator, keep=keep, schedule=self.scaled(TUNING), progress=self.context.progress)
        return {
            "program": to_json(net.program()),
            "weights": int(sum(mask.sum() for mask in keep)),
            "of": int(sum(mask.numel() for mask in keep)),
            "tables": solution.measured,
            "tables_of_all": whole,
            "status": solution.status,
        }

    def count(self, estimators: Mapping[str, Any], ebn0_db: float) -> JSON:
        receivers = {name: Receiver(estimator) for name, estimator in estimators.items()}
        counts = errors(Link(ExponentialFading()), receivers, ebn0_db, self.settings.packets, self.context.rng)
        return {"ebn0_db": ebn0_db, **counts}

    def size(self, program: Program, style: Any) -> JSON:
        """What yosys and nextpnr make of a program on the largest ECP5."""
        largest = device("ecp5-85k")
        constraints = DesignConstraints(
            style, self.settings.clock_mhz, latency=self.clocks if style == "folded" else None
        )
        generated = generate_design(program, largest, constraints)
        folder = build_directory(generated.design)
        cells = map_design(generated.design, largest, folder, progress=lambda line: self.context.progress(0, 0, line))
        return {
            "used": asdict(cells.used),
            "estimate": asdict(estimate.total(generated.estimate)),
            "weights": audit(program).nonzero_macs,
        }


def with_weights(gate: DelayGate, x: Tensor) -> DelayGate:
    """The gate with other numbers, `(parameters, 1)`."""
    copied = DelayGate()
    torch.nn.utils.vector_to_parameters(x[:, 0], copied.parameters())
    return copied


def tables(gate: DelayGate, z: Tensor) -> float:
    """What the gate takes unrolled with the weights `z`, in da4ml's count of tables, calibrated to 8 bits."""
    net = calibrated(with_weights(gate, z), torch.Generator().manual_seed(0), 8)
    return sum(cost(net.program()).values())


SMALLEST = "small, unrolled"
"""The design that compression is for."""

LEVEL = 0.02
"""Relative difference of bit error rates up to which two estimators are level."""


def _verdict(rows: Sequence[Row]) -> Iterator[str | Number]:
    """The pruned design beside the others in logic cells, and its estimates beside those of the float network."""
    sizes = [
        compared(
            _design(f"{name}, {style}"),
            cite_mean(
                [_cells(row, SMALLEST) / _cells(row, f"{name}, {style}") - 1 for row in rows], *rows, form="+.0%"
            ),
            less_is_better=True,
        )
        for name, style in SIZES
        if f"{name}, {style}" != SMALLEST
    ]
    words = ("needs fewer logic cells than", "needs as many as", "needs more than")
    yield from verdict(f"The estimator ({_design(SMALLEST)})", sizes, *words).parts
    points = pooled(rows, lambda row: row.result["errors"])
    for name in ("small", "fixed", "wide"):
        it = over_packets(ratio(name, "float"), points)
        if not math.isnan(it.value):
            rise = cite(it.value - 1, *rows, form="+.1%", low=it.low - 1, high=it.high - 1)
            errors = compared(NAMES["float"], rise, less_is_better=True, margin=LEVEL)
            words = ("has fewer bit errors than", "is level with", "has more bit errors than")
            yield " "
            yield from verdict(f"The estimator ({NAMES[name]})", [errors], *words).parts
    yield " "


def _cells(row: Row, design: str) -> float:
    return float(row.result["sizes"][design]["used"]["lut"])


def _design(name: str) -> str:
    network, _, style = name.partition(", ")
    return f"{NAMES[network]}, {style}"


def _errors(rows: Sequence[Row]) -> Table:
    points = pooled(rows, lambda row: row.result["errors"])
    lines: list[Sequence[str | Number]] = []
    for name, words in NAMES.items():
        it = over_packets(ratio(name, "float"), points)
        lines.append((words, cite(it.value, *rows, form=".3f", unit="x", low=it.low, high=it.high)))
    return Table(
        "Bit errors against the estimator as it was trained",
        ("estimator", f"bit error rate over that {NAMES['float']}"),
        lines,
        note="Above 1 the estimator has more errors. Intervals are 95 %, over packets.",
    )


def _sizes(rows: Sequence[Row]) -> Table:
    """What each design takes, averaged over seeds."""

    def average(values: list[float]) -> Number:
        return cite(sum(values) / len(values), *rows, form=",.0f")

    lines: list[Sequence[str | Number]] = []
    for design in rows[0].result["sizes"]:
        sizes = [row.result["sizes"][design] for row in rows]
        counts = [average([size["used"][kind] for size in sizes]) for kind in ("lut", "ff", "dsp", "bram")]
        estimated = average([size["estimate"]["lut"] for size in sizes])
        lines.append((_design(design), average([size["weights"] for size in sizes]), *counts, estimated))
    columns = ("network", "weights", "logic cells", "flip-flops", "multipliers", "block RAMs", "cells estimated")
    note = "Harness included. Folded: as few multipliers as the latency allows. Unrolled: a sample at every clock."
    if len(rows) > 1:
        note = f"Means over {len(rows)} seeds. {note}"
    return Table("What compression saves", columns, lines, note)
