"""Laws of reading and writing: every kind keeps the unitary up to a global phase, and the features stay symbolic."""

import inspect
import math
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pennylane as qml
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit import QuantumCircuit
from qiskit.circuit import Gate as QiskitGate
from qiskit.circuit import Parameter, ParameterVector
from qiskit.circuit.library import (
    CRYGate,
    GlobalPhaseGate,
    MCPhaseGate,
    QFTGate,
    RXGate,
    RZZGate,
    UGate,
    get_standard_gate_name_mapping,
)
from qiskit.quantum_info import Operator, random_unitary

from quantum import interop
from quantum.circuits.ansatz import ANSAETZE, ansatz
from quantum.circuits.circuit import FIXED, ROTATIONS, Circuit, Gate
from quantum.circuits.encode import angle
from quantum.circuits.readout import per_class
from quantum.interop import openqasm, qpy, read, write
from quantum.interop.pennylane import from_pennylane, rewritten, to_pennylane
from quantum.interop.qiskit import from_qiskit, to_qiskit
from quantum.interop.torch import VQCLayer, from_torch, to_torch

ARITY = {name: 1 if name in ("rx", "ry", "rz", "p") else 2 for name in ROTATIONS} | dict(FIXED)
WIRES, FEATURES = 3, 3
X = (0.3, -1.7, 2.4)
STANDARD = [name for name, gate in get_standard_gate_name_mapping().items() if isinstance(gate, QiskitGate)]
TWO_PI = 2 * math.pi


@st.composite
def circuits(draw: st.DrawFn, features: int = FEATURES, names: Sequence[str] = (*ROTATIONS, *FIXED)) -> Circuit:
    """Bound circuits with features on some of the angles."""
    gates = []
    for name in draw(st.lists(st.sampled_from(names), min_size=1, max_size=8)):
        wires = tuple(draw(st.permutations(range(WIRES)))[: ARITY[name]])
        if name in FIXED:
            gates.append(Gate(name, wires))
            continue
        if features and draw(st.booleans()):
            # Qiskit takes `x + 1e-100` for `x`
            value = draw(st.sampled_from([0.0, TWO_PI, -0.1]) | st.floats(0.001, 13))
            column, scale = draw(st.integers(0, features - 1)), draw(st.sampled_from([1.0, -1.0, 0.1, 2.5]))
            gates.append(Gate(name, wires, value, feature=column, scale=scale))
        else:
            gates.append(Gate(name, wires, draw(st.sampled_from([TWO_PI, 1e-300, 3e17]) | st.floats(-13, 13))))
    # a last gate on every wire, since a framework counts only the wires that its gates name
    return Circuit(WIRES, (*gates, *(Gate("h", (wire,)) for wire in range(WIRES))))


def matrix(circuit: Circuit, weights: Sequence[float] = (), x: Sequence[float] = X) -> np.ndarray:
    bound = to_qiskit(circuit, weights)
    return Operator(bound.assign_parameters({p: x[p.index] for p in bound.parameters})).data


def same(a: np.ndarray, b: np.ndarray, tolerance: float = 1e-9) -> bool:
    """Equal up to a global phase."""
    overlap = np.vdot(a, b)
    return abs(overlap) > 0.5 and bool(np.abs(a * overlap / abs(overlap) - b).max() < tolerance)


def columns(circuit: Circuit) -> set[int | None]:
    return {gate.feature for gate in circuit.gates if gate.scale} - {None}


# Every kind, there and back


@settings(max_examples=40, deadline=None)
@given(circuit=circuits())
def test_openqasm_3_reads_back_to_the_last_bit(circuit: Circuit) -> None:
    assert openqasm.loads(openqasm.dumps(circuit)) == circuit.untie(())


@settings(max_examples=40, deadline=None)
@given(circuit=circuits(features=0))
def test_openqasm_2_reads_back_to_the_last_bit_but_for_gates_that_it_lacks(circuit: Circuit) -> None:
    read, values = openqasm.loads(openqasm.dumps(circuit, version=2))
    assert (read, values) == circuit.untie(())


@settings(max_examples=40, deadline=None)
@given(circuit=circuits())
def test_qiskit_reads_back_to_the_last_bit(circuit: Circuit) -> None:
    read, values = from_qiskit(to_qiskit(circuit))
    expected, angles = circuit.untie(())
    assert (read.gates, read.wires, values) == (expected.gates, expected.wires, angles)


