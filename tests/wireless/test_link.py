"""The link has the error rates of theory and of an earlier trial; receivers share packets; stopped runs go on."""

import itertools
import math

import numpy as np
import pytest

from wireless.ofdm.channel.impairments import ADC, CarrierOffset, IQImbalance, PhaseNoise, RappAmplifier, SamplingOffset
from wireless.ofdm.channel.models import AWGN, ExponentialFading, Moving, Rician, TGn, TwoTap
from wireless.ofdm.link.simulation import ErrorCounts, Link, compare, noise_variance
from wireless.ofdm.phy import grid
from wireless.ofdm.phy.coding import encode, puncture
from wireless.ofdm.phy.constellation import points
from wireless.ofdm.phy.interleaver import interleave
from wireless.ofdm.phy.rates import MCS, RATES
from wireless.ofdm.receiver.chain import Receiver

LEGACY = Receiver("ls", "hard", "hard-viterbi")
NOTHING = (CarrierOffset((0.0, 0.0)),)
LINKS = (
    Link(ExponentialFading()),
    Link(ExponentialFading(), rate=MCS[4].short(), symbols=3),
    Link(ExponentialFading((150.0, 300.0), taps=40)),
    Link(Moving(ExponentialFading(), 500.0)),
    Link(TGn("D"), impairments=(RappAmplifier(), CarrierOffset(), PhaseNoise(), ADC())),
)


def described(link):
    return f"{link.channel.name} {link.rate.name} {len(link.impairments)}"


def tail(x):
    return 0.5 * math.erfc(x / math.sqrt(2))


