"""How a circuit stands noise: its score against noise strength and shots, and where the error comes from.

Everything is exact but the shots, which are drawn from exact probabilities. The score is what the circuit is for
(samples classified right, an energy); beside it stand the mean |change of <Z>|, which tells circuits apart long before
a class changes, the margin that is left to the decision, and the success probability of the compiled gates.
"""

from collections.abc import Callable, Sequence
from typing import TypedDict

import numpy as np

from quantum.noise.attribution import Attribution, attribution
from quantum.noise.workload import Workload, measure

SCALES = (0.0, 0.5, 1.0, 2.0, 4.0)
SHOTS = (100, 1000, 4000)
REPEATS = 20
"""Independent sets of shots; one set on 100 shots moves an accuracy by a point or two."""


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
    """What the circuit compiles to, summed over the bases it is measured in; `esp` is that of the worst basis."""

    twoq: int
    depth: int
    depth_no_rz: int
    esp: float
    duration_ns: float


class Robustness(TypedDict):
    """A noise report as JSON data. `total` is of how many samples the scores are counts, None for an energy."""

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
    report: Callable[[str], None] = lambda note: None,
) -> Robustness:
    """The noise report of `workload`. `attribution` is None where the circuit is too wide for an exact one."""
    report("against noise")
    against_noise = curve(workload, scales)
    report("against shots")
    against_shots = _against_shots(workload, shots, repeats, rng)
    report("gate by gate")
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
