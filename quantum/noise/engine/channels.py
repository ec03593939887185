"""The noise of a device at any strength: a channel for each gate, wait and measurement.

The model is Qiskit Aer's (`qiskit_aer.noise.NoiseModel.from_backend`), computed from the device's own figures:
a gate is followed by depolarization and then by thermal relaxation of its qubits, the first just strong enough that
both together have the reported gate error; a waiting qubit relaxes; a measured bit flips with the reported
probabilities.

`scale` s regenerates the physics: T1/s, T2/s, s times the gate error and s times the flips. So the noise is a channel
at every s (a power or a multiple of a noise matrix need not be), none at all at s = 0, and the device's own at s = 1.
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

    X and Y shrink by `exp(-t/T2)`, and Z goes to `1 - (1 - Z) exp(-t/T1)`. All times in one unit; infinity means never.
    """
    decay, dephase = torch.exp(-seconds / t1), torch.exp(-seconds / t2)
    out = torch.zeros(*decay.shape, 4, 4, dtype=torch.float64)
    out[..., 0, 0] = 1.0
    out[..., 1, 1] = out[..., 2, 2] = dephase
    out[..., 3, 3], out[..., 3, 0] = decay, 1 - decay
    return out


def depolarization(error: float, relaxed: Tensor) -> Tensor:
    """The depolarization `(4**n, 4**n)` that, with the relaxation `relaxed`, has the average gate error `error`.

    `rho -> (1 - l) rho + l I/d` with `l = d (error - e) / (d F - 1)`, where F and e = 1 - F are the average fidelity
    and error of the relaxation alone; none if the relaxation alone explains the error. An error above its largest
    possible value d/(d + 1) is cut to it. As in Aer, `noise/device/models.py`.
    """
    d = math.isqrt(len(relaxed))
    fidelity = (float(relaxed.trace()) / d + 1) / (d + 1)
    excess, left = min(error, d / (d + 1)) - (1 - fidelity), d * fidelity - 1
    strongest = d * d / (d * d - 1)
    strength = 0.0 if excess <= 0 else min(d * excess / left, strongest) if left > 0 else strongest
    shrink = torch.full((d * d,), 1 - strength, dtype=torch.float64)
    shrink[0] = 1.0
    return torch.diag(shrink)


def scaled(error: float, scale: float, worst: float) -> float:
    """`scale` times an error probability; growing noise brings it to `worst` (nothing left to lose), not beyond."""
    return min(scale * error, max(error, worst))


@dataclass(frozen=True)
class Noise:
    """The channels of `device` with its noise scaled by `scale`, as transfer matrices of `quantum.noise.engine.pauli`.

    A gate error grows until the gate depolarizes completely, a readout error until 1/2. Where a T2 > 2 T1 is reported,
    2 T1 is used. A figure that the device does not give counts as noiseless.
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
        """Relaxation `(n, 4, 4)` of n waiting qubits over `seconds` `(n,)`."""
        return relaxation(seconds, *self.times[qubits].unbind(-1))

    def gate(self, name: str, qubits: tuple[int, ...]) -> Tensor | None:
        """The error after gate `name` on `qubits`, `(4**n, 4**n)`; None where the device reports none."""
        return _gate(self, name, qubits)

    def flips(self, qubit: int) -> tuple[float, float]:
        """Probabilities of reading 1 where the qubit is 0, and 0 where it is 1."""
        found = _table(self.device, "measure").get((qubit,))
        both = getattr(found, "error", None) or 0.0
        up, down = getattr(found, "prob_meas1_prep0", both), getattr(found, "prob_meas0_prep1", both)
        return scaled(up, self.scale, 0.5), scaled(down, self.scale, 0.5)

    def readout(self, qubit: int) -> Tensor:
        """What is left of a qubit in its measured bit, `(4, 4)`: no X, no Y, and Z with its flips."""
        up, down = self.flips(qubit)
        out = torch.zeros(4, 4, dtype=torch.float64)
        out[0, 0], out[3, 0], out[3, 3] = 1.0, down - up, 1 - up - down
        return out


def relaxation_times(properties: QubitProperties | None, scale: float) -> tuple[float, float]:
    """T1 and T2 in seconds, divided by `scale`; infinite where they are not known."""
    t1, t2 = getattr(properties, "t1", None), getattr(properties, "t2", None)
    t1 = math.inf if t1 is None or scale == 0 else t1 / scale
    t2 = math.inf if t2 is None or scale == 0 else t2 / scale
    return t1, min(t2, 2 * t1)


@lru_cache(maxsize=4096)
def _table(device: Device, name: str) -> dict[tuple[int, ...] | None, InstructionProperties | None]:
    return dict(device.target[name]) if name in device.target.operation_names else {}


@lru_cache(maxsize=4096)
def _gate(noise: Noise, name: str, qubits: tuple[int, ...]) -> Tensor | None:
    found = _table(noise.device, name).get(qubits)
    if noise.scale == 0 or found is None or not (found.duration or found.error):
        return None
    seconds = torch.full((len(qubits),), found.duration or 0.0, dtype=torch.float64)
    relaxed: Tensor = reduce(torch.kron, noise.wait(torch.tensor(qubits), seconds))
    if not found.error or not isinstance(noise.device.target.operation_from_name(name), Gate):
        return relaxed
    d = 2 ** len(qubits)
    return relaxed @ depolarization(scaled(found.error, noise.scale, (d - 1) / d), relaxed)
