"""Where the error comes from: what switching off the noise of a gate, of a qubit or of a kind would give back.

Gates. Each expectation is linear in the error channel E_k of each gate, wait and readout. With the sign s of what the
noise took from <Z>, the mean movement towards the ideal values when E_k alone becomes the identity is exactly

    gain_k = < dF/dE_k, 1 - E_k >,     F = mean over inputs and parities of s <Z>

so one derivative of the exact engine gives all of them, as exact as switching them off one after the other.

Qubits and kinds switch off many channels at once, which is not linear: each is one more evaluation.
"""

from collections.abc import Callable, Iterable
from typing import TypedDict

import torch
from torch import Tensor

from quantum.noise.engine import heisenberg
from quantum.noise.engine.heisenberg import Plan
from quantum.noise.engine.noisy import EXACT_NUMBERS, NoisyCircuit, Part
from quantum.noise.subject import Setting, Subject

MEMORY = 2**28
"""About how many numbers (8 bytes each) a derivative may keep; parities are taken in turns to stay below."""


class GateGain(TypedDict):
    """What one gate, wait (`delay`) or readout (`measure`) costs: mean |<Z>| that comes back without its noise."""

    setting: int
    index: int
    name: str
    qubits: list[int]
    gain: float


class Attribution(TypedDict):
    """`shift` is the mean |change of <Z>| by all of the noise; the rest says how much of it would come back."""

    shift: float
    gates: list[GateGain]
    qubits: dict[str, float]
    kinds: dict[str, float]


def attribution(subject: Subject, scale: float = 1.0) -> Attribution | None:
    """Where the error of `subject` comes from, exactly; None for a circuit too wide for the exact engine.

    `gates` are in the order of the schedule. `qubits` is by physical qubit: without the noise of every gate that
    touches it, of its waits and of its readout. `kinds` is by `one-qubit gates`, `two-qubit gates`, `waiting` and
    `readout`. Parts do not add up to the whole: noise on noise costs less than alone.
    """
    circuits = subject.noisy(scale)
    if any(is_too_wide(circuit, setting, subject) for circuit, setting in zip(circuits, subject.settings, strict=True)):
        return None
    ideal = subject.expectations(0.0)
    noisy = subject.expectations(scale)
    shift = float((noisy - ideal).abs().mean())

    def gain(quiet: Callable[[Part], bool]) -> float:
        pairs = zip(circuits, subject.settings, strict=True)
        values = [_without(circuit, setting, subject, quiet) for circuit, setting in pairs]
        return shift - float((torch.cat(values, dim=1) - ideal).abs().mean())

    used = sorted({qubit for circuit in circuits for part in circuit.parts for qubit in part.qubits})
    return Attribution(
        shift=shift,
        gates=_gates(subject, circuits, torch.sign(ideal - noisy)),
        qubits={str(qubit): gain(lambda part, qubit=qubit: qubit in part.qubits) for qubit in used},  # type: ignore[misc]
        kinds={kind: gain(quiet) for kind, quiet in KINDS.items()},
    )


KINDS: dict[str, Callable[[Part], bool]] = {
    "two-qubit gates": lambda part: len(part.qubits) == 2,
    "one-qubit gates": lambda part: len(part.qubits) == 1 and part.name not in ("delay", "measure"),
    "waiting": lambda part: part.name == "delay",
    "readout": lambda part: part.name == "measure",
}


def _without(circuit: NoisyCircuit, setting: Setting, subject: Subject, quiet: Callable[[Part], bool]) -> Tensor:
    """The parities where the parts that are `quiet` have no noise."""
    parts = [part._replace(error=None) if quiet(part) else part for part in circuit.parts]
    return evaluate(circuit, setting, subject, parts)


def _gates(subject: Subject, circuits: Iterable[NoisyCircuit], towards: Tensor) -> list[GateGain]:
    gains, begin = [], 0
    for number, (circuit, setting) in enumerate(zip(circuits, subject.settings, strict=True)):
        parities = len(setting.readout.strings)
        signs = towards[:, begin : begin + parities] / towards.numel()
        begin += parities
        for index, gain in enumerate(_linear(circuit, setting, subject, signs)):
            part = circuit.parts[index]
            if part.error is not None:
                gains.append(GateGain(setting=number, index=index, name=part.name, qubits=list(part.qubits), gain=gain))
    return gains


def _linear(circuit: NoisyCircuit, setting: Setting, subject: Subject, weights: Tensor) -> list[float]:
    """`<dF/dE_k, 1 - E_k>` of every part, with F the sum of the parities times `weights` `(samples, parities)`."""
    parts = circuit.parts
    errors = [None if part.error is None else part.error.clone().requires_grad_() for part in parts]
    open_parts = [part._replace(error=error) for part, error in zip(parts, errors, strict=True)]
    leaves = [error for error in errors if error is not None]
    slopes = [torch.zeros_like(leaf) for leaf in leaves]
    turn = _turn(circuit, setting, subject)
    for k in range(0, weights.shape[1], turn):
        values = evaluate(circuit, setting, subject, open_parts, slice(k, k + turn))
        total = (weights[:, k : k + turn] * values).sum()
        found = torch.autograd.grad(total, leaves, allow_unused=True) if total.requires_grad else []
        for slope, more in zip(slopes, found, strict=False):
            if more is not None:
                slope += more
    by_leaf = iter(slopes)
    return [
        0.0 if error is None else float((next(by_leaf) * (torch.eye(len(error)) - error.detach())).sum())
        for error in errors
    ]


def is_too_wide(circuit: NoisyCircuit, setting: Setting, subject: Subject) -> bool:
    """Whether the exact engine cannot take the setting's parities on."""
    width: int = _route(circuit, setting, subject, circuit.parts).width
    return bool(len(setting.readout.strings) * 4**width > EXACT_NUMBERS)


def _turn(circuit: NoisyCircuit, setting: Setting, subject: Subject) -> int:
    """How many parities one derivative takes, so that the observables it keeps fit."""
    route = _route(circuit, setting, subject, circuit.parts)
    kept = sum(not isinstance(item, int) and len(item.qubits) > 1 for item in route.late)
    return max(1, int(MEMORY // (4**route.width * max(kept, 1))))


def _route(circuit: NoisyCircuit, setting: Setting, subject: Subject, parts: Iterable[Part]) -> Plan:
    measured = [circuit.wires[wire] for wire in setting.readout.wires]
    prepared = () if subject.states is None else circuit.sources
    return heisenberg.plan([part.step() for part in parts], measured, prepared)


def evaluate(
    circuit: NoisyCircuit, setting: Setting, subject: Subject, parts: Iterable[Part], which: slice = slice(None)
) -> Tensor:
    """The setting's parities `which`, `(samples, parities)`, of the circuit with other `parts`; differentiable."""
    strings = [tuple(circuit.wires[wire] for wire in string) for string in setting.readout.strings]
    route = _route(circuit, setting, subject, parts)
    samples = 1 if subject.states is None else len(subject.states)
    x = torch.zeros(samples, 0) if subject.x is None else subject.x
    states = None if subject.states is None else subject.states.to(torch.complex128)
    return heisenberg.expectations(route, strings[which], x.double(), states, circuit.sources)
