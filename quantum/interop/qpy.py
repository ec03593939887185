"""QPY, Qiskit's binary circuit format: bytes to circuits and back."""

import io
import re
import struct
import subprocess
import sys
import uuid
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from quantum.circuits.circuit import Circuit
from quantum.interop.limits import MOST_BYTES, MOST_GATES, MOST_WIRES

if TYPE_CHECKING:
    from quantum.interop.qiskit import Weights

_MEMORY, _SECONDS = 2**30, 10
"""Bytes and seconds that reading a file may take."""

_TRIAL = f"""
import io, sys
try:
    import resource
    resource.setrlimit(resource.RLIMIT_DATA, ({_MEMORY}, {_MEMORY}))
    resource.setrlimit(resource.RLIMIT_CPU, ({_SECONDS}, {_SECONDS}))
except ImportError:
    pass
from qiskit import qpy
todo = qpy.load(io.BytesIO(sys.stdin.buffer.read()))
while todo:
    circuit = todo.pop()
    if max(circuit.num_qubits, circuit.num_clbits) > {MOST_WIRES} or len(circuit.data) > {MOST_GATES}:
        raise ValueError("it holds a circuit of more than {MOST_WIRES} qubits or bits, or {MOST_GATES} gates")
    operations = {{id(item.operation): item.operation for item in circuit.data}}.values()
    todo += filter(None, (getattr(operation, "_definition", None) for operation in operations))
"""


def dumps(circuit: Circuit, weights: Sequence[float] = ()) -> bytes:
    """The circuit as QPY with `weights` bound and the features as parameters `x[0]` ...; always the same bytes."""
    from qiskit import qpy
    from qiskit.circuit import Parameter

    from quantum.interop.qiskit import to_qiskit

    names = (f"x[{k}]" for k in range(circuit.features))
    features = {k: Parameter(name, uuid=uuid.uuid5(uuid.NAMESPACE_OID, name)) for k, name in enumerate(names)}
    out = to_qiskit(circuit, weights, features)
    out.name = "circuit"  # by default Qiskit appends a counter
    file = io.BytesIO()
    qpy.dump(out, file)
    return file.getvalue()


def loads(
    data: bytes,
    weights: "Weights" = None,
    features: Sequence[str] | None = None,
    unbound: Callable[[], float] | None = None,
) -> tuple[Circuit, list[float]]:
    """The circuit and the values of its weights from QPY; the other arguments as in `from_qiskit`.

    QPY 10 to 12 may hold expressions in symengine's format, which can carry pickles: such a file is refused unread.
    Everything else that Qiskit 2.6 reads is plain data (its `numpy.load` refuses pickles). A damaged file can still
    abort Qiskit's reader, and the process with it, so a separate process reads the file first.

    Raises `ValueError` for a file that is not QPY with one circuit, and the `ValueError` of `from_qiskit`.
    """
    from qiskit import qpy

    from quantum.interop.qiskit import from_qiskit

    _check_header(data)
    _try(data)
    circuits = qpy.load(io.BytesIO(data))
    if len(circuits) != 1:
        raise ValueError(f"the QPY file holds {len(circuits)} circuits: write each to a separate file")
    return from_qiskit(circuits[0], weights, features, unbound=unbound)


def _check_header(data: bytes) -> None:
    """Checks the magic number, the version, and the symbol encoding (byte 18 of the header from version 10 on)."""
    if len(data) > MOST_BYTES:
        raise ValueError(f"the QPY file has {len(data)} bytes: at most {MOST_BYTES} are read")
    if data[:6] != b"QISKIT" or len(data) < 20:
        raise ValueError(f"this is not a QPY file: it starts with {data[:6]!r} where QPY has b'QISKIT'")
    (version,) = struct.unpack_from("!B", data, 6)
    if 10 <= version < 13 and data[18:19] == b"e":
        raise ValueError(
            f"the QPY file (version {version}) holds symengine expressions, which can carry pickles: load it where it "
            f"was written and write it again with Qiskit 2"
        )


def _try(data: bytes) -> None:
    trial = subprocess.run(
        [sys.executable, "-P", "-c", _TRIAL], input=data, capture_output=True, timeout=120, check=False
    )
    if trial.returncode:
        raise ValueError(f"the QPY file cannot be read: {_reason(trial.stderr.decode(errors='replace'))}")


def _reason(stderr: str) -> str:
    """The line with the reason: the last of a Python traceback, the first of a Rust report or of a crash."""
    lines = stderr.strip().splitlines() or ["Qiskit's reader crashed, or took more time or memory than a circuit needs"]
    line = re.sub(r"(\\x1b|\x1b)\[\d*m", "", lines[-1] if lines[0].startswith("Traceback") else lines[0])
    report = re.match(r".*Error: (.*?)(\\n|$)", line)
    return (report[1] if report else line).strip("'\"")[:200]
