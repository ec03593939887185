"""Circuits from and to the other frameworks: what comes in goes out as the same kind.

`read` takes a file, text, or an object of a framework and gives a `Model`; `write` gives the same kind back around
another circuit. A framework is imported only when something of its kind is read or written.
"""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from quantum.circuits.circuit import Circuit

__all__ = ["KINDS", "Model", "read", "write"]

KINDS = ("qasm2", "qasm3", "qpy", "qiskit", "pennylane", "torch")
"""OpenQASM text, QPY bytes, a `QuantumCircuit`, a QNode or quantum function, and a layer: ours or PennyLane's."""


@dataclass(frozen=True)
class Model:
    """A circuit with a weight for every rotation that reads no data, the weights' values, and the kind it came as."""

    circuit: Circuit
    values: tuple[float, ...]
    kind: str
    source: Any = field(default=None, repr=False, compare=False)


def read(
    source: Any,
    /,
    *example: Any,
    weights: Sequence[float] | Mapping[str, float] | None = None,
    features: str | Sequence[str] | None = None,
    **named: Any,
) -> Model:
    """The model in a file (OpenQASM 2 or 3, QPY), OpenQASM text, QPY bytes, or an object of Qiskit, PennyLane or torch.

    `weights` are values for parameters that have none, `features` names the parameters that are data (see
    `quantum.interop.qiskit.from_qiskit`). A QNode takes an example of its call after it, `read(qnode, x, w)`, where
    `features` is the name of the argument with the data; a PennyLane layer takes one row of data, `read(layer, x)`.

    Raises `ValueError` with one line that says what cannot be read and what to do about it.

    >>> read("OPENQASM 3.0; include \\"stdgates.inc\\"; input float x0; qubit q; ry(x0) q; rz(0.5) q;").values
    (0.5,)
    """
    if isinstance(source, Path) or (isinstance(source, str) and "\n" not in source and "OPENQASM" not in source):
        return _read_file(Path(source), weights, features)
    if isinstance(source, str | bytes):
        return _read_text(source, weights, features)
    if _is(source, "qiskit", "QuantumCircuit"):
        from quantum.interop.qiskit import feature_columns, from_qiskit

        columns = feature_columns(source.parameters, _names(features))
        symbols = {column: parameter for parameter, column in columns.items()}
        return _model(from_qiskit(source, weights, _names(features)), "qiskit", symbols)
    if _is(source, "torch", "Module"):
        from quantum.interop.torch import from_torch

        return _model(from_torch(source, *example), "torch", (source, example))
    if callable(source):
        return _read_function(source, example, features if isinstance(features, str) else None, named)
    raise ValueError(
        f"a {type(source).__name__} is not a circuit: give an OpenQASM or QPY file, a QuantumCircuit, a QNode, or a "
        f"quantum layer of torch"
    )


def write(circuit: Circuit, values: Sequence[float], like: "Model | str") -> Any:
    """`circuit` with its weights at `values`, as the kind that `like` names or was read from.

    - `qasm2`, `qasm3`: text; `qpy`: bytes; `qiskit`: a `QuantumCircuit`. Their weights are bound, and data stays
      symbolic: a model read from a `QuantumCircuit` keeps its own parameters.
    - A model read from a QNode or a layer: the same with these gates, the measurements it had, and `values` as weights.
    """
    kind, source = (like, None) if isinstance(like, str) else (like.kind, like.source)
    if kind not in KINDS:
        raise ValueError(f"kind {kind!r} is unknown: use one of {', '.join(KINDS)}")
    if kind in ("qasm2", "qasm3"):
        from quantum.interop import openqasm

        return openqasm.dumps(circuit, values, version=int(kind[-1]))
    if kind == "qpy":
        from quantum.interop import qpy

        return qpy.dumps(circuit, values)
    if kind == "qiskit":
        from quantum.interop.qiskit import to_qiskit

        return to_qiskit(circuit, values, source)
    if source is None:
        raise ValueError(
            f"kind {kind!r} has measurements that a circuit lacks: give like= a model that was read from one"
        )
    if kind == "torch":
        from quantum.interop.torch import to_torch

        layer, example = source
        return to_torch(circuit, values, layer, *example)
    from quantum.interop.pennylane import to_pennylane

    function, example, features, named = source
    return to_pennylane(circuit, values, function, *example, features=features, **named)


def _read_file(path: Path, weights: Any, features: str | Sequence[str] | None) -> Model:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ValueError(f"the circuit file {path} cannot be read: {error.strerror}") from error
    try:
        binary = path.suffix == ".qpy" or data.startswith(b"QISKIT")
        return _read_text(data if binary else data.decode("utf-8-sig"), weights, features)
    except UnicodeDecodeError as error:
        raise ValueError(f"the circuit file {path} is neither QPY nor text: {error}") from error
    except ValueError as error:
        raise ValueError(f"the circuit file {path}: {error}") from error


def _read_text(source: str | bytes, weights: Any, features: str | Sequence[str] | None) -> Model:
    from quantum.interop import openqasm, qpy

    if isinstance(source, bytes):
        return _model(qpy.loads(source, weights, _names(features)), "qpy")
    return _model(openqasm.loads(source, weights, _names(features)), f"qasm{openqasm.version_of(source)}")


def _read_function(function: Any, example: tuple[Any, ...], features: str | None, named: Mapping[str, Any]) -> Model:
    from quantum.interop.pennylane import from_pennylane

    try:
        inspect.signature(getattr(function, "func", function)).bind(*example, **named)
    except TypeError as error:
        raise ValueError(f"a QNode is read with an example of its call, read(qnode, x, weights): {error}") from error
    read = from_pennylane(function, *example, features=features, **named)
    return _model(read, "pennylane", (function, example, features, named))


def _model(read: tuple[Circuit, Sequence[float]], kind: str, source: Any = None) -> Model:
    return Model(read[0], tuple(read[1]), kind, source)


def _names(features: str | Sequence[str] | None) -> Sequence[str] | None:
    return [features] if isinstance(features, str) else features


def _is(source: object, package: str, name: str) -> bool:
    """Whether the object's class is, or comes from, `name` in `package`, without importing it."""
    return any(kind.__module__.partition(".")[0] == package and kind.__name__ == name for kind in type(source).__mro__)
