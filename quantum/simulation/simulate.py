"""Exact, differentiable simulation of a circuit for a whole batch of data at once, on torch.

The trainable part of a classifier reads no features, so up to `MATRIX_WIRES` wires the gate kernel computes its
2^n x 2^n matrix once a step, and one product applies it to all encoded samples; for wider circuits the kernel is
applied to the states themselves. A circuit that reads features between its weights differs from sample to sample and is
applied gate by gate.
"""

import math
from functools import lru_cache
from typing import NamedTuple, cast

import numpy as np
import torch
from qiskit.circuit.library import get_standard_gate_name_mapping
from torch import Tensor

from quantum.circuits.circuit import ROTATIONS, Circuit, Gate
from quantum.circuits.formula import Formula
from quantum.circuits.readout import Readout
from quantum.simulation import kernel

MATRIX_WIRES = 6
"""Up to this many wires the matrix of a circuit costs less than applying its gates to some hundred samples."""

_GATES = get_standard_gate_name_mapping()


class _Terms(NamedTuple):
    """`U(t) = constant + cos(frequency t) cosine + sin(frequency t) sine`, little-endian like Qiskit."""

    constant: np.ndarray
    cosine: np.ndarray
    sine: np.ndarray
    frequency: float


@lru_cache
def _terms(name: str) -> _Terms:
    if name not in ROTATIONS:
        fixed = np.array(_GATES[name].to_matrix(), dtype=complex)  # a copy: Qiskit's own is read-only
        return _Terms(fixed, 0 * fixed, 0 * fixed, 0.0)
    frequency = 1.0 if name in ("p", "cp") else 0.5
    start, half, full = (type(_GATES[name])(k * math.pi / 2 / frequency).to_matrix() for k in (0, 1, 2))
    constant = (start + full) / 2
    return _Terms(constant, (start - full) / 2, half - constant, frequency)


def apply_gate(states: Tensor, matrix: Tensor, wires: tuple[int, ...], n: int) -> Tensor:
    """`matrix` `(..., 2**k, 2**k)` applied on `wires` of `states` `(..., 2**n)`."""
    batch = torch.broadcast_shapes(states.shape[:-1], matrix.shape[:-2])
    tensor = states.expand(*batch, 2**n).reshape(*batch, *[2] * n)
    # wire w is axis -(w + 1); the gate's first wire is its least significant bit, so it goes last
    source, place = [-(w + 1) for w in reversed(wires)], list(range(-len(wires), 0))
    moved = tensor.movedim(source, place)
    local = moved.reshape(*batch, -1, 2 ** len(wires)) @ matrix.transpose(-1, -2)
    return local.reshape(moved.shape).movedim(place, source).reshape(*batch, 2**n)


def _gate_matrix(gate: Gate, weights: Tensor, x: Tensor | None) -> Tensor:
    terms = _terms(gate.name)
    constant, cosine, sine = (torch.as_tensor(m, device=weights.device) for m in terms[:3])
    angle = torch.tensor(gate.value, dtype=weights.dtype, device=weights.device)
    if gate.weight is not None:
        angle = angle + gate.scale * weights[..., gate.weight, None]  # one more axis: the samples
    elif gate.feature is not None:
        angle = angle + gate.scale * _column(x, gate)
    angle = terms.frequency * angle[..., None, None]
    return constant + torch.cos(angle) * cosine + torch.sin(angle) * sine


def _column(x: Tensor | None, gate: Gate) -> Tensor:
    columns = 0 if x is None else x.shape[-1]
    if x is None or max(gate.columns) >= columns:
        raise ValueError(f"the circuit reads feature {max(gate.columns)} but the data has {columns} columns")
    if isinstance(gate.feature, Formula):
        values = cast(Tensor, gate.feature.of(lambda k: x[:, k]))
        if not (finite := torch.isfinite(values)).all():
            raise ValueError(f"the angle {gate.feature} has no value for row {int((~finite).nonzero()[0])} of the data")
        return values
    return x[:, gate.feature]


def zero_state(samples: int, wires: int) -> Tensor:
    """`samples` copies of |0...0>, shape (samples, 2**wires)."""
    states = torch.zeros(samples, 2**wires, dtype=torch.complex128)
    states[:, 0] = 1
    return states


def evolve(circuit: Circuit, weights: Tensor, x: Tensor | None, states: Tensor) -> Tensor:
    """`states` `(samples, 2**n)` after the whole circuit, gate by gate: `(..., samples, 2**n)`."""
    for gate in circuit.gates:
        states = apply_gate(states, _gate_matrix(gate, weights, x), gate.wires, circuit.wires)
    return states


def probabilities(circuit: Circuit, weights: Tensor, states: Tensor, x: Tensor | None = None) -> Tensor:
    """Probability of each basis state `(..., samples, 2**n)`, starting from `states` `(samples, 2**n)`.

    `weights` is `(..., circuit.weights)`; leading axes are evaluated together (restarts, candidates).
    """
    if circuit.features:
        out = evolve(circuit, weights, x, states)
    elif circuit.wires <= MATRIX_WIRES:
        identity = torch.eye(2**circuit.wires, dtype=torch.complex128)
        out = states @ kernel.evolve(circuit, weights, identity).transpose(-1, -2)
    else:
        out = kernel.evolve(circuit, weights, states.T).transpose(-1, -2)
    return out.real**2 + out.imag**2


def expectations(
    circuit: Circuit, weights: Tensor, readout: Readout, *, states: Tensor | None = None, x: Tensor | None = None
) -> Tensor:
    """`<prod of Z>` of each parity of the readout, `(..., samples, strings)`.

    Pass `x` `(samples, features)` for a circuit that encodes its data in gates, or `states` `(samples, 2**n)` for data
    that is already a state (amplitude encoding, or the result of an encoder).
    """
    if states is None:
        states = zero_state(1 if x is None else len(x), circuit.wires)
    parities = readout.parities(circuit.wires).to(weights.device)
    return probabilities(circuit, weights, states, x) @ parities.T
