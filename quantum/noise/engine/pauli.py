"""Density matrices and channels as real numbers: Pauli vectors and transfer matrices.

A density matrix rho of n qubits is the vector `r_i = Tr(P_i rho)` of its 4**n Pauli expectations, an observable
O = sum_i w_i P_i is the vector w, so `<O> = w . r`. A channel E is its Pauli transfer matrix
`R_ij = Tr(P_i E(P_j)) / 2**n`: it takes r to `R r`, and w to `R^T w` (the Heisenberg picture). The matrix of
consecutive channels is the product of their matrices.

Indices run over I, X, Y, Z with the first qubit the slowest. Gate matrices come from Qiskit, where the first qubit is
the least significant bit.
"""

import itertools
import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from qiskit.circuit import Gate
from qiskit.circuit.library import get_standard_gate_name_mapping
from torch import Tensor

ZERO = torch.tensor([1.0, 0.0, 0.0, 1.0], dtype=torch.float64)
"""The Pauli vector of |0>."""

_PAULIS = torch.tensor(
    [[[1, 0], [0, 1]], [[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]], dtype=torch.complex128
)
_STANDARD = get_standard_gate_name_mapping()


@lru_cache
def basis(qubits: int) -> Tensor:
    """The Pauli products `(4**qubits, 2**qubits, 2**qubits)`; the first qubit is the least significant bit."""
    products = torch.ones(1, 1, 1, dtype=torch.complex128)
    for _ in range(qubits):  # the new qubit is the fastest index and the most significant bit
        products = torch.einsum("iab,jcd->ijcadb", products, _PAULIS).reshape(
            4 * len(products), 2 * products.shape[1], 2 * products.shape[1]
        )
    return products


def transfer(matrix: Tensor) -> Tensor:
    """The transfer matrix `(..., 4**n, 4**n)` of a unitary `(..., 2**n, 2**n)`."""
    size = matrix.shape[-1]
    paulis = basis(size.bit_length() - 1)
    turned = matrix.unsqueeze(-3) @ paulis @ matrix.mH.unsqueeze(-3)
    return torch.einsum("iab,...jba->...ij", paulis, turned).real / size


def pauli_vectors(states: Tensor) -> Tensor:
    """The Pauli vectors `(samples, 4, ..., 4)` of pure states `(samples, 2**n)`, wire 0 the least significant bit."""
    samples, size = states.shape
    wires = size.bit_length() - 1
    rho = torch.einsum("sa,sb->sab", states, states.conj()).reshape(samples, *[2] * (2 * wires))
    for wire in range(wires):  # axes: sample, Pauli indices of wires < wire, ket bits, bra bits (highest wire first)
        rho = torch.tensordot(rho, _PAULIS, dims=([wires, 2 * wires - wire], [2, 1])).movedim(-1, wire + 1)
    return rho.real


def choi(matrix: Tensor) -> Tensor:
    """The Choi matrix of a channel from its transfer matrix; it is positive if and only if the channel is.

    `J = 2**-n sum_ij R_ij  P_j^T (x) P_i`, so that `Tr J = 2**n`.
    """
    size = math.isqrt(matrix.shape[-1])
    paulis = basis(size.bit_length() - 1)
    return torch.einsum("ij,jba,icd->acbd", matrix.to(paulis.dtype), paulis, paulis).reshape(size**2, size**2) / size


def gate_transfer(name: str, angles: Tensor) -> Tensor:
    """The transfer matrices `(..., 4**n, 4**n)` of Qiskit's gate `name` at `angles` `(..., parameters)`, in radians.

    Each angle t of a gate is a rotation by t, possibly under a control or about a rotated axis, so the entries of the
    transfer matrix are sums of `cos(k t/2)` and `sin(k t/2)` with k up to 4. Nine evaluations per angle determine the
    coefficients, and the result is differentiable in all angles.

    Raises `ValueError` for a gate that Qiskit's standard library does not have.
    """
    return _combine(_coefficients(name, angles.shape[-1]), angles)


def _waves(angles: Tensor) -> Tensor:
    turns = angles.unsqueeze(-1) * torch.arange(1, 5, dtype=torch.float64) / 2
    return torch.cat([torch.ones_like(angles).unsqueeze(-1), torch.cos(turns), torch.sin(turns)], dim=-1)


def _combine(coefficients: Tensor, angles: Tensor) -> Tensor:
    """The trigonometric polynomial with `coefficients` `(9, ..., 9, 4**n, 4**n)`, one axis per angle."""
    if angles.shape[-1] == 0:
        return coefficients.expand(*angles.shape[:-1], -1, -1)
    waves = _waves(angles)
    products = waves[..., 0, :]
    for k in range(1, angles.shape[-1]):
        products = (products.unsqueeze(-1) * waves[..., k, :].unsqueeze(-2)).flatten(-2)
    size = coefficients.shape[-1]
    return (products @ coefficients.reshape(-1, size**2)).reshape(*angles.shape[:-1], size, size)


@lru_cache(maxsize=256)
def _coefficients(name: str, angles: int) -> Tensor:
    gate = _STANDARD.get(name)
    if not isinstance(gate, Gate) or len(gate.params) != angles:
        raise ValueError(f"gate {name!r} with {angles} angles is not in Qiskit's standard library: decompose it")
    nodes = 4 * math.pi / 9 * torch.arange(9, dtype=torch.float64)
    to_coefficients = torch.linalg.inv(_waves(nodes))
    values = _matrices(gate, list(itertools.product(nodes.tolist(), repeat=angles)))
    coefficients = values.reshape(*[9] * angles, *values.shape[1:])
    for k in range(angles):
        coefficients = torch.tensordot(to_coefficients, coefficients, dims=([1], [k])).movedim(0, k)
    return coefficients


def _matrices(gate: Gate, angles: Sequence[Sequence[float]]) -> Tensor:
    return transfer(torch.tensor(np.stack([np.asarray(gate.base_class(*row).to_matrix(), complex) for row in angles])))
