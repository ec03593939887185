"""A parametrised circuit as plain data: the one circuit type of all modules of `quantum`."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType

from quantum.circuits.formula import Formula

ROTATIONS = MappingProxyType(
    {
        "rx": 2 * math.pi,
        "ry": 2 * math.pi,
        "rz": 2 * math.pi,
        "p": 2 * math.pi,
        "rxx": 2 * math.pi,
        "ryy": 2 * math.pi,
        "rzz": 2 * math.pi,
        "cp": 2 * math.pi,
        "crx": 4 * math.pi,
        "cry": 4 * math.pi,
        "crz": 4 * math.pi,
    }
)
"""Gates with one angle, and the angle's period in radians, up to a global phase.

After 2 pi a rotation is minus itself. For a plain rotation that is a global phase; for a controlled rotation it is a Z
on the control wire, so the period of controlled rotations is 4 pi.
"""

FIXED = MappingProxyType(
    dict.fromkeys(("id", "x", "y", "z", "h", "s", "sdg", "t", "tdg", "sx", "sxdg"), 1)
    | dict.fromkeys(("cx", "cy", "cz", "ch", "swap", "iswap", "ecr"), 2)
)
"""Gates without an angle, and the number of wires of each."""


@dataclass(frozen=True)
class Gate:
    """One gate whose angle is `value`, `value + scale * weight` or `value + scale * feature`, in radians.

    `weight` and `feature` index the circuit's trainable weights and the data's columns; at most one of them is set.
    A feature may also be a `Formula` of several columns.
    Names are Qiskit's (`ry`, `crz`, `cx`), and wires count from 0, the control first.
    """

    name: str
    wires: tuple[int, ...]
    value: float = 0.0
    weight: int | None = None
    feature: int | Formula | None = None
    scale: float = 1.0

    def __post_init__(self) -> None:
        if self.name not in ROTATIONS and self.name not in FIXED:
            names = ", ".join([*ROTATIONS, *FIXED])
            raise ValueError(f"gate {self.name!r} is unknown: use one of {names}")
        if len(self.wires) != self.arity or len(set(self.wires)) != self.arity:
            raise ValueError(f"gate {self.name!r} takes {self.arity} distinct wires, not {self.wires}")
        if self.weight is not None and self.feature is not None:
            raise ValueError(
                f"gate {self.name!r} on {self.wires} has both a weight and a feature: split it into two gates"
            )
        if self.name in FIXED and (self.weight is not None or self.feature is not None):
            raise ValueError(f"gate {self.name!r} has no angle, so it takes neither a weight nor a feature")

    @property
    def arity(self) -> int:
        """The number of wires that the gate acts on."""
        return FIXED.get(self.name) or (1 if self.name in ("rx", "ry", "rz", "p") else 2)

    @property
    def columns(self) -> tuple[int, ...]:
        """The data columns that the angle reads."""
        if self.feature is None:
            return ()
        return self.feature.columns if isinstance(self.feature, Formula) else (self.feature,)

    @property
    def period(self) -> float:
        """The period of the gate's angle in radians, up to a global phase."""
        return ROTATIONS[self.name]


@dataclass(frozen=True)
class Directive:
    """A `barrier` or a `delay` before the gate of that index: nothing to compute, but something for a compiler to keep.

    A delay lasts `duration` in `unit`, which is one of Qiskit's: `dt`, `ns`, `us` ...
    """

    name: str
    wires: tuple[int, ...]
    before: int
    duration: float = 0.0
    unit: str = "s"


