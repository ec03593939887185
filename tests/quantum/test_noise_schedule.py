"""Waiting times: those of Qiskit's as-late-as-possible schedule."""

from collections import defaultdict

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.transpiler import PassManager
from qiskit.transpiler.passes import ALAPScheduleAnalysis, PadDelay
from qiskit_ibm_runtime.fake_provider import FakeNairobiV2

from quantum.compilation.compile import compile_circuit
from quantum.devices.target import device
from quantum.noise.engine.schedule import padded, schedule


def random_circuit(seed: int, wires: int = 4, gates: int = 25) -> QuantumCircuit:
    rng = np.random.default_rng(seed)
    out = QuantumCircuit(wires)
    for _ in range(gates):
        a, b = (int(w) for w in rng.choice(wires, 2, replace=False))
        if rng.random() < 0.5:
            out.ry(rng.uniform(-3, 3), a)
        else:
            out.cx(a, b)
    return out


@pytest.mark.parametrize("seed", range(4))
def test_waits_are_those_of_qiskit(seed):
    nairobi = device("nairobi")
    circuit = compile_circuit(random_circuit(seed), nairobi).circuit
    target = FakeNairobiV2().target
    reference = PassManager([ALAPScheduleAnalysis(target=target), PadDelay(target=target)]).run(circuit)
    assert waits_after_the_first_gate(padded(circuit, nairobi), 1.0) == pytest.approx(
        waits_after_the_first_gate(reference, target.dt), abs=1e-12
    )


def waits_after_the_first_gate(circuit: QuantumCircuit, unit: float) -> list[float]:
    """Per qubit and in order, in seconds; what waits in |0> does not relax."""
    waits, begun = defaultdict(list), set()
    for item in circuit.data:
        for bit in item.qubits:
            qubit = circuit.find_bit(bit).index
            if item.name == "delay" and qubit in begun and item.operation.duration:
                waits[qubit].append(item.operation.duration * unit)
            elif item.name != "delay":
                begun.add(qubit)
    return [wait for qubit in sorted(waits) for wait in waits[qubit]]


def test_a_qubit_waits_for_its_partner_and_for_the_measurement():
    circuit = QuantumCircuit(7)
    circuit.x(0)
    circuit.cx(1, 2)  # 1 and 2 work on while 0 ...
    circuit.x(1)
    circuit.cx(0, 1)
    circuit.x(1)  # ... and 0 has nothing left to do
    circuit.measure_all()
    items = schedule(circuit, device("nairobi"))
    x, cx = (FakeNairobiV2().target[name][where].duration for name, where in (("x", (1,)), ("cx", (0, 1))))
    assert [(i.qubits[0], i.seconds) for i in items if i.name == "delay"] == [
        (2, pytest.approx(2 * x + cx)),
        (0, pytest.approx(x)),
    ]


def test_data_waits_from_the_start():
    circuit = QuantumCircuit(7)
    circuit.x(0)
    items = schedule(circuit, device("nairobi"), prepared=(0, 1))
    assert [(i.name, i.qubits) for i in items] == [("delay", (1,)), ("x", (0,))]


def test_data_waits_from_the_start_until_its_first_gate():
    """A wire that holds data waits as long as the others work before it joins them, not for the whole circuit."""
    circuit = QuantumCircuit(7)
    circuit.x(0)
    circuit.cx(0, 1)
    items = schedule(circuit, device("nairobi"), prepared=(0, 1))
    x = FakeNairobiV2().target["x"][(0,)].duration
    assert [(i.name, i.qubits) for i in items] == [("delay", (1,)), ("x", (0,)), ("cx", (0, 1))]
    assert items[0].seconds == pytest.approx(x)


def test_a_barrier_holds_qubits_back():
    circuit = QuantumCircuit(7)
    circuit.x(0)
    circuit.barrier(0, 1)
    circuit.x(1)
    assert [(i.name, i.qubits) for i in schedule(circuit, device("nairobi"))] == [
        ("x", (0,)),
        ("delay", (0,)),
        ("x", (1,)),
    ]


def test_a_delay_of_the_user_counts():
    circuit = QuantumCircuit(7)
    circuit.delay(2, 0, unit="us")
    circuit.delay(1000, 0, unit="dt")
    items = schedule(circuit, device("nairobi"))
    assert [i.seconds for i in items] == [pytest.approx(2e-6), pytest.approx(1000 * FakeNairobiV2().target.dt)]


def test_what_does_not_run_on_the_device():
    circuit = QuantumCircuit(7)
    circuit.ry(0.3, 0)
    with pytest.raises(ValueError, match=r"gate 'ry' is not a gate of .*nairobi \(cx, .*\): compile the circuit"):
        schedule(circuit, device("nairobi"))
    circuit = QuantumCircuit(7)
    circuit.cx(0, 6)
    with pytest.raises(ValueError, match=r"nairobi has no 'cx' on qubits \(0, 6\): compile the circuit"):
        schedule(circuit, device("nairobi"))
    circuit = QuantumCircuit(7, 1)
    circuit.measure(0, 0)
    circuit.x(0)
    with pytest.raises(ValueError, match="'x' follows the measurement of qubit 0: circuits are measured once"):
        schedule(circuit, device("nairobi"))
    circuit = QuantumCircuit(3)
    circuit.delay(5, 0, unit="dt")
    with pytest.raises(ValueError, match=r"a delay of 5 dt: .* has no dt; state the delay in seconds"):
        schedule(circuit, device("cz,rz,sx,x@line:3"))
