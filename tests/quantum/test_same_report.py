"""A circuit is the same circuit whichever framework it comes from: so is its report."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector

from quantum.devices.target import device
from quantum.interop import read
from quantum.noise.robustness import robustness
from quantum.noise.workload import classifier
from quantum.tasks.data import Part

qml = pytest.importorskip("pennylane")

WEIGHTS = np.random.default_rng(0).uniform(-3, 3, (2, 3, 2))


def in_pennylane(x):
    qml.AngleEmbedding(x, wires=range(3), rotation="Y")
    for layer in WEIGHTS:
        for wire, (a, b) in enumerate(layer):
            qml.RX(a, wire)
            qml.RZ(b, wire)
        qml.CNOT([0, 1])
        qml.CRY(0.7, [1, 2])
    return [qml.expval(qml.Z(wire)) for wire in range(3)]


def in_qiskit() -> QuantumCircuit:
    circuit, x = QuantumCircuit(3), ParameterVector("x", 3)
    for wire in range(3):
        circuit.ry(x[wire], wire)
    for layer in WEIGHTS:
        for wire, (a, b) in enumerate(layer):
            circuit.rx(a, wire)
            circuit.rz(b, wire)
        circuit.cx(0, 1)
        circuit.cry(0.7, 1, 2)
    return circuit


def report(source: object, *example: object, target: str) -> dict:
    model = read(source, *example)
    rng = np.random.default_rng(1)
    part = Part(torch.tensor(rng.uniform(0, np.pi, (8, 3))), torch.tensor(rng.integers(0, 3, 8)))
    body = model.circuit.bind(list(model.values))
    case = classifier("mine", body, part, 3, device(target), seeds=(0, 1))
    return dict(robustness(case, np.random.default_rng(2), repeats=3))


def numbers(value: object, place: str = "") -> Iterator[tuple[str, object]]:
    """Every leaf of a report by where it is."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if inside is None:
        yield place, value
        return
    for key, item in inside:
        yield from numbers(item, f"{place}/{key}")


@pytest.mark.parametrize("target", ["nairobi", "torino"])
def test_a_pennylane_tape_and_a_qiskit_circuit_give_the_same_report(target):
    node = qml.QNode(in_pennylane, qml.device("default.qubit", wires=3))
    x = np.array([0.1, 0.2, 0.3])
    theirs, ours = (
        dict(numbers(each)) for each in (report(node, x, target=target), report(in_qiskit(), target=target))
    )
    assert theirs.keys() == ours.keys()
    assert len(ours) > 100
    for place, value in ours.items():
        if isinstance(value, float):
            assert theirs[place] == pytest.approx(value, abs=1e-6), place
        else:
            assert theirs[place] == value, place


def test_a_tape_is_read_like_its_node():
    """The tape that PennyLane's devices get."""
    node = qml.QNode(in_pennylane, qml.device("default.qubit", wires=3))
    x = np.array([0.1, 0.2, 0.3])
    [tape], _ = qml.workflow.construct_batch(node, level="top")(x)
    z = np.array(qml.execute([tape], qml.device("default.qubit", wires=3))[0])
    model = read(node, x)
    body = model.circuit.bind(list(model.values))
    part = Part(torch.tensor(x)[None], torch.tensor([0]))
    case = classifier("tape", body, part, 3, device("nairobi"), seeds=(0,))
    np.testing.assert_allclose(case.expectations(0.0)[0], z, atol=1e-6)
