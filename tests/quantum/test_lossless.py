"""The lossless step keeps every measured parity exactly, and finds what a compiler cannot."""

import math
import time
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit.quantum_info import Statevector, random_statevector

from quantum.circuits.ansatz import ANSAETZE, ansatz, seismic
from quantum.circuits.circuit import FIXED, ROTATIONS, Circuit, Gate
from quantum.circuits.encode import angle
from quantum.circuits.lossless import lossless
from quantum.circuits.readout import Readout, per_class
from quantum.compilation.compile import compile_circuit
from quantum.devices.target import device
from quantum.interop.qiskit import to_qiskit

WEIGHTS, FEATURES = 3, 2
PI = math.pi
ARITY = {name: 1 if name in ("rx", "ry", "rz", "p") else 2 for name in ROTATIONS} | dict(FIXED)


def parities(circuit: Circuit, readout: Readout, theta, x, start: Statevector) -> np.ndarray:
    """The class scores of a circuit, from Qiskit's state vectors."""
    bound = to_qiskit(circuit, theta)
    bound = bound.assign_parameters({p: x[p.index] for p in bound.parameters})
    probabilities = torch.tensor(start.evolve(bound).probabilities())
    return readout.logits(readout.parities(circuit.wires) @ probabilities).numpy()


def signed(*strings: tuple[int, ...]) -> Readout:
    """A readout whose scores are the parities themselves."""
    return Readout(strings, tuple(tuple(float(a == b) for b in range(len(strings))) for a in range(len(strings))))


@st.composite
def gates(draw, wires: int) -> Gate:
    name = draw(st.sampled_from([*ROTATIONS, *FIXED]))
    on = tuple(draw(st.permutations(range(wires)))[: ARITY[name]])
    if name in FIXED:
        return Gate(name, on)
    value = draw(st.one_of(st.integers(-8, 8).map(lambda k: k * PI / 2), st.floats(-7, 7)))
    kind = draw(st.sampled_from(["fixed"] * 3 + ["weight", "feature"]))
    if kind == "fixed":
        return Gate(name, on, value)
    scale = draw(st.sampled_from([1.0, -1.0, 0.5, 2.0]))
    if kind == "weight":
        return Gate(name, on, value, weight=draw(st.integers(0, WEIGHTS - 1)), scale=scale)
    return Gate(name, on, value, feature=draw(st.integers(0, FEATURES - 1)), scale=scale)


def mixing(wires: int) -> tuple[Gate, ...]:
    """Gates that no rule passes and that make every phase before them visible in every Z."""
    turns = tuple(Gate(name, (wire,), 0.7 + wire) for wire in range(wires) for name in ("rx", "ry"))
    return turns + tuple(Gate("ecr", (wire, (wire + 1) % wires)) for wire in range(wires)) + turns


@st.composite
def problems(draw) -> tuple[Circuit, Readout]:
    """Few wires and many Clifford angles, so that the gates meet; half of the circuits end where all of it is seen."""
    wires = draw(st.integers(2, 3))
    body = draw(st.lists(gates(wires), min_size=draw(st.sampled_from([0, 6])), max_size=14))
    circuit = Circuit(wires, (*body, *(mixing(wires) if draw(st.booleans()) else ())))
    string = st.sets(st.integers(0, wires - 1), min_size=1).map(tuple)
    return circuit, signed(*draw(st.lists(string, min_size=1, max_size=3)))


@settings(max_examples=200, deadline=None)
@given(problems(), st.booleans(), st.integers(0, 2**32 - 1))
def test_parities_stay_exactly_the_same(problem, from_zero, seed):
    circuit, readout = problem
    rng = np.random.default_rng(seed)
    theta, x = rng.uniform(-7, 7, WEIGHTS), rng.uniform(-7, 7, FEATURES)
    start = Statevector.from_int(0, 2**circuit.wires) if from_zero else random_statevector(2**circuit.wires, seed)
    shorter, longer = lossless(circuit, readout, from_zero=from_zero)
    before, after = parities(circuit, readout, theta, x, start), parities(shorter, longer, theta, x, start)
    np.testing.assert_allclose(after, before, rtol=0, atol=1e-10)


STATES = {"0": "", "1": "x", "+": "h", "-": "x h", "i": "h s", "-i": "sxdg h"}


