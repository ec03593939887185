"""The calibration of a device as plain data: validated, hashed, read from JSON and written to it.

The JSON form (`to_json` writes it; `?` marks keys that are optional or null):

    {"format": "qwedge-device-1", "name"?: "lab_a", "dt_ns"?: 0.222,
     "basis": ["cx", "rz", "sx", "x"],
     "fold_rzz"?: false, "cut_t2"?: false,
     "qubits": [{"t1_us"?: 89.1, "t2_us"?: 15.8, "readout_error"?: 0.02, "readout_ns"?: 5560.9, "frequency_ghz"?: 5.26,
                 "prob_meas1_prep0"?: 0.01, "prob_meas0_prep1"?: 0.03, "operational"?: true}, ...],
     "gates": [{"name": "cx", "qubits": [0, 1], "error"?: 0.009, "duration_ns"?: 248.9, "operational"?: true}, ...]}

Qubits are numbered from 0 in the order of the list. Every one-qubit gate of the basis is listed for every operational
qubit, and a two-qubit gate for each directed pair that has it; a qubit or gate that is out of service is listed with
`"operational": false`. A gate without an error is ideal, without a duration it is instantaneous. `fold_rzz` keeps the
angles of RZZ in [0, pi/2], the range of IBM's fractional gate. No qubit has T2 above 2 T1, but calibrations report the
two from separate fits: a file with such a T2 is refused, unless `"cut_t2": true` lowers it to 2 T1, as in Aer's noise
model. The two probabilities are those of reading 1 from a qubit in |0>, and 0 from a qubit in |1>; without them both
equal `readout_error`.
"""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from types import MappingProxyType
from typing import Any, TypeVar

from qiskit.circuit import Gate, QuantumCircuit
from qiskit.circuit.equivalence_library import SessionEquivalenceLibrary
from qiskit.circuit.library import get_standard_gate_name_mapping
from qiskit.transpiler import PassManager, TranspilerError
from qiskit.transpiler.passes import BasisTranslator

FORMAT = "qwedge-device-1"
GATES: Mapping[str, Gate] = MappingProxyType(
    {k: op for k, op in get_standard_gate_name_mapping().items() if isinstance(op, Gate) and 0 < op.num_qubits < 3}
)
"""Qiskit's standard gates on one or two qubits: the gates that a device may have."""

READOUT = ("prob_meas1_prep0", "prob_meas0_prep1")
"""IBM's names of the two readout errors: of reading 1 from a qubit in |0>, and 0 from one in |1>."""


@dataclass(frozen=True)
class Qubit:
    """Calibration of one qubit; None for values that are not reported."""

    t1_us: float | None = None
    t2_us: float | None = None
    readout_error: float | None = None
    prob_meas1_prep0: float | None = None
    prob_meas0_prep1: float | None = None
    readout_ns: float | None = None
    frequency_ghz: float | None = None
    operational: bool = True


@dataclass(frozen=True)
class GateOn:
    """A gate on particular qubits of the device; None for an error or a duration that is not reported."""

    name: str
    qubits: tuple[int, ...]
    error: float | None = None
    duration_ns: float | None = None
    operational: bool = True