@settings(max_examples=25, deadline=None)
@given(circuit=circuits())
def test_pennylane_reads_back(circuit: Circuit) -> None:
    free, values = circuit.untie(())

    def function(x: np.ndarray) -> list[qml.measurements.MeasurementProcess]:
        return [qml.expval(qml.Z(wire)) for wire in range(WIRES)]

    node = to_pennylane(free, values, function, np.array(X))
    again, angles = from_pennylane(node, np.array(X))
    assert [gate.name for gate in again.gates] == [gate.name for gate in free.gates]
    assert columns(again) == columns(free)
    assert same(matrix(again, angles), matrix(free, values))
    theirs = qml.matrix(node, wire_order=list(reversed(range(WIRES))))(np.array(X))
    assert same(matrix(again, angles), theirs)


BY_KIND = [(name, kind) for name in ANSAETZE for kind in ("qasm2", "qasm3", "qiskit")]


@pytest.mark.parametrize(("name", "kind"), [*BY_KIND, ("seismic", "qpy"), ("line", "qpy")])
def test_a_trained_model_comes_back_as_its_kind(name: str, kind: str, tmp_path: Path) -> None:
    body = ansatz(name, 3, 1)
    circuit = body if kind == "qasm2" else angle(3, 4) + body
    weights = np.random.default_rng(1).uniform(-7, 7, circuit.weights).tolist()
    written = write(circuit, weights, kind)
    model = read(written)
    assert model.kind == kind
    assert (model.circuit, list(model.values)) == circuit.untie(weights)
    assert read(write(model.circuit, model.values, like=model)) == model
    if kind != "qiskit":
        path = tmp_path / ("model.qpy" if kind == "qpy" else "model.qasm")
        path.write_bytes(written if kind == "qpy" else written.encode())
        assert read(path) == read(str(path)) == model


def test_qpy_is_the_same_bytes_every_time() -> None:
    circuit = angle(2, 3) + ansatz("line", 2, 1)
    weights = [0.1] * circuit.weights
    assert qpy.dumps(circuit, weights) == qpy.dumps(circuit, weights)


def test_a_qiskit_user_keeps_the_parameters() -> None:
    data = [Parameter(f"input_{k}") for k in range(2)]
    circuit = QuantumCircuit(2)
    circuit.ry(0.5 * data[1] + 0.25, 0)
    circuit.rx(data[0], 1)
    circuit.crz(1.25, 0, 1)
    model = read(circuit)
    written = write(model.circuit, model.values, like=model)
    assert set(written.parameters) == set(data)
    point = dict(zip(data, (0.7, -0.3), strict=True))
    assert Operator(written.assign_parameters(point)).equiv(Operator(circuit.assign_parameters(point)))


# Qiskit


@pytest.mark.parametrize("name", [name for name in STANDARD if name != "global_phase"])
def test_every_standard_gate_is_exact_alone_and_under_control(name: str) -> None:
    kind = get_standard_gate_name_mapping()[name].base_class
    count = len(get_standard_gate_name_mapping()[name].params)
    for angles in ([0.4, -2.1, 5.3, 0.9], [TWO_PI, TWO_PI, 0.0, math.pi]):
        gate = kind(*angles[:count])
        forms = [gate] if gate.num_qubits > 3 else [gate, gate.control(1, annotated=False)]
        forms += [gate.control(1, ctrl_state=0, annotated=True)] if gate.num_qubits < 3 else []
        for form in forms:
            circuit = QuantumCircuit(form.num_qubits)
            circuit.append(form, range(form.num_qubits))
            assert same(matrix(*from_qiskit(circuit)), Operator(circuit).data, 1e-7)


@pytest.mark.parametrize("name", ["crx", "cry", "crz"])
def test_a_controlled_rotation_keeps_its_4_pi(name: str) -> None:
    for turns in (0, 1, 2):
        circuit = QuantumCircuit(2)
        circuit.append(get_standard_gate_name_mapping()[name].base_class(turns * TWO_PI), [0, 1])
        read, values = from_qiskit(circuit)
        assert values == [turns * TWO_PI]
        assert same(matrix(read, values), np.eye(4)) == (turns != 1)


