"""The CompVQC experiment: train a variational classifier, compress it for a device, and run every control."""

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from quantum import notes_kept
from quantum.circuits.ansatz import ANSAETZE, ansatz
from quantum.circuits.circuit import Circuit
from quantum.circuits.encode import angle
from quantum.circuits.lossless import lossless
from quantum.circuits.readout_text import class_readout, in_words
from quantum.compilation.compile import Compiled, compile_circuit, deploy
from quantum.compilation.controls import CONTROLS, SEEDS, exact_floor
from quantum.compvqc.baselines import magnitude_prune, random_starts, train_small
from quantum.compvqc.budget import parse
from quantum.compvqc.candidates import Candidate, SelectionRule, candidate
from quantum.compvqc.evaluate import Evaluation
from quantum.compvqc.page import page
from quantum.compvqc.search import BudgetNotMetError
from quantum.compvqc.search import CompVQC as Compressor
from quantum.devices.target import Device, device
from quantum.interop import openqasm, qpy, read
from quantum.interop.qiskit import to_qiskit
from quantum.tasks.classification import LOGIT_SCALE, Classification, classification
from quantum.tasks.data import PARTS, SETS, Data, load, resolved
from shared.lab import JSON, Context, Experiment, Page, Row, Seeded, hash_file

SMALL_LAYERS = range(1, 7)
SMALL_STARTS = 8
"""The train-small control has about as many trainings as the compressor: 8 for each of 3, 6 ... 18 two-qubit gates."""

CONTROL_STARTS = 1
"""The prune-only and snap-only controls are the same search on a part of the menu, from the first start alone."""

SHARES = tuple(k / 20 for k in range(1, 20))


class CompVQCSettings(Seeded):
    """The task, the circuit, the device and the budget of a compression."""

    task: str = Field(default="digits4", description=f"{', '.join(SETS)}, or a .npz or .csv file")
    target: str = Field(default="nairobi", description="a fake backend, a .json snapshot, or gates@coupling")
    circuit: str = Field(default="seismic", description=f"{', '.join(ANSAETZE)}, or an OpenQASM or QPY file")
    wires: int = Field(default=4, ge=2, le=12, description="qubits of a named circuit")
    layers: int | None = Field(default=None, gt=0, description="layers of a named circuit; none: its standard number")
    encoding: str = Field(default="angle", description="angle, amplitude, or own: the circuit file reads x[k] itself")
    columns: str = Field(
        default="auto",
        description="columns of the data: as-is, range (scaled to [0, pi]), or auto: as-is for a file and encoding own",
    )
    readout: str = Field(
        default="auto",
        description="class scores: Z0 (its sign), parity, Z0,Z1,Z2, bit strings 00+11,01+10; auto: wires in turn",
    )
    budget: str = Field(default="drop<=0.01", description="drop<=0.01, twoq<=20, depth<=60, or several with commas")
    starts: int = Field(default=4, gt=0, description="trained starts, each of which is compressed")


class CompVQC(Experiment[CompVQCSettings]):
    """Compress a variational quantum classifier for a real device, and compare it with every control.

    One cell is one seed.
    """

    name = "compvqc"
    version = 3

    def cells(self, settings: CompVQCSettings) -> Sequence[CompVQCSettings]:
        cells = super().cells(settings)
        _Model.of(cells[0])  # raises for invalid settings before anything is trained or written
        return cells

    def data(self, cell: CompVQCSettings) -> Mapping[str, str]:
        return {name: hash_file(Path(name)) for name in (cell.task, cell.target, cell.circuit) if Path(name).is_file()}

    def run(self, cell: CompVQCSettings, context: Context) -> Mapping[str, JSON]:
        return _Cell(cell, context).result()

    def page(self, rows: Sequence[Row]) -> Page:
        return page(rows)


@dataclass(frozen=True, eq=False)
class _Model:
    """The data, device and circuit of the settings, and the weights stored in a circuit file."""

    data: Data
    device: Device
    task: Classification
    encoder: Circuit | None
    stored_weights: Tensor | None
    notes: tuple[str, ...]

    @staticmethod
    def of(cell: CompVQCSettings) -> "_Model":
        parse(cell.budget)
        with notes_kept() as notes:
            data = load(cell.task, cell.seed, resolved(cell.columns, cell.task, cell.encoding == "own"))
            target = device(cell.target)
            circuit, stored_weights = _circuit(cell)
        if circuit.wires > target.target.num_qubits:
            raise ValueError(
                f"the circuit has {circuit.wires} wires but {target.name} only {target.target.num_qubits} qubits: "
                "use a larger target or fewer wires"
            )
        readout = class_readout(cell.readout, circuit.wires, data.classes, LOGIT_SCALE)
        task = classification(circuit, data, encoding=cell.encoding, readout=readout)
        notes += [*data.notes, f"class scores are {in_words(readout, data.classes)}"]
        encoders = {"angle": lambda: angle(circuit.wires, data.features), "own": lambda: circuit.encoder}
        encoder = encoders[cell.encoding]() if cell.encoding in encoders else None
        return _Model(data, target, task, encoder, stored_weights, tuple(notes))


