"""Noisy circuits too wide for the exact engine: Aer's state vectors, with randomly sampled errors in each shot."""

from collections.abc import Sequence

import numpy as np
import torch
from qiskit import ClassicalRegister, QuantumCircuit
from qiskit.circuit import Delay, Parameter
from qiskit.transpiler import InstructionProperties, PassManager, QubitProperties, Target
from qiskit_aer import AerSimulator
from qiskit_aer.noise import NoiseModel, ReadoutError, RelaxationNoisePass
from qiskit_aer.noise.device import basic_device_gate_errors
from torch import Tensor

from quantum.devices.target import Device
from quantum.noise.engine.angles import feature
from quantum.noise.engine.channels import Noise, relaxation_times, scaled
from quantum.noise.engine.schedule import padded

WIDEST = 24
"""Qubits of the largest state vector (256 MiB)."""


def part_of(device: Device, qubits: Sequence[int], scale: float = 1.0) -> Target:
    """The device reduced to `qubits`, renamed 0, 1 ..., with its noise scaled as `Noise` does."""
    place = {qubit: k for k, qubit in enumerate(qubits)}
    source = device.target
    properties = source.qubit_properties or [None] * source.num_qubits
    times = [relaxation_times(properties[qubit], scale) for qubit in qubits]
    part = Target(num_qubits=len(place), dt=source.dt, qubit_properties=[QubitProperties(*pair) for pair in times])
    for name in source.operation_names:
        inside = {
            tuple(place[qubit] for qubit in where): _scaled(properties, scale, 2 ** len(where))
            for where, properties in source[name].items()
            if where is not None and place.keys() >= set(where)
        }
        if inside:
            part.add_instruction(source.operation_from_name(name), inside, name=name)
    return part


def _scaled(properties: InstructionProperties | None, scale: float, d: int) -> InstructionProperties | None:
    if properties is None:
        return None
    error = None if properties.error is None else scaled(properties.error, scale, (d - 1) / d)
    return InstructionProperties(duration=properties.duration, error=error)


def noise_model(device: Device, qubits: Sequence[int], scale: float = 1.0) -> NoiseModel:
    """Aer's noise model of the gates and the readout of `qubits`, renamed 0, 1 ...; `relaxed` adds idle times."""
    part = part_of(device, qubits, scale)
    model = NoiseModel(basis_gates=sorted(part.operation_names))
    for name, where, error in basic_device_gate_errors(target=part):
        model.add_quantum_error(error, name, where, warnings=False)
    noise = Noise(device, scale)
    for k, qubit in enumerate(qubits):
        up, down = noise.flips(qubit)
        if up or down:
            model.add_readout_error(ReadoutError([[1 - up, up], [down, 1 - down]]), [k])
    return model


def relaxed(circuit: QuantumCircuit, device: Device, qubits: Sequence[int], scale: float = 1.0) -> QuantumCircuit:
    """A circuit on the renamed `qubits` with thermal relaxation after each of its `Delay`s."""
    times = Noise(device, scale).times[list(qubits)]
    return PassManager([RelaxationNoisePass(*times.T.tolist(), dt=device.target.dt, op_types=Delay)]).run(circuit)


def used(circuit: QuantumCircuit, keep: Sequence[int]) -> list[int]:
    """The qubits that the circuit acts on, and those in `keep`."""
    index = {bit: k for k, bit in enumerate(circuit.qubits)}
    return sorted({index[bit] for item in circuit.data for bit in item.qubits if item.name != "barrier"} | set(keep))


def compact(circuit: QuantumCircuit, qubits: Sequence[int]) -> QuantumCircuit:
    """The circuit on `qubits` alone, renamed 0, 1 ...; measurements and barriers left out."""
    place = {circuit.qubits[qubit]: k for k, qubit in enumerate(qubits)}
    out = QuantumCircuit(len(qubits))
    for item in circuit.data:
        if item.name not in ("measure", "barrier"):
            out.append(item.operation, [place[bit] for bit in item.qubits])
    return out


def probabilities(
    circuit: QuantumCircuit,
    device: Device,
    measured: Sequence[int],
    x: Tensor,
    states: Tensor | None = None,
    prepared: tuple[int, ...] = (),
    *,
    scale: float,
    shots: int,
    seed: int,
) -> Tensor:
    """Relative frequency of each outcome of the qubits `measured`, `(samples, 2**measured)`; the first is bit 0.

    Raises `ValueError` above 24 qubits.
    """
    qubits = used(circuit, [*measured, *prepared])
    if len(qubits) > WIDEST:
        raise ValueError(f"the circuit uses {len(qubits)} qubits of {device.name}: at most {WIDEST} can be simulated")
    small = relaxed(compact(padded(circuit, device, prepared), qubits), device, qubits, scale)
    runs, binds = _inputs(small, x, states, [qubits.index(qubit) for qubit in prepared])
    for run in runs:
        run.add_register(ClassicalRegister(len(measured)))
        run.measure([qubits.index(qubit) for qubit in measured], range(len(measured)))
    simulator = AerSimulator(method="statevector", noise_model=noise_model(device, qubits, scale), seed_simulator=seed)
    result = simulator.run(runs, shots=shots, parameter_binds=binds).result()
    counts = np.zeros((len(x), 2 ** len(measured)))
    for k in range(len(x)):
        for outcome, times in result.get_counts(k).items():
            counts[k, int(outcome, 2)] = times
    return torch.from_numpy(counts / shots)


def _inputs(
    circuit: QuantumCircuit, x: Tensor, states: Tensor | None, prepared: Sequence[int]
) -> tuple[list[QuantumCircuit], list[dict[Parameter, list[float]]] | None]:
    """The circuits to run and the values of their parameters, for one result per sample."""
    if states is None and circuit.parameters:
        return [circuit], [{parameter: x[:, feature(parameter)].tolist() for parameter in circuit.parameters}]
    runs = []
    for k in range(len(x)):
        run = QuantumCircuit(circuit.num_qubits)
        if states is not None:
            run.set_statevector(_embedded(states[k].numpy(), prepared, circuit.num_qubits))
        bound = circuit.assign_parameters({p: float(x[k, feature(p)]) for p in circuit.parameters})
        runs.append(run.compose(bound))
    return runs, None


def _embedded(state: np.ndarray, qubits: Sequence[int], n: int) -> np.ndarray:
    """`state` of `qubits` (the first the least significant bit), with the others of the n qubits in |0>."""
    whole = np.zeros(2**n, dtype=complex)
    whole[[sum((k >> j & 1) << qubit for j, qubit in enumerate(qubits)) for k in range(len(state))]] = state
    return whole
