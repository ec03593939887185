"""Profile: what every kernel call of a net takes, as predicted and as measured."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field

from mobile.build.model import data_files, net_name, read_float_net, read_net, require_files
from mobile.lowering.calls import Lowered
from mobile.lowering.lower import lower
from mobile.lowering.lower_floats import lower_floats
from mobile.pricing.calibration import calibrated, compile_benches, time_benches, work_of
from mobile.pricing.latency import Latency
from mobile.runtime.bench import fastest
from shared.importers.graph import TracedGraph
from shared.lab import JSON, Context, Experiment, KeyFigures, Page, Row, Settings, Table, Text, cite

PASSES = 7
"""Times that the benchmark is started; of the medians the least and the median are reported."""


class ProfileSettings(Settings):
    """Which net is timed, and how."""

    model: str = Field(
        default="",
        description="integer program, ONNX, .pt2, safetensors with a spec, or a row; none: an example",
    )
    samples: str = Field(default="", description="inputs as .npy that calibrate a float net")
    format: Literal["auto", "dense", "2x4", "1x4"] = Field(
        default="auto", description="of every layer's weights; auto: the fastest by the predicted time"
    )
    numbers: Literal["int8", "float32"] = Field(
        default="int8", description="integers of 8 bits, or the floats of an ONNX or safetensors file as they are"
    )
    shape: str = Field(
        default="", description="of an input of floats without the batch, such as 3x48x192, where ONNX leaves it open"
    )
    threads: int = Field(
        default=1, ge=1, le=64, description="that compute together; times of several are what a clock on the wall says"
    )
    rounds: int = Field(
        default=31, ge=0, le=10**6, description="times that every kernel call is measured; 0: predicted alone"
    )


class Profile(Experiment[ProfileSettings]):
    """Predict every kernel call of a net on this machine, and measure it.

    One cell is one net on this machine.
    """

    name = "profile"
    version = 1

    def cells(self, settings: ProfileSettings) -> Sequence[ProfileSettings]:
        require_files(settings.model, settings.samples)
        return (settings,)

    def data(self, cell: ProfileSettings) -> Mapping[str, str]:
        return data_files(cell.model, cell.samples)

    def run(self, cell: ProfileSettings, context: Context) -> Mapping[str, JSON]:
        net, notes = _lowered(cell, context)
        latency = calibrated(context.progress, cell.numbers)
        about: dict[str, Any] = {"cpu": latency.about.get("cpu"), "compiler": latency.about.get("compiler")}
        return {
            "net": net_name(cell.model),
            "notes": list(notes),
            "instructions": latency.instructions,
            "calibration": about | dict(latency.held_out),
            "threads": cell.threads,
            **_calls(net, latency, cell.rounds, cell.threads),
        }

    def page(self, rows: Sequence[Row]) -> Page:
        blocks = [block for row in rows for block in (_key(row), _table(row))]
        summary = "Milliseconds of CPU time of one thread, by kernel call: as predicted, and as measured."
        title = ", ".join(dict.fromkeys(str(row.result["net"]) for row in rows))
        return Page(f"Profile: {title}", summary, blocks, Text(*(part for row in rows for part in _verdict(row))))


def _lowered(cell: ProfileSettings, context: Context) -> tuple[Lowered, Sequence[str]]:
    """The kernel calls of the net, and what was left out of it."""
    if cell.numbers == "float32":
        net = read_float_net(cell.model, cell.format, cell.shape)
        return lower_floats(TracedGraph.of(net.module, net.example)), net.notes
    file = read_net(cell.model, cell.samples, context.rng, cell.shape)
    price = calibrated(context.progress) if cell.format == "auto" else None
    return lower(file.program, price, None if cell.format == "auto" else cell.format), file.notes


def _calls(net: Lowered, latency: Latency, rounds: int, threads: int) -> dict[str, Any]:
    calls: list[dict[str, Any]] = []
    for call in net.calls:
        layer = call.layer
        described = {"format": layer.format, "executed_macs": layer.executed_macs} if layer else {}
        calls.append({"call": call.title, "predicted_ms": latency(work_of(call))} | described)
    result: dict[str, Any] = {"predicted_ms": sum(call["predicted_ms"] for call in calls), "calls": calls}
    if not rounds:
        return result
    with compile_benches([net]) as benches:
        [runs] = time_benches(benches, PASSES, rounds, threads=threads)
    best = fastest(runs)
    for each in calls:
        each["measured_ms"] = best.calls[each["call"]]
        each["median_ms"] = statistics.median(run.calls[each["call"]] for run in runs)
    return {"measured_ms": best.net, "median_ms": statistics.median(run.net for run in runs), **result}


def _verdict(row: Row) -> list[Any]:
    result = row.result
    parts: list[Any] = [f"{result['net']}: predicted ", cite(result["predicted_ms"], row, form=".3g", unit="ms")]
    if "measured_ms" in result:
        parts += [", measured ", cite(result["measured_ms"], row, form=".3g", unit="ms"), ", "]
        parts += [cite(result["predicted_ms"] / result["measured_ms"] - 1, row, form="+.1%"), " apart"]
    if (threads := result.get("threads", 1)) > 1:
        parts += [f", measured on {threads} threads by a clock on the wall and predicted for one"]
    held_out = result["calibration"]
    parts += [
        f", with the instructions {result['instructions']}. Random nets that were not fitted were predicted within "
    ]
    parts += [cite(held_out["median_error"], row, form=".1%"), " (median) and "]
    parts += [cite(held_out["p90_error"], row, form=".1%"), " (nine of ten). "]
    return parts


def _key(row: Row) -> KeyFigures:
    shown = [("predicted", "predicted_ms"), ("measured, least", "measured_ms"), ("measured, median", "median_ms")]
    pairs = tuple((name, cite(row.result[key], row, form=".3g", unit="ms")) for name, key in shown if key in row.result)
    return KeyFigures(pairs)


def _table(row: Row) -> Table:
    columns = ("call", "format", "executed MACs", "predicted ms", "measured ms", "median ms")
    lines = []
    for call in row.result["calls"]:
        times = [call.get(key) for key in ("predicted_ms", "measured_ms", "median_ms")]
        numbers = ["-" if ms is None else cite(ms, row, form=".3g") for ms in times]
        macs = cite(call["executed_macs"], row) if "executed_macs" in call else "-"
        lines.append((call["call"], call.get("format", "-"), macs, *numbers))
    note = (
        "Measured: the least median of several runs, which is the time of a core that does nothing else, and which "
        "predictions are of; the median of all has what else was running. `spread` pads and takes strides apart; `add` "
        "of one value rounds it."
    )
    return Table(f"Kernel calls of {row.result['net']}", columns, lines, note)
