"""The exact engine against Aer's density matrices, on the same noise."""

from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit import QuantumCircuit
from qiskit.circuit import Measure, ParameterVector
from qiskit.circuit.library import get_standard_gate_name_mapping
from qiskit.quantum_info import random_statevector
from qiskit.transpiler import InstructionProperties, QubitProperties, Target
from qiskit_aer import AerSimulator
from qiskit_aer.noise import NoiseModel
from qiskit_ibm_runtime.fake_provider import FakeNairobiV2, FakeTorino

from quantum.circuits.ansatz import ANSAETZE, ansatz
from quantum.circuits.circuit import FIXED, ROTATIONS, Circuit, Gate
from quantum.circuits.encode import amplitude, angle
from quantum.circuits.readout import Readout, per_class
from quantum.compilation.compile import compile_circuit
from quantum.devices.target import Device, device
from quantum.interop.qiskit import to_qiskit
from quantum.noise.engine import heisenberg, trajectories
from quantum.noise.engine.noisy import NoisyCircuit, sample_expectations
from quantum.noise.engine.schedule import padded
from quantum.simulation import simulate

ATOL = 1e-7  # Aer rounds here, not we: it drops Kraus operators whose weight is below 1e-8; the goal is 1e-6
STANDARD = get_standard_gate_name_mapping()


def synthetic(name: str, gates: str, edges: list[tuple[int, int]], seed: int) -> Target:
    """A device that nobody built, with random T1, T2, durations and errors."""
    rng = np.random.default_rng(seed)
    n = 1 + max(max(edge) for edge in edges)
    t1 = rng.uniform(2e-5, 2e-4, n)
    target = Target(
        description=name, num_qubits=n, qubit_properties=[QubitProperties(t, t * rng.uniform(0.2, 2)) for t in t1]
    )
    for gate in gates.split():
        places = [(q,) for q in range(n)] if STANDARD[gate].num_qubits == 1 else edges + [edge[::-1] for edge in edges]
        target.add_instruction(
            STANDARD[gate],
            {place: InstructionProperties(rng.uniform(1e-8, 5e-7), rng.uniform(1e-4, 3e-2)) for place in places},
        )
    flips = {(q,): InstructionProperties(1e-6, rng.uniform(0, 0.1)) for q in range(n)}
    target.add_instruction(Measure(), flips)
    return target


LINE = [(0, 1), (1, 2), (2, 3), (3, 4)]
FULL = [(a, b) for a in range(4) for b in range(a)]
TARGETS = {
    "nairobi": lambda: FakeNairobiV2().target,
    "torino": lambda: FakeTorino().target,
    "fractional line": lambda: synthetic("fractional line", "cz rzz rx rz sx x", LINE, 1),
    "ions": lambda: synthetic("ions", "rxx rx ry rz", FULL, 2),
    "echo line": lambda: synthetic("echo line", "ecr rz sx x", LINE, 3),
}


@cache
def published(name: str) -> Target:
    return TARGETS[name]()


@cache
def compiled_for(name: str) -> Device:
    return device(published(name))


def whole_model(name: str, scale: float) -> bool:
    return name == "nairobi" and scale == 1.0


@cache
def aer_model(name: str, qubits: tuple[int, ...], scale: float) -> NoiseModel:
    """Aer's own noise model of Nairobi; of other devices its used part (all of Torino takes 30 s)."""
    if whole_model(name, scale):
        return NoiseModel.from_backend(FakeNairobiV2())
    return trajectories.noise_model(Device(name, name, published(name)), qubits, scale)


