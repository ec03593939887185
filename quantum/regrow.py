"""Room for gates to grow back: one-qubit rotations at angle 0, which cost no two-qubit gate."""

from quantum.circuit import Circuit, Gate


def with_slots(circuit: Circuit) -> Circuit:
    """The circuit with RY and RZ slots on both wires before every trainable entangler, as weights after its own.

    At 0 they change nothing. A dense ansatz turns its wires between whole rings of entanglers; once most of those are
    gone, the rest stand side by side with no rotation between them, and cannot use the freedom that a sparse circuit
    has for free: a one-qubit gate costs a thirtieth of a two-qubit gate and merges with its neighbours.

    >>> pair = Circuit(2, (Gate("crx", (0, 1), weight=0),))
    >>> [(gate.name, gate.wires, gate.weight) for gate in with_slots(pair).gates][-3:]
    [('rz', (0,), 3), ('rz', (1,), 4), ('crx', (0, 1), 0)]
    """
    gates: list[Gate] = []
    weights = circuit.weights
    for gate in circuit.gates:
        if gate.arity == 2 and gate.weight is not None:
            for name in ("ry", "rz"):
                for wire in gate.wires:
                    gates.append(Gate(name, (wire,), weight=weights))
                    weights += 1
        gates.append(gate)
    return Circuit(circuit.wires, tuple(gates))
