"""Encodings of a row of data in a quantum state: as rotation angles, or as amplitudes."""

import math
from itertools import cycle, islice

import torch
from torch import Tensor

from quantum.circuits.circuit import Circuit, Gate


def angle(wires: int, features: int) -> Circuit:
    """Features as rotation angles, `wires` at a time: RY on every wire, then RZ, RX, RY, RZ ...

    With 16 features on 4 wires this is TorchQuantum's `4x4_ryzxy` encoder.

    >>> [gate.name for gate in angle(2, 4).gates]
    ['ry', 'ry', 'rz', 'rz']
    """
    if features < 1:
        raise ValueError(f"features={features}: an angle encoder needs at least 1")
    names = islice(cycle(("ry", "rz", "rx")), math.ceil(features / wires))
    gates = [Gate(name, (wire,)) for name in names for wire in range(wires)]
    return Circuit(wires, tuple(Gate(g.name, g.wires, feature=k) for k, g in enumerate(gates[:features])))


def amplitude(x: Tensor, wires: int) -> Tensor:
    """Rows of `x` (samples, features <= 2**wires) as normalised state vectors (samples, 2**wires), zero-padded."""
    samples, features = x.shape
    if features > 2**wires:
        raise ValueError(f"{features} features need {math.ceil(math.log2(features))} wires for amplitudes, not {wires}")
    norm = torch.linalg.vector_norm(x, dim=1, keepdim=True)
    if (norm == 0).any():
        raise ValueError(
            f"row {int((norm == 0).nonzero()[0, 0])} is all zeros, which has no amplitude encoding: drop it"
        )
    padded = torch.zeros(samples, 2**wires, dtype=torch.complex128, device=x.device)
    padded[:, :features] = (x / norm).to(torch.complex128)
    return padded
