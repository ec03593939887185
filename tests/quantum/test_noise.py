"""The channels of a device: those of Aer's device noise model, and channels at every strength."""

import math
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit.circuit import Measure
from qiskit.circuit.library import CXGate, SXGate
from qiskit.quantum_info import SuperOp
from qiskit.transpiler import InstructionProperties, QubitProperties, Target
from qiskit_aer.noise.device import basic_device_gate_errors, basic_device_readout_errors
from qiskit_ibm_runtime.fake_provider import FakeNairobiV2, FakeTorino

from quantum.devices.target import Device, device
from quantum.noise.engine.channels import Noise, depolarization, relaxation, scaled
from quantum.noise.engine.pauli import basis, choi, transfer
from quantum.noise.engine.trajectories import part_of

SCALES = st.one_of(st.sampled_from([0.0, 0.5, 1.0, 2.0, 4.0, 1e3]), st.floats(0, 100))
PROBABILITIES = st.floats(0, 1)
TIMES = st.one_of(st.just(math.inf), st.floats(1e-9, 1e-2))


def as_transfer(channel) -> torch.Tensor:
    """The transfer matrix of a channel of Qiskit, by its definition."""
    superop = torch.tensor(SuperOp(channel).data)
    d = math.isqrt(len(superop))
    paulis = basis(d.bit_length() - 1)
    columns = paulis.transpose(1, 2).reshape(-1, d * d)  # vectorised by columns, as Qiskit does
    images = (columns @ superop.T).reshape(-1, d, d).transpose(1, 2)
    return torch.einsum("iab,jba->ij", paulis, images).real / d


@cache
def two_qubits(t1: float, t2: float, seconds: float, error: float, flip: float) -> Device:
    target = Target(num_qubits=2, qubit_properties=[QubitProperties(t1, t2), QubitProperties(t1 / 2, t2)])
    for gate, places in ((SXGate(), [(0,), (1,)]), (CXGate(), [(0, 1)])):
        target.add_instruction(gate, {place: InstructionProperties(seconds, error) for place in places})
    target.add_instruction(Measure(), {(q,): InstructionProperties(error=flip) for q in (0, 1)})
    return Device("two", f"{t1} {t2} {seconds} {error} {flip}", target)


def assert_channel(matrix: torch.Tensor) -> None:
    """Trace preserving, and completely positive: the Choi matrix has no negative eigenvalue."""
    identity = torch.zeros(len(matrix), dtype=torch.float64)
    identity[0] = 1.0
    torch.testing.assert_close(matrix[0], identity, rtol=0, atol=1e-12)
    assert torch.linalg.eigvalsh(choi(matrix)).min() > -1e-10


@given(TIMES, TIMES, st.floats(0, 1e-3), PROBABILITIES, PROBABILITIES, SCALES)
@settings(deadline=None, max_examples=100)
def test_channels_at_every_scale(t1, t2, seconds, error, flip, scale):
    noise = Noise(two_qubits(t1, t2, seconds, error, flip), scale)
    for channel in (noise.gate("sx", (0,)), noise.gate("cx", (0, 1)), noise.readout(0)):
        if channel is not None:
            assert_channel(channel)
    assert_channel(noise.wait(torch.tensor([1]), torch.tensor([seconds]).double())[0])


@pytest.mark.parametrize("name", ["nairobi", "torino"])
@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0, 4.0])
def test_channels_of_devices_at_every_scale(name, scale):
    noise = Noise(device(name), scale)
    for gate in ("sx", "cx", "cz"):
        for where in list(dict(noise.device.target[gate]))[:12] if gate in noise.device.target.operation_names else []:
            assert_channel(noise.gate(gate, where))


def test_choi_finds_what_is_no_channel():
    transpose = torch.diag(torch.tensor([1.0, 1.0, -1.0, 1.0]).double())
    assert torch.linalg.eigvalsh(choi(transpose)).min() < -0.4


@pytest.mark.parametrize(
    ("name", "backend", "qubits"),
    [("nairobi", FakeNairobiV2, range(7)), ("torino", FakeTorino, (0, 1, 2, 15, 19, 20, 23, 44))],
)
def test_gate_errors_are_aers(name, backend, qubits):
    """The published calibration through Aer, against the device through our formulas."""
    source = Device(name, name, backend().target)
    ours, errors = Noise(device(name)), basic_device_gate_errors(target=part_of(source, qubits))
    compared = 0
    for gate, places, error in errors:
        if gate in ("id", "reset"):
            continue
        where = tuple(qubits[q] for q in places)
        error_channel = ours.gate(gate, where)
        assert error_channel is not None
        torch.testing.assert_close(error_channel, as_transfer(error), rtol=0, atol=1e-9)
        compared += 1
    assert compared >= 20


def test_readout_errors_are_aers():
    noise = Noise(device("nairobi"))
    for (qubit,), error in basic_device_readout_errors(target=FakeNairobiV2().target):
        up, down = noise.flips(qubit)
        np.testing.assert_allclose(error.probabilities, [[1 - up, up], [down, 1 - down]])


def test_readout_errors_of_zero_and_one_may_differ():
    target = Target(num_qubits=1)
    properties = InstructionProperties(error=0.05)
    properties.prob_meas1_prep0, properties.prob_meas0_prep1 = 0.02, 0.08
    target.add_instruction(Measure(), {(0,): properties})
    noise = Noise(Device("asymmetric", "asymmetric", target))
    assert noise.flips(0) == (0.02, 0.08)
    z = noise.readout(0)[3]
    assert z @ torch.tensor([1.0, 0, 0, 1]).double() == pytest.approx(1 - 2 * 0.02)
    assert z @ torch.tensor([1.0, 0, 0, -1]).double() == pytest.approx(-(1 - 2 * 0.08))


