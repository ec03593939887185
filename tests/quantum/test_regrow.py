"""Slots change nothing until they are trained, and a fixed entangler becomes one that can be dropped."""

import numpy as np
import pytest
from qiskit.quantum_info import Operator

from quantum.circuits.ansatz import ANSAETZE, ansatz
from quantum.circuits.circuit import ROTATIONS, Circuit, Gate
from quantum.compvqc.regrow import with_slots
from quantum.interop.qiskit import to_qiskit


@pytest.mark.parametrize("name", ANSAETZE)
def test_slots_leave_the_circuit_as_it_is(name):
    circuit = ansatz(name)
    weights = np.random.default_rng(0).uniform(-np.pi, np.pi, circuit.weights)
    grown, values = with_slots(circuit)
    before = Operator(to_qiskit(circuit, weights))
    after = Operator(to_qiskit(grown, [*weights, *values]))
    assert after.equiv(before, rtol=1e-9, atol=1e-9)
    assert grown.weights == circuit.weights + len(values)


@pytest.mark.parametrize("name", ["cx", "cy", "cz"])
def test_a_fixed_entangler_can_be_dropped(name):
    grown, values = with_slots(Circuit(2, (Gate(name, (1, 0)),)))
    assert all(gate.name in ROTATIONS and gate.weight is not None for gate in grown.gates)
    assert Operator(to_qiskit(grown, [0.0] * len(values))).equiv(np.eye(4))
    assert Operator(to_qiskit(grown, values)).equiv(Operator(to_qiskit(Circuit(2, (Gate(name, (1, 0)),)))))


def test_each_slot_has_a_weight_of_its_own():
    grown, _ = with_slots(ansatz("seismic"))
    assert sorted(gate.weight for gate in grown.trainable) == list(range(grown.weights))