@dataclass(frozen=True)
class Snapshot:
    """All properties of a device that a price can depend on.

    Raises `ValueError` with the first invalid field and its value.
    """

    name: str
    basis: tuple[str, ...]
    qubits: tuple[Qubit, ...]
    gates: tuple[GateOn, ...]
    dt_ns: float | None = None
    fold_rzz: bool = False

    def __post_init__(self) -> None:
        if not self.qubits:
            raise ValueError("qubits is empty: a device has at least one")
        if self.dt_ns is not None:
            number("dt_ns", self.dt_ns, low=0.0)
        for k, name in enumerate(self.basis):
            require_gate(f"basis[{k}]", name)
        for k, qubit in enumerate(self.qubits):
            _check_qubit(f"qubits[{k}]", qubit)
        for k, gate in enumerate(self.gates):
            require_gate(f"gates[{k}].name", gate.name)
            self._check_gate(f"gates[{gate.name} {'-'.join(map(str, gate.qubits)):.60}]", gate)
        self._check_basis()

    def _check_gate(self, where: str, gate: GateOn) -> None:
        arity = GATES[gate.name].num_qubits
        if gate.name not in self.basis:
            raise ValueError(f"{where} is not in basis={','.join(self.basis)}: add {gate.name!r} there")
        for qubit in gate.qubits:
            if isinstance(qubit, bool) or not isinstance(qubit, int) or not 0 <= qubit < len(self.qubits):
                raise ValueError(
                    f"{where}.qubits={list(gate.qubits)!r:.60}: qubit {qubit!r:.60} is missing, "
                    f"the device has 0 to {len(self.qubits) - 1}"
                )
        if len(gate.qubits) != arity or len(set(gate.qubits)) != arity:
            raise ValueError(f"{where}.qubits={list(gate.qubits)}: {gate.name!r} takes {arity} distinct qubits")
        if gate.error is not None:
            number(f"{where}.error", gate.error, low=0.0, high=1.0)
        if gate.duration_ns is not None:
            number(f"{where}.duration_ns", gate.duration_ns, low=0.0)

    def _check_basis(self) -> None:
        """Checks that every gate is on its qubits, none is listed twice, and the basis is universal."""
        places = [(gate.name, gate.qubits) for gate in self.gates]
        if len(set(places)) < len(places):
            name, qubits = next(place for k, place in enumerate(places) if place in places[:k])
            raise ValueError(f"gates lists {name!r} on {list(qubits)} twice: keep one")
        listed = set(places)
        for name in self.basis:
            if GATES[name].num_qubits == 1:
                for k, qubit in enumerate(self.qubits):
                    if qubit.operational and (name, (k,)) not in listed:
                        raise ValueError(
                            f"gates has no {name!r} on qubit {k}: add it, or mark the qubit or the gate "
                            f'"operational": false'
                        )
            elif len(self.qubits) > 1 and not any(place[0] == name for place in places):
                raise ValueError(f"gates has no {name!r} on any pair, but basis names it: add its pairs or drop it")
        _check_universal(self.basis, len(self.qubits))

    @property
    def sha256(self) -> str:
        """The hash of the canonical JSON without the name: independent of the process and of the order of gates."""
        content = self._plain()
        del content["name"]
        return hashlib.sha256(json.dumps(content, sort_keys=True, allow_nan=False).encode()).hexdigest()

    def to_json(self) -> str:
        """The snapshot in the documented JSON form, one qubit or gate per line."""
        plain = self._plain()
        head = {key: plain[key] for key in ("format", "name", "dt_ns", "basis", "fold_rzz")}
        lists = (
            f'"{key}": [\n  ' + ",\n  ".join(json.dumps(_present(item)) for item in plain[key]) + "\n ]"
            for key in ("qubits", "gates")
        )
        return json.dumps(_present(head))[:-1] + ",\n " + ",\n ".join(lists) + "}\n"

    def _plain(self) -> dict[str, Any]:
        plain = asdict(self)
        plain["format"] = FORMAT
        plain["basis"] = sorted(self.basis)
        plain["gates"] = [asdict(gate) for gate in sorted(self.gates, key=lambda gate: (gate.name, gate.qubits))]
        return plain


_JSON = MappingProxyType({str: "a string", list: "a list", bool: "true or false"})


def from_plain(data: object, name: str) -> Snapshot:
    """The snapshot from parsed JSON of the documented form, called `name` unless the data has a name."""
    if not isinstance(data, Mapping):
        raise ValueError(f"a device file must hold a JSON object but this one holds a {type(data).__name__}")
    for key in ("qubits", "gates"):
        if not isinstance(data.get(key), list):
            raise ValueError(f"{key} must be a list but was {data.get(key)!r:.60}")
    content: dict[str, Any] = {"format": FORMAT, "name": name, "fold_rzz": False, "cut_t2": False, **data}
    if (stated := content.pop("format")) != FORMAT:
        raise ValueError(f"format={stated!r} is unknown: this version reads {FORMAT!r}")
    for key, kind in (("name", str), ("basis", list), ("fold_rzz", bool), ("cut_t2", bool)):
        if not isinstance(content.get(key), kind):
            raise ValueError(f"{key} must be {_JSON[kind]} but was {content.get(key)!r:.60}")
    cut = content.pop("cut_t2")
    content["basis"] = tuple(content["basis"])
    qubits = [_record(Qubit, item, f"qubits[{k}]") for k, item in enumerate(content["qubits"])]
    content["gates"] = tuple(_record(GateOn, item, f"gates[{k}]") for k, item in enumerate(content["gates"]))
    content["qubits"] = tuple(cut_t2(k, qubit) if cut else qubit for k, qubit in enumerate(qubits))
    return _record(Snapshot, content, "the device")


