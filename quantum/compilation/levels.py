"""Level tables: the cost of each gate at each special angle, as the transpiler compiles it for a device.

Edges with the same gates, faster in the same direction, compile alike, so one edge of each kind is transpiled; the cost
then uses the errors and durations of each edge. The transpiler gets the median errors of the device, because without
errors it counts virtual gates as pulses. A gate that vanishes or equals another gate at its angle is first rewritten by
`quantum.circuits.lossless`: Qiskit's O3 does not detect that CRZ(2 pi) is a Z.
"""

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, astuple, dataclass
from functools import cached_property, lru_cache
from importlib.metadata import version
from statistics import median

from qiskit.circuit.library import get_standard_gate_name_mapping
from qiskit.transpiler import InstructionProperties, Target, generate_preset_pass_manager

from quantum.circuits.circuit import ROTATIONS, Circuit, Gate
from quantum.circuits.lossless import special_angle
from quantum.compilation.compile import VIRTUAL, gate_cost
from quantum.devices.target import Device
from quantum.interop.qiskit import to_qiskit
from shared.lab import cache_folder, write_atomic

OPTIMIZATION_LEVEL = 3
GENERIC = 0.7713
"""An angle, in radians, that is not special for any gate."""

ACCURACY = 0.1
"""A level must cost at least this share less than a generic angle: edges of one kind differ by as much."""

FORMAT = 2
"""Format of the cached tables: raise it if `build` changes its costs, so that no older table is read."""

Edge = tuple[int, ...]
_Use = tuple[str, Edge]
"""A gate of the device and the physical qubits it is used on."""

_Offer = tuple[str, Edge, bool]
"""A gate available on an edge, its qubits there, and whether it is slower than the gate in the other direction."""


@dataclass(frozen=True)
class LevelCost:
    """The cost of a compiled gate at one angle: two-qubit gates, one-qubit pulses, serial duration, and `-log ESP`."""

    twoq: float
    pulses: float
    duration_ns: float
    cost: float


@dataclass(frozen=True, eq=False)
class LevelTable:
    """Costs by gate, by angle in quarter turns (`None` for any other angle) and by physical qubit or edge."""

    costs: Mapping[tuple[str, int | None], Mapping[Edge, LevelCost]]

    def on(self, gate: str, quarters: int | None, edge: Edge | None = None) -> LevelCost:
        """The cost on `edge`, or without one the median over the device, which is robust against its worst edges."""
        here = self.costs[gate, quarters]
        if edge is not None and edge in here:
            return here[edge]
        return self._medians[gate, quarters]

    # Computed once: a search uses prices thousands of times, and a device has hundreds of edges.
    @cached_property
    def _medians(self) -> Mapping[tuple[str, int | None], LevelCost]:
        return {
            key: LevelCost(*map(median, zip(*map(astuple, here.values()), strict=True)))
            for key, here in self.costs.items()
        }

    def levels(self, gate: str) -> tuple[float, ...]:
        """The angles in radians, within one period, at which the gate vanishes or costs less than at other angles."""
        least = self.on(gate, None).cost * (1 - ACCURACY)
        return tuple(q * math.pi / 2 for q in quarters(gate) if q == 0 or self.on(gate, q).cost < least)


def quarters(gate: str) -> range:
    """The quarter turns within the gate's period: 4, or 8 for controlled rotations."""
    return range(round(ROTATIONS[gate] / (math.pi / 2)))


@lru_cache
def level_table(device: Device) -> LevelTable:
    """The table for `device`, cached on disk by device, Qiskit version and optimization level."""
    name = f"levels{FORMAT}-{device.sha256[:16]}-qiskit{version('qiskit')}-O{OPTIMIZATION_LEVEL}.json"
    path = cache_folder() / name
    try:
        cached = _from_json(path.read_text())
    except (OSError, ValueError, TypeError):
        cached = LevelTable({})
    if _is_complete(cached, device.target):
        return cached
    table = build(device)
    with suppress(OSError):  # without a writable cache the table is built again each time, in seconds
        write_atomic(path, _to_json(table).encode())
    return table


def build(device: Device) -> LevelTable:
    """Transpiles every rotation at every quarter turn, and at a generic angle, for every kind of edge."""
    compiled: dict[tuple[frozenset[_Offer], str, int | None], list[_Use]] = {}
    costs: dict[tuple[str, int | None], dict[Edge, LevelCost]] = {}
    for place in _places(device.target):
        offers = _offers(device.target, place)
        for gate in ROTATIONS:
            if _arity(gate) != len(place):
                continue
            for quarter in (*quarters(gate), None):
                key = (offers, gate, quarter)
                if key not in compiled:
                    compiled[key] = _compile(*key, device.target)
                uses = [(name, tuple(place[wire] for wire in wires)) for name, wires in compiled[key]]
                costs.setdefault((gate, quarter), {})[place] = _cost(uses, device.target)
    return LevelTable(costs)


