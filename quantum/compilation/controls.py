"""Compile-only controls: the results of the best general compilers, which do not use the task or its data.

Each takes a bound trainable body, so that nothing is optimised across the encoder, and keeps the cheapest of 20 seeds.
A body that reads features again is compiled with symbolic angles, so one compiled circuit serves all samples.
The approximate controls change the function of the circuit: evaluate `Compiled.circuit`, which begins with wire w on
`circuit.layout.initial_index_layout(filter_ancillas=True)[w]` and ends with it on `Compiled.measured[w]`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import groupby

from qiskit import QuantumCircuit
from qiskit.circuit import Parameter, ParameterVector

from quantum.circuits.circuit import Circuit
from quantum.compilation.compile import Compiled, compile_circuit
from quantum.devices.target import Device
from quantum.interop.qiskit import to_qiskit

SEEDS = range(20)
"""Transpiler seeds of every control; the dense seismic block varies by 15 CX between seeds on Torino."""

FIDELITY = 0.99
"""The gate fidelity that approximate controls assume: they accept a rewriting that loses less than the gate would."""


def o3(circuit: Circuit, device: Device) -> Compiled:
    """Qiskit at optimization level 3, exact."""
    return compile_circuit(_bound(circuit), device, SEEDS)


def o3_approximate(circuit: Circuit, device: Device) -> Compiled:
    """Qiskit at optimization level 3 with `approximation_degree` 0.99."""
    return compile_circuit(_bound(circuit), device, SEEDS, approximation_degree=FIDELITY)


def pytket(circuit: Circuit, device: Device) -> Compiled:
    """Exact resynthesis by pytket's `FullPeepholeOptimise`, then Qiskit's O3."""
    return compile_circuit(_peephole(circuit, 1.0), device, SEEDS)


def pytket_approximate(circuit: Circuit, device: Device) -> Compiled:
    """pytket's `FullPeepholeOptimise` and `KAKDecomposition(cx_fidelity=0.99)`, then Qiskit's O3."""
    return compile_circuit(_peephole(circuit, FIDELITY), device, SEEDS)


@dataclass(frozen=True)
class Control:
    """A compile-only control with a one-line summary; an `exact` one preserves the circuit's unitary."""

    compile: Callable[[Circuit, Device], Compiled]
    summary: str
    exact: bool


CONTROLS: dict[str, Control] = {
    "o3": Control(o3, "Qiskit O3, best of 20 seeds", exact=True),
    "o3_approximate": Control(o3_approximate, "Qiskit O3, approximation_degree 0.99, best of 20 seeds", exact=False),
    "pytket": Control(pytket, "pytket FullPeepholeOptimise, then Qiskit O3, best of 20 seeds", exact=True),
    "pytket_approximate": Control(
        pytket_approximate, "pytket FullPeepholeOptimise + KAK 0.99, then Qiskit O3, best of 20 seeds", exact=False
    ),
}


def _bound(circuit: Circuit, features: Mapping[int, Parameter] | None = None) -> QuantumCircuit:
    if circuit.weights:
        raise ValueError(f"a control compiles bound circuits, but this one reads {circuit.weights} weights: bind them")
    return to_qiskit(circuit, features=features)


def _peephole(circuit: Circuit, cx_fidelity: float) -> QuantumCircuit:
    """The circuit simplified by pytket before placement; the parts between feature reads are simplified separately."""
    whole, x = QuantumCircuit(circuit.wires), dict(enumerate(ParameterVector("x", circuit.features)))
    for reads, run in groupby(circuit.gates, key=lambda gate: gate.feature is not None):
        part = _bound(Circuit(circuit.wires, tuple(run)), x)
        whole.compose(part if reads else _simplified(part, cx_fidelity), inplace=True)
    return whole


def _simplified(circuit: QuantumCircuit, cx_fidelity: float) -> QuantumCircuit:
    """The circuit simplified by pytket, for any placement.

    Placement and routing are left to Qiskit: over 56 circuits on Nairobi and Torino (every ansatz, 4 and 5 wires, free
    and snapped) that took no more two-qubit gates than pytket's `CXMappingPass` with the better of graph and line
    placement in 55, and up to 8 fewer. Implicit wire swaps of pytket are written as SWAP gates, which O3 removes again
    and includes in its layout.
    """
    try:
        from pytket.extensions.qiskit.qiskit_convert import qiskit_to_tk, tk_to_qiskit
        from pytket.passes import FullPeepholeOptimise, KAKDecomposition
    except ImportError as error:
        raise ImportError("the pytket control needs pytket: pip install -e '.[quantum]'") from error
    simplified = qiskit_to_tk(circuit)
    FullPeepholeOptimise().apply(simplified)
    if cx_fidelity < 1:
        KAKDecomposition(cx_fidelity=cx_fidelity).apply(simplified)
    return tk_to_qiskit(simplified, replace_implicit_swaps=True)


def exact_floor(circuit: Circuit, device: Device) -> tuple[int, int]:
    """The fewest two-qubit gates and the least depth that any exact control reaches at any of its seeds.

    The two are minimised separately, so they may belong to different circuits. Our ratios are relative to them.
    """
    equivalents = (_bound(circuit), _peephole(circuit, 1.0))
    results = [compile_circuit(equivalent, device, (seed,)) for equivalent in equivalents for seed in SEEDS]
    return min(result.twoq for result in results), min(result.depth for result in results)
