"""Intervals against published values and against what they promise."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.lab import mean, mean_over_seeds, paired_bootstrap, t_quantile, wilson


# Newcombe, Statistics in Medicine 17 (1998) 857, table I, method 3 (score without continuity correction).
@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_equals_the_published_values(successes, trials, low, high):
    interval = wilson(successes, trials)
    assert interval.value == successes / trials
    assert (round(interval.low, 4), round(interval.high, 4)) == (low, high)


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_is_ordered_symmetric_and_inside_0_and_1(counts):
    successes, trials = counts
    interval, mirror = wilson(successes, trials), wilson(trials - successes, trials)
    assert 0 <= interval.low <= interval.value <= interval.high <= 1
    assert interval.low == pytest.approx(1 - mirror.high, abs=1e-12)


@pytest.mark.parametrize(("successes", "trials"), [(1, 0), (-1, 5), (6, 5)])
def test_impossible_counts_are_refused(successes, trials):
    with pytest.raises(ValueError, match=f"wilson: {successes} successes in {trials} trials; needs"):
        wilson(successes, trials)


# NIST/SEMATECH e-Handbook of Statistical Methods, table 1.3.6.7.2.
@pytest.mark.parametrize(
    ("probability", "freedom", "value"),
    [
        (0.975, 1, 12.706),
        (0.975, 2, 4.303),
        (0.975, 4, 2.776),
        (0.95, 7, 1.895),
        (0.995, 10, 3.169),
        (0.999, 100, 3.174),
    ],
)
def test_t_quantile_equals_the_published_table(probability, freedom, value):
    assert round(t_quantile(probability, freedom), 3) == value


def test_mean_of_five_seeds():
    # n = 5, mean 3, standard error sqrt(2.5 / 5), t = 2.776445.
    interval = mean([1, 2, 3, 4, 5])
    assert interval.value == 3
    assert interval.high - 3 == pytest.approx(3 - interval.low) == pytest.approx(2.776445 * 0.5**0.5, rel=1e-6)


def test_of_one_seed_there_is_a_mean_and_no_interval():
    assert mean_over_seeds([0.25]) == (0.25, None, None)
    assert mean_over_seeds([1, 2, 4]) == mean([1, 2, 4])
    with pytest.raises(ValueError, match="mean: 0 sample"):
        mean_over_seeds([])


def test_mean_covers_as_often_as_it_says():
    rng = np.random.default_rng(0)
    hits = sum(low <= 1 <= high for _, low, high in (mean(rng.normal(1, 3, 5), 0.9) for _ in range(1000)))
    assert 870 <= hits <= 930


def test_one_sample_has_no_interval():
    with pytest.raises(ValueError, match="mean: 1 sample has no interval; needs at least 2, such as 2 seeds"):
        mean([1.0])


def test_paired_bootstrap_sees_what_pairing_removes():
    rng = np.random.default_rng(0)
    hard = rng.normal(0, 10, 30)
    interval = paired_bootstrap(hard + 1 + rng.normal(0, 0.1, 30), hard, rng)
    assert 0.9 < interval.low < interval.value < interval.high < 1.1


def test_paired_bootstrap_covers_as_often_as_it_says():
    rng = np.random.default_rng(1)
    draws = (paired_bootstrap(rng.normal(0, 1, 40), rng.normal(0, 1, 40), rng, 0.9, resamples=500) for _ in range(400))
    assert 335 <= sum(low <= 0 <= high for _, low, high in draws) <= 380


def test_paired_bootstrap_repeats_with_its_generator():
    first, second = (paired_bootstrap([1, 2, 4], [0, 1, 5], np.random.default_rng(7)) for _ in range(2))
    assert first == second


def test_unpaired_samples_are_refused():
    with pytest.raises(ValueError, match="paired_bootstrap: 2 and 3 samples; needs pairs, at least 2"):
        paired_bootstrap([1, 2], [1, 2, 3], np.random.default_rng(0))


@pytest.mark.parametrize("confidence", [0, 1, 95])
def test_confidence_is_a_share(confidence):
    with pytest.raises(ValueError, match=f"confidence={confidence}: needs a share between 0 and 1"):
        wilson(1, 2, confidence)
