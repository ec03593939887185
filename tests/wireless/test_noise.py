"""Fast Gaussian noise is Gaussian: moments, tails, independence."""

import math

import numpy as np
import pytest

from wireless.ofdm.channel.noise import gaussian

SAMPLES = 2_000_000


@pytest.fixture(scope="module")
def parts():
    """Real and imaginary parts, (samples, 2), of unit variance each."""
    return gaussian((SAMPLES,), 2.0, np.random.default_rng(7)).view(np.float32).reshape(-1, 2).astype(np.float64)


@pytest.mark.parametrize("order", range(1, 9))
def test_moments(parts, order):
    double = math.prod(range(order - 1, 0, -2)) if order % 2 == 0 else 0
    spread = math.sqrt(math.prod(range(2 * order - 1, 0, -2)) / SAMPLES)
    np.testing.assert_allclose((parts**order).mean(0), double, atol=5 * spread)


@pytest.mark.parametrize("beyond", [0.5, 1.0, 2.0, 3.0, 4.0, 4.5])
def test_tails(parts, beyond):
    share = math.erfc(beyond / math.sqrt(2))
    expected = 2 * SAMPLES * share
    assert abs((np.abs(parts) > beyond).sum() - expected) < 5 * math.sqrt(expected)


def test_distribution(parts):
    """Kolmogorov and Smirnov: the largest gap between the sample's distribution and the normal one, at 1 in 10^4."""
    for values in parts.T:
        values = np.sort(values[:200_000])
        cdf = np.array([0.5 * math.erfc(-x / math.sqrt(2)) for x in values.tolist()])
        gap = np.abs(cdf - (np.arange(len(values)) + 0.5) / len(values)).max()
        assert gap < 2.23 / math.sqrt(len(values))


def test_parts_and_neighbours_are_independent(parts):
    real, imag = parts.T
    pairs = [(real, imag), (real[1:], real[:-1]), (imag[1:], real[:-1]), (real[16:], real[:-16])]
    for a, b in pairs:
        for power in (1, 2):
            correlation = np.corrcoef(a**power, b**power)[0, 1]
            assert abs(correlation) < 5 / math.sqrt(SAMPLES)


def test_angles_fill_the_circle(parts):
    counts = np.histogram(np.arctan2(parts[:, 1], parts[:, 0]), 64, (-math.pi, math.pi))[0]
    expected = SAMPLES / 64
    chi_square = ((counts - expected) ** 2 / expected).sum()
    assert abs(chi_square - 63) < 5 * math.sqrt(2 * 63)


@pytest.mark.parametrize("shape", [(0,), (1,), (3, 5), (2, 3, 7)])
def test_any_shape_from_the_generator_alone(shape):
    first, again = (gaussian(shape, 0.5, np.random.default_rng(3)) for _ in range(2))
    assert first.shape == shape
    assert first.dtype == np.complex64
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(gaussian(shape, 2.0, np.random.default_rng(3)), 2 * first)
