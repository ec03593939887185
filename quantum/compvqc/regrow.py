"""Slots for one-qubit rotations around entanglers, and fixed entanglers as rotations that can be removed."""

import math
from collections.abc import Iterator

from quantum.circuits.circuit import Circuit, Gate

_AS_ROTATIONS = {
    "cx": (("crx", math.pi), ("rz", math.pi / 2)),
    "cy": (("cry", math.pi), ("rz", math.pi / 2)),
    "cz": (("cp", math.pi),),
}
"""Fixed entanglers as rotations, up to a global phase: the first on both wires, the second on the control."""


def with_slots(circuit: Circuit) -> tuple[Circuit, list[float]]:
    """The circuit with additional weights after its own, and their values at which it is the same circuit.

    RY and RZ slots at angle 0 are added on both wires before every entangler. A dense ansatz rotates its wires only
    between whole rings of entanglers; when most entanglers are removed, the remaining ones follow one another without
    rotations in between, although rotations are almost free: a one-qubit gate costs a thirtieth of a two-qubit gate and
    merges with its neighbours. A fixed CX, CY or CZ becomes a rotation at pi, the level at which it costs the same, so
    that it can be removed like any other.

    >>> circuit, values = with_slots(Circuit(2, (Gate("cz", (0, 1)),)))
    >>> [(gate.name, gate.wires) for gate in circuit.gates], values[-1]
    ([('ry', (0,)), ('ry', (1,)), ('rz', (0,)), ('rz', (1,)), ('cp', (0, 1))], 3.141592653589793)
    """
    gates: list[Gate] = []
    values: list[float] = []
    for gate in circuit.gates:
        new = list(_added(gate))
        gates += [Gate(name, wires, weight=circuit.weights + len(values) + k) for k, (name, wires, _) in enumerate(new)]
        values += [value for _, _, value in new]
        if gate.name not in _AS_ROTATIONS:
            gates.append(gate)
    return Circuit(circuit.wires, tuple(gates)), values


def _added(gate: Gate) -> Iterator[tuple[str, tuple[int, ...], float]]:
    """The rotations before a gate, or in its place: name, wires, value."""
    rotations = _AS_ROTATIONS.get(gate.name, ())
    if gate.arity == 2 and (rotations or gate.weight is not None):
        for name in ("ry", "rz"):
            for wire in gate.wires:
                yield name, (wire,), 0.0
    for name, value in rotations:
        yield name, gate.wires if name.startswith("c") else gate.wires[:1], value
