"""The workload of a noise report: compiled circuits, their inputs, and the score of the measured parities."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from quantum.circuits.circuit import Circuit
from quantum.circuits.encode import amplitude, angle
from quantum.circuits.lossless import lossless
from quantum.circuits.readout import Readout, per_class
from quantum.compilation.compile import Compiled, compile_as_given, compile_circuit
from quantum.compilation.controls import CONTROLS
from quantum.devices.target import Device
from quantum.interop.qiskit import to_qiskit
from quantum.noise.engine.noisy import NoisyCircuit, sample_expectations
from quantum.tasks.classification import LOGIT_SCALE
from quantum.tasks.data import Part

ENCODINGS = ("auto", "angle", "amplitude", "own")
SEEDS = tuple(range(8))
"""Transpiler seeds tried for a circuit; the cheapest result is reported."""

O3 = "o3"
AS_GIVEN = "as_given"
"""The compiler that keeps every gate, barrier and delay of a circuit that is not simplified."""


class Score(Protocol):
    """One number from the expectations `(samples, parities)` of all measurements of a workload."""

    @property
    def unit(self) -> str:
        """The unit of the score, in one word: `right` for samples classified correctly."""

    @property
    def total(self) -> int | None:
        """The number of samples, if the score counts samples; None if it does not."""

    @property
    def less_is_better(self) -> bool:
        """Whether a lower score is better, as it is for an energy."""

    def value(self, expectations: Tensor) -> float:
        """The number of samples classified correctly, or an energy."""

    def margins(self, expectations: Tensor) -> Tensor:
        """The decision margin of each sample, `(samples,)`, or an empty tensor if no decision is taken."""


class ContinuousScore:
    """The part of `Score` that all scores share that neither count samples nor take decisions."""

    @property
    def total(self) -> None:
        return None

    def margins(self, expectations: Tensor) -> Tensor:
        return torch.zeros(0)


@dataclass(frozen=True, eq=False)
class Accuracy:
    """The number of samples whose class in `labels` `(samples,)` gets the highest score of `readout`."""

    readout: Readout
    labels: Tensor
    unit: str = "right"
    less_is_better: bool = False

    @property
    def total(self) -> int:
        return len(self.labels)

    def value(self, expectations: Tensor) -> float:
        return float((self.readout.logits(expectations).argmax(-1) == self.labels).sum())

    def loss(self, expectations: Tensor) -> Tensor:
        """Mean cross-entropy, with logits as `quantum.tasks.classification` trains them."""
        logits = self.readout.logits(expectations) * (LOGIT_SCALE / self.readout.scale)
        return torch.nn.functional.cross_entropy(logits, self.labels)

    def margins(self, expectations: Tensor) -> Tensor:
        """The score of the correct class minus the highest other score, in units of <Z>."""
        scores = self.readout.logits(expectations) / self.readout.scale
        right = torch.nn.functional.one_hot(self.labels, scores.shape[-1]).bool()
        return scores[right] - scores.masked_fill(right, -torch.inf).amax(-1)


@dataclass(frozen=True, eq=False)
class MeasurementSetting:
    """One compiled circuit and the parities of Z that are measured at its end: one measurement basis."""

    compiled: Compiled
    readout: Readout


@dataclass(frozen=True, eq=False)
class Workload:
    """Compiled circuits on `device`, one per measurement basis, with the inputs `x` or `states`.

    `x` is `(samples, features)`; `states` `(samples, 2**wires)` are input states that are prepared without noise.
    """

    name: str
    device: Device
    settings: tuple[MeasurementSetting, ...]
    score: Score
    x: Tensor | None = None
    states: Tensor | None = None

    def noisy(self, scale: float = 1.0) -> list[NoisyCircuit]:
        """The circuits with the device's noise scaled by `scale`."""
        return [NoisyCircuit(s.compiled.circuit, self.device, s.compiled.measured, scale=scale) for s in self.settings]

    def expectations(self, scale: float = 1.0) -> Tensor:
        """The exact parities of all settings, `(samples, parities)`."""
        values = (
            noisy.expectations(setting.readout, self.x, self.states)
            for noisy, setting in zip(self.noisy(scale), self.settings, strict=True)
        )
        return torch.cat(list(values), dim=1)

    def outcomes(self, scale: float = 1.0) -> list[tuple[Tensor, Tensor]]:
        """For each setting the exact probabilities `(samples, 2**k)` of its k wires and the signs of its parities."""
        return [
            _outcomes(noisy, setting.readout, self.x, self.states)
            for noisy, setting in zip(self.noisy(scale), self.settings, strict=True)
        ]

    def on(self, device: Device) -> "Workload":
        """The same compiled circuits on another calibration of the device.

        Its evaluation raises `ValueError` for a gate that the other calibration does not have.
        """
        return replace(self, device=device)


def _outcomes(noisy: NoisyCircuit, readout: Readout, x: Tensor | None, states: Tensor | None) -> tuple[Tensor, Tensor]:
    wires = sorted(readout.wires)
    place = {wire: k for k, wire in enumerate(wires)}
    local = Readout(tuple(tuple(place[wire] for wire in string) for string in readout.strings), ())
    return noisy.probabilities(x, states, wires=wires), local.parities(len(wires))


