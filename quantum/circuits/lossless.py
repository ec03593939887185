"""Lossless rewriting for the measured parities, which a compiler cannot do because it does not know the measurement.

A compiler preserves the whole state; only the distribution of some Z parities is needed. Five rules are applied until
nothing changes:

- *merge*: rotations about one axis add up, also across commuting gates; a rotation by a whole period is removed, and at
  half a period a two-qubit rotation is two Pauli gates, a controlled one a CX, CY or CZ with a phase (Qiskit's O3
  misses CRZ(2 pi) = Z and RZZ(pi) = ZZ for the basis {cz, rzz, rx});
- *light cone*: gates that influence no measured parity are removed;
- *diagonal tail*: diagonal gates directly before a Z measurement are removed;
- *Clifford tail*: X and Y before the measurement flip signs in the readout, CX and CY make longer parities (Z_t becomes
  Z_c Z_t); classical post-processing replaces them without a gate error;
- *lead*: from |0...0>, a gate whose control is 0 or whose input is an eigenstate of its axis is removed or reduced.

All rules use the axis on which a gate acts on each wire: two gates commute if their axes agree on every shared wire,
because each is then a function of the same Pauli operators.

A parity over more wires has more readout errors, which the success probability of the gates does not include.
"""

import math
from collections.abc import Iterable

from quantum.circuits.circuit import ROTATIONS, Circuit, Gate
from quantum.circuits.readout import Readout

_TOLERANCE = 1e-11
"""Distance in radians within which an angle counts as a special angle; expectations change by no more than this."""

_AXES = (
    dict.fromkeys(("rx", "x", "sx", "sxdg"), "X")
    | dict.fromkeys(("ry", "y"), "Y")
    | dict.fromkeys(("rz", "p", "z", "s", "sdg", "t", "tdg", "id"), "Z")
    | dict.fromkeys(("crz", "cp", "rzz", "cz"), "ZZ")
    | {"rxx": "XX", "ryy": "YY", "crx": "ZX", "cx": "ZX", "cry": "ZY", "cy": "ZY", "h": "H", "ch": "ZH"}
    | {"ecr": "?X", "swap": "??", "iswap": "??"}
)
"""The axis on which each gate acts on each of its wires; "?" if there is more than one.

ECR is X_0 exp(-i pi/4 Z_0 X_1), hence "?X".
"""

_AS_ROTATION = (
    {"x": ("rx", math.pi), "sx": ("rx", math.pi / 2), "sxdg": ("rx", -math.pi / 2), "y": ("ry", math.pi)}
    | {"z": ("rz", math.pi), "s": ("rz", math.pi / 2), "sdg": ("rz", -math.pi / 2), "p": ("rz", 0.0)}
    | {"t": ("rz", math.pi / 4), "tdg": ("rz", -math.pi / 4)}
    | {"cx": ("crx", math.pi), "cy": ("cry", math.pi), "cz": ("cp", math.pi)}
)
"""The rotation that equals a gate, up to a global phase and, for CX and CY, up to an RZ(pi/2) on the control."""

_SYMMETRIC = frozenset(("cp", "cz", "rxx", "ryy", "rzz"))
_PRODUCT = frozenset(("rxx", "ryy", "rzz"))
_CONTROLLED = {"crx": "rx", "cry": "ry", "crz": "rz", "cp": "p", "cx": "x", "cy": "y", "cz": "z", "ch": "h"}
_SELF_INVERSE = frozenset(("h", "ch", "ecr"))


def lossless(circuit: Circuit, readout: Readout, *, from_zero: bool = False) -> tuple[Circuit, Readout]:
    """A circuit with fewer gates and a readout, whose parities have exactly the same distribution.

    Gates keep their weight and feature indices, so the result takes the same weights and data; symbolic angles are
    rewritten only by the rules that hold at every angle. `from_zero` states that the circuit starts in |0...0>, which
    holds if its encoder is part of it; leave it out for a trainable body after a separate encoder.

    >>> from quantum.circuits.readout import per_class
    >>> body = Circuit(2, (Gate("ry", (0,), weight=0), Gate("cx", (0, 1)), Gate("rzz", (0, 1), weight=1)))
    >>> shorter, parities = lossless(body, per_class(2, 2))
    >>> [gate.name for gate in shorter.gates], parities.strings
    (['ry'], ((0,), (0, 1)))
    """
    gates = list(circuit.gates)
    tail = _Tail(readout)
    while True:
        before = gates
        gates = _merge(gates)
        if from_zero:
            gates = _lead(gates, circuit.wires)
        gates = tail.strip(gates)
        if gates == before:
            return Circuit(circuit.wires, tuple(gates)), tail.readout()


