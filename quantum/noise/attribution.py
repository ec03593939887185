"""Attribution of the error by ablation: how much of it is recovered without the noise of a gate, a qubit or a kind.

Gates. Each expectation is linear in the error channel E_k of each gate, idle time and readout. With s = sign(ideal -
noisy) for each expectation, the mean movement towards the ideal values when E_k alone becomes the identity is exactly

    gain_k = < dF/dE_k, 1 - E_k >,     F = mean over inputs and parities of s <Z>

so one derivative of the exact engine gives the same values as ablating the gates one after the other.

Ablating a qubit or a kind removes many channels at once, which is not linear: each takes one more evaluation.
"""

from collections.abc import Callable, Iterable
from typing import TypedDict

import torch
from torch import Tensor

from quantum.noise.engine import heisenberg
from quantum.noise.engine.heisenberg import ContractionPlan
from quantum.noise.engine.noisy import EXACT_NUMBERS, NoisyCircuit, Part
from quantum.noise.workload import MeasurementSetting, Workload

MEMORY = 2**28
"""About how many numbers (8 bytes each) a derivative may keep; parities are split into batches to stay below."""


class GateGain(TypedDict):
    """The error of one gate, idle time (`delay`) or readout (`measure`): mean |<Z>| recovered without its noise."""

    setting: int
    index: int
    name: str
    qubits: list[int]
    gain: float


class Attribution(TypedDict):
    """`shift` is the mean |change of <Z>| by all of the noise; the other fields say how much ablation recovers."""

    shift: float
    gates: list[GateGain]
    qubits: dict[str, float]
    kinds: dict[str, float]


def attribution(workload: Workload, scale: float = 1.0) -> Attribution | None:
    """The attribution of the error of `workload`, exact; None for a circuit too wide for the exact engine.

    `gates` are in the order of the schedule. `qubits` is by physical qubit: without the noise of every gate that acts
    on it, of its idle times and of its readout. `kinds` is by `one-qubit gates`, `two-qubit gates`, `waiting` and
    `readout`. The entries need not add up to `shift`: two errors on one signal together cost less than the sum of what
    each costs alone.
    """
    circuits = workload.noisy(scale)
    pairs = list(zip(circuits, workload.settings, strict=True))
    if any(is_too_wide(circuit, setting, workload) for circuit, setting in pairs):
        return None
    ideal = workload.expectations(0.0)
    noisy = workload.expectations(scale)
    shift = float((noisy - ideal).abs().mean())

    def gain(quiet: Callable[[Part], bool]) -> float:
        values = [_without(circuit, setting, workload, quiet) for circuit, setting in pairs]
        return shift - float((torch.cat(values, dim=1) - ideal).abs().mean())

    used = sorted({qubit for circuit in circuits for part in circuit.parts for qubit in part.qubits})
    return Attribution(
        shift=shift,
        gates=_gates(workload, circuits, torch.sign(ideal - noisy)),
        qubits={str(qubit): gain(lambda part, qubit=qubit: qubit in part.qubits) for qubit in used},  # type: ignore[misc]
        kinds={kind: gain(quiet) for kind, quiet in KINDS.items()},
    )


KINDS: dict[str, Callable[[Part], bool]] = {
    "two-qubit gates": lambda part: len(part.qubits) == 2,
    "one-qubit gates": lambda part: len(part.qubits) == 1 and part.name not in ("delay", "measure"),
    "waiting": lambda part: part.name == "delay",
    "readout": lambda part: part.name == "measure",
}


def _without(
    circuit: NoisyCircuit, setting: MeasurementSetting, workload: Workload, quiet: Callable[[Part], bool]
) -> Tensor:
    """The parities when the parts for which `quiet` is true have no noise."""
    parts = [part._replace(error=None) if quiet(part) else part for part in circuit.parts]
    return evaluate(circuit, setting, workload, parts)


def _gates(workload: Workload, circuits: Iterable[NoisyCircuit], towards: Tensor) -> list[GateGain]:
    gains, begin = [], 0
    for number, (circuit, setting) in enumerate(zip(circuits, workload.settings, strict=True)):
        parities = len(setting.readout.strings)
        signs = towards[:, begin : begin + parities] / towards.numel()
        begin += parities
        for index, gain in enumerate(_linear(circuit, setting, workload, signs)):
            part = circuit.parts[index]
            if part.error is not None:
                gains.append(GateGain(setting=number, index=index, name=part.name, qubits=list(part.qubits), gain=gain))
    return gains


def _linear(circuit: NoisyCircuit, setting: MeasurementSetting, workload: Workload, weights: Tensor) -> list[float]:
    """`<dF/dE_k, 1 - E_k>` of every part, with F the sum of the parities times `weights` `(samples, parities)`."""
    parts = circuit.parts
    errors = [None if part.error is None else part.error.clone().requires_grad_() for part in parts]
    open_parts = [part._replace(error=error) for part, error in zip(parts, errors, strict=True)]
    leaves = [error for error in errors if error is not None]
    slopes = [torch.zeros_like(leaf) for leaf in leaves]
    batch = _parities_per_batch(circuit, setting, workload)
    for k in range(0, weights.shape[1], batch):
        values = evaluate(circuit, setting, workload, open_parts, slice(k, k + batch))
        total = (weights[:, k : k + batch] * values).sum()
        gradients = torch.autograd.grad(total, leaves, allow_unused=True) if total.requires_grad else []
        for slope, gradient in zip(slopes, gradients, strict=False):
            if gradient is not None:
                slope += gradient
    by_leaf = iter(slopes)
    return [
        0.0 if error is None else float((next(by_leaf) * (torch.eye(len(error)) - error.detach())).sum())
        for error in errors
    ]


def is_too_wide(circuit: NoisyCircuit, setting: MeasurementSetting, workload: Workload) -> bool:
    """Whether the setting's parities are too wide for the exact engine."""
    width: int = _contraction_plan(circuit, setting, workload, circuit.parts).width
    return bool(len(setting.readout.strings) * 4**width > EXACT_NUMBERS)


def _parities_per_batch(circuit: NoisyCircuit, setting: MeasurementSetting, workload: Workload) -> int:
    """How many parities one derivative takes, so that the observables it keeps fit."""
    plan = _contraction_plan(circuit, setting, workload, circuit.parts)
    kept = sum(not isinstance(item, int) and len(item.qubits) > 1 for item in plan.backward)
    return max(1, int(MEMORY // (4**plan.width * max(kept, 1))))


def _contraction_plan(
    circuit: NoisyCircuit, setting: MeasurementSetting, workload: Workload, parts: Iterable[Part]
) -> ContractionPlan:
    measured = [circuit.wires[wire] for wire in setting.readout.wires]
    prepared = () if workload.states is None else circuit.input_qubits
    return heisenberg.contraction_plan([part.step() for part in parts], measured, prepared)


def evaluate(
    circuit: NoisyCircuit,
    setting: MeasurementSetting,
    workload: Workload,
    parts: Iterable[Part],
    which: slice = slice(None),
) -> Tensor:
    """The setting's parities `which`, `(samples, parities)`, of the circuit with other `parts`; differentiable."""
    strings = [tuple(circuit.wires[wire] for wire in string) for string in setting.readout.strings]
    plan = _contraction_plan(circuit, setting, workload, parts)
    samples = 1 if workload.states is None else len(workload.states)
    x = torch.zeros(samples, 0) if workload.x is None else workload.x
    states = None if workload.states is None else workload.states.to(torch.complex128)
    return heisenberg.expectations(plan, strings[which], x.double(), states, circuit.input_qubits)
