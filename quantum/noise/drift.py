"""Calibrations that change from day to day: what they do to a circuit, and which compressed circuit to run today.

After QuCAD (Hu, Lin, Guan, Jiang, *Battle against fluctuating quantum noise*, arXiv 2304.04666, of which only the
abstract was at hand): compressed models are prepared offline for a history of calibrations, and one is chosen online
for today's. Here the choice is our reconstruction: the days are clustered by calibrations whose entries are weighted
by how much they move the scores (k-means), and each cluster keeps the model that scores best on its days by the exact
engine.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from quantum.noise.robustness import curve
from quantum.noise.subject import Subject
from quantum.qiskit_target import from_target, to_target
from quantum.snapshot import GateOn, Snapshot, cut_t2
from quantum.target import Device, device

THRESHOLDS = (0.8, 0.7, 0.5)
"""Shares of samples right above which days are counted, as in QuCAD's tables."""


# A history --------------------------------------------------------------------------------------------------------


def history(folder: Path) -> list[Device]:
    """The snapshots in a folder, `*.json`, in the order of their names: name them by date.

    Raises `ValueError` for a folder without any, and what `quantum.target.device` raises for a bad one.
    """
    files = sorted(folder.glob("*.json"))
    if not files:
        raise ValueError(f"{folder} holds no snapshot: put the days' calibrations there as .json files, named by date")
    return [device(file) for file in files]


@dataclass(frozen=True)
class Drift:
    """A synthetic history, for a device that has none; not a model of any real one.

    The logarithm of every figure (T1, T2, readout error, each gate's error) is a mean-reverting walk around its
    calibrated value: from day to day it keeps the share `memory` of its deviation, whose standard deviation is
    `spread` on every day. On each day a gate or a readout also turns bad with the chance `jump`: its error is `factor`
    times higher, and it is repaired with chance 1/2 a day.
    """

    spread: float = 0.25
    memory: float = 0.8
    jump: float = 0.02
    factor: float = 5.0

    def days(self, start: Device, count: int, rng: np.random.Generator) -> list[Device]:
        """`count` calibrations of the device, named `NAME-day001` and on, all with its gates and coupling."""
        if count < 1:
            raise ValueError(f"days={count}: a history has at least 1 day")
        first = from_target(start.target, start.name)
        places = dict.fromkeys(_place(gate) for gate in first.gates)  # both directions of an edge drift together
        times = rng.normal(scale=self.spread, size=(2, len(first.qubits)))
        errors = rng.normal(scale=self.spread, size=len(first.qubits) + len(places))
        bad = np.zeros(len(errors), dtype=bool)
        found = []
        for day in range(1, count + 1):
            times, errors = self._step(times, rng), self._step(errors, rng)
            bad = (bad & (rng.random(len(bad)) < 0.5)) | (rng.random(len(bad)) < self.jump)
            worse = np.exp(errors) * np.where(bad, self.factor, 1.0)
            by_place = dict(zip(places, worse[len(first.qubits) :], strict=True))
            found.append(_drifted(first, f"{start.name}-day{day:03}", np.exp(times), worse, by_place))
        return found

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
            ),
        )
        for k, qubit in enumerate(first.qubits)
    ]
    gates = [replace(gate, error=_times(gate.error, by_place[_place(gate)], 0.75)) for gate in first.gates]
    return device(to_target(replace(first, name=name, qubits=tuple(qubits), gates=tuple(gates))))


def _times(value: float | None, factor: float, most: float = math.inf) -> float | None:
    return None if value is None else min(float(value * factor), max(value, most))


# What it does to a circuit ----------------------------------------------------------------------------------------


class Day(TypedDict):
    """One day's calibration and how the circuit does on it."""

    name: str
    sha256: str
    score: float
    shift: float


class Summary(TypedDict):
    """Over a history: mean and worst score, their spread, and on how many days a share of the samples is right.

    `above` is None for a score that is not a count.
    """

    days: int
    mean: float
    worst: float
    deviation: float
    above: dict[str, int] | None


