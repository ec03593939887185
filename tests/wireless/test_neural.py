"""The neural blocks and soft feedback equal closed forms where these are known, and can be trained."""

import numpy as np
import pytest
import torch

from wireless.ofdm.channel.models import ExponentialFading
from wireless.ofdm.channel.profile import response
from wireless.ofdm.link.simulation import Link
from wireless.ofdm.neural import (
    ContextNet,
    DelayGate,
    DenseEstimator,
    DenseNet,
    NeuralDecoder,
    NeuralDemapper,
    NeuralEstimator,
    SyndromeNet,
)
from wireless.ofdm.neural.decoder import CODES, GENERATORS, features, initial_decision, inverse, product
from wireless.ofdm.neural.estimator import WIDE, delays, estimate
from wireless.ofdm.phy.coding import encode
from wireless.ofdm.phy.rates import RATES
from wireless.ofdm.receiver.chain import Receiver
from wireless.ofdm.receiver.estimators import KnownCovarianceLMMSE, Observation
from wireless.ofdm.receiver.siso import posteriors
from wireless.ofdm.receiver.soft_feedback import FixedDelays, TurboReceiver, demap
from wireless.ofdm.receiver.wiener import Prior, wiener


@pytest.fixture
def rng():
    return np.random.default_rng(4)


def burst(rng, packets=32, ebn0_db=12.0, mbps=24):
    return Link(ExponentialFading(), rate=RATES[mbps]).packets(ebn0_db, packets, rng)


def test_with_the_true_powers_the_wiener_estimate_is_the_known_covariance_lmmse(rng):
    observation = burst(rng).observation
    noise = np.repeat((observation.noise_var / observation.training_symbols)[:, None], 52, axis=1)
    precision = (1 / np.maximum(observation.truth.power, 1e-12)).astype(np.float32)
    ours = wiener(observation.ls, noise, Prior(precision, np.zeros(len(precision), np.float32)))
    theirs = KnownCovarianceLMMSE().estimate(observation)
    np.testing.assert_allclose(ours.h_hat, theirs.h_hat, atol=2e-4)
    np.testing.assert_allclose(ours.err_var, theirs.err_var, rtol=2e-3)


def test_with_unequal_reliabilities_it_is_the_matrix_formula(rng):
    f, power, rest = response(52, np.arange(16)), rng.uniform(0.01, 0.2, 16), 0.03
    noise = rng.uniform(0.01, 1.0, 52)
    ls = rng.standard_normal(52) + 1j * rng.standard_normal(52)
    r = f @ np.diag(power) @ f.conj().T + rest * np.eye(52)
    w = r @ np.linalg.inv(r + np.diag(noise))
    prior = Prior((1 / power).astype(np.float32)[None], np.array([rest], np.float32))
    ours = wiener(ls.astype(np.complex64)[None], noise.astype(np.float32)[None], prior)
    np.testing.assert_allclose(ours.h_hat[0], w @ ls, atol=1e-4)
    np.testing.assert_allclose(ours.err_var[0], np.diag(r - w @ r).real, rtol=1e-3)


def test_numpy_and_torch_make_the_same_estimate(rng):
    net, observation = DelayGate(), burst(rng, ebn0_db=8.0).observation
    scores = net(torch.from_numpy(observation.ls @ delays(52)[1].T), torch.from_numpy(observation.noise_var))
    ours = NeuralEstimator.of(net).scores(observation.ls @ delays(52)[1].T, observation.noise_var)
    np.testing.assert_allclose(ours, scores.detach().numpy(), atol=1e-4)


@pytest.mark.parametrize(
    "net", [DelayGate(), DelayGate(WIDE), ContextNet(), SyndromeNet()], ids=lambda net: type(net).__name__
)
def test_every_parameter_gets_a_gradient(net, rng):
    if isinstance(net, DelayGate):
        observation = burst(rng).observation
        out = estimate(net, torch.from_numpy(observation.ls), torch.from_numpy(observation.noise_var)).abs()
    elif isinstance(net, ContextNet):
        for layer in net.doubt:
            torch.nn.init.normal_(layer[-1].weight)
        y = torch.randn(4, 10, 48, dtype=torch.complex64)
        out = net(y, torch.ones(4, 1, 48, dtype=torch.complex64), torch.full((4, 48), 0.1), 4)
    else:
        out = net(torch.rand(4, 3, 60))
    out.square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in net.parameters())


