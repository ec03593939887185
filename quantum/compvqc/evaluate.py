"""Evaluation of a compiled circuit: the counts and scores that a row of results holds."""

from dataclasses import dataclass
from typing import Any

import torch

from quantum.circuits.readout import Readout
from quantum.compilation.compile import Compiled
from quantum.devices.target import Device
from quantum.noise.engine.noisy import NoisyCircuit
from quantum.tasks.classification import Classification


@dataclass(frozen=True)
class Evaluation:
    """Scores circuits of one task on one device."""

    task: Classification
    device: Device

    def scores(self, compiled: Compiled, readout: Readout) -> dict[str, Any]:
        """Counts and scores of `compiled`, a body that starts from the task's encoded data.

        `correct` is the number of correct samples of each part for the compiled circuit without noise, so it includes
        the effect of an approximate compiler. `noisy_correct` is that of the test part with the device's noise on every
        gate, idle time and measurement; `shift` is the mean |change of <Z>| by the noise there. The encoder is exact
        for all circuits.
        """
        ideal = {part: self._expectations(compiled, readout, part, 0.0) for part in self.task.states}
        noisy = self._expectations(compiled, readout, "test", 1.0)
        return {
            "twoq": compiled.twoq,
            "depth": compiled.depth,
            "depth_no_rz": compiled.depth_no_rz,
            "twoq_depth": compiled.twoq_depth,
            "esp": compiled.esp,
            "duration_ns": compiled.duration_ns,
            "correct": {part: self._correct(values, readout, part) for part, values in ideal.items()},
            "noisy_correct": self._correct(noisy, readout, "test"),
            "shift": float((noisy - ideal["test"]).abs().mean()),
        }

    def _expectations(self, compiled: Compiled, readout: Readout, part: str, scale: float) -> torch.Tensor:
        circuit = NoisyCircuit(compiled.circuit, self.device, compiled.measured, scale=scale)
        return circuit.expectations(readout, self.task.columns.get(part), self.task.states[part])

    def _correct(self, expectations: torch.Tensor, readout: Readout, part: str) -> int:
        return int((readout.logits(expectations).argmax(-1) == self.task.labels[part]).sum())
