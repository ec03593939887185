"""The noise experiment: how robust circuits are against device noise and finite shots, and their error attribution."""

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from quantum import Note, notes_kept
from quantum.circuits.ansatz import ANSAETZE
from quantum.circuits.circuit import Circuit, Directive
from quantum.circuits.readout_text import class_readout, in_words
from quantum.compilation.controls import CONTROLS
from quantum.devices.target import Device, device
from quantum.noise.circuit_source import CircuitSource, kept_circuits
from quantum.noise.drift import Drift, drift, history
from quantum.noise.energy import energy_workload
from quantum.noise.page import page
from quantum.noise.repository import kept_days, repository
from quantum.noise.robustness import REPEATS, SCALES, SHOTS, robustness
from quantum.noise.tuning import NoiseAware, Tunable, set_angles
from quantum.noise.workload import AS_GIVEN, ENCODINGS, O3, SEEDS, Workload, classifier, on_part, state_workload
from quantum.noise.zne import ZNE
from quantum.tasks.data import COLUMNS, SETS, load, resolved
from quantum.tasks.energy import HAMILTONIANS, hamiltonian
from shared.lab import JSON, Context, Experiment, Page, Row, Settings, hash_file, to_json_data

NO_DATA = "none"

ROW_DENSE = (O3, "o3_approximate", "pytket_approximate")
"""Compilers of the dense circuit of a row of compvqc, so that it is compared with its compile-only controls."""


class NoiseSettings(Settings):
    """The circuits, the device and the data of the reports."""

    circuits: tuple[str, ...] = Field(
        default=("line",),
        description=f"OpenQASM or QPY files, FOLDER/ID of a row with circuits, or untrained: {', '.join(ANSAETZE)}",
    )
    target: str = Field(
        default="nairobi", description="a fake backend, a .json snapshot or a folder of them, or gates@coupling"
    )
    data: str = Field(
        default=NO_DATA,
        description=f"{', '.join(SETS)}, a .npz or .csv file; an energy, {', '.join(HAMILTONIANS)}; or none: <Z>",
    )
    encoding: str = Field(default="auto", description=", ".join(ENCODINGS))
    columns: str = Field(
        default="auto",
        description="columns of the data: as-is, range (scaled to [0, pi]), or auto: as-is for a file whose circuit "
        "reads its features itself",
    )
    readout: str = Field(
        default="auto",
        description="class scores: Z0 (its sign), parity, Z0,Z1,Z2, bit strings 00+11,01+10; auto: wires in turn",
    )
    scales: tuple[float, ...] = Field(default=SCALES, min_length=1, description="noise strengths; 1 is the device's")
    shots: tuple[int, ...] = Field(default=SHOTS, description="numbers of measurements per input")
    repeats: int = Field(default=REPEATS, gt=0, description="independent sets of shots")
    transpiler_seeds: int = Field(
        default=len(SEEDS), gt=0, description="transpiler seeds; the cheapest circuit is reported"
    )
    simplify: bool = Field(default=True, description="rewrite exactly for the measured parities first")
    compilers: tuple[str, ...] = Field(
        default=(),
        description=f"{', '.join(CONTROLS)}, {AS_GIVEN} (every gate kept); none: {O3}, and the approximate ones for a "
        "row's dense circuit",
    )
    zne: bool = Field(default=False, description="zero-noise extrapolation at equal total shots")
    days: int = Field(default=0, ge=0, description="days of synthetic drift, if the target is not a folder")
    tune: tuple[Annotated[float, Field(ge=0)], ...] = Field(
        default=(0.0,), min_length=1, description="noise scales at which compiled angles are trained; 0: no training"
    )
    each: bool = Field(default=True, description="a report of each circuit; false: only the selection by calibration")
    clusters: int = Field(default=4, gt=0, description="calibration clusters, each with the best of several circuits")