@pytest.mark.parametrize(("net", "count"), [(DelayGate(), 832), (DelayGate(WIDE), 5542), (DenseNet(), 54416)])
def test_estimators_have_the_parameters_that_the_docs_say(net, count):
    assert sum(p.numel() for p in net.parameters()) == count


@pytest.mark.parametrize("used", [52, 56])
@pytest.mark.parametrize("training_symbols", [1.0, 2.0])
def test_an_untrained_dense_estimator_is_ls(used, training_symbols, rng):
    ls = (rng.standard_normal((3, used)) + 1j * rng.standard_normal((3, used))).astype(np.complex64)
    noise = np.array([0.1, 0.2, 0.4], np.float32)
    found = DenseEstimator(DenseNet()).estimate(Observation(ls, noise, training_symbols))
    np.testing.assert_allclose(found.h_hat, ls, atol=1e-6)
    edge = (used - 52) // 2
    inner = found.err_var[:, edge : used - edge]
    np.testing.assert_allclose(inner, np.repeat(2 * noise[:, None] / training_symbols, 52, axis=1), rtol=1e-6)
    np.testing.assert_allclose(
        found.err_var[:, :edge], np.repeat(noise[:, None] / training_symbols, edge, axis=1), rtol=1e-6
    )


@pytest.mark.parametrize("length", CODES)
def test_the_syndrome_of_every_code_of_the_curriculum_sees_errors_only(length, rng):
    """Words coded by hand: bit k of a polynomial is what the input k steps ago adds."""
    code, bits = CODES[length], rng.integers(0, 2, (4, 50))
    late = [np.pad(bits, ((0, 0), (k, 0)))[:, :50] for k in range(length)]
    coded = np.stack([sum(late[k] for k in range(length) if (g >> k) & 1) % 2 for g in code], -1).reshape(4, 100)
    a, b = inverse(code)
    assert product(a, code[0]) ^ product(b, code[1]) == 1
    assert max(g.bit_length() for g in code) == length
    octal = {3: ("5", "7"), 5: ("23", "35"), 7: ("133", "171")}[length]  # newest bit first, as tables print them
    assert tuple(f"{int(f'{g:0{length}b}'[::-1], 2):o}" for g in code) == octal
    right = torch.from_numpy(2.0 * coded - 1)
    assert (features(right, code)[:, 2] == -1).all()
    r = torch.from_numpy(coded.astype(np.uint8))
    assert np.array_equal(initial_decision(r[:, 0::2], r[:, 1::2], code).numpy(), bits)
    wrong = right.clone()
    wrong[:, 40] *= -1
    assert (features(wrong, code)[:, 2] == 1).any()


def test_a_tap_far_above_the_noise_is_believed_whatever_the_network_says():
    net = DelayGate()
    torch.nn.init.constant_(net.layers[-1].bias, -15.0)  # says: no tap is there
    h = response(52, np.array([0.0, 9.0])).sum(1).astype(np.complex64)[None]
    found = NeuralEstimator.of(net).estimate(Observation(h, np.array([0.01], np.float32)))
    assert np.mean(np.abs(found.h_hat - h) ** 2) < 0.05 * np.mean(np.abs(h) ** 2)


def test_a_channel_that_no_taps_can_make_falls_back_to_ls(rng):
    net = DelayGate()
    ls = response(52, np.array([30.0])).sum(1).astype(np.complex64)[None]
    found = NeuralEstimator.of(net).estimate(Observation(ls, np.array([1e-3], np.float32)))
    np.testing.assert_allclose(found.h_hat, ls, atol=0.02)


@pytest.mark.parametrize("bits", [1, 2, 4, 6])
def test_an_untrained_context_demapper_agrees_with_exact_llrs_where_radios_are_perfect(bits, rng):
    from wireless.ofdm.phy.constellation import points
    from wireless.ofdm.receiver.demappers import Exact

    h = (rng.standard_normal((8, 48)) + 1j * rng.standard_normal((8, 48))).astype(np.complex64)
    x = points(bits)[rng.integers(2**bits, size=(8, 10, 48))]
    y = (h[:, None] * x + 0.02 * rng.standard_normal(x.shape)).astype(np.complex64)
    noise = np.full((8, 48), 0.01, np.float32)
    ours, exact = NeuralDemapper(ContextNet()).demap(y, h, noise, bits), Exact().demap(y, h, noise, bits)
    assert np.corrcoef(ours.ravel(), exact.ravel())[0, 1] > 0.98


