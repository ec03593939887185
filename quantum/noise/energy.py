"""The workload of an energy measured on a device: one circuit per basis of qubit-wise commuting terms."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from quantum.circuits.circuit import Circuit, Gate
from quantum.circuits.lossless import lossless
from quantum.devices.target import Device
from quantum.noise.workload import O3, SEEDS, ContinuousScore, MeasurementSetting, Workload, by_compiler
from quantum.tasks.energy import Hamiltonian

_TO_Z = {"X": ("h",), "Y": ("sdg", "h"), "Z": (), "I": ()}
"""Gates that turn each axis into Z before the measurement."""


@dataclass(frozen=True, eq=False)
class MeasuredEnergy(ContinuousScore):
    """The energy as the score of the parities of all bases: `constant + weights . expectations`."""

    constant: float
    weights: Tensor
    unit: str = "energy"
    less_is_better: bool = True

    def loss(self, expectations: Tensor) -> Tensor:
        return self.constant + (expectations @ self.weights).mean()

    def value(self, expectations: Tensor) -> float:
        return float(self.loss(expectations))


def energy_workload(
    name: str,
    circuit: Circuit,
    problem: Hamiltonian,
    device: Device,
    *,
    seeds: Sequence[int] = SEEDS,
    compiler: str = O3,
    simplify: bool = True,
) -> Workload:
    """A bound state preparation circuit, compiled for `device` and measured in every basis of `problem`.

    Raises `ValueError` for a circuit on other wires than the Hamiltonian's, or that reads features.
    """
    if circuit.wires != problem.wires or circuit.features or circuit.weights:
        raise ValueError(
            f"{name} has {circuit.wires} wires, {circuit.weights} weights and {circuit.features} features: "
            f"{problem.name} needs a bound circuit on {problem.wires} wires"
        )
    settings, weights = [], []
    for axes, members in problem.bases().items():
        turned = Circuit(circuit.wires, circuit.gates + tuple(_basis_change(axes)))
        readout = problem.readout(members)
        if simplify:
            turned, readout = lossless(turned, readout, from_zero=True)
        settings.append(MeasurementSetting(by_compiler(turned, device, seeds, compiler), readout))
        weights += list(readout.weights[0])
    constant = sum(c for term, c in problem.terms if set(term) == {"I"})
    score = MeasuredEnergy(constant, torch.tensor(weights, dtype=torch.float64))
    return Workload(name, device, tuple(settings), score)


def _basis_change(axes: str) -> Iterable[Gate]:
    return (Gate(gate, (wire,)) for wire, axis in enumerate(axes) for gate in _TO_Z[axis])
