"""Qiskit circuits to circuits of `quantum` and back, gate for gate."""

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias, cast

import numpy as np
from qiskit import QuantumCircuit
from qiskit.circuit import (
    AnnotatedOperation,
    CircuitError,
    ControlFlowOp,
    ControlModifier,
    Instruction,
    Parameter,
    ParameterExpression,
    ParameterVector,
    PowerModifier,
)
from qiskit.circuit import Gate as QiskitGate
from qiskit.circuit.library import CPhaseGate, PhaseGate, get_standard_gate_name_mapping
from qiskit.quantum_info import Operator

from quantum.circuits.circuit import FIXED, ROTATIONS, Circuit, Gate
from quantum.interop.limits import MOST_GATES

_GATES: dict[str, QiskitGate] = get_standard_gate_name_mapping()
_OLD_NAMES = {"u1": PhaseGate, "cu1": CPhaseGate}

Angle: TypeAlias = "float | ParameterExpression"
Weights: TypeAlias = Sequence[float] | Mapping[str, float] | None
"""Values of the parameters that are not features: by name, or in the order of `QuantumCircuit.parameters`."""


def to_qiskit(
    circuit: Circuit, weights: Sequence[float] | None = None, features: Mapping[int, Parameter] | None = None
) -> QuantumCircuit:
    """The circuit as a `QuantumCircuit` with the same gates.

    Features become the parameters `x[k]`, or those in `features` by column. Weights are bound to `weights`, or become
    the parameters `theta[k]` without them.
    """
    if weights is not None:
        circuit = circuit.bind(weights)
    x = dict(enumerate(ParameterVector("x", circuit.features))) | dict(features or {})
    theta = ParameterVector("theta", circuit.weights)
    out = QuantumCircuit(circuit.wires)
    for gate in circuit.gates:
        angle: float | ParameterExpression = gate.value
        if gate.weight is not None:
            angle = _affine(gate, theta[gate.weight])
        elif gate.feature is not None:
            angle = _affine(gate, x[gate.feature])
        out.append(_GATES[gate.name].base_class(*((angle,) if gate.name in ROTATIONS else ())), gate.wires)
    return out


def _affine(gate: Gate, symbol: Parameter) -> ParameterExpression:
    """`value + scale * symbol`, without a zero value or a scale of 1."""
    scaled = symbol if gate.scale == 1 else gate.scale * symbol
    return gate.value + scaled if gate.value else scaled


def from_qiskit(
    circuit: QuantumCircuit, weights: Weights = None, features: Sequence[str] | None = None
) -> tuple[Circuit, list[float]]:
    """The circuit with one weight per rotation that reads no feature, and the values of those weights.

    Features are the parameters named in `features`, one per data column in that order; by default those whose name
    starts with `x`, `feature` or `input`, where the number in the name is the column (`x[3]`, `x3`, `input_3` and
    Qiskit's OpenQASM name `_x_3_` are column 3). They stay symbolic, in angles that are affine in them. Every other
    parameter needs a value, bound or in `weights`. Gates outside `ROTATIONS` and `FIXED` are expanded by their
    definitions, exactly up to a global phase. Barriers, delays and final measurements are removed.

    Raises `ValueError` for measurement or reset before the end, control flow, a gate without a definition, an angle
    that is not affine in the features, or a parameter without a value.
    """
    if circuit.num_qubits == 0:
        raise ValueError("the circuit has no qubits")
    columns = feature_columns(circuit.parameters, features)
    values = _weight_values(circuit, columns, weights)
    gates: list[Gate] = []
    for operation, wires in _flat(circuit):
        angles = [_bound(angle, values) for angle in operation.params] if operation.name in ("u", *ROTATIONS) else []
        gates += _gates(operation.name, wires, angles, columns)
    return Circuit(circuit.num_qubits, tuple(gates)).untie(())


def feature_columns(parameters: Iterable[Parameter], features: Sequence[str] | None = None) -> dict[Parameter, int]:
    """The parameters that are features, with their data columns; see `from_qiskit`."""
    by_name = {parameter.name: parameter for parameter in parameters}
    if features is not None:
        return {by_name[name]: column for column, name in enumerate(features) if name in by_name}
    names = sorted((name for name in by_name if re.match("_*(x|feature|input)", name)), key=_natural)
    numbers = [int(match[1]) for name in names if (match := re.search(r"(\d{1,9})[\]_]*$", name))]
    if len(set(numbers)) < len(names):
        numbers = list(range(len(names)))
    return {by_name[name]: column for name, column in zip(names, numbers, strict=True)}


