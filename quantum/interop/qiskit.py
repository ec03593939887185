"""Qiskit circuits to circuits of `quantum` and back, gate for gate."""

import math
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias, cast

import numpy as np
from qiskit import QuantumCircuit
from qiskit.circuit import (
    AnnotatedOperation,
    CircuitError,
    ControlFlowOp,
    ControlModifier,
    Delay,
    Instruction,
    Parameter,
    ParameterExpression,
    ParameterVector,
    PowerModifier,
)
from qiskit.circuit import Gate as QiskitGate
from qiskit.circuit.library import CPhaseGate, PhaseGate, get_standard_gate_name_mapping
from qiskit.quantum_info import Operator

from quantum import Note
from quantum.circuits.circuit import FIXED, ROTATIONS, Circuit, Directive, Gate
from quantum.circuits.formula import FUNCTIONS, Formula, column
from quantum.interop.limits import MOST_GATES, MOST_IDLE_WIRES

_GATES: dict[str, QiskitGate] = get_standard_gate_name_mapping()
_FUNCTIONS = {"asin": "arcsin", "acos": "arccos", "atan": "arctan"}
"""SymPy's names of functions where they are not those of a formula."""
_OLD_NAMES = {"u1": PhaseGate, "cu1": CPhaseGate}

Angle: TypeAlias = "float | ParameterExpression"
Weights: TypeAlias = Sequence[float] | Mapping[str, float] | None
"""Values of the parameters that are not features: by name, or in the order of `QuantumCircuit.parameters`."""


def to_qiskit(
    circuit: Circuit, weights: Sequence[float] | None = None, features: Mapping[int, Parameter] | None = None
) -> QuantumCircuit:
    """The circuit as a `QuantumCircuit` with the same gates, barriers and delays.

    Features become the parameters `x[k]`, or those in `features` by column. Weights are bound to `weights`, or become
    the parameters `theta[k]` without them.
    """
    if weights is not None:
        circuit = circuit.bind(weights)
    x = dict(enumerate(ParameterVector("x", circuit.features))) | dict(features or {})
    theta = ParameterVector("theta", circuit.weights)
    out = QuantumCircuit(circuit.wires)
    directives = list(circuit.directives[::-1])
    for k, gate in enumerate(circuit.gates):
        while directives and directives[-1].before <= k:
            _direct(out, directives.pop())
        angle: float | ParameterExpression = gate.value
        if gate.weight is not None:
            angle = _affine(gate, theta[gate.weight])
        elif gate.feature is not None:
            read = gate.feature
            angle = _affine(gate, read.of(x.__getitem__) if isinstance(read, Formula) else x[read])
        out.append(_GATES[gate.name].base_class(*((angle,) if gate.name in ROTATIONS else ())), gate.wires)
    for directive in directives[::-1]:
        _direct(out, directive)
    return out


def _direct(out: QuantumCircuit, directive: Directive) -> None:
    if directive.name == "barrier":
        out.barrier(directive.wires)
    else:
        duration = int(directive.duration) if directive.unit == "dt" else directive.duration
        out.delay(duration, directive.wires[0], directive.unit)


def _affine(gate: Gate, symbol: ParameterExpression) -> ParameterExpression:
    """`value + scale * symbol`, without a zero value or a scale of 1."""
    scaled = symbol if gate.scale == 1 else gate.scale * symbol
    return gate.value + scaled if gate.value else scaled


def from_qiskit(
    circuit: QuantumCircuit,
    weights: Weights = None,
    features: Sequence[str] | None = None,
    *,
    inputs: Sequence[str] = (),
    physical: bool = False,
    unbound: Callable[[], float] | None = None,
) -> tuple[Circuit, list[float]]:
    """The circuit with one weight per rotation that reads no feature, and the values of those weights.

    Features are the parameters named in `features`, one per data column in that order; by default those whose name
    starts with `x`, `feature` or `input`, where the number in the name is the column (`x[3]`, `x3`, `input_3` and
    Qiskit's OpenQASM name `_x_3_` are column 3). Plain names that count from 1 without a gap, `x1` to `x4`, are the
    first columns, which a `Note` says. Features stay symbolic; an angle that is not affine in them is a `Formula`.

    Every other parameter needs a value: bound, in `weights`, or from a call of `unbound`. Gates outside `ROTATIONS` and
    `FIXED` are expanded by their definitions, exactly up to a global phase. Barriers and delays become directives;
    final measurements, and resets of qubits that nothing has touched, are left out.

    A file with inputs names them in `inputs`, in the order of their declarations. Qiskit's layout of a compiled circuit
    is undone: its idle qubits are left out, and wire k is the qubit that held wire k. The same holds, in the order of
    the classical bits, for `physical` qubits and for more wires than can be simulated.

    Raises `ValueError` for measurement or reset before the end, control flow, a gate without a definition, an angle
    with a function that no `Formula` has, or a parameter without a value.
    """
    if circuit.num_qubits == 0:
        raise ValueError("the circuit has no qubits")
    named = _columns_of([parameter.name for parameter in circuit.parameters], features, inputs)
    columns = {parameter: named[parameter.name] for parameter in circuit.parameters if parameter.name in named}
    values = _weight_values(circuit, named, weights, inputs, unbound)
    gates: list[Gate] = []
    directives: list[Directive] = []
    wire_of = {qubit: wire for wire, qubit in enumerate(_kept_qubits(circuit, physical))}
    for operation, qubits in _flat(circuit):
        wires = tuple(wire_of[qubit] for qubit in qubits if qubit in wire_of)
        if operation.name in ("barrier", "delay"):
            directives += _directive(operation, wires, len(gates))
            continue
        angles = [_bound(angle, values) for angle in operation.params] if operation.name in ("u", *ROTATIONS) else []
        gates += _gates(operation.name, wires, angles, columns)
    inside = tuple(item for item in directives if item.before < len(gates))  # at the end there is nothing to hold apart
    return Circuit(len(wire_of), tuple(gates), inside).untie(())


