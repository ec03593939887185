"""A circuit is plain data: rewriting it keeps what it does, and what it cannot mean is refused."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from circuit_cases import ARITY, GATES, bound, circuits, draw_weights, same_up_to_phase
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit.circuit.library import get_standard_gate_name_mapping
from qiskit.quantum_info import Operator

from quantum.circuits.ansatz import ansatz
from quantum.circuits.circuit import ROTATIONS, Circuit, Gate
from quantum.circuits.encode import amplitude, angle

CONTROLLED = ("crx", "cry", "crz")
NO_WEIGHTS = torch.zeros(0, dtype=torch.float64)


def matrix(name: str, *angle: float) -> np.ndarray:
    return Operator(type(get_standard_gate_name_mapping()[name])(*angle)).data


# Gates ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", GATES)
def test_a_gate_acts_on_as_many_wires_as_in_qiskit(name):
    gate = get_standard_gate_name_mapping()[name]
    assert Gate(name, tuple(range(ARITY[name]))).arity == gate.num_qubits
    assert len(gate.params) == (name in ROTATIONS)


@pytest.mark.parametrize("name", ROTATIONS)
@settings(max_examples=10, deadline=None)
@given(theta=st.floats(-10, 10))
def test_a_rotation_is_itself_after_its_period_and_not_before(name, theta):
    period = ROTATIONS[name]
    assert Gate(name, tuple(range(ARITY[name]))).period == period
    assert same_up_to_phase(matrix(name, theta), matrix(name, theta + period))
    assert not same_up_to_phase(matrix(name, theta), matrix(name, theta + period / 2))


@pytest.mark.parametrize("name", CONTROLLED)
def test_a_controlled_rotation_after_2_pi_is_a_z_on_its_control(name):
    """What a compressor that wraps every angle mod 2 pi gets wrong."""
    assert not same_up_to_phase(matrix(name, 0.0), matrix(name, 2 * math.pi))
    z_on_control = np.diag([1, -1, 1, -1])
    np.testing.assert_allclose(matrix(name, 2 * math.pi), z_on_control, atol=1e-12)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("u3", (0,)), "gate 'u3' is unknown: use one of rx, ry, rz, p, rxx, "),
        (("cx", (0,)), r"gate 'cx' takes 2 distinct wires, not \(0,\)"),
        (("cx", (1, 1)), r"gate 'cx' takes 2 distinct wires, not \(1, 1\)"),
        (("ry", (0, 1)), r"gate 'ry' takes 1 distinct wires, not \(0, 1\)"),
        (("ry", (0,), 0.0, 1, 2), r"gate 'ry' on \(0,\) has both a weight and a feature: split it into two gates"),
        (("x", (0,), 0.0, 1), "gate 'x' has no angle, so it takes neither a weight nor a feature"),
        (("x", (0,), 0.0, None, 1), "gate 'x' has no angle, so it takes neither a weight nor a feature"),
    ],
)
def test_what_is_no_gate_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Gate(*arguments)


# Circuits ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gate", "message"),
    [
        (Gate("ry", (2,)), "gate 'ry' acts on wire 2 of a circuit of 2 wires"),
        (Gate("ry", (0,), math.nan), r"gate 'ry' on \(0,\) has the angle nan: angles are finite"),
        (Gate("ry", (0,), math.inf), r"gate 'ry' on \(0,\) has the angle inf: angles are finite"),
    ],
)
def test_what_is_no_circuit_is_refused(gate, message):
    with pytest.raises(ValueError, match=message):
        Circuit(2, (gate,))


def test_two_circuits_of_other_widths_do_not_follow_one_another():
    with pytest.raises(ValueError, match="circuits of 2 and 3 wires cannot be joined"):
        Circuit(2, ()) + Circuit(3, ())


def test_too_few_weights_are_refused():
    with pytest.raises(ValueError, match="the circuit reads 80 weights, not 3"):
        ansatz("seismic").bind([0.0, 0.0, 0.0])


@settings(max_examples=40, deadline=None)
@given(circuit=circuits(), other=circuits(), seed=st.integers(0, 99))
def test_rewriting_keeps_the_matrix(circuit, other, seed):
    """Bound, untied, frozen in part, or in two pieces: the circuit stays what it is."""
    weights = draw_weights(circuit + other, seed)
    whole = bound(circuit + other, weights)
    fixed = (circuit + other).bind(weights.tolist())
    assert same_up_to_phase(whole, bound(fixed, NO_WEIGHTS))
    assert all((gate.weight, gate.scale) == (None, 1.0) for gate in fixed.gates)
    assert same_up_to_phase(whole, bound(other, weights) @ bound(circuit, weights))
    untied, values = (circuit + other).untie(weights.tolist())
    assert same_up_to_phase(whole, bound(untied, torch.tensor(values, dtype=torch.float64)))
    free = [k % 2 == 0 for k in range(len(weights))]
    assert same_up_to_phase(whole, bound((circuit + other).freeze(weights.tolist(), free), weights[::2]))


@settings(max_examples=40, deadline=None)
@given(circuit=circuits(features=2), seed=st.integers(0, 99))
def test_untied_rotations_have_weights_of_their_own(circuit, seed):
    untied, values = circuit.untie(draw_weights(circuit, seed).tolist())
    trainable = [gate for gate in untied.gates if gate.name in ROTATIONS and gate.feature is None]
    assert [gate.weight for gate in trainable] == list(range(len(values)))
    assert all((gate.value, gate.scale) == (0.0, 1.0) for gate in trainable)
    assert untied.features == circuit.features


@settings(max_examples=40, deadline=None)
@given(circuit=circuits(features=2), seed=st.integers(0, 99), pattern=st.integers(0, 7))
def test_freezing_binds_what_is_not_free_and_counts_the_rest_from_0(circuit, seed, pattern):
    weights = draw_weights(circuit, seed).tolist()
    free = [bool(pattern >> k & 1) for k in range(len(weights))]
    frozen = circuit.freeze(weights, free)
    number = {old: new for new, old in enumerate(k for k in range(len(weights)) if free[k])}
    for before, after in zip(circuit.gates, frozen.gates, strict=True):
        if before.weight is None or free[before.weight]:
            assert after == replace(before, weight=number.get(before.weight))
        else:
            assert after.weight is None
            assert after.value == before.value + before.scale * weights[before.weight]


@settings(max_examples=20, deadline=None)
@given(circuit=circuits(features=2))
def test_encoder_and_body_are_the_circuit(circuit):
    assert circuit.encoder + circuit.body == circuit
    assert circuit.encoder.weights == 0
    assert not circuit.body.gates or circuit.body.gates[0].weight is not None


def test_equal_circuits_have_equal_hashes():
    assert hash(ansatz("seismic")) == hash(ansatz("seismic"))
    assert ansatz("seismic") == ansatz("seismic")
    assert ansatz("seismic") != ansatz("seismic", layers=1)


# Encoders -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("wires", "features"), [(4, 16), (2, 5), (3, 1), (4, 4)])
def test_the_angle_encoder_reads_each_feature_once(wires, features):
    encoder = angle(wires, features)
    assert [gate.feature for gate in encoder.gates] == list(range(features))
    assert [gate.wires[0] for gate in encoder.gates] == [k % wires for k in range(features)]


def test_the_angle_encoder_of_16_features_is_4x4_ryzxy():
    """TorchQuantum's encoder_op_list_name_dict["4x4_ryzxy"]: four features a layer, RY RZ RX RY."""
    assert [gate.name for gate in angle(4, 16).gates] == ["ry"] * 4 + ["rz"] * 4 + ["rx"] * 4 + ["ry"] * 4


@pytest.mark.parametrize(("wires", "features"), [(1, 9), (2, 16)])
def test_no_two_features_are_added_up(wires, features):
    """Two turns about one axis in a row are one turn by the sum: the data would lose a dimension."""
    names = [gate.name for gate in angle(wires, features).gates if gate.wires == (0,)]
    assert all(a != b for a, b in pairwise(names))


def test_amplitudes_are_the_normalised_row():
    states = amplitude(torch.tensor([[3.0, 4.0, 0.0], [0.0, 0.0, 2.0]], dtype=torch.float64), 2)
    expected = torch.tensor([[0.6, 0.8, 0, 0], [0, 0, 1, 0]], dtype=torch.complex128)
    assert torch.allclose(states, expected, atol=1e-15)


def test_what_has_no_encoding_is_refused():
    with pytest.raises(ValueError, match="features=0: an angle encoder needs at least 1"):
        angle(2, 0)
    with pytest.raises(ValueError, match="5 features need 3 wires for amplitudes, not 2"):
        amplitude(torch.ones(1, 5), 2)
    with pytest.raises(ValueError, match="row 1 is all zeros, which has no amplitude encoding"):
        amplitude(torch.tensor([[1.0], [0.0]]), 1)