@dataclass(frozen=True)
class Circuit:
    """Gates on `wires` qubits, applied left to right to |0...0> (or to an amplitude-encoded state).

    >>> Circuit(2, (Gate("ry", (0,), weight=0), Gate("cx", (0, 1)))).weights
    1
    """

    wires: int
    gates: tuple[Gate, ...]
    directives: tuple[Directive, ...] = field(default=(), compare=False)
    """In order; circuits that differ in them alone compute the same, and rewriting drops them."""

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        """The hash, computed once: the simulator's cache looks circuits up at every training step."""
        return hash((self.wires, self.gates))

    def __post_init__(self) -> None:
        for gate in self.gates:
            if max(gate.wires) >= self.wires:
                raise ValueError(
                    f"gate {gate.name!r} acts on wire {max(gate.wires)} of a circuit of {self.wires} wires"
                )
            if not math.isfinite(gate.value) or not math.isfinite(gate.scale):
                raise ValueError(f"gate {gate.name!r} on {gate.wires} has the angle {gate.value}: angles are finite")

    @property
    def weights(self) -> int:
        """The number of trainable weights that the circuit reads: one more than the highest index."""
        return 1 + max((gate.weight for gate in self.gates if gate.weight is not None), default=-1)

    @property
    def trainable(self) -> tuple[Gate, ...]:
        """The gates that read a weight, in the order of their weights."""
        return tuple(sorted((g for g in self.gates if g.weight is not None), key=lambda g: g.weight or 0))

    @property
    def features(self) -> int:
        """The number of data columns that the circuit reads: one more than the highest index."""
        return 1 + max((column for gate in self.gates for column in gate.columns), default=-1)

    def __add__(self, other: "Circuit") -> "Circuit":
        """This circuit followed by `other`; both index the same weights and features."""
        if other.wires != self.wires:
            raise ValueError(f"circuits of {self.wires} and {other.wires} wires cannot be joined: use the same wires")
        later = (replace(item, before=item.before + len(self.gates)) for item in other.directives)
        return Circuit(self.wires, self.gates + other.gates, (*self.directives, *later))

    def bind(self, weights: Sequence[float]) -> "Circuit":
        """The circuit with its weights turned into fixed angles; features stay symbolic."""
        if len(weights) < self.weights:
            raise ValueError(f"the circuit reads {self.weights} weights, not {len(weights)}: pass one value for each")
        return Circuit(
            self.wires,
            tuple(
                gate
                if gate.weight is None
                else replace(gate, value=gate.value + gate.scale * float(weights[gate.weight]), weight=None, scale=1.0)
                for gate in self.gates
            ),
            self.directives,
        )

    def untie(self, weights: Sequence[float]) -> tuple["Circuit", list[float]]:
        """The circuit with one weight per rotation that reads no feature, and the present angles as those weights.

        Compression starts from this form: a bound circuit (from OpenQASM, for example) becomes trainable, and gates
        that shared a weight, or scaled it, can take different angles.
        """
        angles: list[float] = []
        gates: list[Gate] = []
        for gate in self.bind(weights).gates:
            if gate.name in ROTATIONS and gate.feature is None:
                gates.append(Gate(gate.name, gate.wires, weight=len(angles)))
                angles.append(gate.value)
            else:
                gates.append(gate)
        return Circuit(self.wires, tuple(gates), self.directives), angles

    def freeze(self, weights: Sequence[float], free: Sequence[bool]) -> "Circuit":
        """The circuit with the weights that are not `free` bound, and the free weights renumbered from 0 in order."""
        index = {old: new for new, old in enumerate(k for k, trainable in enumerate(free) if trainable)}
        gates = []
        for gate, bound in zip(self.gates, self.bind(weights).gates, strict=True):
            if gate.weight is not None and free[gate.weight]:
                bound = replace(gate, weight=index[gate.weight])
            gates.append(bound)
        return Circuit(self.wires, tuple(gates))

    @property
    def encoder(self) -> "Circuit":
        """The gates before the first weight, which can be simulated once per data point."""
        first = next((k for k, gate in enumerate(self.gates) if gate.weight is not None), len(self.gates))
        return Circuit(self.wires, self.gates[:first])

    @property
    def body(self) -> "Circuit":
        """The gates from the first weight on."""
        return Circuit(self.wires, self.gates[len(self.encoder.gates) :])