@pytest.mark.parametrize("name", [*ROTATIONS, *FIXED])
def test_every_gate_on_every_known_state(name):
    """All pairs of Pauli eigenstates before a gate, and everything visible after it."""
    readout, zero = signed((0,), (1,), (0, 1)), Statevector.from_int(0, 4)
    wires = (0, 1)[: ARITY[name]]
    gate = Gate(name, wires, 0.0, weight=0, scale=0.5) if name in ROTATIONS else Gate(name, wires)
    for first, second in product(STATES.values(), STATES.values()):
        prepare = [Gate(n, (w,)) for w, names in enumerate((first, second)) for n in names.split()]
        circuit = Circuit(2, (*prepare, gate, *mixing(2)))
        shorter, longer = lossless(circuit, readout, from_zero=True)
        before, after = parities(circuit, readout, [1.3], [], zero), parities(shorter, longer, [1.3], [], zero)
        np.testing.assert_allclose(after, before, rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", [*ROTATIONS, *FIXED])
def test_every_gate_next_to_every_other(name):
    """Both orders of wires, a free angle and special ones, from a random state."""
    readout, start = signed((0,), (1,), (0, 1)), random_statevector(4, 5)
    for other, turned in product([*ROTATIONS, *FIXED], (False, True)):
        pair = [
            Gate(n, on[: ARITY[n]], angle if n in ROTATIONS else 0.0)
            for n, on, angle in ((name, (0, 1), PI), (other, (1, 0) if turned else (0, 1), 1.1), (name, (0, 1), PI / 2))
        ]
        circuit = Circuit(2, (*pair, *mixing(2)))
        shorter, longer = lossless(circuit, readout)
        before, after = parities(circuit, readout, [], [], start), parities(shorter, longer, [], [], start)
        np.testing.assert_allclose(after, before, rtol=0, atol=1e-10, err_msg=f"{other} {turned}")


@pytest.mark.parametrize(
    "middle",
    [
        (Gate("ecr", (0, 1)), Gate("ecr", (0, 2)), Gate("ecr", (0, 1))),
        (Gate("iswap", (0, 2)), Gate("ecr", (0, 1))),
        (Gate("ch", (0, 1)), Gate("h", (1,)), Gate("ch", (0, 1)), Gate("cry", (1, 2), 1.0)),
    ],
)
def test_gates_with_more_than_one_axis_on_a_wire(middle):
    turns = tuple(Gate("ry", (wire,), 0.7 + wire) for wire in range(3))
    circuit, readout, start = Circuit(3, (*turns, *middle)), signed((1,)), random_statevector(8, 1)
    shorter, longer = lossless(circuit, readout)
    before, after = parities(circuit, readout, [], [], start), parities(shorter, longer, [], [], start)
    np.testing.assert_allclose(after, before, rtol=0, atol=1e-10)


@settings(max_examples=100, deadline=None)
@given(problems(), st.booleans())
def test_it_is_a_fixed_point_and_never_adds_a_two_wire_gate(problem, from_zero):
    circuit, readout = problem
    shorter, longer = lossless(circuit, readout, from_zero=from_zero)
    assert lossless(shorter, longer, from_zero=from_zero) == (shorter, longer)
    assert sum(len(g.wires) == 2 for g in shorter.gates) <= sum(len(g.wires) == 2 for g in circuit.gates)


@pytest.mark.parametrize("name", ANSAETZE)
def test_every_ansatz_at_snapped_and_free_angles(name):
    rng = np.random.default_rng(7)
    circuit, readout = ansatz(name), per_class(4, 4)
    start = random_statevector(16, 3)
    for _ in range(5):
        theta = np.where(
            rng.random(circuit.weights) < 0.8, rng.integers(0, 8, circuit.weights) * PI / 2, rng.uniform(0, 7)
        )
        bound = circuit.bind(theta)
        shorter, longer = lossless(bound, readout)
        before, after = parities(bound, readout, [], [], start), parities(shorter, longer, [], [], start)
        np.testing.assert_allclose(after, before, rtol=0, atol=1e-10)
        assert len(shorter.gates) < len(bound.gates)


def names(circuit: Circuit) -> list[tuple]:
    return [(gate.name, *gate.wires) for gate in circuit.gates]


HALF, WHOLE = PI, 2 * PI


@pytest.mark.parametrize(
    ("given_gates", "expected"),
    [
        ([Gate("crz", (0, 1), WHOLE)], [("rz", 0)]),
        ([Gate("crx", (0, 1), -WHOLE)], [("rz", 0)]),
        ([Gate("cry", (0, 1), 2 * WHOLE)], []),
        ([Gate("cry", (0, 1), HALF)], [("cy", 0, 1), ("rz", 0)]),
        ([Gate("cp", (0, 1), WHOLE)], []),
        ([Gate("rzz", (0, 1), HALF)], [("z", 0), ("z", 1)]),
        ([Gate("rxx", (0, 1), -HALF)], [("x", 0), ("x", 1)]),
        ([Gate("ryy", (0, 1), WHOLE)], []),
        ([Gate("rx", (0,), WHOLE)], []),
        ([Gate("cx", (0, 1)), Gate("cx", (0, 1))], []),
        (
            [Gate("cx", (0, 1)), Gate("rz", (0,), 1.0), Gate("rx", (1,), 1.0), Gate("cx", (0, 1))],
            [("rz", 0), ("rx", 1)],
        ),
        ([Gate("crx", (0, 1), weight=0), Gate("crx", (0, 1), 1.0)], [("crx", 0, 1)]),
        ([Gate("rzz", (0, 1), weight=0), Gate("rzz", (1, 0), weight=0, scale=-1.0)], []),
        ([Gate("crz", (0, 1), weight=0)], [("crz", 0, 1)]),
    ],
)
def test_identities_in_the_middle_of_a_circuit(given_gates, expected):
    """Before Hadamards and ECR gates, which keep the tail rules away."""
    end = (Gate("h", (0,)), Gate("h", (1,)), Gate("ecr", (0, 1)), Gate("ecr", (1, 0)))
    shorter, _ = lossless(Circuit(2, (*given_gates, *end)), signed((0,), (1,)))
    assert names(shorter) == expected + [(gate.name, *gate.wires) for gate in end]


def test_a_swap_is_only_a_renaming():
    circuit = Circuit(
        2, (Gate("ry", (0,), weight=0), Gate("swap", (0, 1)), Gate("ry", (1,), feature=0), Gate("h", (0,)))
    )
    shorter, readout = lossless(circuit, signed((0,), (1,)))
    assert names(shorter) == [("ry", 0), ("ry", 0), ("h", 1)]
    assert readout.strings == ((1,), (0,))


def test_a_weighted_gate_takes_up_the_fixed_one_after_it():
    circuit = Circuit(1, (Gate("ry", (0,), 0.25, weight=3, scale=2.0), Gate("y", (0,))))
    (gate,) = lossless(circuit, signed((0,)))[0].gates
    assert (gate.name, gate.weight, gate.scale) == ("ry", 3, 2.0)
    assert gate.value == pytest.approx(0.25 + PI - 2 * PI)


def test_two_different_weights_stay_apart():
    circuit = Circuit(1, (Gate("ry", (0,), weight=0), Gate("ry", (0,), weight=1), Gate("ry", (0,), feature=0)))
    assert lossless(circuit, signed((0,)))[0] == circuit


def test_trailing_gates_move_into_the_readout():
    tail = (Gate("cx", (0, 1)), Gate("x", (0,)), Gate("crz", (1, 0), weight=0), Gate("swap", (1, 2)))
    circuit = Circuit(3, (Gate("ry", (0,), weight=1), *tail))
    shorter, readout = lossless(circuit, Readout(((0,), (2,)), ((1.0, 2.0), (3.0, 4.0)), 5.0))
    assert names(shorter) == [("ry", 0)]
    assert readout == Readout(((0,), (0, 1)), ((-1.0, 2.0), (-3.0, 4.0)), 5.0)


def test_light_cone_and_commuting_parities():
    circuit = Circuit(
        3, (Gate("ry", (0,), 1.0), Gate("cry", (0, 1), 1.0), Gate("rxx", (1, 2), 1.0), Gate("rxx", (0, 2), 1.0))
    )
    assert names(lossless(circuit, signed((0, 2)))[0]) == [("ry", 0), ("cry", 0, 1), ("rxx", 1, 2)]
    assert names(lossless(circuit, signed((1,)))[0]) == [("ry", 0), ("cry", 0, 1), ("rxx", 1, 2)]


def test_start_in_zero_removes_idle_controls():
    circuit = Circuit(
        2, (Gate("rz", (0,), weight=0), Gate("crx", (0, 1), weight=1), Gate("x", (0,)), Gate("cry", (0, 1), weight=2))
    )
    readout = signed((1,))
    assert lossless(circuit, readout, from_zero=True)[0].gates == (Gate("ry", (1,), weight=2),)
    assert len(lossless(circuit, readout)[0].gates) == 4


def test_nothing_to_do_gives_the_same_values_back():
    circuit, readout = Circuit(2, (Gate("h", (0,)), Gate("cx", (0, 1)), Gate("h", (1,)))), per_class(2, 2)
    shorter, same = lossless(circuit, readout)
    assert shorter == circuit
    assert same is readout


def test_dense_seismic_block_on_nairobi():
    """109 -> 81 CX: notes/quantum.md, section 4, measured with Qiskit 2.6.2 at optimization level 3.

    At bound angles the two CRZ rings of the first block also merge into one: 67, our own measurement.
    """
    circuit, readout, nairobi = seismic(), per_class(4, 4), device("nairobi")
    angles = np.random.default_rng(0).uniform(0.1, 6.0, 80)
    symbolic, bound = lossless(circuit, readout)[0], lossless(circuit.bind(angles), readout)[0]
    cx = [compile_circuit(to_qiskit(c, angles), nairobi, range(4)).twoq for c in (circuit, symbolic, bound)]
    assert cx[0] >= 105
    assert cx[1] <= 81
    assert cx[2] <= 67


def test_it_is_fast_enough_for_an_inner_loop():
    rng = np.random.default_rng(0)
    circuit = seismic().bind(np.where(rng.random(80) < 0.5, rng.integers(0, 8, 80) * PI / 2, rng.uniform(0, 6, 80)))
    full, readout = angle(4, 16) + circuit, per_class(4, 4)
    seconds = []
    for _ in range(10):
        start = time.perf_counter()
        lossless(full, readout, from_zero=True)
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 5e-3
