"""Compile: one net, from its file to a checked C library and its page."""

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Literal, TypeVar

from pydantic import Field

from mobile.build.check import Check
from mobile.build.compile import Compiled, compile_program
from mobile.build.compile_floats import CompiledFloats, compile_floats
from mobile.build.cross import Cross
from mobile.build.export import Exported, export_litert, export_module, export_program
from mobile.build.model import data_files, net_name, read_float_net, read_net, require_files
from mobile.build.page import page
from mobile.kernels import INSTRUCTION_SETS, Architecture, architecture
from mobile.pricing.calibration import calibrated
from mobile.runtime.compiler import FLAGS, find, version
from shared.exporters.litert_file import import_tensorflow
from shared.f8net.agreement import agreement
from shared.f8net.convert import NetFile
from shared.importers.arrays import load_array
from shared.importers.read import real_samples
from shared.integer.files import to_json
from shared.lab import JSON, Context, Experiment, Page, Row, Settings

T = TypeVar("T")


class CompileSettings(Settings):
    """Which net becomes a library, and how."""

    model: str = Field(
        default="",
        description="integer program, ONNX, .pt2, safetensors with a spec, or a row; none: an example",
    )
    samples: str = Field(default="", description="inputs as .npy: they calibrate float nets, and are compared too")
    format: Literal["auto", "dense", "2x4", "1x4"] = Field(
        default="auto", description="of every layer's weights; auto: the fastest by the measured price"
    )
    numbers: Literal["int8", "float32"] = Field(
        default="int8", description="integers of 8 bits, or the floats of an ONNX or safetensors file as they are"
    )
    shape: str = Field(
        default="", description="of an input of floats without the batch, such as 3x48x192, where ONNX leaves it open"
    )
    target: Literal["host", "arm64"] = Field(
        default="host", description="arm64: programs for 64-bit Arm too, run in qemu-aarch64 where it is installed"
    )
    export: Literal["none", "onnx", "litert"] = Field(
        default="none",
        description="onnx: net.onnx too, zeros and all, integers as QDQ; litert: net.tflite of floats; compared",
    )
    compared: int = Field(default=16, ge=2, le=10**6, description="random samples that library and program compute")
    threads: int = Field(
        default=1, ge=1, le=64, description="that compute together; times of several are what a clock on the wall says"
    )
    rounds: int = Field(default=31, ge=1, le=10**6, description="times that every kernel call is measured")


class Compile(Experiment[CompileSettings]):
    """Compile a net to a C library that computes the same integers, and measure every layer.

    One cell is one net on this machine.
    """

    name = "compile"
    version = 2

    def cells(self, settings: CompileSettings) -> Sequence[CompileSettings]:
        require_files(settings.model, settings.samples)
        if settings.export == "litert" and settings.numbers == "int8":
            raise ValueError(
                "export 'litert' is of floats: state numbers float32 too, or export onnx, which has integers"
            )
        return (settings,)

    def data(self, cell: CompileSettings) -> Mapping[str, str]:
        return data_files(cell.model, cell.samples)

    def run(self, cell: CompileSettings, context: Context) -> Mapping[str, JSON]:
        # Before anything that takes long: a compiler that is missing.
        compiler: dict[str, JSON] = {"compiler": version(find()), "flags": list(FLAGS), "threads": cell.threads}
        find(_target(cell))
        if cell.export == "litert":
            import_tensorflow()
        if cell.numbers == "float32":
            return {**compiler, **self._floats(cell, context)}
        file = read_net(cell.model, cell.samples, context.rng, cell.shape)
        task_samples = []
        if cell.samples:
            samples = load_array(cell.samples)
            real_samples(samples, file.program.inputs[0].shape)
            task_samples = [file.program.inputs[0].format.to_integers(samples)]
        compiled = compile_program(
            file.program,
            context.rng,
            price=calibrated(context.progress) if cell.format == "auto" else None,
            format=None if cell.format == "auto" else cell.format,
            rounds=cell.rounds,
            threads=cell.threads,
            samples=task_samples,
            count=cell.compared,
            target=_target(cell),
        )
        exported = _export(cell, context, lambda: export_program(file.program))
        _keep(compiled, context)
        context.artefact("program.json", to_json(file.program).encode())
        return {"net": net_name(cell.model), **compiler, **_notes(file), **_result(compiled), **exported}

    def _floats(self, cell: CompileSettings, context: Context) -> dict[str, JSON]:
        net = read_float_net(cell.model, cell.format, cell.shape)
        samples = [real_samples(load_array(cell.samples), net.shape).numpy()] if cell.samples else []
        compiled = compile_floats(
            net.module,
            [net.example],
            context.rng,
            rounds=cell.rounds,
            threads=cell.threads,
            samples=samples,
            count=cell.compared,
            target=_target(cell),
        )

        def export() -> Exported:
            if cell.export == "litert":
                return export_litert(net.module, net.example)
            return export_module(net.module, net.example, context.rng)

        exported = _export(cell, context, export)
        _keep(compiled, context)
        checked = cell.compared + sum(map(len, samples))
        checks = _float_checks(compiled.errors, checked)
        return {
            "net": net_name(cell.model),
            "notes": list(net.notes),
            "agreement": None,
            **_measured(compiled),
            "checks": checks,
            "not_run": _not_run(compiled.errors),
            "cross": _cross(compiled.cross, lambda errors: _float_checks(errors, checked)),
            **exported,
        }

    def page(self, rows: Sequence[Row]) -> Page:
        return page(rows)


