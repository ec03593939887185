"""Circuits, and matrices of them by Qiskit, that several tests use."""

import math

import numpy as np
import torch
from hypothesis import strategies as st
from qiskit.quantum_info import Operator
from torch import Tensor

from quantum.circuits.circuit import FIXED, ROTATIONS, Circuit, Gate
from quantum.interop.qiskit import to_qiskit

GATES = (*ROTATIONS, *FIXED)
ARITY = {name: Gate(name, (0,)).arity if name in ("rx", "ry", "rz", "p") else 2 for name in ROTATIONS} | dict(FIXED)

angles = st.one_of(st.integers(-8, 8).map(lambda k: k * math.pi / 2), st.floats(-7, 7))


@st.composite
def gates(draw, wires: int, weights: int = 3, features: int = 0) -> Gate:
    name = draw(st.sampled_from([name for name in GATES if ARITY[name] <= wires]))
    on = tuple(draw(st.permutations(range(wires)))[: ARITY[name]])
    if name in FIXED:
        return Gate(name, on)
    kinds = ["fixed", *["weight"] * bool(weights), *["feature"] * bool(features)]
    kind, value, scale = draw(st.sampled_from(kinds)), draw(angles), draw(st.sampled_from([1.0, -1.0, 0.5, 2.0]))
    if kind == "fixed":
        return Gate(name, on, value)
    index = draw(st.integers(0, (weights if kind == "weight" else features) - 1))
    return Gate(name, on, value, **{kind: index}, scale=scale)


@st.composite
def circuits(draw, wires: int = 3, weights: int = 3, features: int = 0, most: int = 8) -> Circuit:
    return Circuit(wires, tuple(draw(st.lists(gates(wires, weights, features), max_size=most))))


def bound(circuit: Circuit, theta: Tensor) -> np.ndarray:
    """The circuit's matrix as Qiskit makes it."""
    return Operator(to_qiskit(circuit, theta.tolist())).data


def same_up_to_phase(a: np.ndarray, b: np.ndarray, tolerance: float = 1e-9) -> bool:
    """Whether one phase turns matrix `a` into `b`: `|<a, b>| = |a| |b|` is Cauchy and Schwarz's case of equality."""
    phase = np.vdot(a, b)
    return bool(np.abs(a * phase / abs(phase) - b).max() < tolerance) if abs(phase) > tolerance else False


def draw_weights(circuit: Circuit, seed: int = 0, *leading: int) -> Tensor:
    """Weights `(*leading, circuit.weights)` uniform in [-2 pi, 2 pi)."""
    uniform = torch.rand(*leading, circuit.weights, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return 2 * math.pi * (2 * uniform - 1)
