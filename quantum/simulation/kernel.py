"""The gate kernel: rotations about Pauli strings, applied in place, and their adjoint derivative.

Each rotation is `exp(-i f t P)` on the basis states whose control bit is 1, and the identity elsewhere; P is a Pauli
string and f = 1/2, or 1 for phase gates. With `P|j> = phase(j) |j xor flip>` a rotation combines pairs of rows, which
takes `2 * 2^n` multiplications per column instead of the `4^n` of a matrix product. The derivative applies the inverse
gates in reverse order (Jones and Gacon 2020, *Efficient calculation of gradients in classical simulations of
variational quantum algorithms*, arXiv 2009.02823), so it stores no intermediate state.
"""

import math
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import once_differentiable

from quantum.circuits.circuit import Circuit, Gate

_HALF = math.pi / 2
_FIXED: dict[str, tuple[tuple[str, tuple[int, ...], float], ...]] = {
    "id": (),
    "x": (("rx", (0,), math.pi),),
    "y": (("ry", (0,), math.pi),),
    "z": (("rz", (0,), math.pi),),
    "h": (("ry", (0,), _HALF), ("rx", (0,), math.pi)),
    "s": (("rz", (0,), _HALF),),
    "sdg": (("rz", (0,), -_HALF),),
    "t": (("rz", (0,), _HALF / 2),),
    "tdg": (("rz", (0,), -_HALF / 2),),
    "sx": (("rx", (0,), _HALF),),
    "sxdg": (("rx", (0,), -_HALF),),
    "cx": (("crx", (0, 1), math.pi), ("p", (0,), _HALF)),
    "cy": (("cry", (0, 1), math.pi), ("p", (0,), _HALF)),
    "cz": (("cp", (0, 1), math.pi),),
    "ch": (("ry", (1,), -_HALF / 2), ("cp", (0, 1), math.pi), ("ry", (1,), _HALF / 2)),
    "swap": (("rxx", (0, 1), _HALF), ("ryy", (0, 1), _HALF), ("rzz", (0, 1), _HALF)),
    "iswap": (("rxx", (0, 1), -_HALF), ("ryy", (0, 1), -_HALF)),
    "ecr": (("rzx", (0, 1), _HALF), ("rx", (0,), math.pi)),
}
"""The gates without an angle as rotations in the order of application, up to a global phase."""


class Program(NamedTuple):
    """A circuit without features as rotations; one entry per rotation."""

    flip: NDArray[np.int64]
    """Bit mask of the wires with X or Y."""
    sign: NDArray[np.int64]
    """Bit mask of the wires with Y or Z."""
    turn: NDArray[np.complex128]
    """`i` to the number of Y; -1 for phase gates, whose Pauli is the projector's own."""
    control: NDArray[np.int64]
    """Bit mask of the control wires."""
    frequency: Tensor
    value: Tensor
    scale: Tensor
    weight: Tensor
    """Index of the weight, or -1 for none."""


@lru_cache(maxsize=512)
def program(circuit: Circuit) -> Program:
    """The circuit as a program for the kernel. Raises `ValueError` if it reads features."""
    rows = [row for gate in circuit.gates for row in _rotations(gate)]
    flip, sign, turn, control, frequency, value, scale, weight = zip(*rows, strict=True) if rows else ((),) * 8
    return Program(
        np.array(flip, dtype=np.int64),
        np.array(sign, dtype=np.int64),
        np.array(turn, dtype=np.complex128),
        np.array(control, dtype=np.int64),
        torch.tensor(frequency, dtype=torch.float64),
        torch.tensor(value, dtype=torch.float64),
        torch.tensor(scale, dtype=torch.float64),
        torch.tensor(weight, dtype=torch.int64),
    )


_Row = tuple[int, int, complex, int, float, float, float, int]


def _rotations(gate: Gate) -> list[_Row]:
    if gate.feature is not None:
        raise ValueError(
            f"gate {gate.name!r} on {gate.wires} reads feature {gate.feature}: the kernel takes none, use "
            "quantum.simulation.simulate"
        )
    if gate.name in _FIXED:
        parts = ((name, tuple(gate.wires[k] for k in wires), angle) for name, wires, angle in _FIXED[gate.name])
        return [_row(name, wires, angle, 1.0, -1) for name, wires, angle in parts]
    return [_row(gate.name, gate.wires, gate.value, gate.scale, -1 if gate.weight is None else gate.weight)]


def _row(name: str, wires: tuple[int, ...], value: float, scale: float, weight: int) -> _Row:
    if name in ("p", "cp"):
        return 0, 0, -1 + 0j, _mask(wires), 1.0, value, scale, weight
    controls, paulis = (wires[:1], name[2:]) if name.startswith("c") else ((), name[1:])
    on = dict(zip(wires[len(controls) :], paulis, strict=True))
    flip = _mask(w for w, pauli in on.items() if pauli in "xy")
    sign = _mask(w for w, pauli in on.items() if pauli in "yz")
    return flip, sign, 1j ** paulis.count("y"), _mask(controls), 0.5, value, scale, weight


