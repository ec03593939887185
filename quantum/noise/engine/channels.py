"""The noise of a device at any strength: a channel for each gate, idle time and measurement.

The model is Qiskit Aer's (`qiskit_aer.noise.NoiseModel.from_backend`), computed from the device's calibration: each
gate is followed by depolarization and then by thermal relaxation of its qubits, and the depolarization is chosen so
that both together have the reported gate error; an idle qubit relaxes; a measured bit flips with the reported
probabilities.

`scale` s recomputes the model from T1/s, T2/s, s times the gate error and s times the flip probabilities. The noise is
therefore a channel at every s (a power or a multiple of a noise matrix need not be one), the identity at s = 0, and the
calibrated noise at s = 1.
"""

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache, reduce

import torch
from qiskit.circuit import Gate
from qiskit.transpiler import InstructionProperties, QubitProperties
from torch import Tensor

from quantum.devices.target import Device


def relaxation(seconds: Tensor, t1: Tensor, t2: Tensor) -> Tensor:
    """Transfer matrices `(..., 4, 4)` of thermal relaxation towards |0>.

    X and Y shrink by `exp(-t/T2)`, and Z goes to `1 - (1 - Z) exp(-t/T1)`. All times are in one unit; with infinite T1
    or T2 there is no decay.
    """
    decay, dephase = torch.exp(-seconds / t1), torch.exp(-seconds / t2)
    out = torch.zeros(*decay.shape, 4, 4, dtype=torch.float64)
    out[..., 0, 0] = 1.0
    out[..., 1, 1] = out[..., 2, 2] = dephase
    out[..., 3, 3], out[..., 3, 0] = decay, 1 - decay
    return out


def depolarization(error: float, relaxed: Tensor) -> Tensor:
    """The depolarization `(4**n, 4**n)` that, together with the relaxation `relaxed`, has the average error `error`.

    `rho -> (1 - l) rho + l I/d` with `l = d (error - e) / (d F - 1)`, where F and e = 1 - F are the average fidelity
    and error of the relaxation alone; the identity if the relaxation alone has that error or a larger one. An error
    above the maximum d/(d + 1) is clipped to it. As in Aer, `noise/device/models.py`.
    """
    d = math.isqrt(len(relaxed))
    fidelity = (float(relaxed.trace()) / d + 1) / (d + 1)
    excess, reducible = min(error, d / (d + 1)) - (1 - fidelity), d * fidelity - 1
    strongest = d * d / (d * d - 1)
    strength = 0.0 if excess <= 0 else min(d * excess / reducible, strongest) if reducible > 0 else strongest
    shrink = torch.full((d * d,), 1 - strength, dtype=torch.float64)
    shrink[0] = 1.0
    return torch.diag(shrink)


def scaled(error: float, scale: float, worst: float) -> float:
    """`scale` times an error probability, at most `worst` (no information is left), or `error` if larger."""
    return min(scale * error, max(error, worst))


@dataclass(frozen=True)
class Noise:
    """The channels of `device` with its noise scaled by `scale`, as transfer matrices of `quantum.noise.engine.pauli`.

    A gate error grows until the gate depolarizes completely, a readout error until 1/2. A reported T2 > 2 T1 is
    replaced by 2 T1. A value that the device does not report means no noise.
    """

    device: Device
    scale: float = 1.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.scale) and self.scale >= 0):
            raise ValueError(f"scale={self.scale}: the noise scale is a number >= 0 (1 is the device as calibrated)")

    @cached_property
    def times(self) -> Tensor:
        """T1 and T2 of every qubit in seconds, `(qubits, 2)`."""
        target = self.device.target
        return torch.tensor(
            [relaxation_times(p, self.scale) for p in target.qubit_properties or [None] * target.num_qubits],
            dtype=torch.float64,
        )

    def wait(self, qubits: Tensor, seconds: Tensor) -> Tensor:
        """Relaxation `(n, 4, 4)` of n idle qubits over `seconds` `(n,)`."""
        return relaxation(seconds, *self.times[qubits].unbind(-1))

    def gate(self, name: str, qubits: tuple[int, ...]) -> Tensor | None:
        """The error after gate `name` on `qubits`, `(4**n, 4**n)`; None if the device reports none."""
        return _gate(self, name, qubits)

    def flips(self, qubit: int) -> tuple[float, float]:
        """The probabilities of reading 1 from a qubit in |0>, and 0 from a qubit in |1>."""
        properties = _table(self.device, "measure").get((qubit,))
        both = getattr(properties, "error", None) or 0.0
        up, down = getattr(properties, "prob_meas1_prep0", both), getattr(properties, "prob_meas0_prep1", both)
        return scaled(up, self.scale, 0.5), scaled(down, self.scale, 0.5)

    def readout(self, qubit: int) -> Tensor:
        """The measurement of a qubit as a transfer matrix `(4, 4)`: X and Y vanish, and Z has the readout flips."""
        up, down = self.flips(qubit)
        out = torch.zeros(4, 4, dtype=torch.float64)
        out[0, 0], out[3, 0], out[3, 3] = 1.0, down - up, 1 - up - down
        return out


def relaxation_times(properties: QubitProperties | None, scale: float) -> tuple[float, float]:
    """T1 and T2 in seconds, divided by `scale`; infinite if they are not reported."""
    t1, t2 = getattr(properties, "t1", None), getattr(properties, "t2", None)
    t1 = math.inf if t1 is None or scale == 0 else t1 / scale
    t2 = math.inf if t2 is None or scale == 0 else t2 / scale
    return t1, min(t2, 2 * t1)


@lru_cache(maxsize=4096)
def _table(device: Device, name: str) -> dict[tuple[int, ...] | None, InstructionProperties | None]:
    return dict(device.target[name]) if name in device.target.operation_names else {}


@lru_cache(maxsize=4096)
def _gate(noise: Noise, name: str, qubits: tuple[int, ...]) -> Tensor | None:
    properties = _table(noise.device, name).get(qubits)
    if noise.scale == 0 or properties is None or not (properties.duration or properties.error):
        return None
    seconds = torch.full((len(qubits),), properties.duration or 0.0, dtype=torch.float64)
    relaxed: Tensor = reduce(torch.kron, noise.wait(torch.tensor(qubits), seconds))
    if not properties.error or not isinstance(noise.device.target.operation_from_name(name), Gate):
        return relaxed
    d = 2 ** len(qubits)
    return relaxed @ depolarization(scaled(properties.error, noise.scale, (d - 1) / d), relaxed)