def by_aer(noisy: NoisyCircuit, name: str, x: np.ndarray, states: np.ndarray | None = None) -> np.ndarray:
    """Outcome probabilities `(samples, 2**wires)` from density matrices, with the published readout errors on top."""
    raw = Device(name, name, published(name))
    circuit = padded(noisy.circuit, noisy.device, noisy.input_qubits)
    qubits = (
        tuple(range(7))
        if whole_model(name, noisy.scale)
        else tuple(trajectories.used(circuit, noisy.wires + noisy.input_qubits))
    )
    small = trajectories.compact(circuit, qubits)
    if not whole_model(name, noisy.scale):
        small = trajectories.relaxed(small, raw, qubits, noisy.scale)
    simulator = AerSimulator(method="density_matrix", noise_model=aer_model(name, qubits, noisy.scale))
    runs = []
    for k, row in enumerate(x):
        run = QuantumCircuit(small.num_qubits)
        if states is not None:
            whole = np.zeros(2**small.num_qubits, complex)
            for index, value in enumerate(states[k]):
                whole[sum((index >> w & 1) << qubits.index(q) for w, q in enumerate(noisy.input_qubits))] = value
            run.set_density_matrix(np.outer(whole, whole.conj()))
        run = run.compose(small.assign_parameters({p: row[p.index] for p in small.parameters}))
        run.save_probabilities([qubits.index(q) for q in noisy.wires])
        runs.append(run)
    result = simulator.run(runs).result()
    assert result.success, result.status
    out = np.stack([result.data(k)["probabilities"] for k in range(len(runs))])
    for wire, qubit in enumerate(noisy.wires):
        flip = noisy.scale * published(name)["measure"][(qubit,)].error
        out = out.reshape(len(x), -1, 2, 2**wire)
        out = (1 - flip) * out + flip * out[:, :, ::-1]
    return out.reshape(len(x), -1)


