"""Zero-noise extrapolation (ZNE) of a dense circuit, the usual error mitigation, as a control for compression.

The circuit is folded to U (U^-1 U)^k, which scales its noise by a chosen factor, and each expectation is extrapolated
to factor 0 (Temme, Bravyi, Gambetta 2017; Giurgica-Tiron et al. 2020, *Digital zero noise extrapolation*). mitiq
computes the folding and the extrapolation; the gates stay basis gates of the device, and features stay symbolic.

The shots are divided evenly among the factors, so a comparison at equal shots is one at equal cost.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from qiskit.circuit import Instruction
from qiskit.circuit.library import RZGate, SXGate, XGate
from torch import Tensor

from quantum.devices.target import Device
from quantum.noise.workload import MeasurementSetting, Workload, measure

INFERENCE = ("richardson", "linear")


@dataclass(frozen=True)
class ZNE:
    """Global folding by odd or fractional `factors`, then `richardson` (a fit through all points) or `linear`.

    Raises `ValueError` for fewer than two factors or one below 1, `ModuleNotFoundError` without mitiq.
    """

    factors: tuple[float, ...] = (1.0, 3.0, 5.0)
    inference: str = "richardson"

    def __post_init__(self) -> None:
        if len(set(self.factors)) < 2 or min(self.factors) < 1:
            raise ValueError(
                f"factors={self.factors}: an extrapolation needs at least two different factors, each at least 1"
            )
        if self.inference not in INFERENCE:
            raise ValueError(f"inference {self.inference!r} is unknown: use one of {', '.join(INFERENCE)}")

    @cached_property
    def weights(self) -> Tensor:
        """The weight of each factor's expectation in the extrapolated one, `(factors,)`; the weights add up to 1."""
        _require_mitiq()
        from mitiq.zne.inference import LinearFactory, RichardsonFactory

        method = {"richardson": RichardsonFactory, "linear": LinearFactory}[self.inference]
        unit = np.eye(len(self.factors))
        # Both fits are linear in the expectations, so their values on the unit vectors are the weights.
        values = [method.extrapolate(list(self.factors), list(row)) for row in unit]
        return torch.tensor(np.array(values, dtype=np.float64))

    def folded(self, workload: Workload) -> list[Workload]:
        """The workload once for each factor."""
        return [
            replace(
                workload, settings=tuple(_folded(setting, workload.device, factor) for setting in workload.settings)
            )
            for factor in self.factors
        ]

    def expectations(self, workload: Workload, scale: float = 1.0) -> Tensor:
        """The extrapolated parities with infinitely many shots, `(samples, parities)`, at a noise scale."""
        values = torch.stack([each.expectations(scale) for each in self.folded(workload)], dim=-1)
        return values @ self.weights

    def scores(
        self, workload: Workload, shots: int, repeats: int, rng: np.random.Generator, scale: float = 1.0
    ) -> list[float]:
        """The scores of `repeats` independent extrapolations, each from `shots` measurements per input in total."""
        if shots < len(self.factors):
            raise ValueError(f"shots={shots}: at least {len(self.factors)} are needed, one for each factor")
        outcomes = [each.outcomes(scale) for each in self.folded(workload)]
        share = shots // len(self.factors)
        return [
            workload.score.value(torch.stack([measure(each, share, rng) for each in outcomes], dim=-1) @ self.weights)
            for _ in range(repeats)
        ]


def _require_mitiq() -> None:
    try:
        import mitiq  # noqa: F401
    except ModuleNotFoundError as error:
        # No extra installs it: it works with our NumPy but pins an older one, and its licence is the GPL.
        message = "zne needs mitiq: pip install --no-deps mitiq==1.1.0 && pip install 'cirq-core==1.6.*' tabulate"
        raise ModuleNotFoundError(message, name="mitiq") from error


def _folded(setting: MeasurementSetting, device: Device, factor: float) -> MeasurementSetting:
    """The setting with its circuit folded; the counts are still those of the unfolded circuit."""
    circuit = setting.compiled.circuit
    gates = [item for item in circuit.data if item.operation.name not in ("barrier", "measure", "delay")]
    index = {bit: k for k, bit in enumerate(circuit.qubits)}
    places = [tuple(index[bit] for bit in item.qubits) for item in gates]
    out = circuit.copy_empty_like()
    for k, inverted in fold(places, factor):
        operations = _inverse(gates[k].operation, device) if inverted else [(gates[k].operation, None)]
        for operation, wire in operations:
            out.append(operation, places[k] if wire is None else [places[k][wire]])
    return replace(setting, compiled=replace(setting.compiled, circuit=out))


def fold(places: Sequence[tuple[int, ...]], factor: float) -> list[tuple[int, bool]]:
    """The gates of the folded circuit in order, each as an index into `places` and whether it is inverted.

    mitiq folds opaque gates on the qubits `places`, so that it can neither convert nor simplify them.
    """
    _require_mitiq()
    import cirq
    from mitiq.zne.scaling import fold_global

    class Token(cirq.Gate):
        def __init__(self, index: int, inverted: bool = False) -> None:
            self.index, self.inverted = index, inverted

        def _num_qubits_(self) -> int:
            return len(places[self.index])

        def __pow__(self, power: int) -> Any:
            return Token(self.index, not self.inverted) if power == -1 else NotImplemented

    circuit = cirq.Circuit(Token(k)(*map(cirq.LineQubit, place)) for k, place in enumerate(places))
    return [(op.gate.index, op.gate.inverted) for op in fold_global(circuit, factor).all_operations()]


def _inverse(operation: Instruction, device: Device) -> list[tuple[Instruction, int | None]]:
    """The inverse in basis gates of the device, up to a global phase: each on all wires of the gate, or on one."""
    names = device.target.operation_names
    inverse = operation.inverse()
    if operation.name == "rzz" and device.target.gate_has_angle_bounds("rzz"):
        return [
            (XGate(), 0),
            (operation, None),
            (XGate(), 0),
        ]  # X inverts the sign of ZZ, so the angle stays in its range
    if inverse.name in names:
        return [(inverse, None)]
    if operation.name == "sx" and "rz" in names:
        return [(RZGate(np.pi), None), (SXGate(), None), (RZGate(np.pi), None)]
    raise ValueError(f"the inverse of {operation.name!r} is not one of {device.name}'s gates ({', '.join(names)})")
