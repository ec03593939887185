"""Circuit files: what is read computes what Qiskit computes, over a corpus that is made here.

Qiskit's state of the circuit that was written, against our own simulation of the circuit that was read.
"""

import io
import math
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from qiskit import QuantumCircuit, qasm2, qasm3, transpile
from qiskit import qpy as qiskit_qpy
from qiskit.circuit import Gate as QiskitGate
from qiskit.circuit import Parameter, ParameterVector
from qiskit.circuit.library import get_standard_gate_name_mapping
from qiskit.quantum_info import Statevector
from qiskit_ibm_runtime.fake_provider import FakeNairobiV2

from quantum import Note
from quantum.circuits.circuit import Circuit, Directive, Gate
from quantum.compvqc.experiment import CompVQCSettings, _Model
from quantum.interop import openqasm, qpy, read
from quantum.interop.qiskit import from_qiskit, to_qiskit
from quantum.simulation.simulate import evolve, zero_state

WIRES = 4
GATES = [
    gate
    for gate in get_standard_gate_name_mapping().values()
    if isinstance(gate, QiskitGate) and 0 < gate.num_qubits < 5
]
HEAD_2 = 'OPENQASM 2.0;\ninclude "qelib1.inc";\nqreg q[4];\n'
HEAD_3 = 'OPENQASM 3.0;\ninclude "stdgates.inc";\nqubit[4] q;\n'


def ours(circuit: Circuit, values: object, x: object = ()) -> np.ndarray:
    """The final state by our simulator, from |0...0>."""
    row = torch.tensor([list(x)], dtype=torch.float64)
    return evolve(circuit, torch.tensor(values, dtype=torch.float64), row, zero_state(1, circuit.wires))[0].numpy()


def fidelity(circuit: QuantumCircuit, state: np.ndarray) -> float:
    return abs(np.vdot(Statevector(circuit.remove_final_measurements(inplace=False)).data, state)) ** 2


def random_circuit(seed: int) -> QuantumCircuit:
    """Every standard gate once, in random order and at random angles, some under controls, inverses and powers."""
    rng = np.random.default_rng(seed)
    circuit = QuantumCircuit(WIRES)
    circuit.h(range(WIRES))
    for k in rng.permutation(len(GATES)):
        kind = GATES[k].base_class
        gate = kind(*rng.uniform(-7, 7, len(GATES[k].params)))
        if gate.num_qubits < 3 and rng.random() < 0.2:
            gate = gate.control(1, ctrl_state=int(rng.integers(2)), annotated=False)
        elif rng.random() < 0.2:
            gate = gate.inverse()
        circuit.append(gate, rng.permutation(WIRES)[: gate.num_qubits].tolist())
    circuit.barrier()
    circuit.measure_all()
    return circuit


def binary(circuit: QuantumCircuit) -> bytes:
    file = io.BytesIO()
    qiskit_qpy.dump(circuit, file)
    return file.getvalue()


WRITERS = {"qasm2": qasm2.dumps, "qasm3": qasm3.dumps, "qpy": binary}


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("seed", range(3))
def test_files_that_qiskit_writes(kind: str, seed: int) -> None:
    circuit = random_circuit(seed)
    if kind == "qpy":
        model = from_qiskit(qiskit_qpy.load(io.BytesIO(binary(circuit)))[0])  # `read` is tried once, below
    else:
        model = openqasm.loads(WRITERS[kind](circuit))
    assert fidelity(circuit, ours(*model)) == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("kind", ["qasm3", "qpy"])
