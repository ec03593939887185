"""The noise report of a circuit: its score against noise strength and shots, and the attribution of its error.

Everything is exact except the shots, which are sampled from exact probabilities. The score belongs to the task (samples
classified correctly, an energy). Beside it the report has the mean |change of <Z>|, which distinguishes circuits long
before a class changes, the decision margin, and the success probability of the compiled gates.
"""

from collections.abc import Sequence
from typing import TypedDict

import numpy as np

from quantum.noise.attribution import Attribution, attribution
from quantum.noise.workload import Workload, measure
from shared import Progress

SCALES = (0.0, 0.5, 1.0, 2.0, 4.0)
SHOTS = (100, 1000, 4000)
REPEATS = 20
"""Independent sets of shots; between sets of 100 shots an accuracy varies by a point or two."""


class AtScale(TypedDict):
    """One point of the curve against noise: score, mean |change of <Z>|, and the mean margin in units of <Z>."""

    scale: float
    score: float
    shift: float
    margin: float | None


class AtShots(TypedDict):
    """The scores of independent sets of that many shots, at the device's own noise."""

    shots: int
    scores: list[float]


class Counts(TypedDict):
    """Counts of the compiled circuits, summed over the measurement bases; `esp` is that of the worst basis."""

    twoq: int
    depth: int
    depth_no_rz: int
    esp: float
    duration_ns: float


class Robustness(TypedDict):
    """A noise report as JSON data. `total` is the number of samples if the scores count samples, None for an energy."""

    unit: str
    total: int | None
    counts: Counts
    scales: list[AtScale]
    shots: list[AtShots]
    attribution: Attribution | None


def robustness(
    workload: Workload,
    rng: np.random.Generator,
    *,
    scales: Sequence[float] = SCALES,
    shots: Sequence[int] = SHOTS,
    repeats: int = REPEATS,
    progress: Progress = lambda done, total, note: None,
) -> Robustness:
    """The noise report of `workload`. `attribution` is None if the circuit is too wide for the exact engine."""
    progress(0, 3, "against noise")
    against_noise = curve(workload, scales)
    progress(1, 3, "against shots")
    against_shots = _against_shots(workload, shots, repeats, rng)
    progress(2, 3, "gate by gate")
    return Robustness(
        unit=workload.score.unit,
        total=workload.score.total,
        counts=counts(workload),
        scales=against_noise,
        shots=against_shots,
        attribution=attribution(workload),
    )


def curve(workload: Workload, scales: Sequence[float]) -> list[AtScale]:
    """The exact score, shift and margin at each noise scale."""
    ideal = workload.expectations(0.0)
    points = []
    for scale in scales:
        values = ideal if scale == 0 else workload.expectations(scale)
        margins = workload.score.margins(values)
        points.append(
            AtScale(
                scale=float(scale),
                score=workload.score.value(values),
                shift=float((values - ideal).abs().mean()),
                margin=float(margins.mean()) if len(margins) else None,
            )
        )
    return points


def _against_shots(workload: Workload, shots: Sequence[int], repeats: int, rng: np.random.Generator) -> list[AtShots]:
    outcomes = workload.outcomes() if shots else []
    return [
        AtShots(
            shots=count,
            scores=[workload.score.value(measure(outcomes, count, rng)) for _ in range(repeats)],
        )
        for count in shots
    ]


def counts(workload: Workload) -> Counts:
    """The counts of the compiled circuits."""
    compiled = [setting.compiled for setting in workload.settings]
    return Counts(
        twoq=sum(c.twoq for c in compiled),
        depth=sum(c.depth for c in compiled),
        depth_no_rz=sum(c.depth_no_rz for c in compiled),
        esp=min(c.esp for c in compiled),
        duration_ns=sum(c.duration_ns for c in compiled),
    )