def _directive(operation: Instruction, wires: tuple[int, ...], before: int) -> list[Directive]:
    if not wires:
        return []
    if operation.name == "barrier":
        return [Directive("barrier", wires, before)]
    if isinstance(operation.duration, ParameterExpression) or not isinstance(operation, Delay):
        raise ValueError(f"the delay on qubits {list(wires)} lasts {operation.duration}: give it a number")
    return [Directive("delay", wires, before, float(operation.duration), operation.unit)]


def _kept_qubits(circuit: QuantumCircuit, physical: bool) -> list[int]:
    """The qubits that become wires, in the order of the wires."""
    layout = circuit.layout
    everything = list(range(circuit.num_qubits))
    if layout is None and not physical and len(everything) <= MOST_IDLE_WIRES:
        return everything
    index = {bit: k for k, bit in enumerate(circuit.qubits)}
    used = {index[bit] for item in circuit.data if item.name not in ("barrier", "delay") for bit in item.qubits}
    if (
        layout is not None and not physical
    ):  # Qiskit's reader of OpenQASM 3 gives physical qubits a layout without wires
        first = layout.final_index_layout(filter_ancillas=True)
    else:
        measured = [item for item in circuit.data if item.name == "measure"]
        measured.sort(key=lambda item: circuit.find_bit(item.clbits[0]).index)
        first = [index[item.qubits[0]] for item in measured]
    kept = list(dict.fromkeys([*first, *sorted(used)])) or everything[:1]
    if kept != everything:
        names = ", ".join(map(str, kept[:8])) + (" ..." if len(kept) > 8 else "")
        idle = len(everything) - len(kept)
        warnings.warn(
            f"the circuit is on a device's qubits: wires 0 to {len(kept) - 1} are its qubits {names}; {idle} idle "
            f"qubits were left out",
            Note,
            stacklevel=3,
        )
    return kept


def feature_columns(parameters: Iterable[Parameter], features: Sequence[str] | None = None) -> dict[Parameter, int]:
    """The parameters that are features, with their data columns; see `from_qiskit`."""
    parameters = list(parameters)
    columns = _columns_of([parameter.name for parameter in parameters], features, ())
    return {parameter: columns[parameter.name] for parameter in parameters if parameter.name in columns}


def _columns_of(parameters: Iterable[str], features: Sequence[str] | None, inputs: Sequence[str]) -> dict[str, int]:
    """The names that are features, with their data columns; an input that no gate reads has one too."""
    if features is not None:
        return {name: column for column, name in enumerate(features)}
    names = sorted((name for name in {*parameters, *inputs} if re.match("_*(x|feature|input)", name)), key=_natural)
    numbers = [int(match[1]) for name in names if (match := re.search(r"(\d{1,9})[\]_]*$", name))]
    if len(set(numbers)) < len(names):
        numbers = list(range(len(names)))
    elif names and numbers == list(range(1, len(names) + 1)) and all(re.search(r"\d$", name) for name in names):
        # x[1] and its spelling _x_1_ are the second entry of a vector; names of people's own count from 1
        numbers = list(range(len(names)))
        warnings.warn(
            f"features count from 1: {names[0]} reads the first column of the data"
            + (f", {names[-1]} column {len(names)}" if names[1:] else ""),
            Note,
            stacklevel=3,
        )
    return dict(zip(names, numbers, strict=True))