@pytest.mark.parametrize("ebn0_db", [3.0, 7.0])
@pytest.mark.parametrize("mbps", [6, 12, 24, 54])
def test_uncoded_errors_in_awgn_are_those_of_theory(rng, mbps, ebn0_db):
    """Of each label bit of each axis, by the Q function at every boundary between decisions."""
    rate = RATES[mbps]
    link = Link(AWGN(), rate=rate, symbols=40)
    arrived = link.packets(ebn0_db, 400, rng)
    sent = np.pad(arrived.bits, ((0, 0), (0, 6)))
    sent = interleave(puncture(encode(sent), rate.code).reshape(400, 40, rate.coded), rate).reshape(-1, rate.bits)
    y = arrived.y[..., grid.data_positions()].reshape(-1, 1)
    label = np.abs(y - points(rate.bits)).argmin(1)
    wrong = ((label[:, None] >> np.arange(rate.bits)[::-1]) & 1) != sent
    sigma = math.sqrt(noise_variance(ebn0_db, rate) / 2)
    expected = np.tile(axis_errors(max(rate.bits // 2, 1), sigma, min(rate.bits, 2)), min(rate.bits, 2))
    np.testing.assert_allclose(wrong.mean(0), expected, atol=5 * np.sqrt(expected.max() / len(wrong)))


def axis_errors(bits, sigma, axes):
    """Error rate of each bit of a Gray-mapped axis, by integrating the noise over the intervals of decision."""
    order = range(2**bits)
    gray = [rank ^ (rank >> 1) for rank in order]
    half = 1 / math.sqrt((4**bits - 1) / 3 * axes)
    level = [(2 * rank + 1 - 2**bits) * half for rank in order]
    edges = [-math.inf, *((a + b) / 2 for a, b in itertools.pairwise(level)), math.inf]
    errors = np.zeros(bits)
    for sent, at in zip(gray, level, strict=True):
        for rank, decided in enumerate(gray):
            chance = tail((edges[rank] - at) / sigma) - tail((edges[rank + 1] - at) / sigma)
            errors += chance * np.array([((sent ^ decided) >> (bits - 1 - k)) & 1 for k in range(bits)])
    return errors / 2**bits


def test_error_rates_of_an_earlier_trial(rng):
    """16-QAM rate 1/2 over exponential 10-150 ns at 10 dB: an independent program counted these over 2000 packets.

    Errors come in whole packets: the deviation between runs is that of packets, not of bits.
    """
    trial = {LEGACY: 1.32e-1, Receiver(): 3.49e-2, Receiver("dft"): 2.06e-2, Receiver("lmmse-robust"): 1.91e-2}
    trial |= {Receiver("lmmse-genie"): 1.76e-2, Receiver("perfect"): 1.52e-2}
    counts = compare(Link(ExponentialFading()), list(trial), 10.0, 3000, rng, chunk=500)
    for counted, expected in zip(counts, trial.values(), strict=True):
        deviation = np.std(counted.errors) / counted.bits_per_packet * math.sqrt(1 / 2000 + 1 / 3000)
        assert abs(counted.ber - expected) < 3 * deviation


@pytest.mark.parametrize("link", LINKS, ids=described)
def test_a_seed_gives_the_same_packets_to_all(link):
    first, again, other = (link.packets(10.0, 5, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.bits, again.bits)
    np.testing.assert_array_equal(first.y, again.y)
    np.testing.assert_array_equal(first.observation.ls, again.observation.ls)
    assert (first.y != other.y).any()


@pytest.mark.parametrize("link", LINKS, ids=described)
def test_company_changes_nothing(link):
    """A receiver counts the same errors alone and beside others."""
    together = compare(link, [LEGACY, Receiver()], 8.0, 100, np.random.default_rng(5))
    alone = [compare(link, [it], 8.0, 100, np.random.default_rng(5))[0] for it in (LEGACY, Receiver())]
    assert together == alone
    assert sum(together[0].errors) > 0


@pytest.mark.parametrize("link", LINKS[::2], ids=described)
@pytest.mark.parametrize("errors", [None, 15])
def test_threads_change_nothing_but_the_time(link, errors):
    alone, together = (
        compare(link, [Receiver(passes=1)], 8.0, 70, np.random.default_rng(5), chunk=8, errors=errors, threads=threads)
        for threads in (1, 3)
    )
    assert alone == together
    assert (alone[0].packets < 70) == (errors is not None)


@pytest.mark.parametrize("link", LINKS, ids=described)
def test_resumed_equals_uninterrupted(link):
    receivers = [Receiver(), Receiver("perfect")]
    stages: list = []
    whole = compare(link, receivers, 8.0, 100, np.random.default_rng(5), chunk=32, on_chunk=stages.append)
    assert [counts[0].packets for counts in stages] == [32, 64, 96, 100]
    for stopped in stages:
        resumed = compare(link, receivers, 8.0, 100, np.random.default_rng(5), chunk=32, previous=stopped)
        assert resumed == whole


def test_a_run_stops_on_errors_seen():
    link = Link(ExponentialFading())
    counts = compare(link, [LEGACY, Receiver("perfect")], 8.0, 10_000, np.random.default_rng(5), errors=20, chunk=16)
    assert min(it.packet_errors for it in counts) >= 20
    assert counts[0].packets == counts[1].packets < 1000
    before = [ErrorCounts(954, it.errors[:-16]) for it in counts]
    assert min(it.packet_errors for it in before) < 20


def test_incomplete_chunks_cannot_be_continued(rng):
    with pytest.raises(ValueError, match="the previous counts hold 7 packets: to continue, give whole chunks of 32"):
        Link(AWGN()).simulate(5.0, 100, rng, chunk=32, previous=ErrorCounts(954, (0,) * 7))


def test_error_counts_add_up():
    counts = ErrorCounts(100, (0, 3)) + ErrorCounts(100, (5,))
    assert (counts.packets, counts.bits, counts.bit_errors, counts.packet_errors) == (3, 300, 8, 2)
    assert (counts.ber, counts.per) == (8 / 300, 2 / 3)
    with pytest.raises(ValueError, match="packets of 100 and of 50 bits cannot be added"):
        counts + ErrorCounts(50, (1,))


@pytest.mark.parametrize("rate", [RATES[24], RATES[54], MCS[7], MCS[7].short()], ids=lambda it: it.name)
@pytest.mark.parametrize(
    "channel", [AWGN(), ExponentialFading((20.0, 60.0), 8), TwoTap(400.0), Rician()], ids=lambda it: it.name
)
def test_waveform_and_product_agree(rng, rate, channel):
    """Within the cyclic prefix a waveform is a product on each subcarrier: what is left is noise of variance N0."""
    link = Link(channel, rate=rate, symbols=6, impairments=NOTHING)
    if channel.sample(1, rng).delay.max() > rate.guard:
        pytest.skip("longer than the short guard interval")
    arrived = link.packets(45.0, 60, rng)
    n0, truth = noise_variance(45.0, rate), arrived.observation.truth.h
    error = np.abs(arrived.observation.ls - truth) ** 2
    np.testing.assert_allclose(error.mean(), n0 / arrived.observation.training_symbols, rtol=0.1)
    decided = points(rate.bits)[np.abs((arrived.y / truth[:, None])[..., None] - points(rate.bits)).argmin(-1)]
    data = grid.data_positions(rate.ht)
    noise = np.abs(arrived.y - truth[:, None] * decided)[..., data] ** 2
    # Tracking turns symbols by the error of four pilots and of their LS estimate: some tenths of N0 |x|^2.
    assert n0 * 0.9 < np.median(noise) / math.log(2) < n0 * 1.6


@pytest.mark.parametrize(
    "impairment",
    [RappAmplifier(), CarrierOffset((400.0, 400.0)), SamplingOffset(), PhaseNoise(), IQImbalance(), ADC()],
    ids=lambda it: type(it).__name__,
)
def test_an_impaired_link_still_decodes_at_high_snr(rng, impairment):
    link = Link(Rician(10.0), impairments=(impairment,))
    assert compare(link, [Receiver()], 25.0, 64, rng)[0].per <= 0.05


def test_impairments_cost_something():
    everything = (RappAmplifier(3.0), CarrierOffset(), SamplingOffset(), PhaseNoise(500.0), IQImbalance(), ADC(4))
    clean, impaired = (
        Link(ExponentialFading(), impairments=it).simulate(14.0, 600, np.random.default_rng(3))
        for it in ((), everything)
    )
    assert impaired.ber > 1.5 * clean.ber


def test_a_moving_channels_truth_moves(rng):
    arrived = Link(Moving(ExponentialFading(), 2000.0), symbols=20).packets(40.0, 200, rng)
    h = arrived.observation.truth.h
    assert h.shape == (200, 20, 52)
    wrong = [
        np.mean(Receiver(name).decide(arrived.observation, arrived.y, RATES[24], arrived.bits.shape[1]) != arrived.bits)
        for name in ("perfect", "ls")
    ]
    assert wrong[0] < 0.5 * wrong[1]


@pytest.mark.parametrize(
    "channel",
    [ExponentialFading((150.0, 300.0), 40), TGn("E"), Moving(ExponentialFading(), 300.0)],
    ids=lambda it: it.name,
)
def test_perfect_csi_is_never_worse_than_ls_in_the_mean(channel):
    perfect, ls = compare(Link(channel), [Receiver("perfect"), Receiver()], 10.0, 600, np.random.default_rng(9))
    assert perfect.ber < ls.ber