def _is_complete(table: LevelTable, target: Target) -> bool:
    """Whether every gate has a cost at every angle on every edge: an older version may have had fewer gates."""
    places = {arity: {place for place in _places(target) if len(place) == arity} for arity in (1, 2)}
    return all(
        set(table.costs.get((gate, quarter), ())) == places[_arity(gate)]
        for gate in ROTATIONS
        for quarter in (*quarters(gate), None)
    )


@lru_cache
def _arity(gate: str) -> int:
    return int(get_standard_gate_name_mapping()[gate].num_qubits)


def _places(target: Target) -> Iterator[Edge]:
    """Every qubit, and every coupled pair of qubits in both directions."""
    yield from ((qubit,) for qubit in range(target.num_qubits))
    edges = {tuple(edge) for edge in target.build_coupling_map().get_edges()} if target.num_qubits > 1 else set()
    yield from sorted(edges | {edge[::-1] for edge in edges})


def _offers(target: Target, place: Edge) -> frozenset[_Offer]:
    """The gates available within `place`, with its qubits renamed 0, 1."""
    here = {qubit: k for k, qubit in enumerate(place)}
    return frozenset(
        (name, tuple(here[q] for q in wires), _is_slower(target[name], wires))
        for name in target.operation_names
        if name not in ("measure", "reset", "delay") and target[name] is not None
        for wires in target[name]
        if wires is not None and set(wires) <= set(place)
    )


def _is_slower(places: Mapping[Edge | None, InstructionProperties | None], wires: Edge) -> bool:
    """Whether a gate is slower than in the other direction: the transpiler uses the faster one."""
    one, other = (getattr(places.get(way), "duration", None) for way in (wires, wires[::-1]))
    return one is not None and other is not None and one > other


def _nominal(target: Target, name: str) -> InstructionProperties:
    """The median error and duration of a gate over the places that report them."""
    reported = [p for p in (target[name] or {}).values() if p is not None]
    errors, durations = ([v for p in reported if (v := getattr(p, key)) is not None] for key in ("error", "duration"))
    return InstructionProperties(median(durations) if durations else None, median(errors) if errors else None)


def _compile(offers: frozenset[_Offer], gate: str, quarter: int | None, target: Target) -> list[_Use]:
    names = get_standard_gate_name_mapping()
    arity = _arity(gate)
    small = Target(num_qubits=arity)
    for name in sorted({name for name, _, _ in offers if name in names}):
        nominal = _nominal(target, name)
        places = {
            wires: InstructionProperties(nominal.duration and nominal.duration * (1 + slower), nominal.error)
            for other, wires, slower in sorted(offers)
            if other == name
        }
        bounds = [(0.0, math.pi / 2)] if target.gate_has_angle_bounds(name) else None
        small.add_instruction(names[name], places, angle_bounds=bounds)
    angle = GENERIC if quarter is None else quarter * math.pi / 2
    circuit = to_qiskit(Circuit(arity, tuple(special_angle(Gate(gate, tuple(range(arity)), angle)))))
    manager = generate_preset_pass_manager(
        OPTIMIZATION_LEVEL, target=small, seed_transpiler=0, initial_layout=list(range(arity))
    )
    done = manager.run(circuit)
    return [(item.operation.name, tuple(done.find_bit(bit).index for bit in item.qubits)) for item in done.data]


def _cost(uses: list[_Use], target: Target) -> LevelCost:
    properties = [target[name].get(wires) for name, wires in uses]
    return LevelCost(
        twoq=sum(len(wires) == 2 for _, wires in uses),
        pulses=sum(len(wires) == 1 and name not in VIRTUAL for name, wires in uses),
        duration_ns=sum(1e9 * (p.duration or 0.0) for p in properties if p is not None),
        cost=sum(gate_cost(name, wires, target) for name, wires in uses),
    )


def _to_json(table: LevelTable) -> str:
    return json.dumps(
        [
            [gate, quarter, list(edge), asdict(cost)]
            for (gate, quarter), row in table.costs.items()
            for edge, cost in row.items()
        ]
    )


def _from_json(text: str) -> LevelTable:
    costs: dict[tuple[str, int | None], dict[Edge, LevelCost]] = {}
    for gate, quarter, edge, cost in json.loads(text):
        costs.setdefault((gate, quarter), {})[tuple(edge)] = LevelCost(**cost)
    return LevelTable(costs)
