"""Qiskit circuits from ours."""

from collections.abc import Sequence

from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector
from qiskit.circuit.library import get_standard_gate_name_mapping

from quantum.circuit import ROTATIONS, Circuit

_GATES = {name: type(gate) for name, gate in get_standard_gate_name_mapping().items()}


def to_qiskit(circuit: Circuit, weights: Sequence[float] | None = None) -> QuantumCircuit:
    """The same gates as a `QuantumCircuit`: features stay the parameters `x[k]`; weights are bound, or stay `theta[k]`."""
    if weights is not None:
        circuit = circuit.bind(weights)
    x, theta = ParameterVector("x", circuit.features), ParameterVector("theta", circuit.weights)
    out = QuantumCircuit(circuit.wires)
    for gate in circuit.gates:
        angle = gate.value
        if gate.weight is not None:
            angle = gate.value + gate.scale * theta[gate.weight]
        elif gate.feature is not None:
            angle = gate.value + gate.scale * x[gate.feature]
        out.append(_GATES[gate.name](*((angle,) if gate.name in ROTATIONS else ())), gate.wires)
    return out