def test_gates_of_any_width_are_expanded() -> None:
    circuit = QuantumCircuit(4, global_phase=0.3)
    circuit.append(GlobalPhaseGate(0.7), [])
    circuit.append(GlobalPhaseGate(0.7).control(1), [2])
    circuit.append(QFTGate(3), [3, 0, 1])
    circuit.append(MCPhaseGate(0.3, 3), [0, 1, 2, 3])
    circuit.unitary(random_unitary(4, seed=1), [1, 3])
    circuit.append(RXGate(0.3).control(2, ctrl_state=1, annotated=False), [0, 1, 2])
    assert same(matrix(*from_qiskit(circuit)), Operator(circuit).data)


def test_barriers_delays_and_final_measurements_are_left_out() -> None:
    circuit = QuantumCircuit(2, 2)
    circuit.h(0)
    circuit.barrier()
    circuit.delay(10, 1)
    circuit.cx(0, 1)
    circuit.measure(0, 0)
    circuit.x(1)
    circuit.measure(1, 1)
    assert from_qiskit(circuit) == (Circuit(2, (Gate("h", (0,)), Gate("cx", (0, 1)), Gate("x", (1,)))), [])


def test_a_gate_under_a_standard_name_is_taken_at_its_definition() -> None:
    """OpenQASM files define `rzz` themselves; only one that is RZZ may be read as RZZ."""
    t = Parameter("t")
    for body, name in ((RZZGate(t).definition, "rzz"), (CRYGate(t).definition, "cx")):
        inner = QuantumCircuit(2, name="rzz")
        for item in body.data:
            inner.append(item.operation, [inner.qubits[body.find_bit(bit).index] for bit in item.qubits])
        circuit = QuantumCircuit(2)
        x = Parameter("x0")
        circuit.append(inner.to_gate({t: 2 * x + 0.5}), [0, 1])
        read, values = from_qiskit(circuit)
        assert name in {gate.name for gate in read.gates}
        assert ("rzz" in {gate.name for gate in read.gates}) == (name == "rzz")
        assert same(matrix(read, values), Operator(circuit.assign_parameters({x: X[0]})).data)


def test_features_are_affine_and_keep_their_columns() -> None:
    x, theta = ParameterVector("x", 12), Parameter("theta")
    circuit = QuantumCircuit(1)
    circuit.rx(x[10], 0)
    circuit.rx(2 * x[2] - x[10] / 4 + 1.5, 0)
    circuit.rx(theta * x[3] + theta, 0)
    circuit.rx(theta, 0)
    circuit.rx(x[1] - x[1] + 0.25, 0)
    read, values = from_qiskit(circuit, {"theta": 0.5})
    assert values == [0.5, 0.25]
    assert [(gate.feature, gate.scale, gate.value) for gate in read.gates] == [
        (10, 1.0, 0.0),
        (2, 2.0, 1.5),
        (10, -0.25, 0.0),
        (3, 0.5, 0.5),
        (None, 1.0, 0.0),
        (None, 1.0, 0.0),
    ]
    assert from_qiskit(circuit, [0.5]) == (read, values)


def test_feature_names_and_their_order() -> None:
    def column_of(names: list[str], features: list[str] | None = None) -> list[int | None]:
        circuit = QuantumCircuit(1)
        for name in names:
            circuit.rx(Parameter(name), 0)
        weights = dict.fromkeys(names, 0.0)
        return [gate.feature for gate in from_qiskit(circuit, weights, features)[0].gates]

    assert column_of(["x2", "x10", "w"]) == [2, 10, None]
    assert column_of(["feature_b", "feature_a"]) == [1, 0]
    assert column_of(["input[3]", "x3"]) == [0, 1]
    assert column_of(["x0", "alpha", "beta"], ["beta", "x0"]) == [1, None, 0]
    assert column_of(["x0", "alpha"], []) == [None, None]


def test_a_trained_qiskit_model_with_its_own_names() -> None:
    """As `qiskit_machine_learning` users hold it: a feature map and an ansatz, weights by name or in Qiskit's order."""
    body = ansatz("efficient_su2", 3, 1)
    circuit = to_qiskit(angle(3, 6) + body)
    weights = np.arange(body.weights) / 7
    by_order, by_name = from_qiskit(circuit, weights.tolist()), from_qiskit(circuit, dict(named(weights)))
    assert by_order == by_name
    assert by_order[1] == weights.tolist()
    assert by_order[0].features == 6


