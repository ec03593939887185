"""Compiling keeps the circuit, and counting agrees with counting by hand."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit import QuantumCircuit
from qiskit.circuit.random import random_circuit
from qiskit.quantum_info import Operator

from quantum.circuits.ansatz import ansatz
from quantum.compilation.compile import NOMINAL_ERROR, Compiled, compile_circuit, count
from quantum.devices.target import device
from quantum.interop.qiskit import to_qiskit

NAIROBI = device("nairobi")
IDEAL = device("cz,rz,sx,x@line:4")


def by_hand() -> QuantumCircuit:
    """sx, rz and x around two CX on qubits 0, 1 and 3 of Nairobi, whose coupling is 0-1, 1-2, 1-3, 3-5, 4-5, 5-6."""
    circuit = QuantumCircuit(7, 2)
    circuit.sx(0)
    circuit.rz(0.3, 0)
    circuit.sx(0)
    circuit.cx(0, 1)
    circuit.x(3)
    circuit.barrier(0, 1)
    circuit.barrier(1, 3)
    circuit.cx(1, 3)
    circuit.rz(0.1, 3)
    circuit.measure([0, 3], [0, 1])
    return circuit


def test_counts_of_a_circuit_made_by_hand():
    counted = count(by_hand(), NAIROBI, seed=11)
    assert (counted.twoq, counted.twoq_depth) == (2, 2)
    assert counted.depth == 6  # sx rz sx cx cx rz
    assert counted.depth_no_rz == 4  # sx sx cx cx
    assert counted.measured == tuple(range(7))
    assert counted.seed == 11


def test_success_probability_is_the_product_over_the_gates():
    gates = NAIROBI.target
    errors = [gates["sx"][0,].error] * 2 + [gates["cx"][0, 1].error, gates["x"][3,].error, gates["cx"][1, 3].error]
    counted = count(by_hand(), NAIROBI)
    product = (1 - errors[0]) * (1 - errors[1]) * (1 - errors[2]) * (1 - errors[3]) * (1 - errors[4])
    assert counted.esp == pytest.approx(product, rel=1e-12)
    assert counted.cost == pytest.approx(-math.log(product), rel=1e-12)


def test_duration_is_the_longest_path():
    gates = NAIROBI.target
    seconds = 2 * gates["sx"][0,].duration + gates["cx"][0, 1].duration + gates["cx"][1, 3].duration
    assert count(by_hand(), NAIROBI).duration_ns == pytest.approx(1e9 * seconds, rel=1e-12)


def test_a_device_without_errors_succeeds_surely_but_still_ranks_circuits():
    circuit = QuantumCircuit(4)
    circuit.sx(0)
    circuit.rz(0.3, 0)
    circuit.cz(0, 1)
    counted = count(circuit, IDEAL)
    assert counted.esp == 1.0
    assert counted.cost == pytest.approx(-math.log(1 - NOMINAL_ERROR[1]) - math.log(1 - NOMINAL_ERROR[2]), rel=1e-12)


def test_an_empty_circuit_costs_nothing():
    counted = count(QuantumCircuit(4), IDEAL)
    assert (counted.twoq, counted.depth, counted.esp, counted.cost, counted.duration_ns) == (0, 0, 1.0, 0.0, 0.0)


@pytest.mark.parametrize(("name", "layers"), [("strongly_entangling", 3), ("seismic", 1)])
def test_best_of_seeds_is_as_good_as_the_best_seed(name, layers):
    """On circuits where the seeds differ: the first in two-qubit gates, the second in depth alone."""
    body = ansatz(name, 5, layers)
    circuit = to_qiskit(body.bind(np.random.default_rng(0).uniform(0.1, 6.0, body.weights)))
    each = {seed: compile_circuit(circuit, NAIROBI, [seed]) for seed in range(3)}
    costs = {(one.twoq, one.depth) for one in each.values()}
    best = compile_circuit(circuit, NAIROBI, range(3))
    assert len(costs) > 1
    assert (best.twoq, best.depth) == min(costs)
    assert best.circuit == each[best.seed].circuit


def on_wires(compiled: Compiled) -> np.ndarray:
    """The matrix from the wires as prepared to the wires as measured, every other qubit in |0> before and after."""
    prepared = compiled.circuit.layout.initial_index_layout(filter_ancillas=True)
    states = range(2 ** len(prepared))
    rows, columns = (
        [sum((state >> wire & 1) << qubit for wire, qubit in enumerate(qubits)) for state in states]
        for qubits in (compiled.measured, prepared)
    )
    return Operator(compiled.circuit).data[np.ix_(rows, columns)]


@settings(max_examples=20, deadline=None)
@given(
    st.integers(2, 4),
    st.integers(1, 5),
    st.integers(0, 10**6),
    st.sampled_from(["cz,rz,sx,x@line:4", "cx,rz,sx,x@0-1,0-2,0-3,3-4", "cz,rzz,rx,rz@line:5"]),
)
def test_the_compiled_circuit_is_the_circuit(wires, depth, seed, where):
    """By Qiskit's own reading of the layout, and by ours of where the wires begin and end."""
    circuit = random_circuit(wires, depth, max_operands=2, seed=seed)
    target = device(where)
    compiled = compile_circuit(circuit, target, range(2))
    padded = QuantumCircuit(target.target.num_qubits).compose(circuit, range(wires))
    assert Operator.from_circuit(compiled.circuit).equiv(Operator(padded), rtol=0, atol=1e-6)
    assert Operator(on_wires(compiled)).equiv(Operator(circuit), rtol=0, atol=1e-6)


def test_routing_leaves_wires_elsewhere_and_says_so():
    """A triangle of CX on a line has to swap."""
    circuit = QuantumCircuit(3)
    for control, turned in ((0, 1), (1, 2), (2, 0), (0, 1), (1, 2), (2, 0)):
        circuit.ry(0.3 + turned, turned)
        circuit.cx(control, turned)
    moved = 0
    for seed in range(6):
        compiled = compile_circuit(circuit, device("cz,rz,sx,x@line:3"), [seed])
        assert Operator(on_wires(compiled)).equiv(Operator(circuit), rtol=0, atol=1e-6)
        moved += list(compiled.measured) != compiled.circuit.layout.initial_index_layout(filter_ancillas=True)
    assert moved


def test_approximation_saves_two_qubit_gates():
    circuit = to_qiskit(ansatz("seismic", 4, 1).bind(np.random.default_rng(0).uniform(0.1, 6.0, 40)))
    exact, near = (compile_circuit(circuit, NAIROBI, range(3), degree).twoq for degree in (1.0, 0.95))
    assert near < exact


def test_a_circuit_wider_than_the_device_is_refused():
    with pytest.raises(ValueError, match=r"^a circuit of 8 qubits does not fit \S*nairobi\S*, which has 7$"):
        compile_circuit(QuantumCircuit(8), NAIROBI)
