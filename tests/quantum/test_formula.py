"""Angles that are no sum of columns: what is read from Qiskit and PennyLane computes what they compute."""

import math

import numpy as np
import pennylane as qml
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector
from qiskit.circuit.library import zz_feature_map
from qiskit.quantum_info import Statevector

from quantum.circuits.circuit import Circuit, Gate
from quantum.circuits.formula import FUNCTIONS, Formula, column
from quantum.interop import openqasm, qpy
from quantum.interop.pennylane import from_pennylane, to_pennylane
from quantum.interop.qiskit import from_qiskit, to_qiskit
from quantum.simulation.simulate import evolve, zero_state

ROWS = np.random.default_rng(5).uniform(0.1, 0.9, (3, 3))


def states(circuit, values=(), rows=ROWS):
    """The final states by our simulator, one for each row of data."""
    start = zero_state(len(rows), circuit.wires)
    return evolve(circuit, torch.tensor(values, dtype=torch.float64), torch.tensor(rows), start).numpy()


def fidelities(ours, theirs):
    return np.abs(np.einsum("ij,ij->i", np.conj(ours), np.array(theirs))) ** 2


@st.composite
def formulas(draw, depth=3):
    """Formulas that have a value where every column is between 0 and 1."""
    if depth == 0 or draw(st.booleans()):
        return column(draw(st.integers(0, 2)))
    left, right = draw(formulas(depth - 1)), draw(st.one_of(formulas(depth - 1), st.sampled_from((-1.5, 0.5, 2.0))))
    match draw(st.sampled_from(("+", "-", "*", "/", "**", "reversed", "function"))):
        case "+":
            return left + right
        case "-":
            return left - right
        case "*":
            return left * right
        case "/":
            return left / (2.0 + abs(right))
        case "**":
            return (1 + abs(left)) ** 2.0
        case "reversed":
            return 0.5 - left
    name = draw(st.sampled_from(FUNCTIONS))
    inside = {"arcsin": left.sin(), "arccos": left.sin(), "log": 1 + abs(left), "exp": left.sin()}.get(name, left)
    return Formula(name, (inside,))


@settings(max_examples=25)
@given(formulas())
def test_a_formula_has_one_value_in_every_framework(formula):
    circuit = Circuit(1, (Gate("ry", (0,), 0.25, feature=formula, scale=-2.0),))
    by_numpy = [formula.of(row.__getitem__, lambda name, value: getattr(np, name)(value)) for row in ROWS]
    expected = [[math.cos(angle / 2), math.sin(angle / 2)] for angle in 0.25 - 2 * np.array(by_numpy)]
    np.testing.assert_allclose(states(circuit), expected, atol=1e-9)
    theirs = to_qiskit(circuit)
    for row, ours in zip(ROWS, states(circuit), strict=True):
        bound = theirs.assign_parameters({p: row[p.index] for p in theirs.parameters})
        np.testing.assert_allclose(Statevector(bound).data, ours, atol=1e-9)


def check_the_same(circuit, read, values):
    np.testing.assert_allclose(fidelities(states(read, values), states(circuit)), 1, atol=1e-9)


@settings(max_examples=25)
@given(formulas())
def test_a_formula_comes_back_from_qiskit(formula):
    circuit = Circuit(1, (Gate("h", (0,)), Gate("p", (0,), feature=formula)))
    check_the_same(circuit, *from_qiskit(to_qiskit(circuit)))


PRODUCTS = (column(0) * column(1) - 0.5) / (2.0 + column(2))
FILES = {"qasm3": (openqasm, PRODUCTS), "qpy": (qpy, PRODUCTS**2.0 + abs(column(1).arctan()))}


@pytest.mark.parametrize(("module", "formula"), FILES.values(), ids=list(FILES))
def test_a_formula_comes_back_from_a_file(module, formula):
    circuit = Circuit(1, (Gate("h", (0,)), Gate("p", (0,), feature=formula)))
    check_the_same(circuit, *module.loads(module.dumps(circuit)))


def test_the_zz_feature_map_is_read_as_qiskit_computes_it():
    theirs = zz_feature_map(3, reps=2)
    circuit, values = from_qiskit(theirs)
    assert circuit.features == 3
    expected = [Statevector(theirs.assign_parameters(row)).data for row in ROWS]
    np.testing.assert_allclose(fidelities(states(circuit, values), expected), 1, atol=1e-9)


def iqp(x, w):
    qml.IQPEmbedding(x, wires=range(3))
    qml.BasicEntanglerLayers(w, wires=range(3))
    return qml.state()


def unbounded(x, w):
    for k in range(3):
        qml.RY(np.arctan(x[k]) + x[k] ** 2, k)
        qml.RZ(np.exp(-x[k]) * 0.5, k)
    qml.BasicEntanglerLayers(w, wires=range(3))
    return qml.state()


WEIGHTS = np.array([[0.3, -1.0, 2.0]])


@pytest.mark.parametrize("function", [iqp, unbounded])
def test_embeddings_of_pennylane_are_read_and_written_as_it_computes_them(function):
    node = qml.QNode(function, qml.device("default.qubit", wires=3))
    circuit, values = from_pennylane(node, ROWS[0], WEIGHTS)
    ours = states(circuit, values).reshape(-1, 2, 2, 2).transpose(0, 3, 2, 1).reshape(len(ROWS), -1)
    expected = [node(row, WEIGHTS) for row in ROWS]
    np.testing.assert_allclose(fidelities(ours, expected), 1, atol=1e-9)
    back = to_pennylane(circuit, values, node, ROWS[0], WEIGHTS)
    np.testing.assert_allclose(fidelities(np.array([back(row) for row in ROWS]), expected), 1, atol=1e-9)


@pytest.mark.parametrize(("formula", "row"), [(column(0).log(), [-1.0]), (1 / column(0), [0.0])], ids=["log", "1/0"])
def test_a_row_for_which_a_formula_has_no_value_is_named(formula, row):
    circuit = Circuit(1, (Gate("ry", (0,), feature=formula),))
    with pytest.raises(ValueError, match=r"x0.* has no value for row 1 of the data"):
        states(circuit, rows=np.array([[0.5], row]))


def test_a_function_that_no_formula_has_is_refused():
    with pytest.raises(ValueError, match=r"'gamma' is not an operation of a formula: use \+ - \* / \*\* or sin, cos"):
        Formula("gamma", (column(0),))
    x = ParameterVector("x", 1)
    circuit = QuantumCircuit(1)
    circuit.rx(x[0].conjugate() * x[0], 0)
    with pytest.raises(ValueError, match="has conjugate, which is read of no feature"):
        from_qiskit(circuit)
    with pytest.raises(ValueError, match="no reader of OpenQASM 3 in Python knows sin of an input: write QPY"):
        openqasm.dumps(Circuit(1, (Gate("rx", (0,), feature=column(0).sin()),)))
