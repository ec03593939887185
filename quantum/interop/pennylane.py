"""PennyLane QNodes and quantum functions to and from our circuits."""

import copy
import inspect
import math
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import pennylane as qml
from pennylane.measurements import MeasurementProcess
from pennylane.operation import Operator
from pennylane.tape import QuantumScript, QuantumScriptBatch
from pennylane.typing import PostprocessingFn

from quantum.circuits.circuit import FIXED, ROTATIONS, Circuit, Gate
from quantum.interop.limits import MOST_GATES

_CLASSES: dict[str, Callable[..., Operator]] = {
    "rx": qml.RX,
    "ry": qml.RY,
    "rz": qml.RZ,
    "p": qml.PhaseShift,
    "rxx": qml.IsingXX,
    "ryy": qml.IsingYY,
    "rzz": qml.IsingZZ,
    "cp": qml.ControlledPhaseShift,
    "crx": qml.CRX,
    "cry": qml.CRY,
    "crz": qml.CRZ,
    "id": qml.Identity,
    "x": qml.X,
    "y": qml.Y,
    "z": qml.Z,
    "h": qml.Hadamard,
    "s": qml.S,
    "sdg": lambda wires: qml.adjoint(qml.S(wires=wires)),
    "t": qml.T,
    "tdg": lambda wires: qml.adjoint(qml.T(wires=wires)),
    "sx": qml.SX,
    "sxdg": lambda wires: qml.adjoint(qml.SX(wires=wires)),
    "cx": qml.CNOT,
    "cy": qml.CY,
    "cz": qml.CZ,
    "ch": qml.CH,
    "swap": qml.SWAP,
    "iswap": qml.ISWAP,
    "ecr": qml.ECR,
}
_NAMES = {
    "RX": "rx",
    "RY": "ry",
    "RZ": "rz",
    "PhaseShift": "p",
    "U1": "p",
    "IsingXX": "rxx",
    "IsingYY": "ryy",
    "IsingZZ": "rzz",
    "ControlledPhaseShift": "cp",
    "CRX": "crx",
    "CRY": "cry",
    "CRZ": "crz",
    "Identity": "id",
    "PauliX": "x",
    "PauliY": "y",
    "PauliZ": "z",
    "Hadamard": "h",
    "S": "s",
    "Adjoint(S)": "sdg",
    "T": "t",
    "Adjoint(T)": "tdg",
    "SX": "sx",
    "Adjoint(SX)": "sxdg",
    "CNOT": "cx",
    "CY": "cy",
    "CZ": "cz",
    "CH": "ch",
    "SWAP": "swap",
    "ISWAP": "iswap",
    "ECR": "ecr",
}
_IGNORED = frozenset({"Barrier", "WireCut", "GlobalPhase", "Snapshot"})

Rewrite: TypeAlias = Callable[[Circuit, list[float]], Circuit]
"""From a circuit and the values of its weights to another circuit on the same wires, features and weights."""


class _Step(NamedTuple):
    """One gate of our set with its angle as PennyLane holds it: a number, or an array or tensor of any framework."""

    name: str
    wires: tuple[int, ...]
    angle: Any


