"""Noise-aware fine-tuning: training the angles of a compiled circuit through the exact noise engine.

The cost of a compiled circuit depends on its gates, not on their angles: RZ is virtual on most devices, and the
duration of a fractional gate does not depend on its angle. The angles can therefore be trained under the noise of
exactly these gates, idle times and readouts, while the counts, the schedule and the success probability stay the same.

The gradient is that of the training part of the data. After each round the point is validated under noise, and the
point with the best validation score is kept, which may be the initial one.
"""

from collections import defaultdict
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol, runtime_checkable

import torch
from qiskit.circuit import CircuitInstruction, ParameterExpression
from torch import Tensor

from quantum.noise.attribution import evaluate, is_too_wide
from quantum.noise.engine.noisy import NoisyCircuit, Part
from quantum.noise.engine.pauli import gate_transfer
from quantum.noise.workload import MeasurementSetting, Workload
from quantum.tasks.training import train_weights

_NO_GATES = ("barrier", "delay", "measure")


@runtime_checkable
class Trainable(Protocol):
    """A score with a differentiable loss."""

    def loss(self, expectations: Tensor) -> Tensor:
        """The training loss, a scalar that is differentiable in the expectations `(samples, parities)`."""


@dataclass(frozen=True)
class NoiseAware:
    """`rounds` of `steps` of Adam on the training loss at noise `scale`, with validation after each round."""

    scale: float = 1.0
    rounds: int = 8
    steps: int = 15
    rate: float = 0.02

    def tune(self, train: Workload, val: Workload) -> Tensor:
        """The angles `(angles,)` with the best validation score under noise; `set_angles` applies them to a workload.

        `train` and `val` are one compiled circuit on two parts of the data (`quantum.noise.workload.on_part`). Raises
        `ValueError` for a circuit without a task, one measured in several bases, or one too wide for the exact engine.
        """
        training, validation = Tunable(train, self.scale), Tunable(val, self.scale)
        points = [training.angles]
        for _ in range(self.rounds):
            points.append(train_weights(training.loss, points[-1], self.steps, self.rate))
        return max(points, key=validation.selection_score)


@dataclass(frozen=True, eq=False)
class Tunable:
    """A workload as a function of the angles of its compiled gates that read no data and have no angle bounds."""

    workload: Workload
    scale: float = 1.0

    def __post_init__(self) -> None:
        name, settings = self.workload.name, self.workload.settings
        if not isinstance(self.workload.score, Trainable):
            raise ValueError(f"{name} has no task to train its angles for: name data with labels, such as digits4")
        if len(settings) > 1:
            raise ValueError(
                f"{name} is measured in {len(settings)} bases, whose compiled circuits share no angles: "
                "only circuits that are measured in one can be tuned"
            )
        if is_too_wide(self.noisy, self.setting, self.workload):
            raise ValueError(
                f"{name} is too wide for the exact engine, which training needs: use a circuit on fewer qubits"
            )

    @cached_property
    def setting(self) -> MeasurementSetting:
        return self.workload.settings[0]

    @cached_property
    def noisy(self) -> NoisyCircuit:
        return self.workload.noisy(self.scale)[0]

    @cached_property
    def angles(self) -> Tensor:
        """The present angles, `(angles,)` in radians, in the order of the gates."""
        angles = [float(angle) for item in _tuned(self.workload) for angle in item.params]
        return torch.tensor(angles, dtype=torch.float64)

    @cached_property
    def _slots(self) -> dict[str, list[tuple[int, slice]]]:
        """For each gate name, the index of each part of the noisy circuit and the slice of its angles."""
        parts = [k for k, part in enumerate(self.noisy.parts) if part.name not in _NO_GATES]
        gates = [item for item in self.setting.compiled.circuit.data if item.name not in _NO_GATES]
        slots, begin = defaultdict[str, list[tuple[int, slice]]](list), 0
        for place, item in zip(parts, gates, strict=True):
            if _is_tuned(item, self.workload):
                slots[item.name].append((place, slice(begin, begin + len(item.params))))
                begin += len(item.params)
        return slots

    def parts(self, angles: Tensor) -> list[Part]:
        """The parts of the noisy circuit at other angles, with the same noise."""
        parts = list(self.noisy.parts)
        for name, slots in self._slots.items():
            ideals = gate_transfer(name, torch.stack([angles[where] for _, where in slots]))
            for (place, _), ideal in zip(slots, ideals, strict=True):
                parts[place] = parts[place]._replace(ideal=ideal)
        return parts

    def expectations(self, angles: Tensor) -> Tensor:
        """The exact noisy parities `(samples, parities)`, differentiable in the angles."""
        return evaluate(self.noisy, self.setting, self.workload, self.parts(angles))

    def loss(self, angles: Tensor) -> Tensor:
        """The training loss under noise, a scalar."""
        score = self.workload.score
        assert isinstance(score, Trainable)
        return score.loss(self.expectations(angles))

    @torch.no_grad()
    def selection_score(self, angles: Tensor) -> tuple[float, float]:
        """The key by which points are selected, larger is better: the score under noise, then the negative loss."""
        values, score = self.expectations(angles), self.workload.score
        assert isinstance(score, Trainable)
        return (-1 if score.less_is_better else 1) * score.value(values), -float(score.loss(values))


def set_angles(workload: Workload, angles: Tensor) -> Workload:
    """The workload with its tunable angles set to `angles`; all counts stay the same."""
    (setting,) = workload.settings
    circuit, rest = setting.compiled.circuit, angles.tolist()
    out = circuit.copy_empty_like()
    for item in circuit.data:
        if _is_tuned(item, workload):
            taken, rest = rest[: len(item.params)], rest[len(item.params) :]
            item = item.replace(operation=item.operation.base_class(*taken))
        out.append(item)
    return replace(workload, settings=(replace(setting, compiled=replace(setting.compiled, circuit=out)),))


def _tuned(workload: Workload) -> list[CircuitInstruction]:
    (setting,) = workload.settings
    return [item for item in setting.compiled.circuit.data if _is_tuned(item, workload)]


def _is_tuned(item: CircuitInstruction, workload: Workload) -> bool:
    """Whether the gate has angles, all of them numbers, and the device runs it at every angle."""
    if item.name in _NO_GATES or not item.params or workload.device.target.gate_has_angle_bounds(item.name):
        return False
    return not any(isinstance(angle, ParameterExpression) and angle.parameters for angle in item.params)
