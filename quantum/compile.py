"""Compile a circuit with Qiskit's transpiler and count what the device will run."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from qiskit import QuantumCircuit
from qiskit.circuit import CircuitInstruction
from qiskit.transpiler import PassManager, Target, generate_preset_pass_manager

from quantum.target import Device

_VIRTUAL = frozenset({"rz", "p", "id", "barrier", "measure", "delay"})


@dataclass(frozen=True)
class Compiled:
    """A circuit in the device's own gates, and its cost there.

    `depth` counts every gate, as published results do; `depth_no_rz` leaves out virtual RZ; `esp` is the estimated
    success probability, the product of `1 - error` over the gates (readout left out); `duration_ns` is the critical path.
    """

    circuit: QuantumCircuit
    seed: int
    twoq: int
    depth: int
    depth_no_rz: int
    twoq_depth: int
    esp: float
    duration_ns: float


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
    results = (
        count(_pass_manager(device, seed, approximation_degree).run(circuit), device, seed) for seed in seeds
    )
    return min(results, key=lambda compiled: (compiled.twoq, compiled.depth))


def count(circuit: QuantumCircuit, device: Device, seed: int = 0) -> Compiled:
    """What a circuit that is already in the device's gates costs."""
    log_esp = sum(_log_success(item, circuit, device.target) for item in circuit.data)
    return Compiled(
        circuit=circuit,
        seed=seed,
        twoq=circuit.num_nonlocal_gates(),
        depth=circuit.depth(_runs),
        depth_no_rz=circuit.depth(lambda item: item.operation.name not in _VIRTUAL),
        twoq_depth=circuit.depth(lambda item: len(item.qubits) == 2 and _runs(item)),
        esp=math.exp(log_esp),
        duration_ns=_duration_ns(circuit, device.target),
    )


def _runs(item: CircuitInstruction) -> bool:
    return item.operation.name not in ("barrier", "measure", "delay")


def _properties(item: CircuitInstruction, circuit: QuantumCircuit, target: Target):
    wires = tuple(circuit.find_bit(bit).index for bit in item.qubits)
    gates = target[item.operation.name] if item.operation.name in target else {}
    return gates.get(wires) or gates.get(None)


def _log_success(item: CircuitInstruction, circuit: QuantumCircuit, target: Target) -> float:
    properties = _properties(item, circuit, target) if _runs(item) else None
    return math.log1p(-properties.error) if properties is not None and properties.error else 0.0


def _duration_ns(circuit: QuantumCircuit, target: Target) -> float:
    """The longest path through the gates' own durations."""
    busy = [0.0] * circuit.num_qubits
    for item in circuit.data:
        if not _runs(item):
            continue
        properties = _properties(item, circuit, target)
        wires = [circuit.find_bit(bit).index for bit in item.qubits]
        end = max(busy[w] for w in wires) + (1e9 * (properties.duration or 0.0) if properties is not None else 0.0)
        for wire in wires:
            busy[wire] = end
    return max(busy, default=0.0)