def from_pennylane(
    function: Callable[..., Any], /, *args: Any, features: str | None = None, **kwargs: Any
) -> tuple[Circuit, list[float]]:
    """Our circuit, every rotation that reads no data with a weight of its own, and the values of those weights.

    `function` is a QNode or a quantum function, and the other arguments are an example of its call. The data is the
    argument called `features`, without it the first whose name starts with `x`, `feature` or `input`; it is one row.
    How the angles depend on it is found by calling the function at 0 and at each unit vector, and checked at two more
    points. Gates outside our set are decomposed as PennyLane does; wires are numbered by their labels' order.

    Raises `ValueError` where an angle is not affine in the data, the data decides which gates there are, a state is
    prepared from amplitudes, or a measurement is not at the end.
    """
    call = _Call(function, args, kwargs, features)
    at_zero = call.steps(np.zeros(call.size))
    value = np.array([_number(step) for step in at_zero])
    slope = np.zeros((call.size, len(at_zero)))
    for column, unit in enumerate(np.eye(call.size)):
        slope[column] = (call.angles(unit, at_zero) - value).round(12)
    for point in _checks(call.size):
        affine = value + point @ slope
        wrong = np.abs(call.angles(point, at_zero) - affine) > 1e-6 * (1 + np.abs(affine))
        if wrong.any():
            step = at_zero[int(wrong.argmax())]
            raise ValueError(
                f"the angle of {step.name!r} on {list(step.wires)} is not affine in {call.features!r}: compute it "
                f"beforehand and give it as a feature of its own"
            )
    gates = [gate for k, step in enumerate(at_zero) for gate in _gates(step, value[k], slope[:, k])]
    return Circuit(len(call.wires), tuple(gates)).untie(())


def to_pennylane(
    circuit: Circuit,
    weights: Sequence[float],
    function: Callable[..., Any],
    /,
    *args: Any,
    features: str | None = None,
    **kwargs: Any,
) -> Any:
    """`function` with the gates of `circuit` in place of its own: a QNode from a QNode, and the same measurements.

    Its arguments are the data, under the name it had, and `weights` (circuit.weights,), which are the given ones unless
    the caller says otherwise. The other arguments are the example that `from_pennylane` was called with.
    """
    call = _Call(function, args, kwargs, features)
    if len(call.wires) != circuit.wires:
        raise ValueError(f"a circuit of {circuit.wires} wires cannot replace one of {len(call.wires)}")
    usual = np.array([float(weight) for weight in weights])
    names = [inspect.Parameter(call.features, inspect.Parameter.POSITIONAL_OR_KEYWORD)] if call.features else []
    names.append(inspect.Parameter("weights", inspect.Parameter.POSITIONAL_OR_KEYWORD, default=usual))
    signature = inspect.Signature(names)

    def compressed(*args: Any, **kwargs: Any) -> Any:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        with qml.QueuingManager.stop_recording():
            measured = call()
        for gate in circuit.gates:
            angle: Any = gate.value
            if gate.weight is not None:
                angle = gate.value + gate.scale * bound.arguments["weights"][gate.weight]
            elif gate.feature is not None:
                angle = gate.value + gate.scale * call.column(bound.arguments[str(call.features)], gate.feature)
            _apply(gate, angle, call.wires)
        return _queued(measured)

    compressed.__name__ = getattr(call.function, "__name__", "compressed")
    compressed.__signature__ = signature  # type: ignore[attr-defined]
    if not isinstance(function, qml.QNode):
        return compressed
    node = copy.copy(function)
    node.func = compressed
    return node


@qml.transform
def rewritten(tape: QuantumScript, rewrite: Rewrite) -> tuple[QuantumScriptBatch, PostprocessingFn]:
    """A QNode whose gates went through `rewrite`, as a transform: `rewritten(qnode, rewrite=...)` is again a QNode.

    Each angle that the interface trains is a weight, each plain Python number is fixed, and every other angle is a
    feature of its own, so batches and gradients pass through what `rewrite` keeps of them. `rewrite` is called once for
    each circuit and values of the weights that come by. An angle computed from data and weights together counts as a
    weight: to rewrite such a circuit once for all data, use `from_pennylane` and `to_pennylane`.
    """
    wires = _labels(tape)
    steps = list(_flat(tape.operations, wires))
    weights = [step.angle for step in steps if _kind(step) == "weight"]
    features = [step.angle for step in steps if _kind(step) == "feature"]
    circuit = _memoised(rewrite, *_symbolic(steps, len(wires)))
    with qml.queuing.AnnotatedQueue() as queue:
        for gate in circuit.gates:
            angle: Any = gate.value
            if gate.weight is not None:
                angle = gate.value + gate.scale * weights[gate.weight]
            elif gate.feature is not None:
                angle = gate.value + gate.scale * features[gate.feature]
            _apply(gate, angle, wires)
    return (tape.copy(operations=list(queue.queue)),), lambda results: results[0]


