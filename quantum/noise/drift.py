"""Calibrations that change from day to day, and the score of a circuit on each day."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from quantum.devices.qiskit_target import from_target, to_target
from quantum.devices.snapshot import GateOn, Snapshot, cut_t2
from quantum.devices.target import Device, device
from quantum.noise.robustness import curve
from quantum.noise.workload import Workload

THRESHOLDS = (0.8, 0.7, 0.5)
"""Accuracies above which days are counted, as in QuCAD's tables."""


# A history --------------------------------------------------------------------------------------------------------


def history(folder: Path) -> list[Device]:
    """The snapshots `*.json` in a folder, in the order of their names, so name them by date.

    Raises `ValueError` for a folder without snapshots or with an invalid one.
    """
    files = sorted(folder.glob("*.json"))
    if not files:
        raise ValueError(f"{folder} has no snapshots: add the calibration of each day as a .json file named by date")
    return [device(file) for file in files]


@dataclass(frozen=True)
class Drift:
    """A synthetic calibration history for a device without one; it models no particular device.

    The logarithm of every calibrated value (T1, T2, readout error, the error of each gate) is a mean-reverting random
    walk around the calibration: from day to day it keeps the share `memory` of its deviation, whose standard deviation
    is `spread` on every day. On each day a gate or a readout also fails with probability `jump`: its error is `factor`
    times higher until it is repaired, with probability 1/2 a day.
    """

    spread: float = 0.25
    memory: float = 0.8
    jump: float = 0.02
    factor: float = 5.0

    def days(self, start: Device, count: int, rng: np.random.Generator) -> list[Device]:
        """`count` calibrations of the device, named from `NAME-day001` on, all with its gates and coupling map."""
        if count < 1:
            raise ValueError(f"days={count}: a history has at least 1 day")
        first = from_target(start.target, start.name)
        places = dict.fromkeys(_place(gate) for gate in first.gates)  # both directions of an edge drift together
        times = rng.normal(scale=self.spread, size=(2, len(first.qubits)))
        errors = rng.normal(scale=self.spread, size=len(first.qubits) + len(places))
        failed = np.zeros(len(errors), dtype=bool)
        history = []
        for day in range(1, count + 1):
            times, errors = self._step(times, rng), self._step(errors, rng)
            failed = (failed & (rng.random(len(failed)) < 0.5)) | (rng.random(len(failed)) < self.jump)
            worse = np.exp(errors) * np.where(failed, self.factor, 1.0)
            by_place = dict(zip(places, worse[len(first.qubits) :], strict=True))
            history.append(_drifted(first, f"{start.name}-day{day:03}", np.exp(times), worse, by_place))
        return history

    def _step(self, deviation: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
        fresh = rng.normal(scale=self.spread * math.sqrt(1 - self.memory**2), size=deviation.shape)
        return self.memory * deviation + fresh


def _place(gate: GateOn) -> tuple[str, tuple[int, ...]]:
    return gate.name, tuple(sorted(gate.qubits))


def _drifted(
    first: Snapshot,
    name: str,
    times: NDArray[np.float64],
    worse: NDArray[np.float64],
    by_place: Mapping[tuple[str, tuple[int, ...]], float],
) -> Device:
    qubits = [
        cut_t2(
            k,
            replace(
                qubit,
                t1_us=_times(qubit.t1_us, times[0, k]),
                t2_us=_times(qubit.t2_us, times[1, k]),
                readout_error=_times(qubit.readout_error, worse[k], 0.5),
                prob_meas1_prep0=_times(qubit.prob_meas1_prep0, worse[k], 0.5),
                prob_meas0_prep1=_times(qubit.prob_meas0_prep1, worse[k], 0.5),
            ),
        )
        for k, qubit in enumerate(first.qubits)
    ]
    gates = [replace(gate, error=_times(gate.error, by_place[_place(gate)], 0.75)) for gate in first.gates]
    return device(to_target(replace(first, name=name, qubits=tuple(qubits), gates=tuple(gates))))


def _times(value: float | None, factor: float, most: float = math.inf) -> float | None:
    return None if value is None else min(float(value * factor), max(value, most))


# A circuit over the days ------------------------------------------------------------------------------------------


class Day(TypedDict):
    """The calibration of one day and the circuit's score on it."""

    name: str
    sha256: str
    score: float
    shift: float


class Summary(TypedDict):
    """Mean, worst and standard deviation of the score over a history, and the days above each of `THRESHOLDS`.

    `above` is None for a score that does not count samples.
    """

    days: int
    mean: float
    worst: float
    deviation: float
    above: dict[str, int] | None


def drift(workload: Workload, days: Sequence[Device]) -> list[Day]:
    """The exact score and shift of one compiled circuit on the calibration of each day."""
    return [_day(workload.on(day)) for day in days]


def _day(workload: Workload) -> Day:
    [point] = curve(workload, [1.0])
    return Day(name=workload.device.name, sha256=workload.device.sha256, score=point["score"], shift=point["shift"])


def summary(days: Sequence[Day], total: int | None, *, least_is_best: bool = False) -> Summary:
    """Statistics over a history; `total` is the number of samples the scores count, `least_is_best` is for energies."""
    scores = np.array([day["score"] for day in days])
    above = {f"{share:g}": int((scores > share * total).sum()) for share in THRESHOLDS} if total else None
    return Summary(
        days=len(days),
        mean=float(scores.mean()),
        worst=float(scores.max() if least_is_best else scores.min()),
        deviation=float(scores.std()),
        above=above,
    )