def test_the_demapper_of_feedback_is_exact_without_prior_knowledge_and_extrinsic_with_it(rng):
    from wireless.ofdm.receiver.demappers import Exact

    b = burst(rng, packets=4)
    y, h, noise = b.y[..., :48], b.observation.ls[:, :48], np.repeat(b.observation.noise_var[:, None], 48, axis=1)
    y, h = np.ascontiguousarray(y), np.ascontiguousarray(h)
    nothing = np.zeros((4, 10, 192), np.float32)
    alone = demap(y, h, noise, nothing, 4)
    np.testing.assert_allclose(alone, np.clip(Exact().demap(y, h, noise, 4), -20, 20), atol=2e-2)
    # What is known of a bit says nothing new about that bit; of the sign bits, nothing about the size bits' axis mate.
    known = nothing.copy()
    known[..., 0::4] = 3.0
    told = demap(y, h, noise, known, 4)
    np.testing.assert_allclose(told[..., 0::4], alone[..., 0::4], atol=2e-2)
    assert np.abs(told[..., 1::4] - alone[..., 1::4]).max() > 0.1


def test_posteriors_are_those_of_all_code_words(rng):
    n = 10
    words = np.array([[(k >> i) & 1 for i in range(n - 6)] + [0] * 6 for k in range(2 ** (n - 6))], np.uint8)
    coded, llr = encode(words), rng.normal(0, 2, (1, 2 * n)).astype(np.float32)
    weight = np.exp(coded @ llr[0])
    found = posteriors(llr, n)
    for bits, ours in ((coded, found.coded[0]), (words, found.bits[0])):
        with np.errstate(divide="ignore"):
            right = np.log(weight @ bits) - np.log(weight @ (1 - bits))
        free = np.isfinite(right)  # the tail is known
        np.testing.assert_allclose(ours[free], right[free], atol=1e-3)
        assert (ours[~free] < -20).all()


def test_posteriors_say_what_shape_they_need():
    with pytest.raises(ValueError, match=r"posteriors of 5 steps need LLRs of shape \(batch, 10\), got \(2, 9\)"):
        posteriors(np.zeros((2, 9), np.float32), 5)


def test_soft_feedback_beats_one_pass_on_the_same_packets(rng):
    b = burst(rng, packets=200, ebn0_db=9.0)
    wrong = [
        np.mean(receiver.receive(b.observation, b.y, RATES[24], 954).bits != b.bits)
        for receiver in (TurboReceiver(FixedDelays()), TurboReceiver(FixedDelays(), passes=0), Receiver("lmmse-robust"))
    ]
    assert wrong[0] < wrong[1] < wrong[2]


@pytest.mark.parametrize("mbps", [6, 9, 12, 18, 24, 36, 48, 54])
def test_soft_feedback_decodes_every_rate_without_noise(mbps, rng):
    b = burst(rng, packets=4, ebn0_db=40.0, mbps=mbps)
    n = 10 * RATES[mbps].info - 6
    assert np.array_equal(TurboReceiver(FixedDelays()).decide(b.observation, b.y, RATES[mbps], n), b.bits)


def test_the_first_guess_inverts_the_code_and_its_syndrome_is_zero(rng):
    a, b = inverse()
    assert product(a, GENERATORS[0]) ^ product(b, GENERATORS[1]) == 1
    bits = rng.integers(0, 2, (5, 80)).astype(np.uint8)
    coded = torch.from_numpy(encode(bits))
    assert np.array_equal(initial_decision(coded[:, 0::2], coded[:, 1::2]).numpy(), bits)
    assert (features(2.0 * coded - 1)[:, 2] == -1).all()


def test_the_syndrome_sees_the_errors_and_not_what_was_sent(rng):
    bits = rng.integers(0, 2, (2, 60)).astype(np.uint8)
    wrong = rng.random((1, 120)) < 0.1
    llr = torch.from_numpy(np.where(wrong, -1.0, 1.0) * (2.0 * encode(bits) - 1)).float()
    first, second = features(llr)
    torch.testing.assert_close(first, second)
    net = SyndromeNet()
    decoded = NeuralDecoder(net).decode(llr.numpy(), 60)
    assert np.array_equal(decoded[0] ^ bits[0], decoded[1] ^ bits[1])