def test_parameters_keep_their_order(kind: str) -> None:
    """Twelve weights and twelve features: from the eleventh on, names sort otherwise than numbers."""
    theta, x, extra = ParameterVector("theta", 12), ParameterVector("x", 12), [Parameter(n) for n in ("b10", "b2")]
    circuit = QuantumCircuit(WIRES)
    for k in reversed(range(12)):
        circuit.ry(theta[k] / 2 + 0.1, k % WIRES)
        circuit.rx(x[k] * 2 - x[(k + 5) % 12], (k + 1) % WIRES)
        circuit.cx(k % WIRES, (k + 1) % WIRES)
    circuit.rz(extra[0] - 2 * extra[1], 0)
    circuit.h(0)
    values, row = np.linspace(0.1, 2.4, 14), np.linspace(-2, 1, 12)
    weights = [p for p in circuit.parameters if p not in x[:]]
    assert [p.name for p in weights[:3]] == ["b10", "b2", "theta[0]"]
    bound = circuit.assign_parameters(dict(zip(weights, values, strict=True)) | dict(zip(x, row, strict=True)))
    model = read(WRITERS[kind](circuit), weights=values)
    assert fidelity(bound, ours(model.circuit, model.values, row)) == pytest.approx(1, abs=1e-9)


def test_weights_in_a_sequence_are_the_inputs_as_declared() -> None:
    text = "input float b; input float x0; input float unused; input float a;\nqubit q; rx(a) q; ry(b) q; rz(x0) q;"
    assert [round(v, 9) for v in read(f"OPENQASM 3.0;\n{_std(text)}", weights=[1.0, 2.0, 3.0]).values] == [3.0, 1.0]
    with pytest.raises(ValueError, match=r"the circuit has 3 parameters \(b, unused, a\), not 2: pass one value for"):
        read(f"OPENQASM 3.0;\n{_std(text)}", weights=[1.0, 2.0])


def _std(text: str) -> str:
    return f'include "stdgates.inc";\n{text}'


def built(build: Callable[[QuantumCircuit], object]) -> QuantumCircuit:
    circuit = QuantumCircuit(WIRES)
    circuit.h(range(WIRES))
    build(circuit)
    return circuit


CORPUS: dict[str, tuple[str, Callable[[QuantumCircuit], object]]] = {
    "quotients of integers": (
        HEAD_3 + "h q; rx(3/4*pi) q[0]; ry(-(1/2)) q[1]; rx(2*(3/4) + 1/8) q[2]; rz((1+2)/(2+2)) q[3]; h q[3];",
        lambda c: (c.rx(3 / 4 * math.pi, 0), c.ry(-0.5, 1), c.rx(1.625, 2), c.rz(0.75, 3), c.h(3)),
    ),
    "quotients of OpenQASM 2": (
        HEAD_2 + "h q; rx(3/4*pi) q[0]; ry(-(1/2)) q[1]; u3(1/3, 2^(1/2), sin(1/4)) q[2]; rz(3/4) q[3]; h q[3];",
        lambda c: (
            c.rx(3 / 4 * math.pi, 0),
            c.ry(-0.5, 1),
            c.u(1 / 3, math.sqrt(2), math.sin(0.25), 2),
            c.rz(0.75, 3),
            c.h(3),
        ),
    ),
    "powers": (
        HEAD_3
        + "h q; t q[0]; pow(1/2) @ x q[0]; pow(-3/2) @ s q[1]; h q[1]; pow(2) @ t q[2]; h q[2];"
        + "pow(0.5) @ swap q[0], q[3];",
        lambda c: (
            c.t(0),
            c.sx(0),
            c.p(-0.75 * math.pi, 1),
            c.h(1),
            c.s(2),
            c.h(2),
            c.append(get_standard_gate_name_mapping()["swap"].power(0.5), [0, 3]),
        ),
    ),
    "quotients in a definition": (
        HEAD_3
        + "gate g(t) a, b { rx(t*1/4) a; cx a, b; pow(1/2) @ z b; }\nh q; g(3) q[0], q[1]; g(1/2) q[2], q[3]; h q;",
        lambda c: [(c.rx(t / 4, a), c.cx(a, b), c.s(b)) for t, a, b in ((3, 0, 1), (0.5, 2, 3))] + [c.h(range(4))],
    ),
    "broadcasts": (
        HEAD_3 + "qubit[2] r;\nh q; let a = q[1:2]; t q; rx(0.3) a; cx q[0:1], q[2:3]; ctrl @ ry(0.7) q[0], a;",
        lambda c: (
            c.t(range(4)),
            c.rx(0.3, [1, 2]),
            c.cx([0, 1], [2, 3]),
            c.cry(0.7, 0, [1, 2]),
        ),
    ),
    "controls": (
        HEAD_3 + "h q; t q; negctrl @ ctrl(2) @ rx(0.4) q[3], q[0], q[1], q[2]; ctrl @ inv @ s q[1], q[0]; "
        "inv @ ctrl @ gphase(pi/3) q[2]; ctrl @ pow(1/2) @ x q[0], q[3]; h q;",
        lambda c: (
            c.t(range(4)),
            c.append(get_standard_gate_name_mapping()["rx"].base_class(0.4).control(3, ctrl_state="011"), [0, 1, 3, 2]),
            c.append(get_standard_gate_name_mapping()["cs"].inverse(), [1, 0]),
            c.p(-math.pi / 3, 2),
            c.csx(0, 3),
            c.h(range(4)),
        ),
    ),
    "resets before anything else": (
        HEAD_3 + "reset q; barrier q; h q; cx q[0], q[3]; t q[3]; h q[3];",
        lambda c: (c.cx(0, 3), c.t(3), c.h(3)),
    ),
    "resets of OpenQASM 2": (
        HEAD_2 + "reset q;\nh q; cx q[0],q[3]; t q[3]; h q[3];",
        lambda c: (c.cx(0, 3), c.t(3), c.h(3)),
    ),
}


