"""A repository of compressed circuits, from which today's calibration selects the one to run.

After QuCAD (Hu, Lin, Guan, Jiang, *Battle against fluctuating quantum noise*, arXiv 2304.04666, of which we had only
the abstract): compressed models are prepared offline for a history of calibrations, and one of them is selected online
for today's calibration. The selection is our reconstruction: k-means clusters the calibrations of the history, with
every entry weighted by its influence on the scores, and each cluster keeps the model with the best exact score on its
days.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from quantum.devices.target import Device
from quantum.noise.drift import drift
from quantum.noise.workload import Workload


def kept_days(days: Sequence[Device]) -> tuple[Sequence[Device], Sequence[Device]]:
    """The first two thirds of a history, to select circuits with, and the rest, to evaluate the selection on.

    Raises `ValueError` for fewer than 3 days.
    """
    past = 2 * len(days) // 3
    if past < 2:
        raise ValueError(f"{len(days)} days: a choice between circuits needs at least 3, of which 2 to choose with")
    return days[:past], days[past:]


class Choice(TypedDict):
    """The model selected for a calibration, and its mean score on the days of the nearest calibration cluster.

    `distance` is that of the calibration to the cluster's centre, `radius` that of the cluster's farthest day: a larger
    distance means that today is unlike the days that the cluster was built from.
    """

    model: str
    score: float
    distance: float
    radius: float


@dataclass(frozen=True, eq=False)
class Repository:
    """Centres of the calibration clusters and, for each, the model with the best score there.

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
        """The model of the cluster nearest to today's calibration; takes milliseconds.

        Raises `ValueError` for another device: one without some gate or qubit of the history.
        """
        vector = calibration(today)
        if missing := [name for name in self.names if name not in vector]:
            raise ValueError(f"{today.name} has no {missing[0]}: the repository was built for another device")
        point = np.array([vector[name] for name in self.names])
        distances = np.sqrt((self.weights * (self.centres - point) ** 2).sum(axis=1))
        k = int(distances.argmin())
        return Choice(model=self.models[k], score=self.scores[k], distance=float(distances[k]), radius=self.radii[k])

    def to_json(self) -> str:
        """The repository as text for `from_json`."""
        plain = {"format": FORMAT, "names": self.names, "weights": self.weights.tolist()}
        return json.dumps(
            plain
            | {"centres": self.centres.tolist(), "models": self.models, "scores": self.scores, "radii": self.radii}
        )

    @staticmethod
    def from_json(text: str) -> "Repository":
        """The repository that `to_json` wrote. Raises `ValueError` for any other text."""
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
            raise ValueError(f"the text is not a repository: {error} is missing or of the wrong type") from error


FORMAT = "qwedge-repository-1"


def calibration(device: Device) -> dict[str, float]:
    """The logarithms of the T1, T2 and error values of a device, by name, without values that are 0 or not reported."""
    target = device.target
    values: dict[str, float | None] = {}
    for k, times in enumerate(target.qubit_properties or []):
        values |= {f"T1 of {k}": getattr(times, "t1", None), f"T2 of {k}": getattr(times, "t2", None)}
    for name in target.operation_names:
        for qubits, properties in target[name].items():
            values[f"error of {name} on {qubits}"] = getattr(properties, "error", None)
    return {name: math.log(value) for name, value in values.items() if value}


def repository(
    models: Mapping[str, Workload], days: Sequence[Device], clusters: int, rng: np.random.Generator
) -> Repository:
    """The best of `models`, all with the same kind of score, for each of at most `clusters` calibration clusters.

    The weight of a calibration entry is its squared correlation with the scores over the days, averaged over the
    models, divided by its variance. Raises `ValueError` without models or with fewer than 2 days.
    """
    if not models or len(days) < 2 or clusters < 1:
        raise ValueError(
            f"{len(models)} models, {len(days)} days and {clusters} clusters: at least 1, 2 and 1 are needed"
        )
    vectors = [calibration(day) for day in days]
    names = tuple(name for name in vectors[0] if all(name in vector for vector in vectors))
    points = np.array([[vector[name] for name in names] for vector in vectors])
    scores = np.array([[day["score"] for day in drift(model, days)] for model in models.values()])
    sign = -1 if next(iter(models.values())).score.less_is_better else 1
    weights = _weights(points, scores)
    member = _k_means(points * np.sqrt(weights), min(clusters, len(days)), rng)
    rows = []
    for k in sorted(set(member.tolist())):
        here = member == k
        centre, means = points[here].mean(axis=0), scores[:, here].mean(axis=1)
        best = int((sign * means).argmax())
        radius = float(np.sqrt((weights * (points[here] - centre) ** 2).sum(axis=1)).max())
        rows.append((centre, list(models)[best], float(means[best]), radius))
    centres, chosen, expected, radii = zip(*rows, strict=True)
    return Repository(names, weights, np.array(centres), tuple(chosen), tuple(expected), tuple(radii))


def _weights(points: NDArray[np.float64], scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """`mean over models of corr(entry, score)^2 / variance of the entry`; 0 for a constant entry."""
    x = points - points.mean(axis=0)
    y = scores - scores.mean(axis=1, keepdims=True)
    variance, spread = (x**2).mean(axis=0), (y**2).mean(axis=1)
    together = (y @ x / len(x)) ** 2
    with np.errstate(divide="ignore", invalid="ignore"):
        correlation = np.nan_to_num(together / (spread[:, None] * variance), posinf=0.0)
        weights = np.nan_to_num(correlation.mean(axis=0) / variance, posinf=0.0)
    return weights if weights.any() else np.ones_like(weights)


def _k_means(points: NDArray[np.float64], clusters: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """The cluster of each point `(points,)` by Lloyd's algorithm, the best of 10 k-means++ starts."""
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
