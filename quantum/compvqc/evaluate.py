"""How good a compiled circuit is: the counts that every row of a report is made of."""

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
        """Counts of `compiled`, a body that starts from the task's encoded data.

        `correct` is per part, of the compiled circuit itself without noise, so what an approximate compiler changed
        shows. `noisy_correct` is on the test part with the device's noise on every gate, wait and measurement;
        `shift` is the mean |change of <Z>| that the noise makes there. The encoder is taken as exact for all alike.
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