def cut_t2(k: int, qubit: Qubit) -> Qubit:
    """Qubit `k` with T2 at most 2 T1."""
    _check_times(f"qubits[{k}]", qubit)
    if qubit.t1_us is None or qubit.t2_us is None:
        return qubit
    return replace(qubit, t2_us=min(qubit.t2_us, 2 * qubit.t1_us))


Record = TypeVar("Record", Qubit, GateOn, Snapshot)


def _record(kind: type[Record], data: object, where: str) -> Record:
    """`kind(**data)` with lists as tuples, after checking the keys."""
    if not isinstance(data, Mapping):
        raise ValueError(f"{where} must be an object but was {data!r:.60}")
    names = [field.name for field in fields(kind)]
    for key in data:
        if key not in names:
            raise ValueError(f"{where}.{key} is unknown: use one of {', '.join(names)}")
    if not isinstance(data.get("operational", True), bool):
        raise ValueError(f"{where}.operational must be true or false but was {data['operational']!r:.60}")
    if kind is GateOn:
        if not isinstance(data.get("name"), str) or not isinstance(data.get("qubits"), list):
            raise ValueError(f"{where} needs a name and a list of qubits but was {data!r:.80}")
        data = {**data, "qubits": tuple(data["qubits"])}
    return kind(**data)


def _check_qubit(where: str, qubit: Qubit) -> None:
    _check_times(where, qubit)
    for name in ("readout_error", *READOUT):
        if getattr(qubit, name) is not None:
            number(f"{where}.{name}", getattr(qubit, name), low=0.0, high=1.0)
    if (qubit.prob_meas1_prep0 is None) != (qubit.prob_meas0_prep1 is None):
        raise ValueError(f"{where} has only one of {' and '.join(READOUT)}: state both, or readout_error alone")
    if qubit.t1_us is not None and qubit.t2_us is not None and qubit.t2_us > 2 * qubit.t1_us * (1 + 1e-9):
        raise ValueError(
            f"{where}.t2_us={qubit.t2_us:g} is above 2 T1 = {2 * qubit.t1_us:g}, which no qubit can have: "
            f'lower it, leave it out, or add "cut_t2": true to the file'
        )


def _check_times(where: str, qubit: Qubit) -> None:
    for name in ("t1_us", "t2_us", "readout_ns", "frequency_ghz"):
        if getattr(qubit, name) is not None:
            number(f"{where}.{name}", getattr(qubit, name), low=0.0)


def number(where: str, value: object, low: float = -math.inf, high: float = math.inf) -> float:
    """`value` as a float; raises `ValueError` with `where` unless it is a finite number from `low` to `high`."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{where} must be a number but was {value!r:.60}")
    if not abs(value) < 1e300 or not low <= value <= high:
        least = " and not negative" if low == 0 else ""
        limits = f"between {low:g} and {high:g}" if math.isfinite(high) else f"finite{least}"
        raise ValueError(f"{where}={value!r:.60} must be {limits}")
    return float(value)


def require_gate(where: str, name: object) -> None:
    """Raises `ValueError` with `where` unless `name` is one of Qiskit's gates on one or two qubits."""
    if not isinstance(name, str) or name not in GATES:
        names = ", ".join(sorted(GATES))
        raise ValueError(f"{where}={name!r:.60} is not one of Qiskit's gates on one or two qubits: use one of {names}")


def _check_universal(basis: Iterable[str], qubits: int) -> None:
    """Raises `ValueError` unless Qiskit can express any circuit in these gates."""
    basis = list(basis)
    if qubits > 1 and all(GATES[name].num_qubits == 1 for name in basis):
        raise ValueError(f"basis={','.join(basis)} has no two-qubit gate: add one, such as cx or cz")
    probe = QuantumCircuit(min(qubits, 2))
    probe.u(0.1, 0.2, 0.3, 0)
    if qubits > 1:
        probe.cx(0, 1)
    try:
        PassManager([BasisTranslator(SessionEquivalenceLibrary, basis)]).run(probe)
    except TranspilerError as error:
        raise ValueError(
            f"basis={','.join(basis)} is not universal: add the missing gates, such as rz and sx, or rx and rz"
        ) from error


def _present(item: Mapping[str, Any]) -> dict[str, Any]:
    """The entries that differ from their default: None, operational, unfolded."""
    defaults = {"operational": True, "fold_rzz": False}
    return {key: value for key, value in item.items() if value is not None and value is not defaults.get(key)}