def named(weights: np.ndarray) -> list[tuple[str, float]]:
    return [(f"theta[{k}]", float(weight)) for k, weight in enumerate(weights)]


# OpenQASM


def test_openqasm_3_of_qiskit_itself_is_read() -> None:
    from qiskit import qasm3

    circuit = to_qiskit(angle(3, 4) + ansatz("line", 3, 1), np.linspace(-3, 3, 17))
    circuit.append(UGate(0.1, 0.2, 0.3).control(1), [0, 2])
    read, values = openqasm.loads(qasm3.dumps(circuit))
    assert columns(read) == {0, 1, 2, 3}
    x = (0.3, -1.7, 2.4, 0.9)
    bound = circuit.assign_parameters({p: x[p.index] for p in circuit.parameters})
    assert same(matrix(read, values, x), Operator(bound).data, 1e-7)


def test_openqasm_2_of_qiskit_itself_is_read() -> None:
    from qiskit import qasm2

    circuit = to_qiskit(ansatz("seismic", 3, 1), np.linspace(-7, 7, 30))
    circuit.append(get_standard_gate_name_mapping()["ryy"].base_class(0.3), [0, 2])
    circuit.append(get_standard_gate_name_mapping()["cu"].base_class(0.3, 0.1, 0.2, 0.4), [0, 2])
    circuit.measure_all()
    read, values = openqasm.loads(qasm2.dumps(circuit))
    circuit.remove_final_measurements()
    assert same(matrix(read, values), Operator(circuit).data, 1e-7)


def test_a_file_may_give_a_standard_name_another_meaning() -> None:
    """Qiskit's legacy gate list would read this `rzz` as its own."""
    text = 'OPENQASM 2.0;\ninclude "qelib1.inc";\ngate rzz(t) a, b { rx(t) a; cz a, b; }\nqreg q[2];\n'
    assert openqasm.loads(text + "rzz(0.3) q[0], q[1];") == (
        Circuit(2, (Gate("rx", (0,), weight=0), Gate("cz", (0, 1)))),
        [0.3],
    )


def test_modifiers_and_broadcasts_are_read() -> None:
    head = 'OPENQASM 3.0;\ninclude "stdgates.inc";\nqubit[3] q;\n'
    read, values = openqasm.loads(head + "h q;\nctrl @ rx(0.5) q[0], q[2];\ninv @ s q[1];\nctrl @ gphase(0.25) q[0];")
    circuit = QuantumCircuit(3)
    circuit.h([0, 1, 2])
    circuit.crx(0.5, 0, 2)
    circuit.sdg(1)
    circuit.p(0.25, 0)
    assert same(matrix(read, values), Operator(circuit).data)


# PennyLane


def classifier(inputs, weights, turn):
    rotations(inputs, weights, turn)
    return {"z": [qml.expval(qml.Z(k)) for k in range(2)], "p": qml.probs(wires=2)}


def rotations(inputs, weights, turn):
    qml.AngleEmbedding(inputs, wires=range(3), rotation="Y")
    qml.StronglyEntanglingLayers(weights, wires=range(3))
    qml.ctrl(qml.RX(turn, wires=1), control=0)
    qml.adjoint(qml.S(1))
    qml.adjoint(qml.RX(inputs[..., 0] + 0.5, wires=2))
    qml.Toffoli([0, 1, 2])
    qml.QubitUnitary(np.array([[0, 1], [1, 0]]), wires=0)
    qml.GlobalPhase(0.3, wires=0)
    qml.ctrl(qml.GlobalPhase(0.3), control=1)
    qml.Barrier()
    qml.MultiRZ(0.2, wires=[0, 1])
    qml.CRot(0.1, 0.2, 0.3, wires=[0, 1])
    qml.PauliRot(0.2, "XY", wires=[0, 2])
    qml.U3(0.1, 0.2, 0.3, wires=2)


def example() -> tuple[np.ndarray, np.ndarray, float]:
    return np.array(X), np.random.default_rng(3).normal(size=(2, 3, 3)), 0.75


def test_a_qnode_and_its_circuit_are_the_same_unitary_at_any_data() -> None:
    node = qml.QNode(classifier, qml.device("default.qubit", wires=3))
    x, weights, turn = example()
    circuit, values = from_pennylane(node, x, weights, turn)
    assert columns(circuit) == {0, 1, 2}
    for row in (x, np.array([0.0, 5.0, -9.0])):
        theirs = qml.matrix(classifier, wire_order=[2, 1, 0])(row, weights, turn)
        assert same(matrix(circuit, values, row), theirs)