def _is_multiple(angle: float, of: float) -> bool:
    return abs(math.remainder(angle, of)) < _TOLERANCE


def _is_fixed(gate: Gate) -> bool:
    return gate.weight is None and gate.feature is None


def _rotation(gate: Gate) -> tuple[str, float]:
    """The rotation that equals `gate`: its name and fixed angle."""
    name, value = _AS_ROTATION.get(gate.name, (gate.name, 0.0))
    return name, value + gate.value


# Merge ------------------------------------------------------------------------------------------------------------


def _merge(gates: Iterable[Gate]) -> list[Gate]:
    """Joins each gate with the last gate of its kind that it can be commuted back to."""
    out: list[Gate] = []
    for gate in gates:
        for piece in special_angle(gate):
            at, joined = _join_back(out, piece)
            out[at : at + 1] = joined
    return out


def special_angle(gate: Gate) -> list[Gate]:
    """`gate`, or the cheaper gates that equal it at a special angle."""
    if gate.name == "id":
        return []
    if gate.name not in ROTATIONS or not _is_fixed(gate) or not _is_multiple(gate.value, math.pi):
        return [gate]
    half_turns = round(gate.value / math.pi) % 4
    axis = _AXES[gate.name][-1].lower()
    if gate.name == "cp":
        return [Gate("cz", gate.wires)] if half_turns % 2 else []
    if gate.name in _PRODUCT:
        return [Gate(axis, (wire,)) for wire in gate.wires] if half_turns % 2 else []
    if gate.name not in _CONTROLLED:
        return [gate] if half_turns % 2 else []
    # exp(-i n pi/2 P) = (-i P)^n: under control, the factor (-i)^n is an RZ(-n pi/2) on the control.
    phase = [Gate("rz", gate.wires[:1], -half_turns * math.pi / 2)] if half_turns else []
    return ([Gate("c" + axis, gate.wires)] if half_turns % 2 else []) + phase


def _join_back(out: list[Gate], gate: Gate) -> tuple[int, list[Gate]]:
    """The position of the gate in `out` and its new content: `out[at : at + 1] = joined`."""
    for at in range(len(out) - 1, -1, -1):
        earlier = out[at]
        relation = _relation(earlier, gate)
        if relation is None:
            break
        if relation and (joined := _join(earlier, gate)) is not None:
            return at, joined
    return len(out), [gate]


def _relation(earlier: Gate, gate: Gate) -> bool | None:
    """True if the two may join, False if they only commute, None if they do not commute."""
    wires = gate.wires
    same = earlier.wires == wires or (len(wires) == 2 and earlier.wires == wires[::-1] and gate.name in _SYMMETRIC)
    if same and earlier.name == gate.name:
        return True
    axes = _AXES[gate.name]
    for wire, axis in zip(earlier.wires, _AXES[earlier.name], strict=True):
        if wire in wires and (axis == "?" or axes[wires.index(wire)] != axis):
            return None
    return same


def _join(a: Gate, b: Gate) -> list[Gate] | None:
    """The product of two gates on the same wires, or None if it is not a single rotation."""
    if a.name == b.name and a.name in _SELF_INVERSE:
        return []
    (name, value), (other, more) = _rotation(a), _rotation(b)
    if name != other or name not in ROTATIONS:
        return None
    weight, feature, scale = a.weight, a.feature, a.scale
    if _is_fixed(a):
        weight, feature, scale = b.weight, b.feature, b.scale
    elif (weight, feature) == (b.weight, b.feature):
        scale += b.scale
    elif not _is_fixed(b):
        return None
    if scale == 0.0:
        weight, feature, scale = None, None, 1.0
    total = Gate(name, a.wires, math.remainder(value + more, ROTATIONS[name]), weight, feature, scale)
    phases = sum(gate.name in ("cx", "cy") for gate in (a, b))
    return [total] + [Gate("rz", a.wires[:1], phases * math.pi / 2)] * (phases > 0)


