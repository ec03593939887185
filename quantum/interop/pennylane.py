"""PennyLane QNodes and quantum functions to circuits and back."""

import copy
import inspect
import math
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias, cast

import numpy as np
import pennylane as qml
from pennylane.measurements import MeasurementProcess
from pennylane.operation import Operator
from pennylane.tape import QuantumScript, QuantumScriptBatch
from pennylane.typing import PostprocessingFn

from quantum.circuits.circuit import FIXED, ROTATIONS, Circuit, Gate
from quantum.circuits.formula import FUNCTIONS, Formula, column
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
    """One gate with its angle as PennyLane holds it: a number, or an array or tensor of any framework."""

    name: str
    wires: tuple[int, ...]
    angle: Any


def from_pennylane(
    function: Callable[..., Any], /, *args: Any, features: str | None = None, **kwargs: Any
) -> tuple[Circuit, list[float]]:
    """The circuit with one weight per rotation that reads no data, and the values of those weights.

    `function` is a QNode or a quantum function, and the other arguments are those of an example call. The data is the
    argument called `features`, by default the first whose name starts with `x`, `feature` or `input`; it is one row.
    The dependence of the angles on the data is measured by calling the function at 0 and at each unit vector, and
    checked at two more points. Where it is not affine, the function is called once with symbols for the data, and the
    `Formula` that results is checked at the same points. Gates outside `ROTATIONS` and `FIXED` are decomposed by
    PennyLane; wires are numbered in the order of their labels.

    Raises `ValueError` if an angle is neither affine in the data nor a `Formula` of it, the gates themselves depend on
    the data, a state is prepared from amplitudes, or a measurement is not at the end.
    """
    call = _Call(function, args, kwargs, features)
    at_zero = call.steps(np.zeros(call.size))
    value = np.array([_number(step) for step in at_zero])
    slope = np.zeros((call.size, len(at_zero)))
    for k, unit in enumerate(np.eye(call.size)):
        slope[k] = (call.angles(unit, at_zero) - value).round(12)
    points = _checks(call.size)
    angles = np.array([call.angles(point, at_zero) for point in points]).reshape(len(points), len(at_zero))
    curved = ~np.isfinite(value) | _differ(value + points @ slope, angles).any(axis=0)
    formulas = call.formulas(at_zero) if curved.any() else {}
    gates: list[Gate] = []
    for k, step in enumerate(at_zero):
        if not curved[k]:
            gates += _gates(step, value[k], slope[:, k])
            continue
        formula = formulas.get(k)
        if formula is None or _differ(np.array([_value(formula, point) for point in points]), angles[:, k]).any():
            raise ValueError(
                f"the angle of {step.name!r} on {list(step.wires)} is not affine in {call.features!r} and cannot be "
                f"written as a formula of its columns with {', '.join(FUNCTIONS)} of NumPy: compute it beforehand and "
                f"pass it as a separate feature"
            )
        gates.append(Gate(step.name, step.wires, feature=formula))
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
    """`function` with the gates of `circuit` in place of its own and the same measurements; a QNode gives a QNode.

    Its arguments are the data, under the original name, and `weights` (circuit.weights,), whose default are the values
    passed here. The other arguments are those of the example call of `from_pennylane`.
    """
    call = _Call(function, args, kwargs, features)
    if len(call.wires) != circuit.wires:
        raise ValueError(f"a circuit of {circuit.wires} wires cannot replace one of {len(call.wires)}")
    default = np.array([float(weight) for weight in weights])
    names = [inspect.Parameter(call.features, inspect.Parameter.POSITIONAL_OR_KEYWORD)] if call.features else []
    names.append(inspect.Parameter("weights", inspect.Parameter.POSITIONAL_OR_KEYWORD, default=default))
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
                angle = gate.value + gate.scale * call.feature(bound.arguments[str(call.features)], gate.feature)
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
    """A PennyLane transform that rewrites the gates of a QNode: `rewritten(qnode, rewrite=...)` is again a QNode.

    Each angle that the interface trains is a weight, each plain Python number is fixed, and every other angle is a
    separate feature, so the remaining angles keep their batches and gradients. `rewrite` is called once for each
    circuit and values of its weights. An angle computed from data and weights together counts as a weight: to rewrite
    such a circuit once for all data, use `from_pennylane` and `to_pennylane`.
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
                angle = gate.value + gate.scale * features[cast(int, gate.feature)]
            _apply(gate, angle, wires)
    return (tape.copy(operations=list(queue.queue)),), lambda results: results[0]


@lru_cache(maxsize=128)
def _memoised(rewrite: Rewrite, circuit: Circuit, values: tuple[float, ...]) -> Circuit:
    out = rewrite(circuit, list(values))
    if out.wires != circuit.wires or out.weights > circuit.weights or out.features > circuit.features:
        raise ValueError(
            f"a rewritten circuit must have at most the wires, weights and features it had ({circuit.wires}, "
            f"{circuit.weights}, {circuit.features}), but has {out.wires}, {out.weights}, {out.features}"
        )
    return out


def _symbolic(steps: Sequence[_Step], wires: int) -> tuple[Circuit, tuple[float, ...]]:
    """The circuit of a tape, with weights and features numbered in order, and the values of the weights."""
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
    """A quantum function with the arguments of an example call, to be called again with other data."""

    def __init__(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], features: str | None
    ) -> None:
        self.function = function.func if isinstance(function, qml.QNode) else function
        signature = inspect.signature(self.function)
        if features is not None and features not in signature.parameters:
            raise ValueError(
                f"{self.function.__name__} has no argument {features!r}: {', '.join(signature.parameters)}"
            )
        candidates = (name for name in signature.parameters if name.startswith(("x", "feature", "input")))
        self.features = features or next(candidates, None)
        self.bound = signature.bind(*args, **kwargs)
        self.bound.apply_defaults()
        self.data = self.bound.arguments[self.features] if self.features else ()
        self.shape = np.shape(qml.math.to_numpy(self.data))
        self.size = math.prod(self.shape) if self.features else 0
        tape = qml.tape.make_qscript(self)()
        self.wires = _labels(tape)
        list(
            _flat(tape.operations, self.wires)
        )  # raises for unsupported gates before the function is called with other data

    def __call__(self, point: np.ndarray | None = None) -> Any:
        """The function's result for the example, or for the data `point` (size,)."""
        if point is None or not self.features:
            return self.function(*self.bound.args, **self.bound.kwargs)
        bound = copy.copy(self.bound)
        data: Any = point.reshape(self.shape)
        if point.dtype != object:
            data = qml.math.asarray(data, like=qml.math.get_interface(self.data))
        elif not self.shape:
            data = data[()]
        bound.arguments = {**bound.arguments, self.features: data}
        return self.function(*bound.args, **bound.kwargs)

    def steps(self, point: np.ndarray) -> list[_Step]:
        """The gates at the data `point`."""
        return list(_flat(qml.tape.make_qscript(self)(point).operations, self.wires))

    def angles(self, point: np.ndarray, like: Sequence[_Step]) -> np.ndarray:
        """The angles `(gates,)` at the data `point`. Raises `ValueError` if the gates differ from those of `like`."""
        steps = self.steps(point)
        if [step[:2] for step in steps] != [step[:2] for step in like]:
            raise ValueError(f"the gates depend on the values of {self.features!r}: only their angles may")
        return np.array([_number(step) for step in steps])

    def formulas(self, like: Sequence[_Step]) -> dict[int, Formula]:
        """The angles that depend on data, by the place of their gate: from one call with symbols for the data.

        Empty where the function computes with something that takes no symbols.
        """
        symbols = np.array([column(k) for k in range(self.size)], dtype=object)
        try:
            steps = self.steps(symbols)
        except Exception:  # noqa: BLE001 - whatever a user's function, or a framework in it, raises for a symbol
            return {}
        if [step[:2] for step in steps] != [step[:2] for step in like]:
            return {}
        return {k: step.angle for k, step in enumerate(steps) if isinstance(step.angle, Formula)}

    def feature(self, data: Any, feature: int | Formula) -> Any:
        """A column of the data, or a formula of its columns."""
        if isinstance(feature, Formula):
            return feature.of(lambda k: self.column(data, k), lambda name, value: getattr(qml.math, name)(value))
        return self.column(data, feature)

    def column(self, data: Any, k: int) -> Any:
        """Column `k` of the data, numbered as in the example; for a whole batch if `data` is one."""
        if len(self.shape) <= 1 or self.shape[0] == self.size // self.shape[-1] == 1:
            return data[..., k] if self.shape else data
        return data[tuple(int(index) for index in np.unravel_index(k, self.shape))]


