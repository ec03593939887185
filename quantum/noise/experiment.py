"""Noise: how circuits stand a device's noise and a finite number of shots, and where their errors come from."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from quantum.circuits.ansatz import ANSAETZE
from quantum.compilation.controls import CONTROLS
from quantum.devices.target import Device, device
from quantum.noise.circuit_source import CircuitSource, kept_circuits
from quantum.noise.drift import Drift, drift, history
from quantum.noise.energy import energy_workload
from quantum.noise.page import page
from quantum.noise.repository import kept_days, repository
from quantum.noise.robustness import REPEATS, SCALES, SHOTS, robustness
from quantum.noise.tuning import NoiseAware, Tunable, set_angles
from quantum.noise.workload import ENCODINGS, O3, SEEDS, Workload, classifier, on_part, state_workload
from quantum.noise.zne import ZNE
from quantum.tasks.data import SETS, load
from quantum.tasks.energy import HAMILTONIANS, hamiltonian
from shared.lab import JSON, Context, Experiment, Page, Row, Settings, hash_file, one_thread, to_json_data

NO_DATA = "none"

ROW_DENSE = (O3, "o3_approximate", "pytket_approximate")
"""What compiles the dense circuit of a row of compvqc: it stands beside its compile-only controls."""


class NoiseSettings(Settings):
    """Which circuits, on which device, on which data."""

    circuits: tuple[str, ...] = Field(
        default=("line",),
        description=f"OpenQASM or QPY files, FOLDER/ID of a row with circuits, or {', '.join(ANSAETZE)} untrained",
    )
    target: str = Field(
        default="nairobi", description="a fake backend, a .json snapshot or a folder of them, or gates@coupling"
    )
    data: str = Field(
        default=NO_DATA,
        description=f"{', '.join(SETS)}, a .npz or .csv file; an energy, {', '.join(HAMILTONIANS)}; or none: <Z>",
    )
    encoding: str = Field(default="auto", description=", ".join(ENCODINGS))
    scales: tuple[float, ...] = Field(default=SCALES, min_length=1, description="noise strengths; 1 is the device's")
    shots: tuple[int, ...] = Field(default=SHOTS, description="numbers of measurements per input")
    repeats: int = Field(default=REPEATS, gt=0, description="independent sets of shots")
    transpiler_seeds: int = Field(default=len(SEEDS), gt=0, description="seeds tried; the cheapest circuit counts")
    simplify: bool = Field(default=True, description="first rewrite exactly by what is measured")
    compilers: tuple[str, ...] = Field(
        default=(), description=f"{', '.join(CONTROLS)}; none: {O3}, and the approximate ones for a row's dense circuit"
    )
    zne: bool = Field(default=False, description="zero-noise extrapolation at equal total shots; needs mitiq")
    days: int = Field(default=0, ge=0, description="days of synthetic drift of a target that is no folder")
    tune: tuple[Annotated[float, Field(ge=0)], ...] = Field(
        default=(0.0,), min_length=1, description="noise scales at which compiled angles are trained; 0: as given"
    )
    each: bool = Field(default=True, description="a report of each circuit; false: only which to run on which day")
    clusters: int = Field(default=4, gt=0, description="kinds of days that one of several circuits is chosen for")


class Noise(Experiment[NoiseSettings]):
    """One cell is one circuit, as given or tuned; over days, one more chooses between several."""

    name = "noise"
    version = 2
    summary = "Report how circuits stand a device's noise and finite shots, and where their errors come from."
    settings = NoiseSettings

    def cells(self, settings: NoiseSettings) -> Sequence[NoiseSettings]:
        if unknown := set(settings.compilers) - set(CONTROLS):
            raise ValueError(f"compiler {min(unknown)!r} is unknown: use one of {', '.join(CONTROLS)}")
        given = [cell for name in dict.fromkeys(settings.circuits) for cell in _expanded(name, settings)]
        if not given:
            raise ValueError("circuits is empty: give at least one circuit file")
        days = _days(settings)
        for cell in given:  # what is wrong with a circuit is said before any is evaluated
            found = workload(cell, days[0], seeds=(0,))
            if any(cell.tune):
                _ = _parts(cell, found)
        if settings.zne:
            _ = ZNE().weights
        cells = [cell.model_copy(update={"tune": (scale,)}) for cell in given for scale in dict.fromkeys(cell.tune)]
        choosing = _choosing(given, days)
        if not settings.each and not choosing:
            raise ValueError("each=false: choosing takes several circuits or tunings for one task, and 3 days or more")
        return cells + choosing if settings.each else choosing

    def data(self, cell: NoiseSettings) -> Mapping[str, str]:
        paths = [Path(cell.data), Path(cell.target), *sorted(Path(cell.target).glob("*.json"))]
        files = {str(path): hash_file(path) for path in paths if path.is_file()}
        names = ["circuit"] if len(cell.circuits) == 1 else [f"circuit {k}" for k in range(len(cell.circuits))]
        sources = (CircuitSource(spec, cell.seed) for spec in cell.circuits)
        return files | {name: source.digest() for name, source in zip(names, sources, strict=True)}

    def run(self, cell: NoiseSettings, context: Context) -> Mapping[str, JSON]:
        one_thread()
        return _report(cell, context) if cell.each else _choice(cell, context)

    def page(self, rows: Sequence[Row]) -> Page:
        return page(rows)


def _report(cell: NoiseSettings, context: Context) -> Mapping[str, JSON]:
    """The noise report of one circuit."""
    context.progress(0, 6, "compiling")
    days = _days(cell)
    found = _tuned(cell, workload(cell, days[0]), cell.tune[0])
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
        "report": to_json_data(result),
        "energy": _energy(cell),
        "zne": to_json_data(extrapolated),
        "drift": to_json_data(drifted),
        "notes": sorted({str(warning.message) for warning in caught if "too wide" in str(warning.message)}),
    }


def _energy(cell: NoiseSettings) -> JSON:
    """What an energy is to be compared with."""
    if cell.data not in HAMILTONIANS:
        return None
    problem = hamiltonian(cell.data)
    return {"problem": problem.name, "unit": problem.unit, "lowest": problem.range[0], "highest": problem.range[1]}


def _choice(cell: NoiseSettings, context: Context) -> Mapping[str, JSON]:
    """A repository of all circuits: made from the first two thirds of the days, used on the rest."""
    context.progress(0, 2, "compiling")
    known, later = kept_days(_days(cell))
    models: dict[str, Workload] = {}
    for spec in cell.circuits:
        given = cell.model_copy(update={"circuits": (spec,)})
        found = workload(given, known[0])
        for model in (_tuned(given, found, scale) for scale in cell.tune):
            models[model.name if model.name not in models else f"{model.name} of {spec}"] = model
    context.progress(1, 2, "choosing a circuit for each kind of day")
    built = repository(models, known, cell.clusters, context.rng)
    context.artefact("repository.json", built.to_json().encode())
    first = next(iter(models.values()))
    return {
        "device": {"name": known[0].name, "sha256": known[0].sha256},
        "unit": first.score.unit,
        "total": first.score.total,
        "less_is_better": first.score.less_is_better,
        "known": len(known),
        "kinds": [
            {"model": model, "score": score, "radius": radius}
            for model, score, radius in zip(built.models, built.scores, built.radii, strict=True)
        ],
        "later": [{"day": day.name} | to_json_data(built.pick(day)) for day in later],
        "scores": {name: [day["score"] for day in drift(model, later)] for name, model in models.items()},
    }


def _choosing(given: Sequence[NoiseSettings], days: Sequence[Device]) -> list[NoiseSettings]:
    """A cell that chooses between several circuits for one task, if there are days to do it by."""
    first = given[0]
    given = [cell for cell in given if cell.compilers == first.compilers]
    specs = tuple(cell.circuits[0] for cell in given)
    one_task = all((cell.data, cell.seed) == (first.data, first.seed) for cell in given)
    if len(days) < 3 or len(specs) * len(first.tune) < 2 or not one_task:
        return []
    return [first.model_copy(update={"circuits": specs, "each": False})]


def _parts(cell: NoiseSettings, found: Workload) -> tuple[Workload, Workload]:
    """The circuit on what its angles are trained and judged on. Raises `ValueError` where they cannot be trained."""
    if cell.data in HAMILTONIANS or cell.data == NO_DATA:
        parts = found, found
    else:
        data = load(cell.data, cell.seed)
        parts = on_part(found, data.train), on_part(found, data.val)
    _ = Tunable(parts[0])
    return parts


def _tuned(cell: NoiseSettings, found: Workload, scale: float) -> Workload:
    """The circuit with its compiled angles trained at a noise scale; as it is at scale 0."""
    if not scale:
        return found
    angles = NoiseAware(scale).tune(*_parts(cell, found))
    return replace(set_angles(found, angles), name=f"{found.name}, tuned at {scale:g}")


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


def _extrapolated(found: Workload, cell: NoiseSettings, context: Context) -> dict[str, JSON]:
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


def workload(cell: NoiseSettings, target: Device, seeds: Sequence[int] | None = None) -> Workload:
    """The circuit of a cell, compiled for `target`, with its data or its energy."""
    source = CircuitSource(cell.circuits[0], cell.seed)
    compiler = cell.compilers[0]
    name = source.title if compiler == O3 else f"{source.title}, {compiler}"
    circuit = source.circuit()
    how: dict[str, Any] = {
        "seeds": range(cell.transpiler_seeds) if seeds is None else seeds,
        "simplify": cell.simplify,
        "compiler": compiler,
    }
    if cell.data == NO_DATA:
        return state_workload(name, circuit, target, **how)
    if cell.data in HAMILTONIANS:
        return energy_workload(name, circuit, hamiltonian(cell.data), target, **how)
    data = load(cell.data, cell.seed)
    classes, readout = len(data.classes), source.readout()
    return classifier(name, circuit, data.test, classes, target, encoding=cell.encoding, readout=readout, **how)


def _expanded(spec: str, settings: NoiseSettings) -> list[NoiseSettings]:
    """A cell for a circuit file, or one for each logical circuit that a stored row keeps.

    A row of compvqc also says which data its circuits are for, unless the settings do.
    """
    kept = kept_circuits(spec)
    if kept is None:
        return [
            settings.model_copy(update={"circuits": (spec,), "compilers": (compiler,)})
            for compiler in dict.fromkeys(settings.compilers or (O3,))
        ]
    row, specs = kept
    known = {}
    if settings.data == NO_DATA and "task" in row.settings:
        encoding = "amplitude" if row.settings.get("encoding") == "amplitude" else "auto"
        known = {"data": row.settings["task"], "seed": row.seed, "encoding": encoding}
    return [
        settings.model_copy(update={"circuits": (each,), "compilers": (compiler,), **known})
        for each in specs
        for compiler in dict.fromkeys(settings.compilers or (ROW_DENSE if each.endswith(":dense.qasm") else (O3,)))
    ]