def test_a_qnode_comes_back_as_a_qnode_with_its_measurements() -> None:
    node = qml.QNode(classifier, qml.device("default.qubit", wires=3), diff_method="backprop")
    model = read(node, *example())
    again = write(model.circuit, model.values, like=model)
    assert isinstance(again, qml.QNode)
    assert (again.device, again.diff_method, list(inspect.signature(again.func).parameters)) == (
        node.device,
        "backprop",
        ["inputs", "weights"],
    )
    rows = np.random.default_rng(4).normal(size=(4, 3))
    _, weights, turn = example()
    one, two = again(rows), node(rows, weights, turn)
    assert list(one) == ["z", "p"]
    np.testing.assert_allclose(one["p"], two["p"], atol=1e-12)
    np.testing.assert_allclose(one["z"], two["z"], atol=1e-12)
    trained = torch.tensor(model.values, requires_grad=True)
    again(torch.tensor(rows), trained)["z"][0].sum().backward()
    assert trained.grad.abs().max() > 0


def test_a_quantum_function_comes_back_as_a_function() -> None:
    model = read(classifier, *example())
    again = write(model.circuit.bind(model.values), (), like=model)
    assert not isinstance(again, qml.QNode)
    theirs = qml.matrix(classifier, wire_order=[2, 1, 0])(*example())
    assert same(qml.matrix(again, wire_order=[2, 1, 0])(np.array(X)), theirs)


def test_the_transform_keeps_batches_and_gradients() -> None:
    seen = []

    def rewrite(circuit: Circuit, values: list[float]) -> Circuit:
        seen.append((circuit.weights, circuit.features, len(values)))
        return circuit

    node = qml.QNode(classifier, qml.device("default.qubit", wires=3))
    again = rewritten(node, rewrite=rewrite)
    assert isinstance(again, qml.QNode)
    rows = torch.tensor(np.random.default_rng(4).normal(size=(4, 3)))
    gradients = []
    for one in (node, again):
        weights = torch.tensor(example()[1], requires_grad=True)
        result = one(rows, weights, torch.tensor(0.75))
        result["z"][1].sum().backward()
        gradients.append((result["p"].detach(), weights.grad))
    torch.testing.assert_close(gradients[0], gradients[1])
    again(rows[:1], weights, torch.tensor(0.75))
    # once for both batches; the features are AngleEmbedding's 3, the other RX, `turn`, and the 3 angles of the unitary
    assert seen == [(18, 8, 18)]


def test_the_transform_runs_what_rewrite_gives() -> None:
    @qml.qnode(qml.device("default.qubit", wires=1))
    def node(x, weight):
        qml.RX(x, 0)
        qml.RY(weight, 0)
        return qml.expval(qml.Z(0))

    half = rewritten(node, rewrite=lambda circuit, values: circuit.bind([0.0]))
    x, weight = torch.tensor(0.3), torch.tensor(1.1, requires_grad=True)
    assert float(half(x, weight)) == pytest.approx(math.cos(0.3))
    wider = rewritten(node, rewrite=lambda circuit, values: Circuit(2, circuit.gates))
    with pytest.raises(
        ValueError, match="a rewritten circuit must have at most the wires, weights and features it had"
    ):
        wider(x, weight)


def test_labels_of_wires_are_kept() -> None:
    def function(x):
        qml.RX(x[0], "b")
        qml.CNOT(["b", "a"])
        return qml.expval(qml.Z("a"))

    model = read(function, np.array([0.3]))
    assert model.circuit == Circuit(2, (Gate("rx", (0,), feature=0), Gate("cx", (0, 1))))
    tape = qml.tape.make_qscript(write(model.circuit, (), like=model))(np.array([0.3]))
    assert [operation.wires.tolist() for operation in tape.operations] == [["b"], ["b", "a"]]


@pytest.mark.parametrize("like", [np.array, torch.tensor, qml.numpy.array])
def test_every_interface_is_read_alike(like: Callable) -> None:
    x, weights, turn = example()
    assert from_pennylane(classifier, like(x), like(weights), turn) == from_pennylane(classifier, x, weights, turn)


