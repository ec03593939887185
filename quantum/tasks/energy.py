"""Tasks with an energy instead of labels: ground states of spins and molecules, and MaxCut.

A Hamiltonian is a sum of Pauli products. On the device, qubit-wise commuting terms are measured together, so one
circuit runs per measurement basis. The compressor takes an `Energy` like a
`quantum.tasks.classification.Classification`: both are a `quantum.tasks.training.CircuitTask`.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property, reduce
from itertools import combinations

import numpy as np
import torch
from torch import Tensor

from quantum.circuits.circuit import Circuit, Gate
from quantum.circuits.readout import Readout
from quantum.simulation import kernel
from quantum.tasks.training import CircuitTask, Training

_PAULI = {
    "I": np.eye(2, dtype=complex),
    "X": np.array([[0, 1], [1, 0]], dtype=complex),
    "Y": np.array([[0, -1j], [1j, 0]]),
    "Z": np.diag([1.0 + 0j, -1.0]),
}


@dataclass(frozen=True)
class Hamiltonian:
    """`sum of coefficient * product of Paulis`; character w of a term, such as `XIZ`, acts on wire w.

    >>> Hamiltonian("pair", (("ZZ", -1.0), ("XI", 0.5), ("IX", 0.5))).wires
    2
    """

    name: str
    terms: tuple[tuple[str, float], ...]
    unit: str = "J"

    def __post_init__(self) -> None:
        for term, coefficient in self.terms:
            if len(term) != self.wires or not set(term) <= set("IXYZ"):
                raise ValueError(f"term {term!r}: a term of {self.name} is {self.wires} letters of I, X, Y and Z")
            if not math.isfinite(coefficient):
                raise ValueError(f"the coefficient of {term} is {coefficient}: coefficients are finite")

    @property
    def wires(self) -> int:
        return len(self.terms[0][0])

    @property
    def is_diagonal(self) -> bool:
        """Whether all terms consist of I and Z."""
        return all(set(term) <= set("IZ") for term, _ in self.terms)

    @cached_property
    def matrix(self) -> Tensor:
        """`(2**wires, 2**wires)`, complex128, wire 0 the least significant bit."""
        total = sum(
            coefficient * reduce(np.kron, [_PAULI[letter] for letter in reversed(term)])
            for term, coefficient in self.terms
        )
        return torch.tensor(total)

    @cached_property
    def range(self) -> tuple[float, float]:
        """The lowest and the highest energy."""
        energies = torch.linalg.eigvalsh(self.matrix)
        return float(energies[0]), float(energies[-1])

    def bases(self) -> dict[str, list[int]]:
        """The measurement bases, such as `XXZ`, with the indices of the terms measured in each, without constants.

        Greedy: each term joins the first basis that it commutes with qubit by qubit.
        """
        groups: list[tuple[str, list[int]]] = []
        for index, (term, _) in enumerate(self.terms):
            if set(term) == {"I"}:
                continue
            for k, (axes, members) in enumerate(groups):
                if all("I" in (a, b) or a == b for a, b in zip(axes, term, strict=True)):
                    joined = "".join(b if a == "I" else a for a, b in zip(axes, term, strict=True))
                    groups[k] = (joined, [*members, index])
                    break
            else:
                groups.append((term, [index]))
        return {axes.replace("I", "Z"): members for axes, members in groups}

    def readout(self, members: Iterable[int]) -> Readout:
        """The terms `members` as parities of Z, weighted by their coefficients, without constants."""
        chosen = [self.terms[k] for k in members if set(self.terms[k][0]) != {"I"}]
        strings = tuple(tuple(w for w, letter in enumerate(term) if letter != "I") for term, _ in chosen)
        return Readout(strings, (tuple(c for _, c in chosen),))

    def turned(self) -> "Hamiltonian":
        """The Hamiltonian conjugated by a Hadamard on every wire: X and Z are exchanged, Y changes its sign."""
        swap = str.maketrans("XZ", "ZX")
        terms = tuple((term.translate(swap), c * (-1) ** term.count("Y")) for term, c in self.terms)
        return Hamiltonian(self.name, terms, self.unit)


def tfim(wires: int, field: float = 1.0) -> Hamiltonian:
    """The transverse-field Ising chain `-sum Z Z - field sum X`, open ends, in units of the coupling."""
    pairs = [(_letters(wires, {k: "Z", k + 1: "Z"}), -1.0) for k in range(wires - 1)]
    return Hamiltonian(f"tfim{wires}", (*pairs, *((_letters(wires, {k: "X"}), -field) for k in range(wires))))


def maxcut(wires: int, edges: Iterable[tuple[int, int]]) -> Hamiltonian:
    """`sum over edges (Z Z - 1)/2`: the negative number of edges in the cut."""
    edges = list(edges)
    pairs = ((_letters(wires, {a: "Z", b: "Z"}), 0.5) for a, b in edges)
    return Hamiltonian(f"maxcut{wires}", ((_letters(wires, {}), -len(edges) / 2), *pairs), "edges")


def h2() -> Hamiltonian:
    """Molecular hydrogen at 0.7 angstrom, STO-3G, Jordan-Wigner, in hartree; the coefficients of `pennylane.qchem`."""
    z, zz = (0.17771287465139946, -0.2427428051314046), (0.17059738328801055, 0.17627640804319586)
    near, cross, flip = 0.1229330505618379, 0.16768319457718958, 0.04475014401535163
    terms = (
        ("IIII", -0.04207897647782277),
        *((_letters(4, {k: "Z"}), z[k // 2]) for k in range(4)),
        ("ZZII", zz[0]),
        ("IIZZ", zz[1]),
        *((_letters(4, {a: "Z", b: "Z"}), near) for a, b in ((0, 2), (1, 3))),
        *((_letters(4, {a: "Z", b: "Z"}), cross) for a, b in ((0, 3), (1, 2))),
        *((term, sign * flip) for term, sign in (("XXYY", -1), ("XYYX", 1), ("YXXY", 1), ("YYXX", -1))),
    )
    return Hamiltonian("h2", terms, "hartree")


def _letters(wires: int, at: dict[int, str]) -> str:
    return "".join(at.get(wire, "I") for wire in range(wires))


PRISM = ((0, 1), (1, 2), (2, 0), (3, 4), (4, 5), (5, 3), (0, 3), (1, 4), (2, 5))
CUBE = tuple((a, b) for a, b in combinations(range(8), 2) if (a ^ b).bit_count() == 1)
HAMILTONIANS = {
    "tfim4": lambda: tfim(4),
    "tfim6": lambda: tfim(6),
    "tfim8": lambda: tfim(8),
    "h2": h2,
    "maxcut6": lambda: maxcut(6, PRISM),
    "maxcut8": lambda: maxcut(8, CUBE),
}
"""By name; the MaxCut graphs are 3-regular, the prism and the cube."""


def hamiltonian(name: str) -> Hamiltonian:
    """The Hamiltonian called `name`."""
    if name not in HAMILTONIANS:
        raise ValueError(f"energy {name!r} is unknown: use one of {', '.join(HAMILTONIANS)}")
    return HAMILTONIANS[name]()


def qaoa(problem: Hamiltonian, layers: int = 2) -> Circuit:
    """QAOA for a diagonal Hamiltonian with one weight per angle (multi-angle QAOA)."""
    if not problem.is_diagonal or any(term.count("Z") > 2 for term, _ in problem.terms):
        raise ValueError(f"{problem.name} has terms other than Z and ZZ: QAOA needs a diagonal cost of pairs")
    gates = [Gate("h", (wire,)) for wire in range(problem.wires)]
    weight = iter(range(10**6))
    for _ in range(layers):
        for term, _ in problem.terms:
            wires = tuple(w for w, letter in enumerate(term) if letter == "Z")
            if wires:
                gates.append(Gate("rzz" if len(wires) == 2 else "rz", wires, weight=next(weight)))
        gates += [Gate("rx", (wire,), weight=next(weight)) for wire in range(problem.wires)]
    return Circuit(problem.wires, tuple(gates))


# The task ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Energy(CircuitTask):
    """The energy above the ground state. There is no data, so all parts are the same.

    `circuit` ends with `closing` Hadamards, one on every wire unless the problem is diagonal, so that the lossless
    rules, which assume Z measurements, preserve the whole state; `hamiltonian` is conjugated by them. Use `energy_task`
    to construct one; `state` is the circuit that prepares the state itself.
    """

    hamiltonian: Hamiltonian
    closing: int

    def state(self, weights: Tensor) -> Circuit:
        """The bound circuit without the closing Hadamards."""
        bound = self.circuit.bind(weights.tolist())
        return Circuit(bound.wires, bound.gates[: len(bound.gates) - self.closing])

    def energy(self, weights: Tensor) -> Tensor:
        """`<H>` without noise, at weights `(..., circuit.weights)`."""
        start = torch.zeros(2**self.circuit.wires, 1, dtype=torch.complex128)
        start[0] = 1
        states = kernel.evolve(self.circuit, weights, start)[..., 0]
        return (states.conj() * (states @ self.hamiltonian.matrix.T)).sum(-1).real

    def objective(self, weights: Tensor, part: str) -> Tensor:
        return self.energy(weights) - self.hamiltonian.range[0]

    @torch.no_grad()
    def quality(self, weights: Tensor, part: str) -> float:
        """`1 - error / (highest - lowest energy)`."""
        low, high = self.hamiltonian.range
        return 1 - float(self.objective(weights, part)) / (high - low)

    @torch.no_grad()
    def selection_score(self, weights: Tensor) -> tuple[float, float]:
        return self.quality(weights, "train"), 0.0

    def frozen(self, weights: Tensor, free: Tensor) -> "Energy":
        return replace(self, circuit=self.circuit.freeze(weights.tolist(), free.tolist()))


def energy_task(ansatz: Circuit, problem: Hamiltonian, training: Training | None = None) -> Energy:
    """The task of preparing the ground state of `problem` with `ansatz`.

    Raises `ValueError` for an ansatz on other wires than the Hamiltonian's, or that reads features.
    """
    if ansatz.features or ansatz.wires != problem.wires:
        raise ValueError(
            f"{problem.name} is on {problem.wires} wires: the ansatz has {ansatz.wires} and reads {ansatz.features} "
            f"features; it needs the same wires and no features"
        )
    training = training or Training()
    if problem.is_diagonal:
        readout = problem.readout(range(len(problem.terms)))
        return Energy(ansatz, readout, problem, 0, training=training)
    wires = range(ansatz.wires)
    closed = Circuit(ansatz.wires, ansatz.gates + tuple(Gate("h", (wire,)) for wire in wires))
    readout = Readout(tuple((wire,) for wire in wires), (tuple(1.0 for _ in wires),))
    return Energy(closed, readout, problem.turned(), len(wires), training=training)