@lru_cache(maxsize=128)
def _memoised(rewrite: Rewrite, circuit: Circuit, values: tuple[float, ...]) -> Circuit:
    out = rewrite(circuit, list(values))
    if out.wires != circuit.wires or out.weights > circuit.weights or out.features > circuit.features:
        raise ValueError(
            f"a rewritten circuit keeps its wires, weights and features ({circuit.wires}, {circuit.weights}, "
            f"{circuit.features}), but now has {out.wires}, {out.weights}, {out.features}"
        )
    return out


def _symbolic(steps: Sequence[_Step], wires: int) -> tuple[Circuit, tuple[float, ...]]:
    """The circuit of a tape, its weights and features numbered as they come, and the values of the weights."""
    values: list[float] = []
    features = 0
    gates = []
    for step in steps:
        match _kind(step):
            case "weight":
                gates.append(Gate(step.name, step.wires, weight=len(values)))
                values.append(_number(step))
            case "feature":
                gates.append(Gate(step.name, step.wires, feature=features))
                features += 1
            case "fixed":
                gates.append(Gate(step.name, step.wires, 0.0 if step.angle is None else float(step.angle)))
    return Circuit(wires, tuple(gates)), tuple(values)


def _kind(step: _Step) -> str:
    if step.angle is None or type(step.angle) in (int, float):
        return "fixed"
    return "weight" if qml.math.requires_grad(step.angle) else "feature"


class _Call:
    """A quantum function with an example of its arguments, to be called again with other data."""

    def __init__(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], features: str | None
    ) -> None:
        self.function = function.func if isinstance(function, qml.QNode) else function
        signature = inspect.signature(self.function)
        if features is not None and features not in signature.parameters:
            raise ValueError(
                f"{self.function.__name__} has no argument {features!r}: {', '.join(signature.parameters)}"
            )
        guess = (name for name in signature.parameters if name.startswith(("x", "feature", "input")))
        self.features = features or next(guess, None)
        self.bound = signature.bind(*args, **kwargs)
        self.bound.apply_defaults()
        self.data = self.bound.arguments[self.features] if self.features else ()
        self.shape = np.shape(qml.math.to_numpy(self.data))
        self.size = math.prod(self.shape) if self.features else 0
        tape = qml.tape.make_qscript(self)()
        self.wires = _labels(tape)
        list(_flat(tape.operations, self.wires))  # what cannot be read shows here, before other data is tried

    def __call__(self, point: np.ndarray | None = None) -> Any:
        """What the function returns for the example, or for the data `point` (size,)."""
        if point is None or not self.features:
            return self.function(*self.bound.args, **self.bound.kwargs)
        bound = copy.copy(self.bound)
        data = qml.math.asarray(point.reshape(self.shape), like=qml.math.get_interface(self.data))
        bound.arguments = {**bound.arguments, self.features: data}
        return self.function(*bound.args, **bound.kwargs)

    def steps(self, point: np.ndarray) -> list[_Step]:
        """The gates at the data `point`."""
        return list(_flat(qml.tape.make_qscript(self)(point).operations, self.wires))

    def angles(self, point: np.ndarray, like: Sequence[_Step]) -> np.ndarray:
        """`(gates,)` angles at the data `point`, where the gates have to be those of `like`."""
        steps = self.steps(point)
        if [step[:2] for step in steps] != [step[:2] for step in like]:
            raise ValueError(f"which gates there are depends on the values of {self.features!r}: they must not")
        return np.array([_number(step) for step in steps])

    def column(self, data: Any, k: int) -> Any:
        """Column `k` of the data as the example has it, for a whole batch if that is what `data` is."""
        if len(self.shape) <= 1 or self.shape[0] == self.size // self.shape[-1] == 1:
            return data[..., k] if self.shape else data
        return data[tuple(int(index) for index in np.unravel_index(k, self.shape))]