# torch


def test_our_layer_comes_back_as_our_layer() -> None:
    circuit = angle(3, 5) + ansatz("line", 3, 1)
    layer = VQCLayer(circuit, per_class(3, 2), torch.linspace(-3, 3, circuit.weights))
    rows = torch.rand(2, 4, 5, generator=torch.Generator().manual_seed(0))
    model = read(layer)
    again = write(model.circuit, model.values, like=model)
    bound = write(model.circuit.bind(model.values), (), like=model)
    assert isinstance(again, VQCLayer)
    assert layer(rows).shape == (2, 4, 2)
    assert layer(rows).dtype == torch.float32
    torch.testing.assert_close(again(rows), layer(rows))
    torch.testing.assert_close(bound(rows), layer(rows))
    assert bound.weight.shape == (0,)
    again.load_state_dict(layer.state_dict())


def test_our_layer_computes_qiskits_expectations() -> None:
    circuit = angle(3, 3) + ansatz("seismic", 3, 1)
    weights = np.linspace(-7, 7, circuit.weights)
    scores = VQCLayer(circuit, per_class(3, 3), weights)(torch.tensor([X], dtype=torch.float64))
    state = matrix(circuit, weights)[:, 0]
    z = [sum(abs(a) ** 2 * (1 - 2 * ((k >> wire) & 1)) for k, a in enumerate(state)) for wire in range(3)]
    torch.testing.assert_close(scores[0], torch.tensor(z, dtype=torch.float64))


def test_our_layer_trains_inside_a_model() -> None:
    circuit = angle(2, 2) + ansatz("line_cx", 2, 1)
    layer = VQCLayer(circuit, per_class(2, 2), torch.ones(circuit.weights))
    model = torch.nn.Sequential(torch.nn.Linear(3, 2), layer)
    model(torch.ones(4, 3)).square().sum().backward()
    assert layer.weight.grad.abs().max() > 0
    assert model[0].weight.grad.abs().max() > 0


def test_our_layer_starts_from_amplitudes() -> None:
    layer = VQCLayer(Circuit(2, ()), per_class(2, 2), (), amplitudes=True)
    torch.testing.assert_close(layer(torch.tensor([[0.0, 5.0]])), torch.tensor([[-1.0, 1.0]]))


def test_pennylanes_layer_comes_back_as_pennylanes_layer() -> None:
    def function(inputs, weights, turn):
        rotations(inputs, weights, turn)
        return [qml.expval(qml.Z(k)) for k in range(3)]

    torch.manual_seed(0)  # PennyLane draws its first weights from torch's global generator
    node = qml.QNode(function, qml.device("default.qubit", wires=3))
    layer = qml.qnn.TorchLayer(node, {"weights": (2, 3, 3), "turn": 1})
    rows = torch.rand(4, 3, generator=torch.Generator().manual_seed(0))
    model = read(layer, rows[0])
    again = write(model.circuit, model.values, like=model)
    bound = write(model.circuit.bind(model.values), (), like=model)
    assert isinstance(again, qml.qnn.TorchLayer)
    torch.testing.assert_close(again(rows), layer(rows))
    torch.testing.assert_close(bound(rows), layer(rows))
    assert again.qnode_weights["weights"].shape == (len(model.values),)
    assert from_torch(layer, rows[0])[0] == model.circuit
    assert isinstance(to_torch(model.circuit, model.values, layer, rows[0]), qml.qnn.TorchLayer)


# Imports


def test_importing_interop_loads_no_framework(python: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    code = "import sys, {}; print([m for m in ('qiskit', 'pennylane', 'torch') if m in sys.modules])"
    assert python("-c", code.format("quantum.interop")).stdout == "[]\n"
    assert python("-c", code.format("quantum.interop.qiskit")).stdout.startswith("['qiskit'")


def test_what_is_public_is_listed() -> None:
    assert sorted(interop.__all__) == interop.__all__
    assert all(hasattr(interop, name) for name in interop.__all__)
    with pytest.raises(ValueError, match="kind 'qasm4' is unknown: use one of qasm2, qasm3, qpy, qiskit"):
        write(Circuit(1, ()), (), "qasm4")
    with pytest.raises(
        ValueError, match="kind 'torch' needs measurements, which a circuit does not have: pass a model"
    ):
        write(Circuit(1, ()), (), "torch")