def measure(outcomes: Sequence[tuple[Tensor, Tensor]], shots: int, rng: np.random.Generator) -> Tensor:
    """The parities `(samples, parities)` estimated from `shots` per sample, divided evenly among the settings."""
    if shots < len(outcomes):
        raise ValueError(f"shots={shots}: at least {len(outcomes)} are needed, one for each basis that is measured")
    share = shots // len(outcomes)
    return torch.cat([sample_expectations(p, signs, share, rng) for p, signs in outcomes], dim=1)


def classifier(
    name: str,
    circuit: Circuit,
    part: Part,
    classes: int,
    device: Device,
    *,
    encoding: str = "auto",
    readout: Readout | None = None,
    seeds: Sequence[int] = SEEDS,
    simplify: bool = True,
    compiler: str = O3,
) -> Workload:
    """A bound circuit that classifies the samples of `part`, compiled for `device`, its encoder included.

    The features stay symbolic in the compiled circuit, so one compiled circuit serves all inputs. `encoding` is `angle`
    or `amplitude` before the circuit, or `own` if the circuit reads its features itself; `auto` is `own` if it does and
    `angle` if not. Amplitudes are prepared without noise. With `simplify` the circuit is first rewritten exactly for
    the measured parities (`quantum.circuits.lossless`). `compiler` is `o3` with the best of `seeds`, `as_given`, or a
    compile-only control of `quantum.compilation.controls`.

    Raises `ValueError` for a circuit that does not fit the data or the device.
    """
    if encoding not in ENCODINGS:
        raise ValueError(f"encoding {encoding!r} is unknown: use one of {', '.join(ENCODINGS)}")
    columns = part.x.shape[1]
    if encoding == "auto":
        encoding = "own" if circuit.features else "angle"
    if encoding == "own" and circuit.features > columns:
        raise ValueError(f"{name} reads feature {circuit.features - 1}, but the data has columns 0 to {columns - 1}")
    if encoding != "own" and circuit.features:
        raise ValueError(f"{name} reads {circuit.features} features itself: use encoding own, not {encoding}")
    readout = readout or per_class(circuit.wires, classes)
    if readout.classes < classes:
        raise ValueError(f"the readout of {name} has {readout.classes} classes, the data {classes}")
    whole = angle(circuit.wires, columns) + circuit if encoding == "angle" else circuit
    if simplify:
        whole, readout = lossless(whole, readout, from_zero=encoding != "amplitude")
    compiled = by_compiler(whole, device, seeds, compiler)
    inputs = {"states": amplitude(part.x, circuit.wires)} if encoding == "amplitude" else {"x": part.x}
    return Workload(name, device, (MeasurementSetting(compiled, readout),), Accuracy(readout, part.y), **inputs)


def by_compiler(circuit: Circuit, device: Device, seeds: Sequence[int], compiler: str) -> Compiled:
    """Compiles by Qiskit's O3 or as given with the best of `seeds`, or by a compile-only control with its own seeds."""
    if compiler == AS_GIVEN:
        return compile_as_given(to_qiskit(circuit), device, seeds)
    if compiler == O3:
        return compile_circuit(to_qiskit(circuit), device, seeds)
    return CONTROLS[compiler].compile(circuit, device)


def on_part(workload: Workload, part: Part) -> Workload:
    """The compiled classifier `workload` on the samples of another part of its data."""
    if not isinstance(workload.score, Accuracy):
        raise ValueError(
            f"{workload.name} classifies no data: only a classifier can be evaluated on another part of its data"
        )
    score = replace(workload.score, labels=part.y)
    if workload.states is None:
        return replace(workload, x=part.x, score=score)
    return replace(workload, states=amplitude(part.x, (workload.states.shape[1] - 1).bit_length()), score=score)


@dataclass(frozen=True, eq=False)
class MeanZ(ContinuousScore):
    """The score of a circuit without a task: the mean of <Z> over its wires, by `readout`."""

    readout: Readout
    unit: str = "mean <Z>"
    less_is_better: bool = False

    def value(self, expectations: Tensor) -> float:
        return float(self.readout.logits(expectations).mean())


def state_workload(
    name: str,
    circuit: Circuit,
    device: Device,
    *,
    seeds: Sequence[int] = SEEDS,
    simplify: bool = True,
    compiler: str = O3,
) -> Workload:
    """A bound circuit without data, from |0...0>, with Z measured on each wire; its score is `MeanZ`.

    Raises `ValueError` for a circuit that reads features or does not fit the device.
    """
    if circuit.features:
        raise ValueError(f"{name} reads {circuit.features} features: name the data set they come from, such as digits4")
    wires = range(circuit.wires)
    readout = Readout(tuple((wire,) for wire in wires), (tuple(1 / circuit.wires for _ in wires),))
    if simplify:
        circuit, readout = lossless(circuit, readout, from_zero=True)
    compiled = by_compiler(circuit, device, seeds, compiler)
    return Workload(name, device, (MeasurementSetting(compiled, readout),), MeanZ(readout))