def _labels(tape: QuantumScript) -> list[Any]:
    """The wire labels of the tape: sorted if all are numbers, else in the order of the tape."""
    labels = tape.wires.tolist()
    return sorted(labels) if all(isinstance(label, int) for label in labels) else labels


def _flat(operations: Sequence[Operator], labels: Sequence[Any]) -> Iterator[_Step]:
    """The operations as gates of `ROTATIONS` and `FIXED`; others are decomposed, depth first."""
    index = {label: k for k, label in enumerate(labels)}
    todo = list(reversed(operations))
    count = 0
    while todo:
        operation = todo.pop()
        wires = tuple(index[label] for label in operation.wires)
        if operation.name in _IGNORED:
            continue
        if step := _step(operation, wires):
            count += 1
            yield step
        elif isinstance(operation, qml.StatePrep | qml.AmplitudeEmbedding):
            raise ValueError(
                f"{operation.name} prepares a state from amplitudes, which is not a gate of a fixed circuit: pass "
                f"the circuit that follows it, and the amplitudes as states"
            )
        elif isinstance(operation, MeasurementProcess) or not operation.has_decomposition:
            raise ValueError(
                f"{operation.name!r} on wires {operation.wires.tolist()} is not a gate, or has no decomposition "
                f"into gates on one and two wires: remove it, or write out its gates"
            )
        else:
            todo += reversed(operation.decomposition())
        if count + len(todo) > MOST_GATES:
            raise ValueError(f"the circuit has more than {MOST_GATES} gates after decomposition")


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
            f"the angle of {step.name!r} on {list(step.wires)} has the shape {angle.shape}: pass one row of data"
        )
    return float(angle.reshape(()))


def _gates(step: _Step, value: float, slope: np.ndarray) -> list[Gate]:
    """The gates for one step: several if its angle reads several features."""
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


def _value(formula: Formula, point: np.ndarray) -> float:
    return float(formula.of(point.__getitem__, lambda name, value: getattr(np, name)(value)))


def _differ(predicted: np.ndarray, angles: np.ndarray) -> np.ndarray[Any, np.dtype[np.bool_]]:
    close: np.ndarray[Any, np.dtype[np.bool_]] = np.isclose(angles, predicted, rtol=1e-6, atol=1e-6, equal_nan=True)
    return ~close


def _apply(gate: Gate, angle: Any, labels: Sequence[Any]) -> None:
    wires = [labels[wire] for wire in gate.wires]
    _CLASSES[gate.name](*(() if gate.name in FIXED else (angle,)), wires=wires)


def _queued(measured: Any) -> Any:
    """The same structure of measurements, recorded in the caller's queue."""
    if isinstance(measured, MeasurementProcess):
        return qml.apply(measured)
    if isinstance(measured, dict):
        return {key: _queued(value) for key, value in measured.items()}
    if isinstance(measured, list | tuple):
        return type(measured)(_queued(value) for value in measured)
    return measured
