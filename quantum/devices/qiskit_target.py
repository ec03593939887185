"""A device's calibration as a Qiskit `Target`, and back."""

import math
from collections.abc import Mapping

from qiskit.circuit import Delay, Measure, Parameter, Reset
from qiskit.transpiler import InstructionProperties, QubitProperties, Target

from quantum.devices.snapshot import GATES, READOUT, GateOn, Qubit, Snapshot, cut_t2


def to_target(snapshot: Snapshot) -> Target:
    """The Qiskit target, with sorted instructions so that the transpiler's result is the same in every process."""
    target = Target(
        description=snapshot.name,
        num_qubits=len(snapshot.qubits),
        dt=_scaled(snapshot.dt_ns, 1e-9),
        qubit_properties=[_qubit_properties(qubit) for qubit in snapshot.qubits],
    )
    operational = [k for k, qubit in enumerate(snapshot.qubits) if qubit.operational]
    for name in sorted(set(snapshot.basis)):
        places = {
            gate.qubits: InstructionProperties(error=gate.error, duration=_scaled(gate.duration_ns, 1e-9))
            for gate in sorted(snapshot.gates, key=lambda gate: gate.qubits)
            if gate.name == name and gate.operational and all(snapshot.qubits[q].operational for q in gate.qubits)
        }
        bounds = [(0.0, math.pi / 2)] if name == "rzz" and snapshot.fold_rzz else None
        if places:
            target.add_instruction(GATES[name], places, angle_bounds=bounds)
    target.add_instruction(Measure(), {(k,): _readout_properties(snapshot.qubits[k]) for k in operational})
    target.add_instruction(Reset(), {(k,): None for k in operational})
    target.add_instruction(Delay(Parameter("t")), {(k,): None for k in operational})
    return target


def from_target(target: Target, name: str) -> Snapshot:
    """A snapshot of a Qiskit target.

    Gates outside Qiskit's standard set, control flow and gates with a fixed angle are left out: no price depends on
    them. A gate that the target has globally is listed on all qubits. T2 is clipped to 2 T1, as in Aer's noise model,
    because calibrations report the two from separate fits. Numbers are rounded to 12 digits, so that conversions of
    units are reversible.
    """
    if not target.num_qubits:
        raise ValueError(f"the target {name!r} has no number of qubits: create it with Target(num_qubits=...)")
    readout = target["measure"] if "measure" in target.operation_names else None  # None: the same on every qubit
    properties = list(target.qubit_properties or [None] * target.num_qubits)
    qubits = [
        _read_qubit(k, properties[k], (readout or {}).get((k,)), not readout or None in readout or (k,) in readout)
        for k in range(target.num_qubits)
    ]
    gates = [
        place for gate in sorted(target.operation_names) if _usable(target, gate) for place in _places(target, gate)
    ]
    basis = dict.fromkeys(gate.name for gate in gates)
    listed = {(gate.name, gate.qubits) for gate in gates}
    for gate in basis:
        if GATES[gate].num_qubits == 1:
            missing = [k for k, qubit in enumerate(qubits) if qubit.operational and (gate, (k,)) not in listed]
            gates += [GateOn(gate, (k,), operational=False) for k in missing]
    fold = "rzz" in basis and target.gate_has_angle_bounds("rzz")
    if fold and (target.supported_angle_bound("rzz", [-0.1]) or not target.supported_angle_bound("rzz", [math.pi / 2])):
        raise ValueError(
            f"the target {name!r} bounds the angle of rzz to a range other than [0, pi/2], which is not supported"
        )
    return Snapshot(name, tuple(basis), tuple(qubits), tuple(gates), rounded(target.dt, 1e9), fold)


def _usable(target: Target, name: str) -> bool:
    """Whether the operation is a standard gate of Qiskit with free angles."""
    operation = target.operation_from_name(name)
    ours = name in GATES and getattr(operation, "base_class", None) is GATES[name].base_class
    return ours and all(isinstance(angle, Parameter) for angle in operation.params)


def _places(target: Target, name: str) -> list[GateOn]:
    places: Mapping[tuple[int, ...] | None, InstructionProperties | None] = target[name] or {None: None}
    if None in places:
        n = range(target.num_qubits)
        pairs = [(a,) for a in n] if GATES[name].num_qubits == 1 else [(a, b) for a in n for b in n if a != b]
        places = dict.fromkeys(pairs, places[None])
    return [
        GateOn(
            name,
            tuple(qubits),
            rounded(getattr(properties, "error", None)),
            rounded(getattr(properties, "duration", None), 1e9),
        )
        for qubits, properties in places.items()
        if qubits is not None
    ]


def _read_qubit(
    k: int, properties: QubitProperties | None, readout: InstructionProperties | None, operational: bool
) -> Qubit:
    return cut_t2(
        k,
        Qubit(
            t1_us=rounded(getattr(properties, "t1", None), 1e6),
            t2_us=rounded(getattr(properties, "t2", None), 1e6),
            readout_error=rounded(getattr(readout, "error", None)),
            **{name: rounded(getattr(readout, name, None)) for name in READOUT},
            readout_ns=rounded(getattr(readout, "duration", None), 1e9),
            frequency_ghz=rounded(getattr(properties, "frequency", None), 1e-9),
            operational=operational,
        ),
    )


def _qubit_properties(qubit: Qubit) -> QubitProperties:
    return QubitProperties(
        t1=_scaled(qubit.t1_us, 1e-6), t2=_scaled(qubit.t2_us, 1e-6), frequency=_scaled(qubit.frequency_ghz, 1e9)
    )


def _readout_properties(qubit: Qubit) -> InstructionProperties:
    """Qiskit's properties have one readout error; those of 0 and 1 are added as attributes for `quantum.noise`."""
    properties = InstructionProperties(error=qubit.readout_error, duration=_scaled(qubit.readout_ns, 1e-9))
    for name in READOUT:
        if getattr(qubit, name) is not None:
            setattr(properties, name, getattr(qubit, name))
    return properties


def rounded(value: float | None, scale: float = 1.0) -> float | None:
    """`scale * value` to 12 digits."""
    return None if value is None else float(f"{value * scale:.12g}")


def _scaled(value: float | None, scale: float) -> float | None:
    return None if value is None else value * scale
