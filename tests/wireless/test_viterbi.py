"""The Viterbi decoder is maximum likelihood, exactly, whatever the lane, the batch and the thread."""

import itertools

import numpy as np
import pytest

from wireless.ofdm.channel.models import ExponentialFading
from wireless.ofdm.link.simulation import Link
from wireless.ofdm.phy.coding import depuncture, encode, puncture
from wireless.ofdm.phy.rates import MCS
from wireless.ofdm.receiver import viterbi
from wireless.ofdm.receiver.chain import Receiver
from wireless.ofdm.receiver.decoders import HardViterbi, SoftViterbi


def plain_viterbi(llr):
    """The textbook's decoder, all states of all packets at once, in the numbers it is given: (B, 2n) -> (B, n)."""
    states = np.arange(64)
    register = 2 * states[:, None] + np.arange(2)
    taps = [int(f"{polynomial:07b}"[::-1], 2) for polynomial in (0o133, 0o171)]
    signs = np.array([[[2 * ((r & t).bit_count() & 1) - 1 for t in taps] for r in row] for row in register.tolist()])
    metric = np.full((len(llr), 64), -(10**9), llr.dtype)
    metric[:, 0] = 0
    came = []
    for t in range(llr.shape[1] // 2):
        branch = np.einsum("sit,bt->bsi", signs, llr[:, 2 * t : 2 * t + 2])
        reached = (metric[:, :, None] + branch).reshape(len(llr), 2, 64)  # new state 2 s + i modulo 64
        worse = reached[:, 0] < reached[:, 1]
        came.append(worse)
        metric = np.where(worse, reached[:, 1], reached[:, 0])
    state, bits = np.zeros(len(llr), int), []
    for worse in reversed(came):
        bits.append(state & 1)
        state = (state >> 1) + 32 * worse[np.arange(len(llr)), state]
    return np.stack(bits[::-1], 1).astype(np.uint8)


def words(rng, packets, free):
    bits = rng.integers(0, 2, (packets, free + 6)).astype(np.uint8)
    bits[:, free:] = 0
    return bits


def test_a_decoded_word_is_the_likeliest_of_all(rng):
    candidates = np.array([(*free, *[0] * 6) for free in itertools.product((0, 1), repeat=7)], np.uint8)
    sent = 2 * encode(candidates).astype(int) - 1
    llr = rng.integers(-viterbi.LIMIT, viterbi.LIMIT + 1, (200, 26))
    likelihood = llr.astype(int) @ sent.T
    decoded = 2 * encode(viterbi.decode(llr)).astype(int) - 1
    np.testing.assert_array_equal((decoded * llr).sum(1), likelihood.max(1))


@pytest.mark.parametrize("largest", [1, 5, viterbi.LIMIT])
@pytest.mark.parametrize("steps", [1, 6, 7, 600])
def test_it_equals_the_plain_decoder_bit_for_bit(rng, largest, steps):
    llr = rng.integers(-largest, largest + 1, (40, 2 * steps))
    np.testing.assert_array_equal(viterbi.decode(llr), plain_viterbi(llr))


def test_metrics_may_wrap_around(rng):
    """Codewords at full strength drive the metrics to 2000 * 1022, sixty times what 16 bits hold."""
    bits = words(rng, 3, 2000)
    llr = viterbi.LIMIT * (2 * encode(bits).astype(int) - 1)
    llr[:, ::7] *= -1
    np.testing.assert_array_equal(viterbi.decode(llr), plain_viterbi(llr))


@pytest.mark.parametrize("start", range(64))
def test_no_path_begins_in_another_state(start):
    """The strongest word from any other state is decoded as the best of those from state zero."""
    bits = np.array([[*(int(bit) for bit in f"{start:06b}"), 1, 0, 1, *[0] * 6]], np.uint8)
    llr = viterbi.LIMIT * (2 * encode(bits).astype(int) - 1)[:, 12:]
    np.testing.assert_array_equal(viterbi.decode(llr), plain_viterbi(llr))


@pytest.mark.parametrize("packets", [1, 31, 32, 33, 70])
@pytest.mark.parametrize("threads", [1, 3])
def test_neighbours_and_threads_change_nothing(rng, packets, threads):
    llr = rng.integers(-40, 41, (packets, 90)).astype(np.int8)
    alone = np.concatenate([viterbi.decode(row[None]) for row in llr])
    np.testing.assert_array_equal(viterbi.decode(llr, threads), alone)


@pytest.mark.parametrize("code", [(1, 2), (2, 3), (3, 4), (5, 6)])
@pytest.mark.parametrize("decoder", [SoftViterbi(), HardViterbi(), SoftViterbi(threads=2)])
def test_clean_words_come_back_at_every_code_rate(rng, code, decoder):
    bits = words(rng, 40, 114)
    llr = depuncture(2 * puncture(encode(bits), code).astype(np.float32) - 1, code)
    np.testing.assert_array_equal(decoder.decode(llr, 100), bits[:, :100])


def test_the_hard_decoder_sees_signs_alone(rng):
    llr = rng.normal(size=(40, 200)).astype(np.float32)
    strength = rng.uniform(0.1, 10, llr.shape).astype(np.float32)
    np.testing.assert_array_equal(HardViterbi().decode(llr, 100), HardViterbi().decode(llr * strength, 100))
    np.testing.assert_array_equal(HardViterbi().decode(llr, 100), plain_viterbi(np.sign(llr).astype(int)))


def test_ten_bits_lose_no_measurable_error_rate(rng):
    bits = words(rng, 1500, 120)
    llr = (2.0 * encode(bits) - 1 + rng.normal(size=(1500, 252))).astype(np.float32)
    wrong = [(decoded != bits).sum(1) for decoded in (viterbi.decode(llr), plain_viterbi(llr.astype(float)))]
    more = wrong[0] - wrong[1]
    assert wrong[1].sum() > 2000
    assert more.mean() < 3 * more.std() / 1500**0.5 + 0.005 * wrong[1].mean()


def test_ten_bits_keep_faded_subcarriers():
    """64-QAM at rate 5/6 lives on the weakest LLRs of a packet: with eight bits it loses four times the packets."""
    link = Link(ExponentialFading(), Receiver("perfect"), MCS[7], symbols=4)
    burst = link.packets(24.0, 400, np.random.default_rng(1))
    received = link.receiver.receive(burst.observation, burst.y, MCS[7], link.bits_per_packet)
    exact = plain_viterbi(received.llr.astype(float))[:, : link.bits_per_packet]
    lost = [(decided != burst.bits).any(1).sum() for decided in (received.bits, exact)]
    assert lost[0] <= lost[1] + 4


@pytest.mark.parametrize("scale", [1e-20, 1e-3, 1.0, 1e20])
def test_the_scale_of_llrs_does_not_matter(rng, scale):
    llr = rng.normal(size=(5, 300)).astype(np.float32)
    llr[:, ::3] = 0
    rounded = viterbi.quantise((llr * np.float32(scale)).astype(np.float32))
    np.testing.assert_allclose(rounded, viterbi.quantise(llr), atol=1)
    assert (rounded[:, ::3] == 0).all()
    sizes = np.abs(rounded.astype(float))
    np.testing.assert_allclose(sizes.sum(1) / 200, viterbi.MEAN, rtol=0.01)


def test_nothing_known_is_no_error():
    assert (viterbi.quantise(np.zeros((2, 40), np.float32)) == 0).all()
    assert viterbi.decode(np.zeros((2, 40), np.float32)).shape == (2, 20)
    assert viterbi.decode(np.zeros((0, 40), np.int8)).shape == (0, 20)


def test_an_odd_number_of_llrs_is_refused():
    with pytest.raises(ValueError, match=r"LLRs have the shape \(3, 7\): the decoder needs \(batch, 2n\)"):
        viterbi.decode(np.zeros((3, 7), np.int8))


def test_sionnas_decoder_makes_the_same_errors(rng):
    conv = pytest.importorskip("sionna.phy.fec.conv")
    import torch

    encoder = conv.ConvEncoder(gen_poly=("1011011", "1111001"), terminate=True)
    bits = words(rng, 400, 100)
    np.testing.assert_array_equal(encoder(torch.from_numpy(bits[:, :-6]).float()).numpy(), encode(bits))
    llr = np.rint(20 * (2.0 * encode(bits) - 1 + rng.normal(size=(400, 212)))).clip(-127, 127).astype(np.float32)
    theirs = conv.ViterbiDecoder(encoder=encoder, method="soft_llr")(torch.from_numpy(llr)).numpy()
    ours = viterbi.decode(llr.astype(np.int8))[:, :-6]
    # Whole numbers tie now and then, and a tie is broken either way: nothing else may differ.
    sent = [2.0 * encode(np.pad(word.astype(np.uint8), ((0, 0), (0, 6)))) - 1 for word in (ours, theirs)]
    np.testing.assert_array_equal((sent[0] * llr).sum(1), (sent[1] * llr).sum(1))
    assert (ours != theirs).any(1).mean() < 0.05


def test_integers_beyond_the_limit_are_refused():
    with pytest.raises(
        ValueError, match=r"integer LLRs reach from -600 to 3: they must lie within \+-511; pass floats"
    ):
        viterbi.decode(np.array([[-600, 3]], np.int16))