@pytest.mark.parametrize("case", CORPUS)
def test_files_that_people_write(case: str) -> None:
    text, build = CORPUS[case]
    expected = built(build)
    circuit, values = openqasm.loads(text)
    state = ours(circuit, values).reshape(-1, 2**WIRES)[0]  # a register that nothing touches stays in |0>
    assert fidelity(expected, state) == pytest.approx(1, abs=1e-9)


def test_parameters_without_a_value_can_start_anywhere(tmp_path: Path) -> None:
    """As the compressor reads an ansatz; values that the file binds stay, and one parameter has one value."""
    text = "input float b; input float unused; input float a;\nqubit[2] q; rx(b) q[0]; ry(a) q[1];"
    text += "rz(b/2) q[0]; rz(0.5) q[1];"
    values = iter((1.0, 9.0, 2.0))
    with pytest.warns(Note, match="parameters without a value start at random angles: b, unused, a"):
        model = read(f"OPENQASM 3.0;\n{_std(text)}", unbound=lambda: next(values))
    assert model.values == (1.0, 2.0, 0.5, 0.5)
    (tmp_path / "ansatz.qasm").write_text(f"OPENQASM 3.0;\n{_std(text)}")
    settings = CompVQCSettings(circuit=str(tmp_path / "ansatz.qasm"), task="iris", readout="Z0,Z1,Z0Z1")
    first, again = (_Model.of(settings) for _ in range(2))
    assert first.stored_weights.tolist() == again.stored_weights.tolist()
    assert first.stored_weights[3] == 0.5
    assert "parameters without a value start at random angles: b, unused, a" in first.notes
    assert first.task.readout.strings == ((0,), (1,), (0, 1))


# Features ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "columns"),
    [
        (["x1", "x2", "x3"], [0, 1, 2]),
        (["x1"], [0]),
        (["input_1", "input_2"], [0, 1]),
        (["x0", "x1"], [0, 1]),
        (["x1", "x3"], [1, 3]),
        (["x2", "x3"], [2, 3]),
        (["x[1]", "x[2]"], [1, 2]),
    ],
)
def test_features_that_count_from_one_are_the_first_columns(names: list[str], columns: list[int]) -> None:
    circuit = QuantumCircuit(1)
    for name in names:
        circuit.rx(Parameter(name), 0)
    shifted = columns[0] == 0 and "0" not in names[0]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert [gate.feature for gate in from_qiskit(circuit)[0].gates] == columns
    notes = [str(w.message) for w in caught if w.category is Note]
    assert len(notes) == shifted
    assert not shifted or f"features count from 1: {names[0]} reads the first column of the data" in notes[0]


