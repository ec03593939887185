"""What is added in 16 bits fits into 16 bits, and the lists hold the weights that they were made from."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mobile.lowering.formats import FORMATS, depthwise_lists, lists
from mobile.lowering.pairs import MOST, in_pairs, loads, split

SPREADS = st.sampled_from((10.0, 30.0, 60.0, 1000.0))
"""Standard deviations of weights, clipped to 8 bits: from those that all pair to those that are all split."""


def weights(rng, shape, spread):
    return np.clip(np.rint(rng.normal(0, spread, shape)), -128, 127).astype(np.int8)


def extremes(products):
    """The least and largest sum of products with bytes from 0 to 255, over the last axis."""
    wide = products.astype(int)
    return 255 * np.minimum(wide, 0).sum(-1).min(initial=0), 255 * np.maximum(wide, 0).sum(-1).max(initial=0)


def fits(products):
    low, high = extremes(products)
    return low >= -(2**15) and high < 2**15


@given(st.integers(0, 2**32 - 1), st.sampled_from(list(FORMATS)), SPREADS, st.integers(1, 3), st.integers(0, 9))
def test_lists_hold_the_weights_and_no_sum_of_16_bits_overflows(seed, format, spread, planes, entries):
    rng = np.random.default_rng(seed)
    blocks = weights(rng, (4 * planes, entries, 4), spread) * (rng.random((4 * planes, entries, 1)) < 0.6)
    kept = blocks.astype(np.int8)
    offsets = np.arange(entries, dtype=np.int32)
    of = lists(format, kept, offsets)
    again = np.zeros(blocks.shape, int)
    for block, (begin, end, paired) in enumerate(zip(of.first, of.first[1:], of.paired, strict=False)):
        assert paired % 2 == 0
        middle = begin + paired
        pairs = of.weights[begin:middle].reshape(-1, 2, of.rows, 2, 2).transpose(0, 2, 3, 1, 4)
        assert fits(pairs.reshape(-1, of.rows, 2, 4))
        assert fits(of.weights[middle:end].reshape(-1, of.rows, 2, 2))
        rows = slice(block * of.rows, (block + 1) * of.rows)
        for offset, weight in zip(of.offsets[begin:end], of.weights[begin:end], strict=True):
            again[rows, offset] += weight
    assert (again == kept).all()


@given(st.integers(0, 2**32 - 1), SPREADS, st.integers(1, 3), st.integers(1, 26))
def test_taps_of_depthwise_layers_stay_what_they_are_and_fit(seed, spread, planes, taps):
    rng = np.random.default_rng(seed)
    weight = weights(rng, (4 * planes, taps), spread)
    offsets = rng.permutation(taps).astype(np.int32)
    of = depthwise_lists(weight, offsets, plane=1000)
    again = np.zeros(weight.shape, int)
    for plane, (begin, end) in enumerate(zip(of.first, of.first[1:], strict=False)):
        assert begin % 4 == end % 4 == 0
        fours = of.weights[begin // 4 : end // 4]
        assert fits(fours.reshape(-1, 4, 2, 2))
        for at, weight_at in zip(of.offsets[begin:end], fours.swapaxes(1, 2).reshape(-1, 4), strict=True):
            [tap] = np.flatnonzero(offsets == at - 1000 * plane) if weight_at.any() else [0]
            again[4 * plane : 4 * plane + 4, tap] += weight_at
    assert (again == weight).all()


def test_all_narrow_weights_are_paired_and_nearly_all_of_a_normal_distribution():
    rng = np.random.default_rng(0)
    owner = np.repeat(np.arange(8), 32)
    _, paired = in_pairs(owner, loads(weights(rng, (256, 4, 2, 2), 8)))
    assert paired.all()
    for rows in (1, 2, 4):
        for spread in (30, 38):  # the largest of some hundred weights is three deviations
            fitting, _, rest = split(weights(rng, (2048, 2 * rows, 2), spread))
            _, paired = in_pairs(np.arange(2048 + len(rest)) % 8, loads(np.concatenate([fitting, rest])))
            assert paired.mean() > 0.98


@pytest.mark.parametrize("weight", [MOST, MOST + 1])
def test_the_limit_is_the_largest_that_fits(weight):
    assert (255 * weight < 2**15) == (weight <= MOST)