def _natural(name: str) -> list[tuple[int, str]]:
    """The sort key that puts `x2` before `x10`."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", name)]


def _weight_values(
    circuit: QuantumCircuit, columns: Mapping[Parameter, int], weights: Weights
) -> dict[Parameter, float]:
    free = [parameter for parameter in circuit.parameters if parameter not in columns]
    if weights is None:
        return {}
    if isinstance(weights, Mapping):
        by_name = {getattr(key, "name", key): value for key, value in weights.items()}
        values = {parameter: float(by_name[parameter.name]) for parameter in free if parameter.name in by_name}
    elif len(weights) != len(free):
        names = ", ".join(parameter.name for parameter in free[:8]) + (" ..." if len(free) > 8 else "")
        raise ValueError(
            f"the circuit has {len(free)} parameters ({names}), not {len(weights)}: pass one value for each"
        )
    else:
        values = {parameter: float(value) for parameter, value in zip(free, weights, strict=True)}
    for parameter, value in values.items():
        if not math.isfinite(value):
            raise ValueError(f"weight {parameter.name!r} is {value}: weights are finite")
    return values


def _flat(circuit: QuantumCircuit) -> Iterator[tuple[Instruction, tuple[int, ...]]]:
    """The operations with their wires, expanded depth first to gates of `ROTATIONS`, `FIXED` and `u`."""
    index = {bit: k for k, bit in enumerate(circuit.qubits)}
    todo = [(item.operation, tuple(index[bit] for bit in item.qubits)) for item in reversed(circuit.data)]
    measured: set[int] = set()
    count = 0
    while todo:
        operation, wires = todo.pop()
        if operation.name in ("barrier", "delay"):
            continue
        if operation.name == "measure":
            measured.update(wires)
            continue
        if again := measured.intersection(wires):
            raise ValueError(
                f"qubit {min(again)} is measured and then used by {operation.name!r}: only measurements at the end are "
                f"supported, so end the circuit there"
            )
        if _is_ours(operation):
            count += 1
            yield operation, wires
        else:
            todo += reversed([(inner, tuple(wires[k] for k in on)) for inner, on in _definition(operation, wires)])
        if count + len(todo) > MOST_GATES:
            raise ValueError(f"the circuit has more than {MOST_GATES} gates after its definitions are expanded")


def _is_ours(operation: Instruction) -> bool:
    """Whether the operation is a gate of `ROTATIONS`, `FIXED` or `u`, and not a different gate under that name."""
    if operation.name not in ROTATIONS and operation.name not in FIXED and operation.name != "u":
        return False
    return _is_standard(operation) or _equals(operation, _GATES[operation.name])


def _equals(operation: Instruction, standard: QiskitGate) -> bool:
    """Whether a gate that is defined under a standard name is that gate, up to a global phase.

    The gates are compared at the angles of the operation; unbound parameters are set to two points.
    """
    shape = (standard.num_qubits, 0, len(standard.params))
    if (operation.num_qubits, operation.num_clbits, len(operation.params)) != shape:
        return False
    if operation.definition is None or not all(_is_standard(item.operation) for item in operation.definition):
        return False
    symbols = {p for angle in operation.params if isinstance(angle, ParameterExpression) for p in angle.parameters}
    names = sorted(symbols, key=lambda symbol: symbol.name)
    for seed in (0.7, 2.9) if names else (0.0,):
        point = {symbol: seed * (k + 1) for k, symbol in enumerate(names)}
        defined = operation.definition.assign_parameters(point, strict=False)
        expected = standard.base_class(*(_bound(angle, point) for angle in operation.params))
        if defined.parameters or not _same_up_to_phase(Operator(defined).data, expected.to_matrix()):
            return False
    return True


def _is_standard(operation: Instruction) -> bool:
    kind = getattr(operation, "base_class", None)
    return operation.name in _GATES and kind is _GATES[operation.name].base_class and isinstance(operation, QiskitGate)


def _same_up_to_phase(a: np.ndarray, b: np.ndarray) -> bool:
    overlap = np.vdot(a, b)
    return abs(overlap) > 0.5 and bool(np.abs(a * overlap / abs(overlap) - b).max() < 1e-9)


def _definition(operation: Instruction, wires: tuple[int, ...]) -> list[tuple[Instruction, tuple[int, ...]]]:
    """The definition of `operation`, on its own qubits."""
    if operation.name == "reset":
        raise ValueError(f"qubit {wires[0]} is reset: a circuit starts in |0...0> and has no reset, so remove it")
    if isinstance(operation, ControlFlowOp) or operation.num_clbits:
        raise ValueError(
            f"{operation.name!r} on qubits {list(wires)} is classical control: only circuits of gates are supported"
        )
    everywhere = tuple(range(operation.num_qubits))
    if operation.name in _OLD_NAMES and _is_standard(operation):
        return [(_OLD_NAMES[operation.name](*operation.params), everywhere)]
    if isinstance(operation, AnnotatedOperation):
        return [(_concrete(operation), everywhere)]
    definition = getattr(operation, "definition", None)
    if definition is None:
        names = ", ".join([*ROTATIONS, *FIXED])
        raise ValueError(
            f"gate {operation.name!r} on qubits {list(wires)} is unknown and has no definition: decompose it into "
            f"{names} or u"
        )
    index = {bit: k for k, bit in enumerate(definition.qubits)}
    return [(item.operation, tuple(index[bit] for bit in item.qubits)) for item in definition.data]


def _concrete(operation: AnnotatedOperation) -> Instruction:
    """The gate that results from the controls, inverses and powers of an annotated gate."""
    gate = operation.base_op
    for modifier in operation.modifiers:
        if isinstance(modifier, ControlModifier):
            gate = gate.control(modifier.num_ctrl_qubits, ctrl_state=modifier.ctrl_state, annotated=False)
        elif isinstance(modifier, PowerModifier):
            gate = gate.power(modifier.power)
        else:
            gate = gate.inverse()
    return gate


def _gates(name: str, wires: tuple[int, ...], angles: Sequence[Angle], columns: Mapping[Parameter, int]) -> list[Gate]:
    """The gates for one gate of `_flat`: several if its angle reads several features."""
    if name in FIXED:
        return [Gate(name, wires)]
    if name == "u":
        theta, phi, lam = angles
        if all(not isinstance(angle, ParameterExpression) and angle == 0 for angle in angles):
            return [Gate("id", wires)]
        euler = (("rz", lam), ("ry", theta), ("rz", phi))
        return [gate for axis, angle in euler for gate in _gates(axis, wires, [angle], columns)]
    value, scales = _read_angle(angles[0], f"{name!r} on {list(wires)}", columns)
    if not scales:
        return [Gate(name, wires, value)]
    first, *others = (Gate(name, wires, feature=column, scale=scale) for column, scale in sorted(scales.items()))
    return [replace(first, value=value), *others]


def _bound(angle: Angle, values: Mapping[Parameter, float]) -> Angle:
    here = {p: values[p] for p in angle.parameters if p in values} if isinstance(angle, ParameterExpression) else {}
    return cast(ParameterExpression, angle).bind(here) if here else angle


def _read_angle(angle: Angle, where: str, columns: Mapping[Parameter, int]) -> tuple[float, dict[int, float]]:
    """`angle = value + sum of scales[column] * feature`: the value and the scales, in radians."""
    if not isinstance(angle, ParameterExpression):
        return float(angle), {}
    free = sorted(p.name for p in angle.parameters if p not in columns)
    if free:
        raise ValueError(
            f"parameter {free[0]!r} in {where} has no value: bind it, pass it in weights={{{free[0]!r}: ...}}, or name "
            f"it in features=[...] if it is a data column"
        )
    symbols = list(angle.parameters)
    try:
        value = float(angle.bind(dict.fromkeys(symbols, 0.0)))
        scales = {p: float(angle.gradient(p)) for p in symbols}
    except (TypeError, ArithmeticError, CircuitError, RuntimeError) as error:
        raise ValueError(
            f"the angle {angle} of {where} is not affine in its features: compute it beforehand and pass it as a "
            f"separate feature"
        ) from error
    return value, {columns[p]: scale for p, scale in scales.items() if scale}