def _natural(name: str) -> list[tuple[int, str]]:
    """The sort key that puts `x2` before `x10`."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", name)]


def _weight_values(
    circuit: QuantumCircuit,
    columns: Mapping[str, int],
    weights: Weights,
    inputs: Sequence[str],
    unbound: Callable[[], float] | None,
) -> dict[Parameter, float]:
    parameters = {parameter.name: parameter for parameter in circuit.parameters}
    free = [name for name in inputs or parameters if name not in columns]
    values: dict[str, float] = {}
    if isinstance(weights, Mapping):
        values = {getattr(key, "name", key): float(value) for key, value in weights.items()}
    elif weights is not None:
        if len(weights) != len(free):
            names = ", ".join(free[:8]) + (" ..." if len(free) > 8 else "")
            raise ValueError(
                f"the circuit has {len(free)} parameters ({names}), not {len(weights)}: pass one value for each"
            )
        values = dict(zip(free, map(float, weights), strict=True))
    missing = [name for name in free if name in parameters and name not in values]
    if missing and unbound is not None:
        names = ", ".join(missing[:6]) + (" ..." if len(missing) > 6 else "")
        warnings.warn(f"parameters without a value start at random angles: {names}", Note, stacklevel=3)
        values |= {name: unbound() for name in missing}
    for name in free:
        if not math.isfinite(values.get(name, 0.0)):
            raise ValueError(f"weight {name!r} is {values[name]}: weights are finite")
    return {parameters[name]: values[name] for name in free if name in values and name in parameters}


def _flat(circuit: QuantumCircuit) -> Iterator[tuple[Instruction, tuple[int, ...]]]:
    """The operations with their qubits, expanded depth first to gates of `ROTATIONS`, `FIXED`, `u`, and directives."""
    index = {bit: k for k, bit in enumerate(circuit.qubits)}
    todo = [(item.operation, tuple(index[bit] for bit in item.qubits)) for item in reversed(circuit.data)]
    measured: set[int] = set()
    touched: set[int] = set()
    count = 0
    while todo:
        operation, wires = todo.pop()
        if operation.name in ("barrier", "delay"):
            yield operation, wires
            continue
        if operation.name == "reset" and not {*touched, *measured}.intersection(wires):
            continue  # a qubit begins in |0>
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
            touched.update(wires)
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
    if isinstance(scales, Formula):
        return [Gate(name, wires, feature=scales)]
    if not scales:
        return [Gate(name, wires, value)]
    first, *others = (Gate(name, wires, feature=column, scale=scale) for column, scale in sorted(scales.items()))
    return [replace(first, value=value), *others]


def _bound(angle: Angle, values: Mapping[Parameter, float]) -> Angle:
    here = {p: values[p] for p in angle.parameters if p in values} if isinstance(angle, ParameterExpression) else {}
    return cast(ParameterExpression, angle).bind(here) if here else angle


def _read_angle(angle: Angle, where: str, columns: Mapping[Parameter, int]) -> tuple[float, dict[int, float] | Formula]:
    """`angle = value + sum of scales[column] * feature`: the value and the scales, in radians; or 0 and a formula."""
    if not isinstance(angle, ParameterExpression):
        return float(angle), {}
    free = sorted(p.name for p in angle.parameters if p not in columns)
    if free:
        raise ValueError(
            f"parameter {free[0]!r} in {where} has no value: bind it, pass it in weights={{{free[0]!r}: ...}}, name it "
            f"in features=[...] if it is a data column, or train it with `qwedge run compvqc`"
        )
    symbols = list(angle.parameters)
    try:
        value = float(angle.bind(dict.fromkeys(symbols, 0.0)))
        scales = {p: float(angle.gradient(p)) for p in symbols}
    except (TypeError, ArithmeticError, CircuitError, RuntimeError):  # the slope depends on features, or is infinite
        return 0.0, _formula(angle, where, {p.name: column for p, column in columns.items()})
    return value, {columns[p]: scale for p, scale in scales.items() if scale}


def _formula(angle: ParameterExpression, where: str, columns: Mapping[str, int]) -> Formula:
    """The angle as a formula of the data's columns, from its SymPy form."""

    def term(node: Any) -> Formula | float:
        if node.is_number:
            return float(node)
        if node.is_Symbol:
            return column(columns[node.name])
        terms = map(term, node.args)
        match type(node).__name__:
            case "Add":
                return cast(Formula, sum(terms, start=next(terms)))
            case "Mul":
                return cast(Formula, math.prod(terms, start=next(terms)))
            case "Pow":
                base, exponent = terms
                return cast(Formula, base**exponent)
            case name if (function := _FUNCTIONS.get(name, name.lower())) in FUNCTIONS:
                return Formula(function, tuple(terms))
        raise ValueError(
            f"the angle {angle} of {where} has {type(node).__name__}, which is read of no feature: compute it "
            f"beforehand and pass it as a separate feature"
        )

    return cast(Formula, term(angle.sympify()))