def drift(subject: Subject, days: Sequence[Device]) -> list[Day]:
    """The exact score and shift of the same compiled circuit on each day's calibration."""
    return [_day(subject.on(day)) for day in days]


def _day(subject: Subject) -> Day:
    [point] = curve(subject, [1.0])
    return Day(name=subject.device.name, sha256=subject.device.sha256, score=point["score"], shift=point["shift"])


def summary(days: Sequence[Day], total: int | None, *, least_is_best: bool = False) -> Summary:
    """What a history does; `total` is of how many samples the scores are counts, `least_is_best` is for energies."""
    scores = np.array([day["score"] for day in days])
    above = {f"{share:g}": int((scores > share * total).sum()) for share in THRESHOLDS} if total else None
    return Summary(
        days=len(days),
        mean=float(scores.mean()),
        worst=float(scores.max() if least_is_best else scores.min()),
        deviation=float(scores.std()),
        above=above,
    )


# Which circuit to run today ---------------------------------------------------------------------------------------


class Choice(TypedDict):
    """The model to run on a calibration, its mean score on the days that were like it, and how unlike they were.

    `distance` is to the cluster's centre; above `radius`, the farthest day of the cluster, today is like no known day.
    """

    model: str
    score: float
    distance: float
    radius: float


@dataclass(frozen=True, eq=False)
class Repository:
    """Centres of known calibrations and, for each, the model that does best there.

    `names` are the entries of a calibration vector, `weights` `(entries,)` their importance, `centres`
    `(clusters, entries)`; `models`, `scores` and `radii` hold one value for each cluster.
    """

    names: tuple[str, ...]
    weights: NDArray[np.float64]
    centres: NDArray[np.float64]
    models: tuple[str, ...]
    scores: tuple[float, ...]
    radii: tuple[float, ...]

    def pick(self, today: Device) -> Choice:
        """The model of the cluster nearest to today's calibration, in milliseconds.

        Raises `ValueError` for another device: one that lacks a gate or a qubit of the history's.
        """
        vector = calibration(today)
        if missing := [name for name in self.names if name not in vector]:
            raise ValueError(f"{today.name} has no {missing[0]}: the repository is of another device")
        point = np.array([vector[name] for name in self.names])
        distances = np.sqrt((self.weights * (self.centres - point) ** 2).sum(axis=1))
        k = int(distances.argmin())
        return Choice(model=self.models[k], score=self.scores[k], distance=float(distances[k]), radius=self.radii[k])

    def to_json(self) -> str:
        """All of it as text that `from_json` reads back."""
        plain = {"format": FORMAT, "names": self.names, "weights": self.weights.tolist()}
        return json.dumps(
            plain
            | {"centres": self.centres.tolist(), "models": self.models, "scores": self.scores, "radii": self.radii}
        )

    @staticmethod
    def from_json(text: str) -> "Repository":
        """What `to_json` wrote. Raises `ValueError` for anything else."""
        try:
            data: dict[str, Any] = json.loads(text)
            if data["format"] != FORMAT:
                raise ValueError(f"format={data['format']!r} is unknown: this version reads {FORMAT!r}")
            return Repository(
                names=tuple(data["names"]),
                weights=np.array(data["weights"], dtype=np.float64),
                centres=np.array(data["centres"], dtype=np.float64).reshape(-1, len(data["names"])),
                models=tuple(data["models"]),
                scores=tuple(data["scores"]),
                radii=tuple(data["radii"]),
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"this is not a repository: {error} is missing or of the wrong kind") from error


FORMAT = "qwedge-repository-1"


