"""Conversion of circuits from and to other formats and frameworks.

`read` converts a file, a text or an object of a framework to a `Model`; `write` converts another circuit back to the
same kind. A framework is imported only when an object of its kind is read or written.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from quantum.circuits.circuit import Circuit
from quantum.interop.limits import MOST_BYTES

__all__ = ["KINDS", "Model", "read", "write"]

KINDS = ("qasm2", "qasm3", "qpy", "qiskit", "pennylane", "torch")
"""OpenQASM text, QPY bytes, a `QuantumCircuit`, a QNode or quantum function, and a torch layer: ours or PennyLane's."""


@dataclass(frozen=True)
class Model:
    """A circuit with one weight per rotation that reads no data, the values of the weights, and the original kind."""

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
    unbound: Callable[[], float] | None = None,
    **named: Any,
) -> Model:
    """The model in a file (OpenQASM 2 or 3, QPY), OpenQASM text, QPY bytes, or an object of Qiskit, PennyLane or torch.

    `weights` are the values of unbound parameters, `features` names the parameters that are data, and `unbound` gives
    values to parameters without one (see `quantum.interop.qiskit.from_qiskit`). A QNode is followed by the arguments of
    an example call, `read(qnode, x, w)`, where `features` is the name of the argument with the data; a PennyLane layer
    by one row of data, `read(layer, x)`.

    Raises `ValueError` with one line that states the problem and its solution.

    >>> read("OPENQASM 3.0; include \\"stdgates.inc\\"; input float x0; qubit q; ry(x0) q; rz(0.5) q;").values
    (0.5,)
    """
    if isinstance(source, Path) or (isinstance(source, str) and "\n" not in source and "OPENQASM" not in source):
        return _read_file(Path(source), weights, features, unbound)
    if isinstance(source, str | bytes):
        return _read_text(source, weights, features, unbound)
    if _is(source, "qiskit", "QuantumCircuit"):
        from quantum.interop.qiskit import feature_columns, from_qiskit

        columns = feature_columns(source.parameters, _names(features))
        symbols = {column: parameter for parameter, column in columns.items()}
        return _model(from_qiskit(source, weights, _names(features), unbound=unbound), "qiskit", symbols)
    if _is(source, "torch", "Module"):
        from quantum.interop.torch import from_torch

        return _model(from_torch(source, *example), "torch", (source, example))
    if callable(source):
        return _read_function(source, example, features if isinstance(features, str) else None, named)
    raise ValueError(
        f"a {type(source).__name__} is not a circuit: use an OpenQASM or QPY file, a QuantumCircuit, a QNode, or a "
        f"quantum layer of torch"
    )


def write(circuit: Circuit, values: Sequence[float], like: "Model | str") -> Any:
    """`circuit` with its weights at `values`, in the kind `like`, which is one of `KINDS` or a `Model` of that kind.

    - `qasm2`, `qasm3`: text; `qpy`: bytes; `qiskit`: a `QuantumCircuit`. The weights are bound, and features stay
      symbolic: a model read from a `QuantumCircuit` keeps its parameters.
    - A model read from a QNode or a layer: the same object type with these gates, the original measurements, and
      `values` as weights.
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
            f"kind {kind!r} needs measurements, which a circuit does not have: pass a model of that kind as like="
        )
    if kind == "torch":
        from quantum.interop.torch import to_torch

        layer, example = source
        return to_torch(circuit, values, layer, *example)
    from quantum.interop.pennylane import to_pennylane

    function, example, features, named = source
    return to_pennylane(circuit, values, function, *example, features=features, **named)


def _read_file(path: Path, *how: Any) -> Model:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ValueError(f"the circuit file {path} has {path.stat().st_size} bytes: at most {MOST_BYTES} are read")
        data = path.read_bytes()
    except OSError as error:
        raise ValueError(f"the circuit file {path} cannot be read: {error.strerror}") from error
    try:
        binary = path.suffix == ".qpy" or data.startswith(b"QISKIT")
        return _read_text(data if binary else data.decode("utf-8-sig"), *how)
    except UnicodeDecodeError as error:
        raise ValueError(f"the circuit file {path} is neither QPY nor text: {error}") from error
    except ValueError as error:
        raise ValueError(f"the circuit file {path}: {error}") from error


def _read_text(
    source: str | bytes,
    weights: Any,
    features: str | Sequence[str] | None,
    unbound: Callable[[], float] | None,
) -> Model:
    from quantum.interop import openqasm, qpy

    if isinstance(source, bytes):
        return _model(qpy.loads(source, weights, _names(features), unbound), "qpy")
    return _model(openqasm.loads(source, weights, _names(features), unbound), f"qasm{openqasm.version_of(source)}")


def _read_function(function: Any, example: tuple[Any, ...], features: str | None, named: Mapping[str, Any]) -> Model:
    from quantum.interop.pennylane import from_pennylane

    try:
        inspect.signature(getattr(function, "func", function)).bind(*example, **named)
    except TypeError as error:
        raise ValueError(f"a QNode needs the arguments of an example call, read(qnode, x, weights): {error}") from error
    read = from_pennylane(function, *example, features=features, **named)
    return _model(read, "pennylane", (function, example, features, named))


def _model(read: tuple[Circuit, Sequence[float]], kind: str, source: Any = None) -> Model:
    return Model(read[0], tuple(read[1]), kind, source)


def _names(features: str | Sequence[str] | None) -> Sequence[str] | None:
    return [features] if isinstance(features, str) else features


def _is(source: object, package: str, name: str) -> bool:
    """Whether the object's class is, or derives from, `name` in `package`, without importing the package."""
    return any(kind.__module__.partition(".")[0] == package and kind.__name__ == name for kind in type(source).__mro__)