def _labels(tape: QuantumScript) -> list[Any]:
    """The wires of the tape: numbers in order, other labels as they come."""
    labels = tape.wires.tolist()
    return sorted(labels) if all(isinstance(label, int) for label in labels) else labels


def _flat(operations: Sequence[Operator], labels: Sequence[Any]) -> Iterator[_Step]:
    """The operations in our gate set; others are decomposed, depth first."""
    index = {label: k for k, label in enumerate(labels)}
    todo = list(reversed(operations))
    found = 0
    while todo:
        operation = todo.pop()
        wires = tuple(index[label] for label in operation.wires)
        if operation.name in _IGNORED:
            continue
        if step := _step(operation, wires):
            found += 1
            yield step
        elif isinstance(operation, qml.StatePrep | qml.AmplitudeEmbedding):
            raise ValueError(
                f"{operation.name} prepares a state from amplitudes, which is no gate of a fixed circuit: give the "
                f"circuit that follows it, and the amplitudes as states"
            )
        elif isinstance(operation, MeasurementProcess) or not operation.has_decomposition:
            raise ValueError(
                f"{operation.name!r} on wires {operation.wires.tolist()} is no gate, or one without a decomposition "
                f"into gates on one and two wires: take it out, or put its gates there"
            )
        else:
            todo += reversed(operation.decomposition())
        if found + len(todo) > MOST_GATES:
            raise ValueError(f"the circuit has more than {MOST_GATES} gates when it is decomposed")


def _step(operation: Operator, wires: tuple[int, ...]) -> _Step | None:
    name = _NAMES.get(operation.name)
    if operation.name == "MultiRZ" and len(wires) <= 2:
        name = "rz" if len(wires) == 1 else "rzz"
    if name is None:
        return None
    if name == "id" and len(wires) != 1:
        return None
    return _Step(name, wires, operation.data[0] if name in ROTATIONS else None)


def _number(step: _Step) -> float:
    angle = np.asarray(0.0 if step.angle is None else qml.math.to_numpy(step.angle), dtype=float)
    if angle.size != 1:
        raise ValueError(
            f"the angle of {step.name!r} on {list(step.wires)} has the shape {angle.shape}: give one row of data"
        )
    return float(angle.reshape(()))


def _gates(step: _Step, value: float, slope: np.ndarray) -> list[Gate]:
    """More than one where the angle reads several features."""
    read = [(k, float(scale)) for k, scale in enumerate(slope) if scale]
    if not read:
        return [Gate(step.name, step.wires, float(value))]
    return [
        Gate(step.name, step.wires, float(value) if n == 0 else 0.0, feature=k, scale=scale)
        for n, (k, scale) in enumerate(read)
    ]


def _checks(size: int) -> np.ndarray:
    """Two points `(2, size)` away from every axis, or none without data."""
    columns = np.arange(size)
    return np.stack([0.37 + 1.13 * columns, -1.9 + 0.71 * columns])[: 2 if size else 0]


def _apply(gate: Gate, angle: Any, labels: Sequence[Any]) -> None:
    wires = [labels[wire] for wire in gate.wires]
    _CLASSES[gate.name](*(() if gate.name in FIXED else (angle,)), wires=wires)


def _queued(measured: Any) -> Any:
    """The same structure of measurements, recorded where the caller records."""
    if isinstance(measured, MeasurementProcess):
        return qml.apply(measured)
    if isinstance(measured, dict):
        return {key: _queued(value) for key, value in measured.items()}
    if isinstance(measured, list | tuple):
        return type(measured)(_queued(value) for value in measured)
    return measured