def _circuit(cell: CompVQCSettings) -> tuple[Circuit, Tensor | None]:
    """The circuit with one weight per angle, and the values of the weights if it comes from a file.

    Parameters without a value start at random angles.
    """
    if not Path(cell.circuit).suffix:
        return ansatz(cell.circuit, cell.wires, cell.layers), None
    rng = np.random.default_rng(cell.seed)
    model = read(Path(cell.circuit), unbound=lambda: float(rng.uniform(-np.pi, np.pi)))
    circuit, angles = model.circuit.untie(model.values)
    if not angles:
        raise ValueError(f"{cell.circuit} has no rotation to compress: use a circuit whose gates have angles")
    return circuit, torch.tensor(angles, dtype=torch.float64)


class _Cell:
    """The stages of one cell; each finished stage is stored, so a killed run resumes after the last one."""

    def __init__(self, settings: CompVQCSettings, context: Context) -> None:
        self.settings, self.context = settings, context

    @cached_property
    def model(self) -> _Model:
        return _Model.of(self.settings)

    @cached_property
    def task(self) -> Classification:
        return self.model.task

    @cached_property
    def evaluation(self) -> Evaluation:
        return Evaluation(self.task, self.model.device)

    @cached_property
    def starts(self) -> Tensor:
        """Trained weights `(starts, weights)`; training of the first starts from the weights of the file, if any."""
        return torch.tensor(self.context.stage("training", self._train), dtype=torch.float64)

    def _train(self) -> list[list[float]]:
        fresh = random_starts(self.task, self.settings.starts, self.context.generator())
        if self.model.stored_weights is not None:
            fresh[0] = self.model.stored_weights
        trained: list[list[float]] = self.task.train(fresh).tolist()
        return trained

    @cached_property
    def rule(self) -> SelectionRule:
        dense = [candidate(self.task, self.model.device, start) for start in self.starts]
        return SelectionRule(parse(self.settings.budget), min(dense, key=lambda c: c.val_loss))

    def result(self) -> Mapping[str, JSON]:
        stages: list[tuple[str, str, Callable[[], JSON]]] = [
            ("compvqc", "compressing", lambda: self.compress("all", self.settings.starts)),
            ("dense", "simplifying without loss", self.dense),
            *((name, f"compiling: {name}", lambda name=name: self.compile_only(name)) for name in CONTROLS),
            ("exact", "compiling: best exact", lambda: exact_floor(self.bound, self.model.device)),
            ("magnitude", "pruning by magnitude", self.magnitude),
            ("prune", "prune only", lambda: self.compress("prune", CONTROL_STARTS)),
            ("snap", "snap only", lambda: self.compress("snap", CONTROL_STARTS)),
            ("small", "training small circuits", self.small),
        ]
        self.context.plan(1 + len(stages))
        _ = self.starts
        done = {name: self.context.stage(title, compute) for name, title, compute in stages}
        return {**done, **self.about()}

    @property
    def bound(self) -> Circuit:
        return self.task.circuit.bind(self.rule.dense.weights.tolist())

    def about(self) -> Mapping[str, JSON]:
        data, circuit = self.model.data, self.task.circuit
        return {
            "data": {"classes": list(data.classes), "features": data.features, "sha256": data.sha256},
            "samples": {part: len(self.task.labels[part]) for part in PARTS},
            "circuit": {"wires": circuit.wires, "weights": circuit.weights, "gates": len(circuit.gates)},
            "device": {"name": self.model.device.name, "sha256": self.model.device.sha256},
            "notes": list(self.model.notes),
        }

    def compress(self, mode: str, starts: int) -> JSON:
        """The compressed circuit and the front of candidates; for the full menu also the circuit's files."""
        started = time.process_time()
        try:
            compression = Compressor(mode=mode).compress(
                self.task,
                self.model.device,
                parse(self.settings.budget),
                self.starts[:starts],
                self.context.generator(),
                progress=self.context.progress,
            )
        except BudgetNotMetError as error:
            if mode == "all":
                raise
            return {"missing": str(error)}
        seconds = time.process_time() - started
        if mode == "all":
            self.keep_files(compression.task.circuit, compression.best)
        front = [self.point(compression.task, c) for c in _front(compression.candidates)]
        counts = {"front": front, "candidates": len(compression.candidates), "cpu_s": seconds}
        return self.record(compression.best) | counts

    def record(self, chosen: Candidate) -> dict[str, Any]:
        return {
            "scores": self.evaluation.scores(chosen.compiled, chosen.readout),
            "weights": chosen.weights.tolist(),
        }

    def point(self, task: Classification, c: Candidate) -> JSON:
        """One circuit of a front: its counts, and the correct samples of each part by exact simulation."""
        return {
            "twoq": c.compiled.twoq,
            "depth": c.compiled.depth,
            **{part: task.correct(c.weights, part) for part in PARTS},
        }

    def dense(self) -> JSON:
        """The dense circuit after lossless rewriting, with the transpiler seeds of the controls."""
        self.context.artefact("dense.qasm", openqasm.dumps(self.whole(self.bound)).encode())
        compiled, readout = deploy(self.bound, self.task.readout, self.model.device, SEEDS)
        return {"scores": self.evaluation.scores(compiled, readout)}

    def compile_only(self, name: str) -> JSON:
        compiled = CONTROLS[name].compile(self.bound, self.model.device)
        return {"scores": self.evaluation.scores(compiled, self.task.readout)}

    def magnitude(self) -> JSON:
        pruned = magnitude_prune(self.task, self.rule.dense.weights, SHARES)
        candidates = [self.rule.dense, *(candidate(self.task, self.model.device, *pair) for pair in pruned)]
        chosen = self.rule.best(candidates)
        if chosen is None:
            return {"missing": "no share of angles met the budget"}
        pruned_circuit = self.whole(self.task.circuit.bind(chosen.weights.tolist()))
        self.context.artefact("magnitude.qasm", openqasm.dumps(pruned_circuit).encode())
        return self.record(chosen)

    def small(self) -> JSON:
        """Small line circuits trained from scratch: the front, and the one selected by the same rule."""
        trained = train_small(self.task, SMALL_LAYERS, SMALL_STARTS, self.context.generator())
        pairs = [(task, candidate(task, self.model.device, weights)) for task, weights in trained]
        front = [self.point(task, c) for task, c in pairs]
        chosen = self.rule.best([c for _, c in pairs])
        if chosen is None:
            return {"front": front, "missing": "no small circuit met the budget"}
        circuit = next(task.circuit for task, c in pairs if c is chosen)
        small = self.whole(circuit.bind(chosen.weights.tolist()))
        self.context.artefact("small.qasm", openqasm.dumps(small).encode())
        return self.record(chosen) | {"front": front}

    def readout(self, best: Candidate, compiled: Compiled) -> dict[str, Any]:
        """The readout of the compiled circuit: class scores from its measured bits."""
        return {
            "how": "score of a class = scale * sum over parities of weight * <product of Z on the parity's wires>",
            "classes": self.model.data.classes,
            "parities": best.readout.strings,
            "weights": best.readout.weights,
            "scale": best.readout.scale,
            "measured_qubits": compiled.measured,
        }

    def whole(self, body: Circuit) -> Circuit:
        """`body` after its encoder, if the encoder consists of gates."""
        return body if self.model.encoder is None else self.model.encoder + body

    def keep_files(self, circuit: Circuit, best: Candidate) -> None:
        """Stores the compressed circuit with its encoder as OpenQASM 3 and QPY, and compiled for the device."""
        whole = self.whole(lossless(circuit.bind(best.weights.tolist()), self.task.readout)[0])
        compiled = compile_circuit(to_qiskit(whole), self.model.device, SEEDS)
        self.context.artefact("compressed.qasm", openqasm.dumps(whole).encode())
        self.context.artefact("compressed.qpy", qpy.dumps(whole))
        self.context.artefact("compiled.qasm", _qasm3(compiled))
        self.context.artefact("readout.json", json.dumps(self.readout(best, compiled), indent=1).encode())


def _front(candidates: Iterable[Candidate]) -> list[Candidate]:
    """The circuits with the best selection score among all with at most their number of two-qubit gates."""
    front: list[Candidate] = []
    for c in sorted(candidates, key=lambda c: (c.compiled.twoq, tuple(-m for m in c.selection_score))):
        if not front or c.selection_score > front[-1].selection_score:
            front.append(c)
    return front


def _qasm3(compiled: Compiled) -> bytes:
    from qiskit import qasm3

    return str(qasm3.dumps(compiled.circuit)).encode()