class Noise(Experiment[NoiseSettings]):
    """Report how robust circuits are against device noise and finite shots, and where their errors come from.

    One cell is one circuit, as compiled or tuned; with several days, one more cell selects between the circuits.
    """

    name = "noise"
    version = 3

    def cells(self, settings: NoiseSettings) -> Sequence[NoiseSettings]:
        if unknown := set(settings.compilers) - {*CONTROLS, AS_GIVEN}:
            raise ValueError(f"compiler {min(unknown)!r} is unknown: use one of {', '.join(CONTROLS)}, {AS_GIVEN}")
        for name, value, choices in (
            ("encoding", settings.encoding, ENCODINGS),
            ("columns", settings.columns, COLUMNS),
        ):
            if value not in choices:  # without labels nothing else would read it
                raise ValueError(f"{name} {value!r} is unknown: use one of {', '.join(choices)}")
        untuned = [cell for name in dict.fromkeys(settings.circuits) for cell in _expanded(name, settings)]
        if not untuned:
            raise ValueError("circuits is empty: name at least one circuit file")
        with notes_kept():  # the reports say them
            days = _days(settings)
            for cell in untuned:  # errors in any circuit are raised before the first one is evaluated
                compiled = workload(cell, days[0], seeds=(0,))
                if any(cell.tune):
                    _ = _parts(cell, compiled)
        cells = [cell.model_copy(update={"tune": (scale,)}) for cell in untuned for scale in dict.fromkeys(cell.tune)]
        selection = _selection(untuned, days)
        if not settings.each and not selection:
            raise ValueError(
                "each=false: a selection needs several circuits or tunings for one task, and 3 days or more"
            )
        return cells + selection if settings.each else selection

    def data(self, cell: NoiseSettings) -> Mapping[str, str]:
        paths = [Path(cell.data), Path(cell.target), *sorted(Path(cell.target).glob("*.json"))]
        files = {str(path): hash_file(path) for path in paths if path.is_file()}
        names = ["circuit"] if len(cell.circuits) == 1 else [f"circuit {k}" for k in range(len(cell.circuits))]
        sources = (CircuitSource(spec, cell.seed) for spec in cell.circuits)
        return files | {name: source.digest() for name, source in zip(names, sources, strict=True)}

    def run(self, cell: NoiseSettings, context: Context) -> Mapping[str, JSON]:
        return _report(cell, context) if cell.each else _choice(cell, context)

    def page(self, rows: Sequence[Row]) -> Page:
        return page(rows)


def _report(cell: NoiseSettings, context: Context) -> Mapping[str, JSON]:
    """The noise report of one circuit."""
    context.progress(0, 6, "compiling")
    with notes_kept() as notes:
        days = _days(cell)
        case = _tuned(cell, workload(cell, days[0]), cell.tune[0])
        result = robustness(
            case,
            context.rng,
            scales=cell.scales,
            shots=cell.shots,
            repeats=cell.repeats,
            progress=lambda done, _, note: context.progress(1 + done, 6, note),
        )
        context.progress(4, 6, "extrapolating to zero noise")
        extrapolated = _extrapolated(case, cell, context) if cell.zne else None
        context.progress(5, 6, "day by day")
        drifted = drift(case, days) if len(days) > 1 else None
    return {
        "name": case.name,
        "device": {"name": days[0].name, "sha256": days[0].sha256},
        "report": to_json_data(result),
        "energy": _energy(cell),
        "zne": to_json_data(extrapolated),
        "drift": to_json_data(drifted),
        "notes": notes,
    }


def _energy(cell: NoiseSettings) -> JSON:
    """The lowest and highest energy of the problem, to compare an energy with."""
    if cell.data not in HAMILTONIANS:
        return None
    problem = hamiltonian(cell.data)
    return {"problem": problem.name, "unit": problem.unit, "lowest": problem.range[0], "highest": problem.range[1]}