# Tail -------------------------------------------------------------------------------------------------------------


class _Tail:
    """The measured parities as bit masks and signs, updated as gates are absorbed into the readout."""

    def __init__(self, readout: Readout) -> None:
        self._before = readout
        self._original = [_mask(string) for string in readout.strings]
        self._masks = list(self._original)
        self._signs = [1.0] * len(self._masks)

    def readout(self) -> Readout:
        if self._masks == self._original and min(self._signs, default=1.0) > 0:
            return self._before
        strings = tuple(
            string if mask == original else tuple(wire for wire in range(mask.bit_length()) if mask >> wire & 1)
            for string, mask, original in zip(self._before.strings, self._masks, self._original, strict=True)
        )
        weights = tuple(
            tuple(weight * sign for weight, sign in zip(row, self._signs, strict=True)) for row in self._before.weights
        )
        return Readout(strings, weights, self._before.scale)

    def strip(self, gates: list[Gate]) -> list[Gate]:
        """The gates that have to run on the device, in order.

        Goes through them backwards. `later_axis[wire]` is the one axis on which all later kept gates act, "!" if there
        is more than one; a gate that agrees with it on all its wires can be moved to the end.
        """
        kept: list[Gate] = []
        later_axis: dict[int, str] = {}
        for gate in reversed(gates):
            if gate.name == "swap":
                kept, later_axis = self._cross(gate.wires, kept, later_axis)
                continue
            on = tuple(zip(gate.wires, _AXES[gate.name], strict=True))
            if all(later_axis.get(wire, axis) == axis for wire, axis in on) and self._absorb(gate, on):
                continue
            kept.append(gate)
            for wire, axis in on:
                later_axis[wire] = axis if axis != "?" and later_axis.get(wire, axis) == axis else "!"
        return kept[::-1]

    def _absorb(self, gate: Gate, on: tuple[tuple[int, str], ...]) -> bool:
        """Whether the gate, as the last one, only changes the parities classically; if so, changes them."""
        turned = _mask(wire for wire, axis in on if axis != "Z")
        if gate.name in _PRODUCT:
            affected = [(mask & turned).bit_count() % 2 == 1 for mask in self._masks]
        else:
            affected = [mask & turned != 0 for mask in self._masks]
        if not any(affected):
            return True
        name, angle = _rotation(gate)
        if name in ("rx", "ry") and _is_fixed(gate) and _is_multiple(angle - math.pi, 2 * math.pi):
            self._signs = [-sign if flip else sign for sign, flip in zip(self._signs, affected, strict=True)]
        elif gate.name in ("cx", "cy"):
            control = 1 << gate.wires[0]
            pairs = zip(self._masks, affected, strict=True)
            self._masks = [mask ^ control if longer else mask for mask, longer in pairs]
        elif gate.name == "iswap":  # SWAP times a diagonal
            self._masks = [_exchange(mask, gate.wires) for mask in self._masks]
        else:
            return False
        return True

    def _cross(
        self, wires: tuple[int, ...], kept: list[Gate], later_axis: dict[int, str]
    ) -> tuple[list[Gate], dict[int, str]]:
        """Removes a SWAP by exchanging its two wires in everything after it."""
        a, b = wires
        other = {a: b, b: a}
        self._masks = [_exchange(mask, wires) for mask in self._masks]
        return (
            [_on(gate, tuple(other.get(wire, wire) for wire in gate.wires)) for gate in kept],
            {other.get(wire, wire): axis for wire, axis in later_axis.items()},
        )


def _mask(wires: Iterable[int]) -> int:
    mask = 0
    for wire in wires:
        mask ^= 1 << wire
    return mask


def _exchange(mask: int, wires: tuple[int, ...]) -> int:
    a, b = wires
    return mask ^ ((1 << a) | (1 << b)) if (mask >> a ^ mask >> b) & 1 else mask


