"""Backend properties in the JSON form that IBM publishes, converted to the plain data of a snapshot."""

import math
import warnings
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from quantum import Note
from quantum.devices.snapshot import number, require_gate

_NOT_GATES = frozenset({"measure", "measure_2", "reset", "reset_2", "delay"})
_UNITS = MappingProxyType(
    {"": 1.0, "s": 1e6, "ms": 1e3, "us": 1.0, "µs": 1.0, "μs": 1.0, "ns": 1e-3, "GHz": 1.0, "MHz": 1e-3, "Hz": 1e-9}
)
"""To microseconds and gigahertz."""


_QUBIT = MappingProxyType(
    {
        "T1": ("t1_us", 1.0),
        "T2": ("t2_us", 1.0),
        "readout_error": ("readout_error", 1.0),
        "prob_meas1_prep0": ("prob_meas1_prep0", 1.0),
        "prob_meas0_prep1": ("prob_meas0_prep1", 1.0),
        "readout_length": ("readout_ns", 1e3),
        "frequency": ("frequency_ghz", 1.0),
    }
)
_GATE = MappingProxyType({"gate_error": ("error", 1.0), "gate_length": ("duration_ns", 1e3)})


def is_properties(data: object) -> bool:
    """Whether parsed JSON is in IBM's form: a list of named values for each qubit."""
    qubits = data.get("qubits") if isinstance(data, Mapping) else None
    return isinstance(qubits, list) and bool(qubits) and isinstance(qubits[0], list)


def plain(data: Mapping[str, Any]) -> dict[str, Any]:
    """`{"qubits": [[{name, unit, value}]], "gates": [{gate, qubits, parameters}]}` as `quantum.devices.snapshot`.

    The basis consists of all gates in the list. IBM's fractional RZZ takes angles in [0, pi/2] only, so angles are
    folded into that range. A T2 above 2 T1, which no qubit has, comes from separate fits: it is cut to 2 T1 as in Aer's
    noise model and for the backends by name, with a `Note`.
    """
    qubits, gates = [], []
    for k, entries in enumerate(data["qubits"]):
        values = _values(entries, f"qubits[{k}]")
        qubits.append(_renamed(values, _QUBIT))
    if not isinstance(data.get("gates"), list):
        raise ValueError(f"gates must be a list but was {data.get('gates')!r:.60}")
    for k, entry in enumerate(data["gates"]):
        if not isinstance(entry, Mapping) or not isinstance(entry.get("gate"), str):
            raise ValueError(f"gates[{k}].gate must be the name of a gate but the entry was {entry!r:.60}")
        if entry["gate"] in _NOT_GATES:
            continue
        require_gate(f"gates[{k}].gate", entry["gate"])
        values = _values(entry.get("parameters", []), f"gates[{k}].parameters")
        gates.append({"name": entry["gate"], "qubits": entry.get("qubits"), **_renamed(values, _GATE)})
    basis = sorted({gate["name"] for gate in gates})
    _note_cut([k for k, qubit in enumerate(qubits) if qubit.get("t2_us", 0.0) > 2 * qubit.get("t1_us", math.inf) > 0])
    header = {"name": data["backend_name"]} if "backend_name" in data else {}
    return header | {
        "qubits": qubits,
        "gates": gates,
        "basis": basis,
        "fold_rzz": "rzz" in basis and "x" in basis,
        "cut_t2": True,
    }


def _note_cut(cut: list[int]) -> None:
    if cut:
        names = ", ".join(map(str, cut[:8])) + (" ..." if len(cut) > 8 else "")
        warnings.warn(f"T2 is above 2 T1 on qubits {names}: cut to 2 T1, as no qubit has more", Note, stacklevel=4)


def _renamed(values: Mapping[str, float], names: Mapping[str, tuple[str, float]]) -> dict[str, Any]:
    ours = {name: scale * values[theirs] for theirs, (name, scale) in names.items() if theirs in values}
    return ours | {"operational": values.get("operational", 1) != 0}


def _values(entries: object, where: str) -> dict[str, float]:
    if not isinstance(entries, list):
        raise ValueError(f"{where} must be a list of {{name, unit, value}} but was {entries!r:.60}")
    values = {}
    for k, entry in enumerate(entries):
        if not isinstance(entry, Mapping) or not isinstance(entry.get("name"), str) or "value" not in entry:
            raise ValueError(f"{where}[{k}] must have a name, a unit and a value but was {entry!r:.60}")
        unit = entry.get("unit", "")
        if not isinstance(unit, str) or unit not in _UNITS:
            raise ValueError(f"{where}[{k}].unit={unit!r:.60} is unknown: use one of {', '.join(filter(None, _UNITS))}")
        values[entry["name"]] = number(f"{where}[{k}].value ({entry['name']})", entry["value"]) * _UNITS[unit]
    return values