@pytest.mark.filterwarnings("error::quantum.Note")
@pytest.mark.parametrize("columns", [(1, 2), (1,), (0, 3), (2, 5)])
def test_a_file_of_ours_keeps_its_columns_where_the_first_is_not_read(columns: tuple[int, ...]) -> None:
    circuit = Circuit(2, tuple(Gate("rx", (0,), feature=k) for k in columns))
    for written in (openqasm.loads(openqasm.dumps(circuit)), qpy.loads(qpy.dumps(circuit))):
        assert [gate.feature for gate in written[0].gates] == list(columns)


# Circuits that a device has seen ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["qiskit", "qasm2", "qasm3"])
@pytest.mark.parametrize("measured", [True, False])
def test_a_compiled_circuit_is_read_on_its_own_wires(kind: str, measured: bool) -> None:
    """Compiled for a device whose last qubits are good: idle qubits are left out, and wire k is wire k again."""
    circuit = QuantumCircuit(4, 4)
    for k in range(4):
        circuit.ry(0.3 + 0.5 * k, k)
    circuit.cx([0, 1, 2], [1, 2, 3])
    if measured:
        circuit.measure(range(4), range(4))
    compiled = transpile(circuit, FakeNairobiV2(), optimization_level=3, seed_transpiler=1, initial_layout=[6, 5, 3, 1])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        match kind:
            case "qiskit":
                model = from_qiskit(compiled)
            case "qasm3":
                text = qasm3.dumps(compiled)
                assert "$6" in text
                model = openqasm.loads(text)
            case (
                "qasm2"
            ):  # keeps neither layout nor wires: on a device wider than any state, idle ones must be left out
                wide = QuantumCircuit(100, 4)
                wide.compose(compiled, [93 + k for k in range(7)], range(4), inplace=True)
                model = openqasm.loads(qasm2.dumps(wide))
    [note] = [str(w.message) for w in caught if w.category is Note]
    assert note.startswith("the circuit is on a device's qubits: wires 0 to 3 are its qubits ")
    assert model[0].wires == 4
    state = ours(*model)
    if not measured and kind != "qiskit":  # no file says which qubit was which wire: in the order of the device's
        order = np.argsort(compiled.layout.final_index_layout()).tolist()
        state = Statevector(state).reverse_qargs().data if order == [3, 2, 1, 0] else state
    assert fidelity(circuit, state) == pytest.approx(1, abs=1e-9)


# Barriers and delays ----------------------------------------------------------------------------------------------


def test_barriers_and_delays_stay_where_they_are_until_a_circuit_is_rewritten() -> None:
    text = HEAD_3 + "h q[0]; barrier q[0], q[1]; h q[0]; delay[20ns] q[1]; x q[1]; delay[3dt] q[0]; h q[0]; barrier q;"
    circuit, _ = openqasm.loads(text)
    assert [gate.name for gate in circuit.gates] == ["h", "h", "x", "h"]
    assert circuit.directives == (
        Directive("barrier", (0, 1), 1),
        Directive("delay", (1,), 2, 20.0, "ns"),
        Directive("delay", (0,), 3, 3.0, "dt"),
    )
    names = [(item.name, item.operation.params) for item in to_qiskit(circuit + circuit).data]
    once = [("h", []), ("barrier", []), ("h", []), ("delay", [20.0]), ("x", []), ("delay", [3]), ("h", [])]
    assert names == once * 2
    assert to_qiskit(circuit.bind(())).data == to_qiskit(circuit).data == to_qiskit(circuit.untie(())[0]).data
    assert circuit == Circuit(4, circuit.gates)