def _on(gate: Gate, wires: tuple[int, ...]) -> Gate:
    return Gate(gate.name, wires, gate.value, gate.weight, gate.feature, gate.scale)


# Lead -------------------------------------------------------------------------------------------------------------

_State = tuple[str, int]
"""The axis and sign of the Pauli operator whose eigenstate a wire is in."""

_QUARTER_TURN = {"XY": ("Z", 1), "YZ": ("X", 1), "ZX": ("Y", 1), "YX": ("Z", -1), "ZY": ("X", -1), "XZ": ("Y", -1)}
"""The image of the second axis under a quarter turn about the first: their cross product."""

_HADAMARD = {"X": ("Z", 1), "Y": ("Y", -1), "Z": ("X", 1)}


def _lead(gates: Iterable[Gate], wires: int) -> list[Gate]:
    """Removes and reduces gates after the start in |0...0>, as long as a wire is in a Pauli eigenstate."""
    eigenstates: dict[int, _State] = dict.fromkeys(range(wires), ("Z", 1))
    out = []
    for gate in gates:
        pending = [gate]
        while pending:
            reduced = _reduced(gate := pending.pop(), eigenstates)
            if reduced is not None:
                pending += reduced
                continue
            out.append(gate)
            _advance(gate, eigenstates)
    return out


def _reduced(gate: Gate, eigenstates: dict[int, _State]) -> list[Gate] | None:
    """The gates that equal `gate` on these eigenstates, or None if it cannot be reduced."""
    axes = _AXES[gate.name]
    if len(gate.wires) == 1:
        return [] if eigenstates.get(gate.wires[0], "?")[0] == axes else None
    if gate.name not in _PRODUCT and gate.name not in _CONTROLLED:
        return None
    for wire, axis, other in zip(gate.wires, axes, gate.wires[::-1], strict=True):
        state = eigenstates.get(wire)
        if state is None or state[0] != axis:
            continue
        sign = state[1]
        if gate.name in _PRODUCT:
            return [_scaled(gate, "r" + axis.lower(), other, sign)]
        if wire == gate.wires[0] or gate.name in ("cz", "cp"):
            return [] if sign > 0 else [_scaled(gate, _CONTROLLED[gate.name], other, 1)]
        if gate.name in ("cx", "cy"):
            return [] if sign > 0 else [Gate("z", (other,))]
        # R_P(t) on an eigenstate of P is the phase exp(-i sign t/2), here under control.
        return [_scaled(gate, "rz", other, -sign / 2)]
    return None


def _scaled(gate: Gate, name: str, wire: int, factor: float) -> Gate:
    """A one-wire gate with `factor` times the angle."""
    if name not in ROTATIONS:
        return Gate(name, (wire,))
    scale = 1.0 if _is_fixed(gate) else factor * gate.scale
    return Gate(name, (wire,), factor * gate.value, gate.weight, gate.feature, scale)


def _advance(gate: Gate, eigenstates: dict[int, _State]) -> None:
    """Updates the eigenstates to those after the gate."""
    state = eigenstates.get(gate.wires[0])
    if gate.name == "swap":
        a, b = gate.wires
        states = {a: eigenstates.pop(b, None), b: eigenstates.pop(a, None)}
        eigenstates.update({wire: moved for wire, moved in states.items() if moved is not None})
    elif len(gate.wires) == 2 or state is None or not _is_fixed(gate):
        for wire in gate.wires:
            eigenstates.pop(wire, None)
    elif gate.name == "h":
        axis, sign = _HADAMARD[state[0]]
        eigenstates[gate.wires[0]] = (axis, sign * state[1])
    else:
        _turn(gate, state, eigenstates)


def _turn(gate: Gate, state: _State, eigenstates: dict[int, _State]) -> None:
    """Rotates an eigenstate by quarter turns; at any other angle the wire leaves the eigenstates."""
    wire = gate.wires[0]
    _, angle = _rotation(gate)
    if not _is_multiple(angle, math.pi / 2):
        del eigenstates[wire]
        return
    for _ in range(round(angle / (math.pi / 2)) % 4):
        axis, sign = _QUARTER_TURN[_AXES[gate.name] + state[0]]
        state = (axis, sign * state[1])
    eigenstates[wire] = state