def _target(cell: CompileSettings) -> Architecture | None:
    return None if cell.target == "host" else cell.target


def _export(cell: CompileSettings, context: Context, export: Callable[[], Exported]) -> dict[str, JSON]:
    """The net as another file, and how that compared; nothing is kept before it did."""
    if cell.export == "none":
        return {"export": None}
    exported = export()
    context.artefact(exported.name, exported.model)
    return {"export": exported.note}


def _keep(compiled: Compiled | CompiledFloats, context: Context) -> None:
    for files in (compiled.files, compiled.cross.files if compiled.cross else {}):
        for name, data in files.items():
            context.artefact(name, data)
    context.artefact("net.so", compiled.shared_library)


def _notes(file: NetFile) -> dict[str, JSON]:
    """What was left out of the net, and how the integer net answers beside the float net."""
    compared: dict[str, Any] | None = None
    if file.compute is not None and file.samples is not None:
        agreed = agreement(file.compute, file.program, file.samples.numpy())
        compared = asdict(agreed) | {"warning": agreed.warning}
    return {"notes": list(file.notes), "agreement": compared}


def _result(compiled: Compiled) -> dict[str, Any]:
    checks = _checks(compiled.checks)
    not_run = _not_run({check["instructions"] for check in checks})
    return {**_measured(compiled), "checks": checks, "not_run": not_run, "cross": _cross(compiled.cross, _checks)}


def _checks(checks: Sequence[Check]) -> list[dict[str, Any]]:
    return [check._asdict() for check in checks]


def _float_checks(errors: Mapping[str, float], samples: int) -> list[dict[str, Any]]:
    return [
        {"instructions": name, "samples": samples, "mismatches": 0, "max_rel_error": error}
        for name, error in errors.items()
    ]


def _cross(cross: Cross[T] | None, checks: Callable[[T], list[dict[str, Any]]]) -> dict[str, Any] | None:
    """The other architecture: its compiler, its checks, and why there are none."""
    if cross is None:
        return None
    checked = [] if cross.checked is None else checks(cross.checked)
    return {"target": cross.target, "compiler": cross.compiler, "checks": checked, "note": cross.note}


def _not_run(checked: Container[str]) -> list[str]:
    return [name for name in INSTRUCTION_SETS[architecture()] if name not in checked]


def _measured(compiled: Compiled | CompiledFloats) -> dict[str, Any]:
    times = compiled.times
    assert times is not None
    layers = [
        asdict(layer) | {"measured_ms": sum(times.calls[each.title] for each in calls)}
        for layer, calls in compiled.lowered.layer_calls
    ]
    return {
        "layers": layers,
        "calls_ms": dict(times.calls),
        "net_ms": times.net,
        "instructions": times.instructions,
        "arena_bytes": compiled.lowered.arena,
        "weight_bytes": sum(layer.bytes for layer in compiled.lowered.layers),
        "library_bytes": len(compiled.shared_library),
    }