def calibration(device: Device) -> dict[str, float]:
    """The figures of a device that make noise, by name, as logarithms; those that are 0 or not known are left out."""
    target = device.target
    found: dict[str, float | None] = {}
    for k, known in enumerate(target.qubit_properties or []):
        found |= {f"T1 of {k}": getattr(known, "t1", None), f"T2 of {k}": getattr(known, "t2", None)}
    for name in target.operation_names:
        for qubits, known in target[name].items():
            found[f"error of {name} on {qubits}"] = getattr(known, "error", None)
    return {name: math.log(value) for name, value in found.items() if value}


def repository(
    models: Mapping[str, Subject], days: Sequence[Device], clusters: int, rng: np.random.Generator
) -> Repository:
    """The best of `models` for each of at most `clusters` kinds of days; scores are such that more is better.

    An entry of the calibration weighs as much as it moves the scores: its correlation with them over the days, squared
    and averaged over the models, by its variance. Raises `ValueError` without models or with fewer than 2 days.
    """
    if not models or len(days) < 2 or clusters < 1:
        raise ValueError(f"{len(models)} models, {len(days)} days and {clusters} clusters: needs 1, 2 and 1 at least")
    vectors = [calibration(day) for day in days]
    names = tuple(name for name in vectors[0] if all(name in vector for vector in vectors))
    points = np.array([[vector[name] for name in names] for vector in vectors])
    scores = np.array([[day["score"] for day in drift(model, days)] for model in models.values()])
    weights = _weights(points, scores)
    member = _k_means(points * np.sqrt(weights), min(clusters, len(days)), rng)
    found = []
    for k in sorted(set(member.tolist())):
        here = member == k
        centre, means = points[here].mean(axis=0), scores[:, here].mean(axis=1)
        best = int(means.argmax())
        radius = float(np.sqrt((weights * (points[here] - centre) ** 2).sum(axis=1)).max())
        found.append((centre, list(models)[best], float(means[best]), radius))
    centres, chosen, expected, radii = zip(*found, strict=True)
    return Repository(names, weights, np.array(centres), tuple(chosen), tuple(expected), tuple(radii))


def _weights(points: NDArray[np.float64], scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """`mean over models of corr(entry, score)^2 / variance of the entry`; what stands still counts 0."""
    x = points - points.mean(axis=0)
    y = scores - scores.mean(axis=1, keepdims=True)
    variance, spread = (x**2).mean(axis=0), (y**2).mean(axis=1)
    together = (y @ x / len(x)) ** 2
    with np.errstate(divide="ignore", invalid="ignore"):
        correlation = np.nan_to_num(together / (spread[:, None] * variance), posinf=0.0)
        weights = np.nan_to_num(correlation.mean(axis=0) / variance, posinf=0.0)
    return weights if weights.any() else np.ones_like(weights)


def _k_means(points: NDArray[np.float64], clusters: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Which cluster each point belongs to: Lloyd's algorithm from k-means++ starts, the best of 10."""
    runs = [_lloyd(points, _spread_out(points, clusters, rng)) for _ in range(10)]
    _, member = min(runs, key=lambda run: run[0])
    return member


def _spread_out(points: NDArray[np.float64], clusters: int, rng: np.random.Generator) -> NDArray[np.float64]:
    chosen = [points[rng.integers(len(points))]]
    while len(chosen) < clusters:
        far = np.min([((points - centre) ** 2).sum(axis=1) for centre in chosen], axis=0)
        if not far.any():
            break
        chosen.append(points[rng.choice(len(points), p=far / far.sum())])
    return np.array(chosen)


def _lloyd(points: NDArray[np.float64], centres: NDArray[np.float64]) -> tuple[float, NDArray[np.int64]]:
    member = np.full(len(points), -1)
    while True:
        distances = ((points[:, None] - centres) ** 2).sum(axis=2)
        nearest = distances.argmin(axis=1)
        if (nearest == member).all():
            return float(distances.min(axis=1).sum()), nearest
        member = nearest
        centres = np.array(
            [points[member == k].mean(axis=0) if (member == k).any() else centre for k, centre in enumerate(centres)]
        )
