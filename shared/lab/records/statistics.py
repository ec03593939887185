"""Intervals on rates, means and paired differences; rows hold counts, these are computed when shown."""

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np


class Interval(NamedTuple):
    """An estimate with the interval around it."""

    value: float
    low: float
    high: float


class Estimate(NamedTuple):
    """An estimate whose interval is None where there is one sample alone."""

    value: float
    low: float | None = None
    high: float | None = None


def wilson(successes: int, trials: int, confidence: float = 0.95) -> Interval:
    """A rate from counts with Wilson's score interval; honest near 0 and 1 and for few trials.

    (p + z^2/2n -+ z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n). E. B. Wilson, JASA 22 (1927) 209.
    As `statsmodels.stats.proportion.proportion_confint(method="wilson")`. Raises ValueError for impossible counts.

    >>> wilson(8, 10)
    Interval(value=0.8, low=0.49016247153664183, high=0.9433178485456247)
    """
    if not 0 <= successes <= trials or trials == 0:
        raise ValueError(
            f"wilson: {successes} successes in {trials} trials; needs 0 <= successes <= trials, trials > 0"
        )
    z = NormalDist().inv_cdf(0.5 + _check(confidence) / 2)
    rate = successes / trials
    middle = rate + z**2 / (2 * trials)
    half = z * math.sqrt(rate * (1 - rate) / trials + z**2 / (4 * trials**2))
    scale = 1 + z**2 / trials
    # At rates 0 and 1 one bound is exactly the rate; rounding must not put it on the other side.
    low, high = max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)
    return Interval(rate, min(rate, low), max(rate, high))


def mean(samples: Sequence[float], confidence: float = 0.95) -> Interval:
    """The mean with Student's t interval, for samples such as one figure per seed; at least two.

    As `scipy.stats.t.interval(confidence, n - 1, mean, sem)`.
    """
    import numpy as np

    values = np.asarray(samples, dtype=np.float64)
    if len(values) < 2:
        raise ValueError(f"mean: {len(values)} sample has no interval; needs at least 2, such as 2 seeds")
    half = t_quantile(0.5 + _check(confidence) / 2, len(values) - 1) * values.std(ddof=1) / math.sqrt(len(values))
    middle = float(values.mean())
    return Interval(middle, float(middle - half), float(middle + half))


def mean_over_seeds(samples: Sequence[float]) -> Estimate:
    """The mean of one figure per seed, with its 95 % interval as `mean` where there are two seeds or more.

    >>> mean_over_seeds([0.5])
    Estimate(value=0.5, low=None, high=None)
    """
    return Estimate(*mean(samples)) if len(samples) != 1 else Estimate(float(samples[0]))


def paired_bootstrap(
    ours: Sequence[float],
    theirs: Sequence[float],
    rng: "np.random.Generator",
    confidence: float = 0.95,
    resamples: int = 10_000,
) -> Interval:
    """The mean of `ours - theirs`, pair by pair, with a percentile bootstrap interval; if it holds 0, say "tie".

    B. Efron, R. Tibshirani, An Introduction to the Bootstrap (1993), section 13.3. Raises ValueError unless both
    have the same length, at least 2.
    """
    import numpy as np

    if len(ours) != len(theirs) or len(ours) < 2:
        raise ValueError(f"paired_bootstrap: {len(ours)} and {len(theirs)} samples; needs pairs, at least 2")
    differences = np.asarray(ours, dtype=np.float64) - np.asarray(theirs, dtype=np.float64)
    picks = rng.integers(len(differences), size=(resamples, len(differences)))
    tail = (1 - _check(confidence)) / 2
    low, high = np.quantile(differences[picks].mean(axis=1), [tail, 1 - tail])
    return Interval(float(differences.mean()), float(low), float(high))


def t_quantile(probability: float, freedom: int) -> float:
    """Student's t quantile for 1/2 <= probability < 1, by bisection on its exact distribution.

    As `scipy.stats.t.ppf`; the lab does not depend on SciPy.
    """
    low, high = 0.0, 1.0
    while _t_distribution(high, freedom) < probability:
        high *= 2
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if _t_distribution(middle, freedom) < probability else (low, middle)
    return high


def _t_distribution(t: float, freedom: int) -> float:
    """P(T <= t) for t >= 0 and whole degrees of freedom: Abramowitz & Stegun 26.7.3 (odd) and 26.7.4 (even)."""
    angle = math.atan2(t, math.sqrt(freedom))
    cosine, odd = math.cos(angle), freedom % 2
    term = cosine if odd else 1.0
    total = term if freedom > 1 else 0.0
    for k in range(2 + odd, freedom - 1, 2):
        term *= cosine**2 * (k - 1) / k
        total += term
    central = (angle + math.sin(angle) * total) * 2 / math.pi if odd else math.sin(angle) * total
    return 0.5 + central / 2


def _check(confidence: float) -> float:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence={confidence}: needs a share between 0 and 1, such as 0.95")
    return confidence
