"""When a compiled circuit's gates run, and how long each qubit waits in between.

As late as possible (ALAP), as IBM's devices do it: every gate ends when the next one on its qubits starts, and all
measurements start together. A qubit waits only between its first gate and its measurement, never in |0> before.
"""

from typing import NamedTuple

from qiskit import QuantumCircuit
from qiskit.circuit import Delay, Operation, ParameterExpression
from qiskit.utils.units import apply_prefix

from quantum.devices.target import Device


class Timed(NamedTuple):
    """An operation of a scheduled circuit. A wait is a `delay` of `seconds`; gates carry their angles in `params`."""

    name: str
    qubits: tuple[int, ...]
    params: tuple[float | ParameterExpression, ...]
    seconds: float
    operation: Operation | None


def schedule(circuit: QuantumCircuit, device: Device, prepared: tuple[int, ...] = ()) -> list[Timed]:
    """The gates of a compiled circuit in order, with a `delay` wherever a qubit waits; measurements left out.

    `prepared` are qubits that hold data before the first gate, so that they wait from the start of the circuit.

    Raises `ValueError` for a gate that the device does not have there, and for anything after a measurement.
    """
    durations = _Durations(device)
    ahead: dict[int, float] = {}  # seconds from the start of what follows on a qubit to the measurement
    timed: list[Timed] = []  # backwards
    for item in reversed(_operations(circuit)):
        start = max(ahead.get(qubit, 0.0) for qubit in item.qubits)
        timed += [_wait(qubit, start - ahead.get(qubit, 0.0)) for qubit in item.qubits if start > ahead.get(qubit, 0.0)]
        seconds = 0.0 if item.name == "barrier" else durations(item)
        if item.name != "barrier":
            timed.append(item._replace(seconds=seconds))
        ahead.update(dict.fromkeys(item.qubits, start + seconds))
    total = max(ahead.values(), default=0.0)
    timed += [_wait(qubit, total - ahead.get(qubit, 0.0)) for qubit in prepared if total > ahead.get(qubit, 0.0)]
    return timed[::-1]


def padded(circuit: QuantumCircuit, device: Device, prepared: tuple[int, ...] = ()) -> QuantumCircuit:
    """The circuit with its waits as Qiskit `Delay`s in seconds: what Aer needs to add relaxation to them."""
    out = circuit.copy_empty_like()
    for item in schedule(circuit, device, prepared):
        out.append(item.operation or Delay(item.seconds, unit="s"), item.qubits)
    return out


def _wait(qubit: int, seconds: float) -> Timed:
    return Timed("delay", (qubit,), (), seconds, None)


def _operations(circuit: QuantumCircuit) -> list[Timed]:
    """Everything but the final measurements."""
    index = {bit: k for k, bit in enumerate(circuit.qubits)}
    measured: set[int] = set()
    operations = []
    for item in circuit.data:
        qubits = tuple(index[bit] for bit in item.qubits)
        if item.name == "measure":
            measured.update(qubits)
        elif item.name == "barrier":
            operations.append(Timed("barrier", qubits, (), 0.0, item.operation))
        elif again := measured.intersection(qubits):
            raise ValueError(
                f"{item.name!r} follows the measurement of qubit {min(again)}: circuits are measured once, at the end"
            )
        else:
            operations.append(Timed(item.name, qubits, tuple(item.params), 0.0, item.operation))
    return operations


class _Durations:
    """How long an operation takes on the device, in seconds; refuses what the device does not have."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self.known: dict[str, dict] = {}

    def __call__(self, item: Timed) -> float:
        if isinstance(item.operation, Delay):
            return self._delay(item.operation)
        target = self.device.target
        if item.name not in self.known:
            if item.name not in target.operation_names:
                names = ", ".join(sorted(target.operation_names))
                raise ValueError(
                    f"gate {item.name!r} is not one of {self.device.name}'s ({names}): compile the circuit for it first"
                )
            self.known[item.name] = dict(target[item.name])
        properties = self.known[item.name]
        if item.qubits not in properties and None not in properties:
            raise ValueError(
                f"{self.device.name} has no {item.name!r} on qubits {item.qubits}: compile the circuit for it first"
            )
        found = properties.get(item.qubits)
        return 0.0 if found is None else found.duration or 0.0

    def _delay(self, delay: Delay) -> float:
        if delay.unit != "dt":
            return float(apply_prefix(delay.duration, delay.unit))
        if self.device.target.dt is None:
            raise ValueError(f"a delay of {delay.duration} dt: {self.device.name} has no dt, give it in seconds")
        return float(delay.duration * self.device.target.dt)