def _choice(cell: NoiseSettings, context: Context) -> Mapping[str, JSON]:
    """A repository of all circuits, built from the first two thirds of the days and evaluated on the rest."""
    context.progress(0, 2, "compiling")
    past, later = kept_days(_days(cell))
    models: dict[str, Workload] = {}
    for spec in cell.circuits:
        single = cell.model_copy(update={"circuits": (spec,)})
        with notes_kept():  # in the reports of the circuits
            compiled = workload(single, past[0])
        for model in (_tuned(single, compiled, scale) for scale in cell.tune):
            models[model.name if model.name not in models else f"{model.name} of {spec}"] = model
    context.progress(1, 2, "selecting a circuit for each calibration cluster")
    built = repository(models, past, cell.clusters, context.rng)
    context.artefact("repository.json", built.to_json().encode())
    first = next(iter(models.values()))
    return {
        "device": {"name": past[0].name, "sha256": past[0].sha256},
        "unit": first.score.unit,
        "total": first.score.total,
        "less_is_better": first.score.less_is_better,
        "known": len(past),
        "kinds": [
            {"model": model, "score": score, "radius": radius}
            for model, score, radius in zip(built.models, built.scores, built.radii, strict=True)
        ],
        "later": [{"day": day.name} | to_json_data(built.pick(day)) for day in later],
        "scores": {name: [day["score"] for day in drift(model, later)] for name, model in models.items()},
    }


def _selection(untuned: Sequence[NoiseSettings], days: Sequence[Device]) -> list[NoiseSettings]:
    """A cell that selects between several circuits for one task, if there are enough days for it."""
    first = untuned[0]
    alike = [cell for cell in untuned if cell.compilers == first.compilers]
    specs = tuple(cell.circuits[0] for cell in alike)
    one_task = all((cell.data, cell.seed) == (first.data, first.seed) for cell in alike)
    if len(days) < 3 or len(specs) * len(first.tune) < 2 or not one_task:
        return []
    return [first.model_copy(update={"circuits": specs, "each": False})]


def _parts(cell: NoiseSettings, case: Workload) -> tuple[Workload, Workload]:
    """The circuit on its training and validation data. Raises `ValueError` if its angles cannot be trained."""
    if cell.data in HAMILTONIANS or cell.data == NO_DATA:
        parts = case, case
    else:
        data = load(cell.data, cell.seed, _columns(cell, CircuitSource(cell.circuits[0], cell.seed)))
        parts = on_part(case, data.train), on_part(case, data.val)
    _ = Tunable(parts[0])
    return parts


def _tuned(cell: NoiseSettings, case: Workload, scale: float) -> Workload:
    """The circuit with its compiled angles trained at a noise scale; unchanged at scale 0."""
    if not scale:
        return case
    angles = NoiseAware(scale).tune(*_parts(cell, case))
    return replace(set_angles(case, angles), name=f"{case.name}, tuned at {scale:g}")


def _days(settings: NoiseSettings) -> list[Device]:
    """The calibrations; circuits are compiled for the first one."""
    if Path(settings.target).is_dir():
        if settings.days:
            raise ValueError(
                f"days={settings.days}: {settings.target} is a folder of days: set days=0, or name one device as target"
            )
        return history(Path(settings.target))
    start = device(settings.target)
    return (
        [start, *Drift().days(start, settings.days, np.random.default_rng(settings.seed))] if settings.days else [start]
    )


def _extrapolated(case: Workload, cell: NoiseSettings, context: Context) -> dict[str, JSON]:
    """Zero-noise extrapolation with folds 1, 3 and 5: scores at each noise scale, and at equal total shots."""
    zne = ZNE()
    ideal = case.expectations(0.0)
    exact = [(scale, zne.expectations(case, scale)) for scale in cell.scales]
    return {
        "factors": list(zne.factors),
        "scales": [
            {"scale": scale, "score": case.score.value(values), "shift": float((values - ideal).abs().mean())}
            for scale, values in exact
        ],
        "shots": [
            {"shots": shots, "scores": zne.scores(case, shots, cell.repeats, context.rng)}
            for shots in cell.shots
            if shots >= len(zne.factors)
        ],
    }