@st.composite
def circuits(draw, wires: int = 4) -> Circuit:
    """Any gates of ours in any order, features at the beginning and again in between."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    gates = list(angle(wires, int(rng.integers(1, 9))).gates)
    for _ in range(int(rng.integers(3, 14))):
        name = str(rng.choice([*ROTATIONS, *FIXED]))
        count = STANDARD[name].num_qubits
        at = tuple(int(w) for w in rng.choice(wires, count, replace=False))
        again = name in ROTATIONS and rng.random() < 0.15
        gates.append(
            Gate(name, at, value=float(rng.uniform(-7, 7)), feature=int(rng.integers(0, 8)), scale=-1.3)
            if again
            else Gate(name, at, value=float(rng.uniform(-7, 7)) if name in ROTATIONS else 0.0)
        )
    return Circuit(wires, tuple(gates))


def on_device(circuit: Circuit, name: str, scale: float = 1.0, seed: int = 0) -> NoisyCircuit:
    target = compiled_for(name)
    weights = np.random.default_rng(seed).uniform(-3, 3, circuit.weights)
    return NoisyCircuit(
        compile_circuit(to_qiskit(circuit, weights), target, seeds=(seed,)).circuit, target, scale=scale
    )


def check_agreement(circuit: Circuit, name: str, scale: float, seed: int) -> None:
    noisy = on_device(circuit, name, scale, seed)
    x = np.random.default_rng(seed).uniform(-4, 4, (2, 8))
    expected = by_aer(noisy, name, x)
    np.testing.assert_allclose(noisy.probabilities(torch.tensor(x)), expected, rtol=0, atol=ATOL)
    for strings in (((0,), (1, 2), (0, 1, 3), ()), ((1,),)):  # all the wires, and one
        readout = Readout(strings, ())
        values = noisy.expectations(readout, torch.tensor(x))
        np.testing.assert_allclose(values, expected @ readout.parities(4).numpy().T, rtol=0, atol=ATOL)


@pytest.mark.parametrize("name", TARGETS)
@given(circuits(), st.sampled_from([0.5, 1.0, 1.0, 2.0, 4.0]), st.integers(0, 99))
@settings(deadline=None, max_examples=3, derandomize=True)
def test_random_circuits_as_aer(name, circuit, scale, seed):
    check_agreement(circuit, name, scale, seed)


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
@given(circuits(), st.sampled_from([0.5, 1.0, 1.0, 2.0, 4.0]), st.integers(0, 99))
@settings(deadline=None, max_examples=100)
def test_many_random_circuits_as_aer(name, circuit, scale, seed):
    check_agreement(circuit, name, scale, seed)


@pytest.mark.parametrize("name", ["nairobi", "torino"])
def test_the_dense_seismic_circuit_as_aer(name):
    rng = np.random.default_rng(0)
    noisy = on_device(angle(4, 16) + ansatz("seismic"), name)
    x = rng.uniform(0, np.pi, (2, 16))
    np.testing.assert_allclose(noisy.probabilities(torch.tensor(x)), by_aer(noisy, name, x), rtol=0, atol=ATOL)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ANSAETZE)
@pytest.mark.parametrize("name", TARGETS)
def test_every_ansatz_as_aer(kind, name):
    check_agreement(angle(4, 8) + ansatz(kind), name, 1.0, 1)


@pytest.mark.parametrize("name", ["nairobi", "ions"])
def test_amplitude_encoding_as_aer(name):
    rng = np.random.default_rng(2)
    noisy = on_device(ansatz("line"), name)
    states = amplitude(torch.tensor(rng.normal(size=(3, 16))), 4)
    expected = by_aer(noisy, name, np.zeros((3, 0)), states.numpy())
    np.testing.assert_allclose(noisy.probabilities(states=states), expected, rtol=0, atol=ATOL)


def test_states_and_features_together():
    rng = np.random.default_rng(3)
    noisy = on_device(
        Circuit(3, (Gate("ry", (0,), feature=1), Gate("cx", (0, 2)), Gate("rx", (2,), feature=0))), "echo line"
    )
    states = torch.tensor(np.stack([random_statevector(8, seed=k).data for k in range(2)]))
    x = rng.uniform(-3, 3, (2, 2))
    expected = by_aer(noisy, "echo line", x, states.numpy())
    np.testing.assert_allclose(noisy.probabilities(torch.tensor(x), states), expected, rtol=0, atol=ATOL)


@pytest.mark.parametrize("name", TARGETS)
@given(circuits(), st.integers(0, 99))
@settings(deadline=None, max_examples=3, derandomize=True)
def test_without_noise_it_is_the_logical_circuit(name, circuit, seed):
    """Through the transpiler, its layout and its final permutation."""
    x = torch.tensor(np.random.default_rng(seed).uniform(-4, 4, (5, 8)))
    readout = per_class(4, 4)
    expected = simulate.expectations(circuit, torch.zeros(0, dtype=torch.float64), readout, x=x)
    torch.testing.assert_close(
        on_device(circuit, name, 0.0, seed).expectations(readout, x), expected, rtol=0, atol=1e-7
    )


def test_features_read_again_after_the_wires_met():
    gates = (Gate("ry", (0,), feature=0), Gate("cx", (0, 1)), Gate("ry", (1,), feature=1))
    check_agreement(Circuit(4, gates), "echo line", 1.0, 0)


def test_symbolic_angles_that_are_not_affine():
    x = ParameterVector("x", 2)
    circuit = QuantumCircuit(2)
    circuit.sx(0)
    circuit.rz((np.pi - x[0]) * (np.pi - x[1]), 0)  # as the ZZ feature map does
    circuit.sx(0)
    circuit.rz(x[0].sign() + abs(x[1]), 1)
    circuit.cz(0, 1)
    noisy = NoisyCircuit(circuit, compiled_for("fractional line"))
    data = np.random.default_rng(0).uniform(-1, 1, (3, 2))
    np.testing.assert_allclose(
        noisy.probabilities(torch.tensor(data)), by_aer(noisy, "fractional line", data), rtol=0, atol=ATOL
    )


@pytest.mark.parametrize(
    ("angle", "row"), [(ParameterVector("x", 1)[0].log(), -1.0), (1 / ParameterVector("x", 1)[0], 0.0)]
)
def test_a_row_for_which_an_angle_has_no_value_is_named(angle, row):
    circuit = QuantumCircuit(1)
    circuit.rz(angle, 0)
    circuit.sx(0)
    noisy = NoisyCircuit(circuit, compiled_for("fractional line"))
    with pytest.raises(ValueError, match=r"x\[0\].* has no value for row 1 of the data"):
        noisy.probabilities(torch.tensor([[0.5], [row]], dtype=torch.float64))


def test_inputs_in_turns_and_observables_in_turns(monkeypatch):
    noisy = on_device((angle(4, 8) + ansatz("line")), "nairobi")
    x = torch.tensor(np.random.default_rng(0).uniform(-3, 3, (7, 8)))
    whole = noisy.probabilities(x)
    monkeypatch.setattr(heisenberg, "CHUNK", 1000)
    torch.testing.assert_close(noisy.probabilities(x), whole)


def test_only_what_reaches_the_measurement_is_followed():
    """A brickwork of 20 qubits, read on one of them: two layers reach it from four."""
    layers = [Gate("cx", (w, w + 1)) for start in (0, 1) for w in range(start, 19, 2)]
    noisy = on_device(Circuit(20, tuple(layers)), "torino")
    width = heisenberg.contraction_plan(noisy.steps, {noisy.wires[10]}).width
    assert width <= 4
    assert float(noisy.expectations(Readout(((10,),), ()))[0, 0]) > 0.7


def test_the_engine_differentiates_in_the_channels():
    """Towards a channel of the fixed part, as a finite difference says."""
    noisy = on_device((angle(4, 8) + ansatz("line")), "nairobi")
    x = torch.zeros(1, 8).double() + 0.4
    k = next(k for k, step in enumerate(noisy.steps) if len(step.qubits) == 2)
    channel = noisy.steps[k].channel

    def value(matrix):
        steps = [*noisy.steps[:k], noisy.steps[k]._replace(channel=matrix), *noisy.steps[k + 1 :]]
        return heisenberg.expectations(heisenberg.contraction_plan(steps, noisy.wires[:1]), [noisy.wires[:1]], x)[0, 0]

    gradient = torch.func.grad(value)(channel)
    direction = torch.tensor(np.random.default_rng(0).normal(size=channel.shape))
    slope = (value(channel + 1e-5 * direction) - value(channel - 1e-5 * direction)) / 2e-5
    assert float((gradient * direction).sum()) == pytest.approx(float(slope), abs=1e-8)


def test_shots_are_unbiased_and_spread_as_a_binomial():
    noisy = on_device((angle(4, 8) + ansatz("line")), "nairobi")
    x = torch.tensor(np.random.default_rng(0).uniform(-3, 3, (2, 8)))
    readout = per_class(4, 4)
    p, exact = noisy.probabilities(x), noisy.expectations(readout, x)
    rng, shots, runs = np.random.default_rng(1), 100, 2000
    sampled = torch.stack([sample_expectations(p, readout.parities(4), shots, rng) for _ in range(runs)])
    spread = ((1 - exact**2) / shots).sqrt()
    assert ((sampled.mean(0) - exact).abs() < 5 * spread / runs**0.5).all()
    torch.testing.assert_close(sampled.std(0), spread, rtol=0.1, atol=0)
    again = sample_expectations(p, readout.parities(4), shots, np.random.default_rng(1))
    torch.testing.assert_close(again, sampled[0], rtol=0, atol=0)


@pytest.mark.parametrize("by", ["x", "states"])
def test_too_wide_a_circuit_goes_to_aer_and_says_so(by, monkeypatch):
    noisy = on_device((angle(4, 8) + ansatz("line", layers=2)), "nairobi")
    if by == "states":
        noisy = on_device(ansatz("line", layers=2), "nairobi")
    data = np.random.default_rng(0).uniform(-3, 3, (2, 8))
    inputs = {"x": torch.tensor(data)} if by == "x" else {"states": amplitude(torch.tensor(data), 4)}
    readout = Readout(((0,), (1, 3)), ())
    exact = noisy.expectations(readout, **inputs)
    monkeypatch.setattr("quantum.noise.engine.noisy.EXACT_NUMBERS", 16)
    with pytest.warns(UserWarning, match=r"2 observables that reach \d qubits are too wide .* 4000 trajectories"):
        estimated = noisy.expectations(readout, **inputs)
    assert ((estimated - exact).abs() < 5 * 4000**-0.5).all()
    assert (estimated != exact).all()


def test_bad_inputs():
    noisy = on_device((angle(4, 8) + ansatz("line")), "nairobi")
    readout, good = per_class(4, 4), torch.zeros(3, 8).double()
    with pytest.raises(
        ValueError, match=r"x has the shape \(3, 5\): the circuit needs \(samples, 8 or more features\)"
    ):
        noisy.expectations(readout, good[:, :5])
    bad = good.clone()
    bad[1, 2] = torch.nan
    with pytest.raises(ValueError, match=r"x\[1, 2\] is nan: features are finite"):
        noisy.expectations(readout, bad)
    with pytest.raises(ValueError, match=r"states have the shape \(3, 8\): 3 samples on 4 wires need \(3, 16\)"):
        noisy.expectations(readout, good, torch.ones(3, 8, dtype=torch.complex128))
    with pytest.raises(ValueError, match="the readout measures wire 5 of a circuit of 4 wires"):
        noisy.expectations(Readout(((5,),), ()), good)
    with pytest.raises(ValueError, match="shots=0: at least 1 is needed"):
        sample_expectations(noisy.probabilities(good), readout.parities(4), 0, np.random.default_rng(0))
    loose = NoisyCircuit(to_qiskit(Circuit(1, (Gate("rz", (0,), weight=0),))), compiled_for("nairobi"))
    with pytest.raises(ValueError, match=r"parameter 'theta\[0\]' is not a feature x\[k\]: bind it"):
        loose.expectations(Readout(((0,),), ()))
