"""Noise: how circuits stand a device's noise and a finite number of shots, and where their errors come from."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from pydantic import Field

from quantum.ansatz import ANSAETZE, ansatz
from quantum.circuit import Circuit
from quantum.data import SETS, load
from quantum.interop import openqasm, qpy
from quantum.noise.drift import Drift, drift, history
from quantum.noise.report import page
from quantum.noise.robustness import REPEATS, SCALES, SHOTS, robustness
from quantum.noise.subject import ENCODINGS, SEEDS, Subject, classifier, prepared
from quantum.noise.zne import ZNE
from quantum.target import Device, device
from shared.lab import JSON, Context, Experiment, Page, Row, Settings, Store, hash_bytes, hash_file, plain

NO_DATA = "none"


class NoiseSettings(Settings):
    """Which circuits, on which device, on which data."""

    circuits: tuple[str, ...] = Field(
        default=("line",),
        description=f"OpenQASM or QPY files, FOLDER/ID of a row with circuits, or {', '.join(ANSAETZE)} untrained",
    )
    target: str = Field(
        default="nairobi", description="a fake backend, a .json snapshot or a folder of them, or gates@coupling"
    )
    data: str = Field(default=NO_DATA, description=f"{', '.join(SETS)}, a .npz or .csv file, or none: <Z> from |0...0>")
    encoding: str = Field(default="auto", description=", ".join(ENCODINGS))
    scales: tuple[float, ...] = Field(default=SCALES, min_length=1, description="noise strengths; 1 is the device's")
    shots: tuple[int, ...] = Field(default=SHOTS, description="numbers of measurements per input")
    repeats: int = Field(default=REPEATS, gt=0, description="independent sets of shots")
    transpiler_seeds: int = Field(default=len(SEEDS), gt=0, description="seeds tried; the cheapest circuit counts")
    simplify: bool = Field(default=True, description="first rewrite exactly by what is measured")
    zne: bool = Field(default=False, description="zero-noise extrapolation at equal total shots; needs mitiq")
    days: int = Field(default=0, ge=0, description="days of synthetic drift of a target that is no folder")


class Noise(Experiment[NoiseSettings]):
    """One cell is one circuit."""

    name = "noise"
    version = 1
    summary = "Report how circuits stand a device's noise and finite shots, and where their errors come from."
    settings = NoiseSettings

    def cells(self, settings: NoiseSettings) -> Sequence[NoiseSettings]:
        cells = [cell for name in dict.fromkeys(settings.circuits) for cell in _expanded(name, settings)]
        if not cells:
            raise ValueError("circuits is empty: give at least one circuit file")
        target = _days(settings)[0]
        for cell in cells:  # what is wrong with a circuit is said before any is evaluated
            subject(cell, target, seeds=(0,))
        if settings.zne:
            _ = ZNE().weights
        return cells

    def data(self, cell: NoiseSettings) -> Mapping[str, str]:
        paths = [Path(cell.data), Path(cell.target), *sorted(Path(cell.target).glob("*.json"))]
        files = {str(path): hash_file(path) for path in paths if path.is_file()}
        return files | {"circuit": hash_bytes(_content(cell.circuits[0], cell.seed))}

    def run(self, cell: NoiseSettings, context: Context) -> Mapping[str, JSON]:
        torch.set_num_threads(1)  # the tensors are small: a second thread costs more than it brings
        context.progress(0, 6, "compiling")
        days = _days(cell)
        found = subject(cell, days[0])
        steps = iter(range(1, 6))

        def report(note: str) -> None:
            context.progress(next(steps), 6, note)

        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", UserWarning)
            result = robustness(
                found, context.rng, scales=cell.scales, shots=cell.shots, repeats=cell.repeats, report=report
            )
            report("extrapolating to zero noise")
            extrapolated = _extrapolated(found, cell, context) if cell.zne else None
            report("day by day")
            drifted = drift(found, days) if len(days) > 1 else None
        return {
            "name": found.name,
            "device": {"name": days[0].name, "sha256": days[0].sha256},
            "report": plain(result),
            "zne": plain(extrapolated),
            "drift": plain(drifted),
            "notes": sorted({str(warning.message) for warning in caught if "too wide" in str(warning.message)}),
        }

    def page(self, rows: Sequence[Row]) -> Page:
        return page(rows)


def _days(settings: NoiseSettings) -> list[Device]:
    """The calibrations: the first is the one that circuits are compiled for."""
    if Path(settings.target).is_dir():
        if settings.days:
            raise ValueError(f"days={settings.days}: {settings.target} already holds the days; leave one out")
        return history(Path(settings.target))
    start = device(settings.target)
    return (
        [start, *Drift().days(start, settings.days, np.random.default_rng(settings.seed))] if settings.days else [start]
    )


def _extrapolated(found: Subject, cell: NoiseSettings, context: Context) -> dict[str, JSON]:
    """Zero-noise extrapolation by folding 1, 3 and 5 times: scores at each noise scale, and at equal total shots."""
    zne = ZNE()
    ideal = found.expectations(0.0)
    exact = [(scale, zne.expectations(found, scale)) for scale in cell.scales]
    return {
        "factors": list(zne.factors),
        "scales": [
            {"scale": scale, "score": found.score.value(values), "shift": float((values - ideal).abs().mean())}
            for scale, values in exact
        ],
        "shots": [
            {"shots": shots, "scores": zne.scores(found, shots, cell.repeats, context.rng)}
            for shots in cell.shots
            if shots >= len(zne.factors)
        ],
    }


def subject(cell: NoiseSettings, target: Device, seeds: Sequence[int] | None = None) -> Subject:
    """The circuit of a cell, compiled for `target`, with its data."""
    circuit = _circuit(cell.circuits[0], cell.seed)
    name = _title(cell.circuits[0])
    seeds = range(cell.transpiler_seeds) if seeds is None else seeds
    if cell.data == NO_DATA:
        return prepared(name, circuit, target, seeds=seeds, simplify=cell.simplify)
    data = load(cell.data, cell.seed)
    return classifier(
        name,
        circuit,
        data.test,
        len(data.classes),
        target,
        encoding=cell.encoding,
        seeds=seeds,
        simplify=cell.simplify,
    )


def _circuit(spec: str, seed: int) -> Circuit:
    content = _content(spec, seed)
    try:
        binary = content.startswith(b"QISKIT") or spec.endswith(".qpy")
        circuit, weights = qpy.loads(content) if binary else openqasm.loads(content.decode("utf-8-sig"))
    except ValueError as error:  # text that is not UTF-8 is one too
        raise ValueError(f"the circuit {spec}: {error}") from error
    return circuit.bind(weights)


def _content(spec: str, seed: int) -> bytes:
    """The bytes of a circuit file, of `FOLDER/ID:NAME`, an artefact of a row, or of an untrained ansatz."""
    if spec in ANSAETZE and not Path(spec).exists():
        untrained = ansatz(spec)
        weights = np.random.default_rng(seed).uniform(-np.pi, np.pi, untrained.weights)
        return openqasm.dumps(untrained, weights.tolist()).encode()
    place, _, artefact = spec.rpartition(":")
    if place and not Path(spec).exists() and (row := _row(place)) is not None:
        if artefact not in row.artefacts:
            raise ValueError(f"row {row.id[:12]} keeps no {artefact}; it keeps {', '.join(row.artefacts) or 'nothing'}")
        return Store(Path(place).parent).get(row.artefacts[artefact])
    try:
        return Path(spec).read_bytes()
    except OSError as error:
        raise ValueError(
            f"the circuit {spec} cannot be read: {error.strerror}; give a .qasm or .qpy file, or FOLDER/ID of a row"
        ) from error


def _expanded(spec: str, settings: NoiseSettings) -> list[NoiseSettings]:
    """A cell for a circuit file, or one for each logical circuit that a stored row keeps.

    A row of compvqc also says which data its circuits are for, unless the settings do.
    """
    row = None if Path(spec).exists() or Path(spec).suffix else _row(spec)
    if row is None:
        return [settings.model_copy(update={"circuits": (spec,)})]
    names = [name for name in row.artefacts if name.endswith(".qasm") and name != "compiled.qasm"]
    if not names:
        raise ValueError(f"row {row.id[:12]} of {row.experiment} keeps no circuit: name a row of compvqc, or a file")
    known = {}
    if settings.data == NO_DATA and "task" in row.settings:
        encoding = "amplitude" if row.settings.get("encoding") == "amplitude" else "auto"
        known = {"data": row.settings["task"], "seed": row.seed, "encoding": encoding}
    specs = [f"{spec}:{name}" for name in sorted(names, reverse=True)]
    return [settings.model_copy(update={"circuits": (each,), **known}) for each in specs]


def _row(place: str) -> Row | None:
    folder, id = Path(place).parent, Path(place).name
    if not (folder / "rows.jsonl").exists():
        return None
    rows = [row for row in Store(folder).rows() if row.id.startswith(id)]
    if len(rows) != 1:
        raise ValueError(f"{len(rows)} rows in {folder} have an id beginning with {id}: name one")
    return rows[0]


def _title(spec: str) -> str:
    place, _, artefact = spec.rpartition(":")
    return f"{Path(place).name[:8]} {Path(artefact).stem}" if place else Path(spec).stem