def _mask(wires: Iterable[int]) -> int:
    return sum(1 << wire for wire in wires)


@njit(cache=True, inline="always")
def _phase(state, sign, turn):  # type: ignore[no-untyped-def]
    parity = 0
    bits = state & sign
    while bits:
        parity ^= 1
        bits &= bits - 1
    return -turn if parity else turn


@njit(cache=True, fastmath=True)
def _rotate(rows, flip, sign, turn, control, angle):  # type: ignore[no-untyped-def]
    """`exp(-i angle P)` on the rows `(2**n, columns)` where every control bit is 1, in place."""
    cosine, sine = math.cos(angle), math.sin(angle)
    for j in range(rows.shape[0]):
        k = j ^ flip
        if k < j or (j & control) != control:
            continue
        to_k = -1j * sine * _phase(j, sign, turn)
        if k == j:
            for column in range(rows.shape[1]):
                rows[j, column] *= cosine + to_k
        else:
            to_j = -1j * sine * _phase(k, sign, turn)
            for column in range(rows.shape[1]):
                a, b = rows[j, column], rows[k, column]
                rows[j, column] = cosine * a + to_j * b
                rows[k, column] = cosine * b + to_k * a


@njit(cache=True, fastmath=True)
def _slope(dual, rows, flip, sign, turn, control):  # type: ignore[no-untyped-def]
    """`Re <dual, -i P rows>`, over the rows where every control bit is 1."""
    total = 0.0
    for j in range(rows.shape[0]):
        if (j & control) == control:
            k = j ^ flip
            to_k = -1j * _phase(j, sign, turn)
            overlap = 0j
            for column in range(rows.shape[1]):
                overlap += dual[k, column].conjugate() * rows[j, column]
            total += (to_k * overlap).real
    return total


@njit(cache=True)
def _forward(out, flip, sign, turn, control, angles):  # type: ignore[no-untyped-def]
    for batch in range(out.shape[0]):
        for g in range(flip.shape[0]):
            _rotate(out[batch], flip[g], sign[g], turn[g], control[g], angles[batch, g])


@njit(cache=True)
def _backward(rows, dual, slopes, flip, sign, turn, control, angles):  # type: ignore[no-untyped-def]
    for batch in range(rows.shape[0]):
        for g in range(flip.shape[0] - 1, -1, -1):
            slopes[batch, g] = _slope(dual[batch], rows[batch], flip[g], sign[g], turn[g], control[g])
            _rotate(rows[batch], flip[g], sign[g], turn[g], control[g], -angles[batch, g])
            _rotate(dual[batch], flip[g], sign[g], turn[g], control[g], -angles[batch, g])


class _Evolve(torch.autograd.Function):
    """Differentiable in the angles, not in the start."""

    @staticmethod
    def forward(ctx, angles, start, flip, sign, turn, control):  # type: ignore[no-untyped-def]
        out = np.repeat(start.numpy(force=True)[None], len(angles), axis=0)
        _forward(out, flip, sign, turn, control, angles.numpy())
        ctx.angles, ctx.masks = angles.numpy(), (flip, sign, turn, control)
        states = torch.from_numpy(out)
        ctx.save_for_backward(states)  # so that autograd notices a caller who changes them in place
        return states

    @staticmethod
    @once_differentiable
    def backward(ctx, dual):  # type: ignore[no-untyped-def]
        (states,) = ctx.saved_tensors
        slopes = np.empty_like(ctx.angles)
        # `force` resolves lazy conjugation; both are undone in place, so they are copied.
        _backward(states.numpy().copy(), dual.numpy(force=True).copy(), slopes, *ctx.masks, ctx.angles)
        return torch.from_numpy(slopes), None, None, None, None, None


def evolve(circuit: Circuit, weights: Tensor, start: Tensor) -> Tensor:
    """The columns `start` `(2**n, columns)`, complex128, after the circuit at `weights` `(..., circuit.weights)`.

    Shape `(..., 2**n, columns)`; `start = identity` gives the circuit's matrix. Up to a global phase. Differentiable in
    `weights`, on the CPU.
    """
    p = program(circuit)
    angle = p.value.expand(*weights.shape[:-1], -1)
    if circuit.weights:
        angle = angle + p.scale * (p.weight >= 0) * weights[..., p.weight.clamp(min=0)]
    flat = (p.frequency * angle).reshape(math.prod(weights.shape[:-1]), len(p.frequency)).contiguous()
    out: Tensor = _Evolve.apply(flat, start.contiguous(), p.flip, p.sign, p.turn, p.control)
    return out.reshape(*weights.shape[:-1], *start.shape)
