"""Pauli vectors and transfer matrices: the same physics as density matrices."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit.circuit import Gate
from qiskit.circuit.library import get_standard_gate_name_mapping
from qiskit.quantum_info import Operator, random_statevector, random_unitary

from quantum.noise.engine.pauli import basis, choi, gate_transfer, pauli_vectors, transfer

GATES = {
    name: gate
    for name, gate in get_standard_gate_name_mapping().items()
    if isinstance(gate, Gate) and 0 < gate.num_qubits < 3
}


@pytest.mark.parametrize("name", GATES)
def test_every_standard_gate(name):
    rng = np.random.default_rng(0)
    angles = rng.uniform(-13, 13, (5, len(GATES[name].params)))
    expected = [transfer(torch.tensor(Operator(GATES[name].base_class(*row)).data)) for row in angles]
    torch.testing.assert_close(gate_transfer(name, torch.tensor(angles)), torch.stack(expected), rtol=0, atol=1e-10)


def test_gates_differentiate_in_their_angles():
    angles = torch.tensor([[0.3, -1.2, 2.5]]).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda a: gate_transfer("cu3", a), (angles,))


@pytest.mark.parametrize(("name", "angles"), [("ry", 2), ("measure", 0), ("mine", 1)])
def test_gates_that_qiskit_does_not_have(name, angles):
    with pytest.raises(ValueError, match=f"gate '{name}' .*decompose it"):
        gate_transfer(name, torch.zeros(1, angles).double())


@given(st.integers(0, 2**31), st.sampled_from([1, 2, 3]))
@settings(deadline=None, max_examples=20)
def test_transfer_matrices_act_like_unitaries(seed, qubits):
    u, v = (random_unitary(2**qubits, seed=seed + k) for k in (0, 1))
    psi = random_statevector(2**qubits, seed=seed)
    r = pauli_vectors(torch.tensor(psi.data[None])).flatten(1)
    evolved = pauli_vectors(torch.tensor(psi.evolve(u).evolve(v).data[None])).flatten(1)
    tu, tv = (transfer(torch.tensor(m.data)) for m in (u, v))
    torch.testing.assert_close(r @ tu.T @ tv.T, evolved)
    torch.testing.assert_close(tv @ tu, transfer(torch.tensor((v @ u).data)))


def test_pauli_vectors_are_expectations():
    states = torch.tensor(np.stack([random_statevector(8, seed=k).data for k in range(4)]))
    direct = torch.einsum("sa,iab,sb->si", states.conj(), basis(3), states).real
    torch.testing.assert_close(pauli_vectors(states).flatten(1), direct)


def test_the_first_qubit_is_the_least_significant_bit():
    vector = pauli_vectors(torch.tensor([[0, 1, 0, 0]], dtype=torch.complex128))[0]
    assert (vector[3, 0], vector[0, 3]) == (-1, 1)


def test_choi_of_a_unitary_has_rank_one():
    eigenvalues = torch.linalg.eigvalsh(choi(gate_transfer("cx", torch.zeros(0))))
    torch.testing.assert_close(
        eigenvalues, torch.cat([torch.zeros(15), torch.tensor([4.0])]).double(), atol=1e-12, rtol=0
    )
