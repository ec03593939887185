"""Ansaetze by name: the trainable circuits that CompVQC compresses."""

from collections.abc import Callable
from itertools import count

from quantum.circuits.circuit import Circuit, Gate


def _rotations(names: str, wires: int, index: "count[int]") -> list[Gate]:
    """One layer of one-qubit rotations per name, with one weight per rotation."""
    return [Gate(name, (wire,), weight=next(index)) for name in names.split() for wire in range(wires)]


def _ring(name: str, wires: int, index: "count[int]", *, step: int = 1) -> list[Gate]:
    """A controlled rotation from each wire to the wire `step` further on the ring."""
    return [Gate(name, (wire, (wire + step) % wires), weight=next(index)) for wire in range(wires)]


def seismic(wires: int = 4, layers: int = 2) -> Circuit:
    """The 10-layer block of quantum seismic detection, 80 weights for 4 wires and 2 blocks.

    RY, CRY, RY, RX, CRX, RX, RZ, CRZ, RZ, CRZ with all controlled rotations on the ring: the test circuit of the
    authors of CompVQC (arXiv 2207.01578).
    """
    index, gates = count(), list[Gate]()
    for _ in range(layers):
        for name in ("ry", "cry", "ry", "rx", "crx", "rx", "rz", "crz", "rz", "crz"):
            gates += _ring(name, wires, index) if name.startswith("c") else _rotations(name, wires, index)
    return Circuit(wires, tuple(gates))


def u3cu3(wires: int = 4, layers: int = 2) -> Circuit:
    """U3 on every wire, then CU3 on the ring (the TorchQuantum block), written in Euler angles.

    `U3(t, p, l) = RZ(p) RY(t) RZ(l)` up to a global phase; `CU3(t, p, l)` is the same product of controlled rotations,
    up to a phase on the control wire that the next U3 absorbs.
    """
    index, gates = count(), list[Gate]()
    for _ in range(layers):
        for wire in range(wires):
            gates += [Gate(name, (wire,), weight=next(index)) for name in ("rz", "ry", "rz")]
        for wire in range(wires):
            pair = (wire, (wire + 1) % wires)
            gates += [Gate(name, pair, weight=next(index)) for name in ("crz", "cry", "crz")]
    return Circuit(wires, tuple(gates))


def efficient_su2(wires: int = 4, layers: int = 3) -> Circuit:
    """Qiskit's `efficient_su2(wires, entanglement="reverse_linear", reps=layers)`."""
    return _reverse_linear("ry rz", wires, layers)


def real_amplitudes(wires: int = 4, layers: int = 3) -> Circuit:
    """Qiskit's `real_amplitudes(wires, entanglement="reverse_linear", reps=layers)`."""
    return _reverse_linear("ry", wires, layers)


def _reverse_linear(names: str, wires: int, layers: int) -> Circuit:
    """Rotations, then CX between neighbours from the last pair to the first, with a final layer of rotations."""
    index, gates = count(), list[Gate]()
    for _ in range(layers):
        gates += _rotations(names, wires, index)
        gates += [Gate("cx", (wire, wire + 1)) for wire in reversed(range(wires - 1))]
    return Circuit(wires, tuple(gates + _rotations(names, wires, index)))


def strongly_entangling(wires: int = 4, layers: int = 3) -> Circuit:
    """PennyLane's `StronglyEntanglingLayers`: `Rot = RZ RY RZ` on every wire, then CX with a growing range."""
    index, gates = count(), list[Gate]()
    for layer in range(layers):
        for wire in range(wires):
            gates += [Gate(name, (wire,), weight=next(index)) for name in ("rz", "ry", "rz")]
        step = layer % (wires - 1) + 1
        gates += [Gate("cx", (wire, (wire + step) % wires)) for wire in range(wires)]
    return Circuit(wires, tuple(gates))


def line(wires: int = 4, layers: int = 4) -> Circuit:
    """RY and RZ on every wire, then `exp(-i w/2 ZZ)` on every other pair of neighbours: fits a line of qubits.

    A layer entangles the even pairs, rotates every wire again, and entangles the odd pairs, so that each entangler has
    its own rotations before and after it. An RZZ costs two CX in general, one at pi/2 and none at 0 and pi, so the
    compressor decides which pairs are entangled. A final RY rotates the measured axis.
    """
    index, gates = count(), list[Gate]()
    for _ in range(layers):
        for start in (0, 1):
            gates += _rotations("ry rz", wires, index)
            gates += [Gate("rzz", (wire, wire + 1), weight=next(index)) for wire in range(start, wires - 1, 2)]
    gates += _rotations("ry", wires, index)
    return Circuit(wires, tuple(gates))


def line_cx(wires: int = 4, layers: int = 4) -> Circuit:
    """RY and RZ on every wire, then CX along the line: a small circuit to train from scratch as a control."""
    index, gates = count(), list[Gate]()
    for _ in range(layers):
        gates += _rotations("ry rz", wires, index)
        gates += [Gate("cx", (wire, wire + 1)) for wire in range(wires - 1)]
    gates += _rotations("ry", wires, index)
    return Circuit(wires, tuple(gates))


ANSAETZE: dict[str, Callable[..., Circuit]] = {
    "seismic": seismic,
    "u3cu3": u3cu3,
    "efficient_su2": efficient_su2,
    "real_amplitudes": real_amplitudes,
    "strongly_entangling": strongly_entangling,
    "line": line,
    "line_cx": line_cx,
}


def ansatz(name: str, wires: int = 4, layers: int | None = None) -> Circuit:
    """The ansatz called `name`, by default with its standard number of `layers`.

    >>> ansatz("seismic").weights
    80
    """
    if name not in ANSAETZE:
        raise ValueError(f"ansatz {name!r} is unknown: use one of {', '.join(ANSAETZE)}, or a circuit file")
    if wires < 2:
        raise ValueError(f"wires={wires}: an ansatz needs at least 2")
    return ANSAETZE[name](wires) if layers is None else ANSAETZE[name](wires, layers)
