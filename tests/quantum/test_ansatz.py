"""The ansaetze are the circuits that their names promise elsewhere."""

import numpy as np
import pennylane as qml
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit.library import efficient_su2, real_amplitudes
from qiskit.quantum_info import Operator

from quantum.circuits.ansatz import ANSAETZE, ansatz
from quantum.circuits.circuit import Circuit, Gate
from quantum.compilation.compile import compile_circuit
from quantum.devices.target import device
from quantum.interop.qiskit import to_qiskit

SIZES = [(wires, layers) for wires in (2, 3, 4) for layers in (1, 2, 3)]


def angles(circuit: Circuit) -> np.ndarray:
    return np.random.default_rng(circuit.weights).uniform(-np.pi, np.pi, circuit.weights)


@pytest.mark.parametrize(("wires", "layers"), SIZES)
@pytest.mark.parametrize(("name", "library"), [("efficient_su2", efficient_su2), ("real_amplitudes", real_amplitudes)])
def test_qiskit_has_the_same_circuit(name: str, library, wires: int, layers: int) -> None:
    ours = ansatz(name, wires, layers)
    theirs = library(wires, entanglement="reverse_linear", reps=layers)
    theta = angles(ours)
    assert Operator(to_qiskit(ours, theta)).equiv(Operator(theirs.assign_parameters(theta)))


@pytest.mark.parametrize(("wires", "layers"), SIZES)
def test_pennylane_has_the_same_circuit(wires: int, layers: int) -> None:
    ours = ansatz("strongly_entangling", wires, layers)
    theta = angles(ours)
    theirs = qml.StronglyEntanglingLayers(theta.reshape(layers, wires, 3), wires=range(wires))
    matrix = qml.matrix(theirs, wire_order=list(reversed(range(wires))))
    assert Operator(to_qiskit(ours, theta)).equiv(Operator(matrix))


def test_u3cu3_is_made_of_qiskits_u_and_cu() -> None:
    """`CU(t, p, l, -(p + l)/2)` is a controlled RZ RY RZ."""
    ours = ansatz("u3cu3", 3, 2)
    theta = angles(ours)
    theirs = QuantumCircuit(3)
    triples = iter(theta.reshape(-1, 3))
    for _ in range(2):
        for wire in range(3):
            lam, turn, phi = next(triples)
            theirs.u(turn, phi, lam, wire)
        for wire in range(3):
            lam, turn, phi = next(triples)
            theirs.cu(turn, phi, lam, -(phi + lam) / 2, wire, (wire + 1) % 3)
    assert Operator(to_qiskit(ours, theta)).equiv(Operator(theirs))


def test_the_seismic_block_has_80_weights_and_compiles_to_109_two_qubit_gates() -> None:
    """80 parameters: JQub/quantum_seismic_detection. 109 CX: Qiskit 2.6.2, optimization level 3, FakeNairobiV2."""
    circuit = ansatz("seismic")
    assert (circuit.wires, circuit.weights, len(circuit.gates)) == (4, 80, 80)
    assert sum(len(gate.wires) == 2 for gate in circuit.gates) == 32
    compiled = compile_circuit(to_qiskit(circuit, angles(circuit)), device("nairobi"))
    assert compiled.twoq == 109


@pytest.mark.parametrize("name", ANSAETZE)
def test_every_weight_turns_one_gate(name: str) -> None:
    for wires, layers in SIZES:
        circuit = ansatz(name, wires, layers)
        read = [gate.weight for gate in circuit.gates if gate.weight is not None]
        assert read == list(range(circuit.weights))
        assert circuit.features == 0


def test_an_ansatz_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="ansatz 'sesimic' is unknown: use one of seismic, u3cu3"):
        ansatz("sesimic")
    with pytest.raises(ValueError, match="wires=1: an ansatz needs at least 2"):
        ansatz("seismic", wires=1)


def test_a_circuit_refuses_gates_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match="gate 'rw' is unknown: use one of rx, ry"):
        Gate("rw", (0,))
    with pytest.raises(ValueError, match=r"gate 'cx' takes 2 distinct wires, not \(1, 1\)"):
        Gate("cx", (1, 1))
    with pytest.raises(ValueError, match="acts on wire 2 of a circuit of 2 wires"):
        Circuit(2, (Gate("x", (2,)),))
    with pytest.raises(ValueError, match="has the angle nan: angles are finite"):
        Circuit(1, (Gate("rx", (0,), float("nan")),))
