"""Compilation of a circuit with Qiskit's transpiler, and the counts of the compiled circuit."""

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from qiskit import QuantumCircuit
from qiskit.circuit import CircuitInstruction
from qiskit.transpiler import InstructionProperties, PassManager, Target, generate_preset_pass_manager

from quantum.circuits.circuit import Circuit
from quantum.circuits.lossless import lossless
from quantum.circuits.readout import Readout
from quantum.devices.target import Device
from quantum.interop.qiskit import to_qiskit

NOMINAL_ERROR = {1: 3e-4, 2: 1e-2}
"""Error of a one- and a two-qubit gate on a device that reports none: typical of superconducting devices."""

VIRTUAL = frozenset({"rz", "p", "id", "barrier", "measure", "delay"})


@dataclass(frozen=True)
class Compiled:
    """A circuit in the basis gates of a device, and its cost there.

    `depth` counts every gate, as published results do; `depth_no_rz` excludes virtual RZ; `esp` is the estimated
    success probability, the product of `1 - error` over the gates without readout; `duration_ns` is the critical path.
    `cost` is `-log ESP`, additive over gates, with `NOMINAL_ERROR` for errors that a device does not report, so that
    circuits are also ranked on ideal devices. `measured[w]` is the physical qubit that holds wire `w` at the end.
    """

    circuit: QuantumCircuit
    seed: int
    twoq: int
    depth: int
    depth_no_rz: int
    twoq_depth: int
    esp: float
    cost: float
    duration_ns: float
    measured: tuple[int, ...]


@lru_cache(maxsize=256)
def _pass_manager(device: Device, seed: int, approximation_degree: float) -> PassManager:
    return generate_preset_pass_manager(
        optimization_level=3,
        target=device.target,
        seed_transpiler=seed,
        approximation_degree=approximation_degree,
    )


def compile_circuit(
    circuit: QuantumCircuit, device: Device, seeds: Iterable[int] = (0,), approximation_degree: float = 1.0
) -> Compiled:
    """The cheapest of Qiskit's O3 results over `seeds`: fewest two-qubit gates, then least depth.

    Raises `ValueError` when the circuit does not fit the device.
    """
    if circuit.num_qubits > device.target.num_qubits:
        raise ValueError(
            f"a circuit of {circuit.num_qubits} qubits does not fit {device.name}, which has {device.target.num_qubits}"
        )
    results = (count(_pass_manager(device, seed, approximation_degree).run(circuit), device, seed) for seed in seeds)
    return min(results, key=lambda compiled: (compiled.twoq, compiled.depth))


def compile_as_given(circuit: QuantumCircuit, device: Device, seeds: Iterable[int] = (0,)) -> Compiled:
    """The circuit translated and routed with every gate kept: none is cancelled, merged or moved over a barrier.

    Wires stay on the qubits of their numbers if no gate then needs a swap; else the layout of `seeds` with the fewest
    two-qubit gates is taken. Raises `ValueError` when the circuit does not fit the device.
    """
    if circuit.num_qubits > device.target.num_qubits:
        raise ValueError(
            f"a circuit of {circuit.num_qubits} qubits does not fit {device.name}, which has {device.target.num_qubits}"
        )
    ways = [("trivial", 0), *(("sabre", seed) for seed in seeds)]
    managers = (
        generate_preset_pass_manager(
            optimization_level=0,
            target=device.target,
            layout_method=layout,
            routing_method="sabre",
            seed_transpiler=seed,
        )
        for layout, seed in ways
    )
    results = (count(manager.run(circuit), device, seed) for manager, (_, seed) in zip(managers, ways, strict=True))
    return min(results, key=lambda compiled: (compiled.twoq, compiled.depth))


def deploy(circuit: Circuit, readout: Readout, device: Device, seeds: Iterable[int] = (0,)) -> tuple[Compiled, Readout]:
    """A bound circuit, losslessly rewritten for its readout and then compiled; and the rewritten readout."""
    short, parities = lossless(circuit, readout)
    return compile_circuit(to_qiskit(short), device, seeds), parities


def count(circuit: QuantumCircuit, device: Device, seed: int = 0) -> Compiled:
    """The counts of a circuit that is already in the device's basis gates."""
    uses = [_use(item, circuit) for item in filter(_runs, circuit.data)]
    layout = circuit.layout
    return Compiled(
        circuit=circuit,
        seed=seed,
        twoq=circuit.num_nonlocal_gates(),
        depth=circuit.depth(_runs),
        depth_no_rz=circuit.depth(lambda item: item.operation.name not in VIRTUAL),
        twoq_depth=circuit.depth(lambda item: len(item.qubits) == 2 and _runs(item)),
        esp=math.prod(1 - (_error(*use, device.target) or 0.0) for use in uses),
        cost=sum(gate_cost(*use, device.target) for use in uses),
        duration_ns=_duration_ns(uses, device.target),
        measured=tuple(range(circuit.num_qubits)) if layout is None else tuple(layout.final_index_layout()),
    )


def _runs(item: CircuitInstruction) -> bool:
    return item.operation.name not in ("barrier", "measure", "delay")


def gate_cost(name: str, wires: tuple[int, ...], target: Target) -> float:
    """`-log(1 - error)` of one gate of the device on its physical qubits, in nats."""
    error = _error(name, wires, target)
    if error is None:
        error = 0.0 if name in VIRTUAL else NOMINAL_ERROR[len(wires)]
    return -math.log(max(1 - error, 1e-12))


def _use(item: CircuitInstruction, circuit: QuantumCircuit) -> tuple[str, tuple[int, ...]]:
    return item.operation.name, tuple(circuit.find_bit(bit).index for bit in item.qubits)


def _error(name: str, wires: tuple[int, ...], target: Target) -> float | None:
    properties = _properties(name, wires, target)
    return None if properties is None else properties.error


def _properties(name: str, wires: tuple[int, ...], target: Target) -> InstructionProperties | None:
    places = target.get(name, {})
    return places.get(wires) or places.get(None)


def _duration_ns(uses: Iterable[tuple[str, tuple[int, ...]]], target: Target) -> float:
    """The duration of the longest path through the gates."""
    busy: defaultdict[int, float] = defaultdict(float)
    for name, wires in uses:
        properties = _properties(name, wires, target)
        duration = (properties.duration or 0.0) if properties is not None else 0.0
        end = max(busy[wire] for wire in wires) + 1e9 * duration
        busy.update(dict.fromkeys(wires, end))
    return max(busy.values(), default=0.0)
