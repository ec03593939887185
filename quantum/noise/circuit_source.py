"""Circuits by name: a file, the circuits stored with a row of results, or an untrained ansatz."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from quantum.circuits.ansatz import ANSAETZE, ansatz
from quantum.circuits.circuit import Circuit
from quantum.circuits.readout import Readout
from quantum.interop import openqasm, qpy
from shared.lab import Row, Store, hash_bytes

ORDER = ("dense", "magnitude", "small", "compressed")
"""The order in which the circuits of a row of compvqc are compared."""


@dataclass(frozen=True)
class CircuitSource:
    """One circuit: `spec` is a file, `FOLDER/ID:ARTEFACT` for a circuit stored with a row, or the name of an ansatz."""

    spec: str
    seed: int

    @property
    def title(self) -> str:
        place, _, artefact = self.spec.rpartition(":")
        return f"{Path(place).name[:8]} {Path(artefact).stem}" if place else Path(self.spec).stem

    @property
    def row(self) -> tuple[Row, Store, str] | None:
        """The row that the circuit is stored with, the row's store, and the name of the artefact."""
        place, _, artefact = self.spec.rpartition(":")
        row = find_row(place) if place and not Path(self.spec).exists() else None
        return None if row is None else (row, Store(Path(place).parent), artefact)

    def content(self) -> bytes:
        """The bytes of the circuit's file. Raises `ValueError` if there is none."""
        if self.spec in ANSAETZE and not Path(self.spec).exists():
            untrained = ansatz(self.spec)
            weights = np.random.default_rng(self.seed).uniform(-np.pi, np.pi, untrained.weights)
            return openqasm.dumps(untrained, weights.tolist()).encode()
        if self.row is not None:
            row, store, artefact = self.row
            if artefact not in row.artefacts:
                stored = ", ".join(row.artefacts) or "nothing"
                raise ValueError(f"row {row.id[:12]} has no artefact {artefact}; it has {stored}")
            return store.get(row.artefacts[artefact])
        try:
            return Path(self.spec).read_bytes()
        except OSError as error:
            raise ValueError(
                f"the circuit {self.spec} cannot be read: {error.strerror}; name a .qasm or .qpy file, or FOLDER/ID of "
                "a row"
            ) from error

    def circuit(self) -> Circuit:
        """The circuit with its weights bound. Raises `ValueError`, in one line, for an invalid file."""
        content = self.content()
        try:
            binary = content.startswith(b"QISKIT") or self.spec.endswith(".qpy")
            circuit, weights = qpy.loads(content) if binary else openqasm.loads(content.decode("utf-8-sig"))
        except ValueError as error:  # a UnicodeDecodeError is a ValueError too
            raise ValueError(f"the circuit {self.spec}: {error}") from error
        return circuit.bind(weights)

    def trained_with(self, data: str) -> Mapping[str, Any]:
        """The settings of the row that the circuit is stored with, if `data` is what the row was trained on."""
        row = self.row
        return row[0].settings if row is not None and row[0].settings.get("task") == data else {}

    def readout(self) -> Readout | None:
        """The readout of a row's compressed circuit, whose last gates may have become longer parities; else None."""
        if self.row is None:
            return None
        row, store, artefact = self.row
        if Path(artefact).stem != "compressed" or "readout.json" not in row.artefacts:
            return None
        stored = json.loads(store.get(row.artefacts["readout.json"]))
        return Readout(tuple(map(tuple, stored["parities"])), tuple(map(tuple, stored["weights"])), stored["scale"])

    def digest(self) -> str:
        """A hash of everything that the circuit and its scores depend on."""
        settings = {} if self.row is None else self.row[0].settings
        chosen = [settings[key] for key in ("columns", "readout") if settings.get(key, "auto") != "auto"]
        return hash_bytes(self.content() + repr(self.readout() or "").encode() + "".join(chosen).encode())


def kept_circuits(spec: str) -> tuple[Row, Sequence[str]] | None:
    """The row `FOLDER/ID` and the specs of the logical circuits stored with it; None if `spec` names no row.

    Raises `ValueError` for a row without circuits.
    """
    row = None if Path(spec).exists() or Path(spec).suffix else find_row(spec)
    if row is None:
        return None
    names = [name for name in row.artefacts if name.endswith(".qasm") and name != "compiled.qasm"]
    if not names:
        raise ValueError(
            f"row {row.id[:12]} of {row.experiment} has no circuits: name a row of compvqc, or a circuit file"
        )
    order = {f"{name}.qasm": k for k, name in enumerate(ORDER)}
    return row, [f"{spec}:{name}" for name in sorted(names, key=lambda name: (order.get(name, len(order)), name))]


def find_row(place: str) -> Row | None:
    """The row `FOLDER/ID`, by the beginning of its id; None if the folder has no rows."""
    folder, id = Path(place).parent, Path(place).name
    store = Store(folder)
    return store.find(id) if store.exists() else None
