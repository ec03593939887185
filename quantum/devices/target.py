"""Devices as compilation targets: by name, by file, by basis gates and coupling map, or from a Qiskit backend."""

import difflib
import json
import re
from dataclasses import dataclass, field
from pathlib import Path

from qiskit.providers import BackendV2
from qiskit.transpiler import CouplingMap, Target

from quantum.devices import properties
from quantum.devices.qiskit_target import from_target, to_target
from quantum.devices.snapshot import GATES, GateOn, Qubit, Snapshot, from_plain


@dataclass(frozen=True)
class Device:
    """A compilation target with a name, and the SHA-256 of everything that a price depends on.

    T1 and T2 are in `target.qubit_properties` and the readout error in `target["measure"]`.
    """

    name: str
    sha256: str
    target: Target = field(compare=False, repr=False)


def device(spec: "str | Path | Target | BackendV2 | Device") -> Device:
    """The device that `spec` names or contains.

    - a fake backend of qiskit-ibm-runtime in any spelling: `nairobi`, `fake_torino`, `FakeSherbrooke`;
    - a JSON file: our snapshot (see `quantum.devices.snapshot`) or backend properties as IBM publishes them;
    - gates and coupling: `cz,rz,sx,x@line:5`, `@ring:4`, `@full:3` or edges, `@0-1,1-2,1-3`. All gates are ideal and
      work in both directions. RZZ takes any angle, unless X is in the basis too: then it is IBM's fractional gate, with
      angles in [0, pi/2];
    - a Qiskit `Target` or `BackendV2`.

    Raises `ValueError` with the field and the value.

    >>> device("cz,rz,sx,x@line:5").target.num_qubits
    5
    """
    if isinstance(spec, Device):
        return spec
    if isinstance(spec, Target):
        return _device(from_target(spec, spec.description or "target"))
    if isinstance(spec, BackendV2):
        return _device(from_target(spec.target, spec.name or type(spec).__name__))
    if isinstance(spec, Path) or (isinstance(spec, str) and spec.lower().endswith(".json")):
        return _device(_read_file(Path(spec)))
    if not isinstance(spec, str):
        raise ValueError(
            f"a device is a name, a JSON file, a Qiskit Target or a BackendV2, not a {type(spec).__name__}"
        )
    if "@" in spec:
        return _device(_from_gates(spec))
    return _device(_fake(spec))


def to_json(device: Device) -> str:
    """The device as a snapshot in JSON; `device(file)` of a file with this text has the same SHA-256."""
    return from_target(device.target, device.name).to_json()


def _device(snapshot: Snapshot) -> Device:
    target = to_target(snapshot)
    return Device(snapshot.name, from_target(target, snapshot.name).sha256, target)


def _read_file(path: Path) -> Snapshot:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"the device file {path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the device file {path} is not JSON: {error}") from error
    try:
        return from_plain(properties.plain(data) if properties.is_properties(data) else data, path.stem)
    except RecursionError:
        raise ValueError(f"the device file {path} is nested too deeply: it holds lists of qubits and gates") from None
    except ValueError as error:
        raise ValueError(f"the device file {path}: {error}") from error


def _fake(spec: str) -> Snapshot:
    from qiskit_ibm_runtime import fake_provider

    classes = {
        _short(name): kind
        for name, kind in vars(fake_provider).items()
        if isinstance(kind, type) and issubclass(kind, BackendV2)
    }
    if _short(spec) not in classes:
        near = difflib.get_close_matches(_short(spec), classes, n=3)
        guess = f"did you mean {' or '.join(near)}? " if near else ""
        raise ValueError(
            f"target {spec!r} is unknown: {guess}Use a fake backend such as nairobi or torino, a .json file, "
            f"or gates and a coupling map such as cz,rz,sx,x@line:5"
        )
    backend = classes[_short(spec)]()
    return from_target(backend.target, backend.name)


def _short(name: str) -> str:
    """`FakeNairobiV2`, `fake_nairobi`, `ibm_nairobi` and `nairobi` are all `nairobi`."""
    return re.sub(r"^(fake|ibmq?)(?=.)|v2$|backend$", "", re.sub(r"[^a-z0-9]", "", name.lower()))


def _from_gates(spec: str) -> Snapshot:
    names, _, shape = spec.lower().replace(" ", "").partition("@")
    basis = tuple(names.split(","))
    for name in basis:
        if name not in GATES:
            near = difflib.get_close_matches(name, GATES, n=3)
            hint = f"did you mean {' or '.join(near)}?" if near else "use Qiskit's names, such as cx, cz, rz, sx"
            raise ValueError(f"target {spec!r}: gate {name!r} is unknown: {hint}")
    edges, qubits = _edges(spec, shape)
    gates = [
        GateOn(name, place)
        for name in dict.fromkeys(basis)
        for place in ([(q,) for q in range(qubits)] if GATES[name].num_qubits == 1 else edges)
    ]
    try:
        return Snapshot(
            spec, tuple(dict.fromkeys(basis)), (Qubit(),) * qubits, tuple(gates), fold_rzz={"rzz", "x"} <= set(basis)
        )
    except ValueError as error:
        raise ValueError(f"target {spec!r}: {error}") from error


_SHAPES = {"line": CouplingMap.from_line, "ring": CouplingMap.from_ring, "full": CouplingMap.from_full}
_MOST_QUBITS = 400


def _edges(spec: str, shape: str) -> tuple[list[tuple[int, int]], int]:
    """Both directions of every edge, and the number of qubits."""
    if match := re.fullmatch(r"(line|ring|full):(\d{1,9})", shape):
        qubits = int(match[2])
        least = 3 if match[1] == "ring" else 1
        if not least <= qubits <= _MOST_QUBITS:
            raise ValueError(f"target {spec!r}: a {match[1]} has {least} to {_MOST_QUBITS} qubits, not {qubits}")
        return sorted(_SHAPES[match[1]](qubits).get_edges()), qubits
    if not re.fullmatch(r"\d{1,9}-\d{1,9}(,\d{1,9}-\d{1,9})*", shape):
        raise ValueError(f"target {spec!r}: coupling {shape!r} must be line:N, ring:N, full:N or edges such as 0-1,1-2")
    pairs = [(int(a), int(b)) for a, b in (edge.split("-") for edge in shape.split(","))]
    qubits = 1 + max(max(pair) for pair in pairs)
    if qubits > _MOST_QUBITS:
        raise ValueError(f"target {spec!r}: qubit {qubits - 1} is above the limit of {_MOST_QUBITS}")
    for a, b in pairs:
        if a == b:
            raise ValueError(f"target {spec!r}: edge {a}-{b} joins a qubit to itself")
    for qubit in sorted(set(range(qubits)) - {q for pair in pairs for q in pair}):
        raise ValueError(
            f"target {spec!r}: qubit {qubit} is missing, no edge reaches it: number the qubits 0, 1, 2 ..."
        )
    edges = sorted({(a, b) for pair in pairs for a, b in (pair, pair[::-1])})
    if not CouplingMap(edges).is_connected():
        raise ValueError(f"target {spec!r}: the coupling map is not connected: join its parts with an edge")
    return edges, qubits