@given(st.floats(0, 0.5), st.floats(0, 1e-6), st.sampled_from([1, 2]))
@settings(deadline=None)
def test_the_reported_error_is_the_average_gate_error(error, seconds, qubits):
    one = relaxation(*torch.tensor([seconds, 1e-4, 8e-5]).double())
    relaxed = one if qubits == 1 else torch.kron(one, one)
    d = 2**qubits

    def average_error(channel):
        return 1 - (float(channel.trace()) / d + 1) / (d + 1)

    total = average_error(relaxed @ depolarization(error, relaxed))
    assert total == pytest.approx(max(error, average_error(relaxed)), abs=1e-9)


def test_no_noise_at_scale_zero():
    noise = Noise(device("nairobi"), 0.0)
    assert noise.gate("cx", (0, 1)) is None
    assert noise.flips(0) == (0.0, 0.0)
    torch.testing.assert_close(noise.wait(torch.tensor([3]), torch.tensor([1e-3]).double())[0], torch.eye(4).double())


@given(st.floats(0, 8), st.floats(0.01, 8))
@settings(deadline=None)
def test_more_noise_keeps_less(scale, more):
    small, large = (Noise(device("nairobi"), s) for s in (scale, scale + more))

    def kept(noise):
        gate = noise.gate("cx", (1, 3))
        return 16.0 if gate is None else float(gate.trace())

    assert kept(large) < kept(small)
    assert float(large.readout(0)[3, 3]) <= float(small.readout(0)[3, 3])


def test_scaled_relaxation_is_relaxation_for_longer():
    noise, triple = Noise(device("torino")), Noise(device("torino"), 3.0)
    qubit, seconds = torch.tensor([7]), torch.tensor([2e-6]).double()
    torch.testing.assert_close(triple.wait(qubit, seconds), noise.wait(qubit, 3 * seconds))


def test_a_t2_above_2_t1_counts_as_2_t1():
    """A target of the user's own can report what no qubit has; the channel would not be one."""
    reported, possible = (Noise(two_qubits(1e-4, t2, 1e-6, 0.01, 0.0), 2.0) for t2 in (9e-4, 2e-4))
    seconds = torch.tensor([1e-5]).double()
    for qubit in (torch.tensor([0]), torch.tensor([1])):
        torch.testing.assert_close(
            reported.wait(qubit, seconds)[0, 1, 1], torch.exp(-seconds / reported.times[qubit, 1])[0]
        )
        assert_channel(reported.wait(qubit, seconds)[0])
    torch.testing.assert_close(reported.times[0], possible.times[0])
    assert reported.times[0].tolist() == pytest.approx([0.5e-4, 1e-4])
    assert reported.times[1].tolist() == pytest.approx([0.25e-4, 0.5e-4])


@pytest.mark.parametrize(
    ("error", "scale", "worst", "expected"),
    [
        (0.01, 4.0, 0.5, 0.04),
        (0.3, 4.0, 0.5, 0.5),  # no information is left: more noise cannot bring it back
        (0.7, 2.0, 0.5, 0.7),  # an error beyond the worst case is reported so, and stays
        (0.7, 0.5, 0.5, 0.35),
        (0.7, 0.0, 0.5, 0.0),
    ],
)
def test_an_error_grows_to_its_worst_case_and_no_further(error, scale, worst, expected):
    assert scaled(error, scale, worst) == pytest.approx(expected)


def test_the_worst_case_of_a_device():
    """At a large scale a gate depolarizes completely and a bit is read at random, neither is inverted."""
    noise = Noise(two_qubits(1.0, 1.0, 0.0, 0.4, 0.4), 100.0)
    torch.testing.assert_close(
        noise.gate("sx", (0,)), torch.diag(torch.tensor([1.0, 0, 0, 0]).double()), atol=1e-9, rtol=0
    )
    assert noise.flips(0) == (0.5, 0.5)
    wrong = Noise(two_qubits(1.0, 1.0, 0.0, 0.4, 0.8), 2.0)
    assert wrong.flips(0) == (0.8, 0.8)


@pytest.mark.parametrize("scale", [-1.0, math.nan, math.inf])
def test_a_scale_that_is_no_strength(scale):
    with pytest.raises(ValueError, match=f"scale={scale}: the noise scale is a number >= 0"):
        Noise(device("nairobi"), scale)


def test_unknown_figures_count_as_noiseless():
    noise = Noise(device("cz,rz,sx,x@line:3"))
    assert noise.gate("cz", (0, 1)) is None
    assert noise.flips(0) == (0.0, 0.0)
    torch.testing.assert_close(noise.readout(0)[3], torch.tensor([0.0, 0, 0, 1]).double())


def test_a_transfer_matrix_of_a_known_gate():
    """S turns X into Y and Y into -X."""
    s = transfer(torch.diag(torch.tensor([1, 1j], dtype=torch.complex128)))
    expected = torch.tensor([[1.0, 0, 0, 0], [0, 0, -1, 0], [0, 1, 0, 0], [0, 0, 0, 1]]).double()
    torch.testing.assert_close(s, expected)
