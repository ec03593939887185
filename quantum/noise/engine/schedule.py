"""The schedule of a compiled circuit: when its gates run, and how long each qubit is idle in between.

Gates run as late as possible (ALAP), as on IBM's devices: every gate ends when the next one on its qubits starts, and
all measurements start together. A qubit counts as idle only between its first gate and its measurement, not while it
is still in |0>.
"""

from typing import NamedTuple

from qiskit import QuantumCircuit
from qiskit.circuit import Delay, Operation, ParameterExpression
from qiskit.utils.units import apply_prefix

from quantum.devices.target import Device


class Timed(NamedTuple):
    """An operation of a scheduled circuit; an idle time is a `delay` of `seconds`, `params` are the gate's angles."""

    name: str
    qubits: tuple[int, ...]
    params: tuple[float | ParameterExpression, ...]
    seconds: float
    operation: Operation | None


def schedule(circuit: QuantumCircuit, device: Device, prepared: tuple[int, ...] = ()) -> list[Timed]:
    """The gates of a compiled circuit in order, with a `delay` for every idle time and without the measurements.

    The qubits `prepared` hold data before the first gate, so their idle time begins at the start of the circuit.

    Raises `ValueError` for a gate that the device does not have on those qubits, and for a gate after a measurement.
    """
    durations = _Durations(device)
    ahead: dict[int, float] = {}  # seconds from the start of what follows on a qubit to the measurement
    timed: list[Timed] = []  # backwards
    for item in reversed(_operations(circuit)):
        start = max(ahead.get(qubit, 0.0) for qubit in item.qubits)
        timed += [_idle(qubit, start - ahead.get(qubit, 0.0)) for qubit in item.qubits if start > ahead.get(qubit, 0.0)]
        seconds = 0.0 if item.name == "barrier" else durations(item)
        if item.name != "barrier":
            timed.append(item._replace(seconds=seconds))
        ahead.update(dict.fromkeys(item.qubits, start + seconds))
    total = max(ahead.values(), default=0.0)
    timed += [_idle(qubit, total - ahead.get(qubit, 0.0)) for qubit in prepared if total > ahead.get(qubit, 0.0)]
    return timed[::-1]


def padded(circuit: QuantumCircuit, device: Device, prepared: tuple[int, ...] = ()) -> QuantumCircuit:
    """The circuit with its idle times as Qiskit `Delay`s in seconds, to which Aer adds relaxation."""
    out = circuit.copy_empty_like()
    for item in schedule(circuit, device, prepared):
        out.append(item.operation or Delay(item.seconds, unit="s"), item.qubits)
    return out


def _idle(qubit: int, seconds: float) -> Timed:
    return Timed("delay", (qubit,), (), seconds, None)


def _operations(circuit: QuantumCircuit) -> list[Timed]:
    """All operations except the final measurements."""
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
    """Durations of operations on the device, in seconds; raises `ValueError` for one that the device does not have."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self.tables: dict[str, dict] = {}

    def __call__(self, item: Timed) -> float:
        if isinstance(item.operation, Delay):
            return self._delay(item.operation)
        target = self.device.target
        if item.name not in self.tables:
            if item.name not in target.operation_names:
                names = ", ".join(sorted(target.operation_names))
                raise ValueError(
                    f"gate {item.name!r} is not a gate of {self.device.name} ({names}): compile the circuit for it"
                )
            self.tables[item.name] = dict(target[item.name])
        table = self.tables[item.name]
        if item.qubits not in table and None not in table:
            raise ValueError(
                f"{self.device.name} has no {item.name!r} on qubits {item.qubits}: compile the circuit for it first"
            )
        properties = table.get(item.qubits)
        return 0.0 if properties is None else properties.duration or 0.0

    def _delay(self, delay: Delay) -> float:
        if delay.unit != "dt":
            return float(apply_prefix(delay.duration, delay.unit))
        if self.device.target.dt is None:
            raise ValueError(
                f"a delay of {delay.duration} dt: {self.device.name} has no dt; state the delay in seconds"
            )
        return float(delay.duration * self.device.target.dt)
