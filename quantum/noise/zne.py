"""Zero-noise extrapolation (ZNE) of a dense circuit, the usual error mitigation, as a control for compression.

The circuit is folded to U (U^-1 U)^k, which scales its noise by a chosen factor, and each expectation is extrapolated
to factor 0 (Temme, Bravyi, Gambetta 2017; Giurgica-Tiron et al. 2020, *Digital zero noise extrapolation*, sections
II.A and III). Both are as in mitiq (`fold_global`, `RichardsonFactory`, `LinearFactory`), whose pins exclude the NumPy
used here; the gates stay basis gates of the device, and features stay symbolic.

The shots are divided evenly among the factors, so a comparison at equal shots is one at equal cost.
"""

from dataclasses import dataclass, replace
from functools import cached_property

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

    Raises `ValueError` for fewer than two factors or one below 1.

    >>> ZNE((1.0, 3.0)).weights
    tensor([ 1.5000, -0.5000], dtype=torch.float64)
    """

    factors: tuple[float, ...] = (1.0, 3.0, 5.0)
    inference: str = "richardson"

    def __post_init__(self) -> None:
        if len(set(self.factors)) < max(2, len(self.factors)) or min(self.factors) < 1:
            raise ValueError(
                f"factors={self.factors}: an extrapolation needs at least two different factors, none twice, each at "
                f"least 1"
            )
        if self.inference not in INFERENCE:
            raise ValueError(f"inference {self.inference!r} is unknown: use one of {', '.join(INFERENCE)}")

    @cached_property
    def weights(self) -> Tensor:
        """The weight of each factor's expectation in the extrapolated one, `(factors,)`; the weights add up to 1."""
        factors = np.array(self.factors)
        if self.inference == "linear":  # the intercept of a least-squares line
            return torch.tensor(np.linalg.pinv(np.stack([np.ones_like(factors), factors], axis=1))[0])
        others = [np.delete(factors, k) for k in range(len(factors))]  # Lagrange's polynomials at 0
        return torch.tensor([np.prod(rest / (rest - own)) for own, rest in zip(factors, others, strict=True)])

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


def _folded(setting: MeasurementSetting, device: Device, factor: float) -> MeasurementSetting:
    """The setting with its circuit folded; the counts are still those of the unfolded circuit."""
    circuit = setting.compiled.circuit
    gates = [item for item in circuit.data if item.operation.name not in ("barrier", "measure", "delay")]
    index = {bit: k for k, bit in enumerate(circuit.qubits)}
    places = [tuple(index[bit] for bit in item.qubits) for item in gates]
    out = circuit.copy_empty_like()
    for k, inverted in fold(len(places), factor):
        operations = _inverse(gates[k].operation, device) if inverted else [(gates[k].operation, None)]
        for operation, wire in operations:
            out.append(operation, places[k] if wire is None else [places[k][wire]])
    return replace(setting, compiled=replace(setting.compiled, circuit=out))


def fold(gates: int, factor: float) -> list[tuple[int, bool]]:
    """The gates of the folded circuit in order, each as an index below `gates` and whether it is inverted.

    U (U^-1 U)^k L^-1 L, where L are the last gates of U: as many as bring the length nearest to `factor` times.

    >>> fold(2, 3.0)
    [(0, False), (1, False), (1, True), (0, True), (0, False), (1, False)]
    """
    whole, rest = divmod(factor - 1, 2)
    last = round(gates * rest / 2)
    once = [(k, False) for k in range(gates)]
    back = [(k, True) for k in reversed(range(gates))]
    return once + (back + once) * int(whole) + back[:last] + once[gates - last :]


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