def workload(cell: NoiseSettings, target: Device, seeds: Sequence[int] | None = None) -> Workload:
    """The circuit of a cell, compiled for `target`, with its data or its Hamiltonian."""
    source = CircuitSource(cell.circuits[0], cell.seed)
    compiler = cell.compilers[0]
    name = source.title if compiler == O3 else f"{source.title}, {compiler}"
    circuit = source.circuit()
    how: dict[str, Any] = {
        "seeds": range(cell.transpiler_seeds) if seeds is None else seeds,
        "simplify": cell.simplify and compiler != AS_GIVEN,
        "compiler": compiler,
    }
    if circuit.directives and how["simplify"]:
        warnings.warn(
            f"{name} has {_counts(circuit.directives)}, which the exact rewriting does not keep: --as-given keeps them "
            f"and every gate",
            Note,
            stacklevel=2,
        )
    case = _workload(cell, source, name, circuit, target, how)
    written = sum(len(gate.wires) == 2 for gate in circuit.gates)
    compiled = max(setting.compiled.twoq for setting in case.settings)
    if compiler == O3 and not cell.simplify and compiled < written:
        warnings.warn(
            f"the transpiler made {compiled} two-qubit gates of the {written} of {name}: --as-given keeps every gate",
            Note,
            stacklevel=2,
        )
    return case


def _counts(directives: Sequence[Directive]) -> str:
    """`8 barriers and 2 delays`."""
    counts = Counter(directive.name for directive in directives)
    return " and ".join(f"{number} {name}{'s' * (number > 1)}" for name, number in counts.items())


def _workload(
    cell: NoiseSettings, source: CircuitSource, name: str, circuit: Circuit, target: Device, how: Mapping[str, Any]
) -> Workload:
    if cell.data == NO_DATA or cell.data in HAMILTONIANS:
        if cell.readout != "auto":
            raise ValueError(f"readout={cell.readout}: a readout decides between classes: name data with labels")
        if cell.data == NO_DATA:
            return state_workload(name, circuit, target, **how)
        return energy_workload(name, circuit, hamiltonian(cell.data), target, **how)
    data = load(cell.data, cell.seed, _columns(cell, source))
    spelled = source.trained_with(cell.data).get("readout", "auto") if cell.readout == "auto" else cell.readout
    readout = source.readout() or class_readout(spelled, circuit.wires, data.classes)
    for note in (*data.notes, f"class scores are {in_words(readout, data.classes)}"):
        warnings.warn(note, Note, stacklevel=2)
    return classifier(
        name, circuit, data.test, len(data.classes), target, encoding=cell.encoding, readout=readout, **how
    )


def _columns(cell: NoiseSettings, source: CircuitSource) -> str:
    """How the columns of the data become features: as in the training of a stored circuit, unless the cell says it."""
    settings = source.trained_with(cell.data)
    if cell.columns == "auto" and settings:
        return resolved(settings.get("columns", "range"), cell.data, settings.get("encoding") == "own")
    own = cell.encoding == "own" or (cell.encoding == "auto" and source.circuit().features > 0)
    return resolved(cell.columns, cell.data, own)


def _expanded(spec: str, settings: NoiseSettings) -> list[NoiseSettings]:
    """A cell for a circuit file, or one for each logical circuit that is stored with a row.

    A row of compvqc also sets the data of its circuits, unless the settings do.
    """
    stored = kept_circuits(spec)
    if stored is None:
        return [
            settings.model_copy(update={"circuits": (spec,), "compilers": (compiler,)})
            for compiler in dict.fromkeys(settings.compilers or (O3,))
        ]
    row, specs = stored
    from_row = {}
    if settings.data == NO_DATA and "task" in row.settings:
        encoding = "amplitude" if row.settings.get("encoding") == "amplitude" else "auto"
        from_row = {"data": row.settings["task"], "seed": row.seed, "encoding": encoding}
    return [
        settings.model_copy(update={"circuits": (each,), "compilers": (compiler,), **from_row})
        for each in specs
        for compiler in dict.fromkeys(settings.compilers or (ROW_DENSE if each.endswith(":dense.qasm") else (O3,)))
    ]
