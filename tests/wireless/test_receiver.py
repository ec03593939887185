"""Receivers: any block with any other, at any rate; fused kernels decide as the blocks do."""

from dataclasses import dataclass

import numpy as np
import pytest

from wireless.ofdm.channel.models import AWGN, ExponentialFading
from wireless.ofdm.link.simulation import Link, compare
from wireless.ofdm.phy import grid
from wireless.ofdm.phy.rates import MCS, RATES
from wireless.ofdm.receiver import fused
from wireless.ofdm.receiver.chain import DECODERS, DEMAPPERS, ESTIMATORS, Receiver
from wireless.ofdm.receiver.decoders import HardViterbi, SoftViterbi
from wireless.ofdm.receiver.demappers import Exact, Hard, MaxLog
from wireless.ofdm.receiver.estimators import LS, ChannelEstimate, Observation, PerfectCSI, RobustLMMSE
from wireless.ofdm.receiver.feedback import decision_directed_update, reencode

EVERY_RATE = (*RATES.values(), *MCS)
LEGACY_ESTIMATORS = ("ls", "dft", "lmmse-robust", "lmmse-genie", "perfect")


def by_name(rate):
    return rate.name


def burst(rate=RATES[24], ebn0_db=10.0, packets=40, seed=1, symbols=10):
    return Link(ExponentialFading(), rate=rate, symbols=symbols).packets(ebn0_db, packets, np.random.default_rng(seed))


def receive(receiver, arrived, rate=RATES[24]):
    return receiver.receive(arrived.observation, arrived.y, rate, arrived.bits.shape[1])


@pytest.mark.parametrize("decoder", ["hard-viterbi", "soft-viterbi"])
@pytest.mark.parametrize("demapper", ["hard", "max-log", "exact"])
@pytest.mark.parametrize("estimator", LEGACY_ESTIMATORS)
def test_any_blocks_together_decode_clean_packets(estimator, demapper, decoder):
    arrived = burst(ebn0_db=60.0)
    received = receive(Receiver(estimator, demapper, decoder), arrived)
    np.testing.assert_array_equal(received.bits, arrived.bits)
    assert received.llr.dtype == np.float32
    assert received.llr.shape == (40, 2 * 960)


@pytest.mark.parametrize("passes", [0, 2])
@pytest.mark.parametrize("rate", EVERY_RATE, ids=by_name)
def test_every_rate_decodes_clean_packets(rate, passes):
    arrived = burst(rate, 70.0)
    receiver = Receiver("lmmse-robust", passes=passes)
    np.testing.assert_array_equal(receive(receiver, arrived, rate).bits, arrived.bits)
    np.testing.assert_array_equal(
        receiver.decide(arrived.observation, arrived.y, rate, arrived.bits.shape[1]), arrived.bits
    )


@pytest.mark.parametrize("rate", EVERY_RATE, ids=by_name)
def test_fused_kernels_decide_as_the_blocks_do(rate):
    """The scale of quantisation is summed in another order: a last bit of an LLR may differ, and with it a tie."""
    arrived = burst(rate, 6.0, 70)
    receiver, n = Receiver("lmmse-robust"), arrived.bits.shape[1]
    blocks = receive(receiver, arrived, rate).bits
    assert (blocks != arrived.bits).any()
    different = (receiver.decide(arrived.observation, arrived.y, rate, n) != blocks).any(1)
    assert different.mean() <= 0.02


@pytest.mark.parametrize("rate", EVERY_RATE, ids=by_name)
def test_fused_kernels_send_as_the_blocks_do(rng, rate):
    bits = rng.integers(0, 2, (5, 3 * rate.info)).astype(np.uint8)
    h = (rng.normal(size=(5, rate.data + 4)) + 1j).astype(np.complex64)
    y = fused.transmit_and_fade(bits, h, 0.0, rate, rng)
    data = grid.data_positions(rate.ht)
    np.testing.assert_allclose(y[..., data], h[:, None, data] * reencode(bits, rate), rtol=1e-5)
    pilots = grid.pilot_positions(rate.ht)
    np.testing.assert_allclose(y[..., pilots], np.repeat(h[:, None, pilots], 3, axis=1), rtol=1e-5)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("receiver", [Receiver(), Receiver("perfect", "hard", "hard-viterbi"), Receiver(passes=1)])
def test_packets_do_not_know_one_another(receiver, threads):
    arrived = burst(ebn0_db=6.0, packets=35)
    decoder = {"soft-viterbi": SoftViterbi, "hard-viterbi": HardViterbi}[receiver.decoder](threads)
    receiver = Receiver(receiver.estimator, receiver.demapper, decoder, receiver.passes)
    together = receive(receiver, arrived).bits
    for k in (0, 31, 32, 34):
        observation = arrived.observation
        truth = type(observation.truth)(
            observation.truth.h[k : k + 1], observation.truth.power[k : k + 1], observation.truth.delay
        )
        alone = Observation(
            observation.ls[k : k + 1], observation.noise_var[k : k + 1], observation.training_symbols, truth
        )
        np.testing.assert_array_equal(
            receiver.receive(alone, arrived.y[k : k + 1], RATES[24], 954).bits[0], together[k]
        )


@pytest.mark.parametrize("rate", [RATES[24], RATES[54], MCS[7]], ids=by_name)
def test_the_code_may_end_before_the_last_symbol(rng, rate):
    """In a frame, scrambled padding follows the tail and leads the code away from state zero."""
    bits = rng.integers(0, 2, (200, 4 * rate.info)).astype(np.uint8)
    end = 3 * rate.info + 20
    bits[:, end - 6 : end] = 0
    h = np.ones((200, rate.data + 4), np.complex64)
    for n0 in (0.001, 0.3):
        y = fused.transmit_and_fade(bits, h, n0, rate, rng)
        observation = Observation(h, np.full(200, n0, np.float32))
        received = Receiver().receive(observation, y, rate, end - 6, end)
        known = SoftViterbi().decode(received.llr[:, : 2 * end], end)[:, :-6]
        np.testing.assert_array_equal(received.bits, known)
        again = Receiver(passes=1).receive(observation, y, rate, end - 6, end).bits
        assert (n0 > 0.1) == (received.bits != bits[:, : end - 6]).any() == (again != bits[:, : end - 6]).any()


@dataclass(frozen=True)
class Listening:
    """Robust LMMSE that remembers how many looks it was given."""

    heard: list
    name = "listening"

    def estimate(self, observation: Observation) -> ChannelEstimate:
        self.heard.append(observation.training_symbols)
        return RobustLMMSE().estimate(observation)


def test_every_pass_counts_the_symbols_once():
    arrived = burst(packets=3)
    receive(Receiver(Listening(heard := []), passes=3), arrived)
    assert heard == [2, 12, 12, 12]


@pytest.mark.parametrize("rate", [RATES[12], RATES[24], RATES[54]], ids=by_name)
def test_right_decisions_are_training_symbols(rng, rate):
    """Sent points are known: the error has the variance N0 / (looks + symbols), but for |x|^2 around its mean."""
    bits = rng.integers(0, 2, (3000, 10 * rate.info)).astype(np.uint8)
    h = np.exp(2j * np.pi * rng.random((3000, 52))).astype(np.complex64)
    y = fused.transmit_and_fade(bits, h, 0.3, rate, rng)
    error = rng.normal(size=(3000, 52, 2)) @ [1, 1j] * np.sqrt(0.15 / 2)
    observation = Observation((h + error).astype(np.complex64), np.full(3000, 0.3, np.float32))
    again = decision_directed_update(observation, y, reencode(bits, rate), grid.data_positions())
    assert again.training_symbols == 12
    squared = (np.abs(again.ls - h) ** 2).mean(0)
    np.testing.assert_allclose(squared[grid.pilot_positions()], 0.3 / 12, rtol=0.1)
    # E 1 / (2 + sum |x|^2) is a little more than 1 / 12 where |x|^2 varies: 1 + var / 12^2 at most 1.05.
    np.testing.assert_allclose(squared[grid.data_positions()].mean(), 0.3 / 12, rtol=0.06)


def test_feedback_helps_and_more_passes_add_no_noise():
    arrived = burst(ebn0_db=9.0, packets=1500)
    wrong = [np.mean(receive(Receiver("lmmse-robust", passes=k), arrived).bits != arrived.bits) for k in (0, 1, 3)]
    assert wrong[1] < 0.97 * wrong[0]
    assert wrong[2] < 1.01 * wrong[1]


@pytest.mark.parametrize("demapper", ["hard", "max-log", "exact"])
@pytest.mark.parametrize("ebn0_db", [6.0, 12.0])
def test_perfect_csi_is_never_worse_than_ls_in_the_mean(demapper, ebn0_db):
    arrived = burst(ebn0_db=ebn0_db, packets=1000)
    wrong = [np.mean(receive(Receiver(name, demapper), arrived).bits != arrived.bits) for name in ("perfect", "ls")]
    assert wrong[0] < wrong[1]


@pytest.mark.parametrize(
    "given",
    [Receiver(LS(), MaxLog(), SoftViterbi()), Receiver(LS(), Hard(), HardViterbi()), Receiver(PerfectCSI(), Exact())],
)
def test_a_name_stands_for_the_block(given):
    named = Receiver(
        *(it if isinstance(it, str) else it.name for it in (given.estimator, given.demapper, given.decoder))
    )
    arrived = burst(ebn0_db=7.0)
    np.testing.assert_array_equal(receive(named, arrived).bits, receive(given, arrived).bits)


@dataclass(frozen=True)
class Halved:
    """A block of a user: half of what robust LMMSE says."""

    name = "halved"

    def estimate(self, observation: Observation) -> ChannelEstimate:
        channel = RobustLMMSE().estimate(observation)
        return ChannelEstimate(channel.h_hat / 2, channel.err_var)


def test_any_object_with_the_protocol_will_do():
    arrived = burst(RATES[12], 60.0)
    np.testing.assert_array_equal(receive(Receiver(Halved()), arrived, RATES[12]).bits, arrived.bits)


@pytest.mark.parametrize("kind", ["estimator", "demapper", "decoder"])
def test_an_unknown_name_lists_the_known(kind):
    known = {"estimator": ESTIMATORS, "demapper": DEMAPPERS, "decoder": DECODERS}[kind]
    with pytest.raises(ValueError, match=f"{kind} 'magic' is unknown: it must be one of {', '.join(known)}, or an obj"):
        Receiver(**{kind: "magic"}).blocks()


@pytest.mark.parametrize("known", [ESTIMATORS, DEMAPPERS, DECODERS])
def test_blocks_are_listed_under_their_own_names(known):
    legacy = [name for name, make in known.items() if isinstance(make, type)]
    assert legacy
    assert all(known[name]().name == name for name in legacy)


class Own:
    """A block of one's own: what a legacy one returns, changed."""

    name = "mine"

    def __init__(self, method, change):
        setattr(self, method, lambda *inputs: change(getattr(LEGACY[method], method)(*inputs)))


LEGACY = {"estimate": LS(), "demap": MaxLog(), "decode": SoftViterbi()}
WRONG = {
    "h_hat of 48": (
        "estimate",
        lambda it: it._replace(h_hat=it.h_hat[:, :48]),
        "complex64 of shape (8, 48)",
        "(8, 52)",
    ),
    "one h_hat": ("estimate", lambda it: it._replace(h_hat=it.h_hat[:1]), "shape (1, 52)", "(8, 52) or (8, 10, 52)"),
    "64 bins": ("estimate", lambda it: it._replace(h_hat=np.pad(it.h_hat, ((0, 0), (6, 6)))), "(8, 64)", "(8, 52)"),
    "err_var of a packet": ("estimate", lambda it: it._replace(err_var=it.err_var[:, 0]), "shape (8,)", "(8, 52)"),
    "a scalar err_var": ("estimate", lambda it: it._replace(err_var=np.float32(0.1)), "a float32", "(8, 52)"),
    "negative err_var": ("estimate", lambda it: it._replace(err_var=-it.err_var), "err_var has -", "negative"),
    "h_hat alone": ("estimate", lambda it: it.h_hat, "complex64 of shape (8, 52)", "a ChannelEstimate"),
    "real h_hat": ("estimate", lambda it: it._replace(h_hat=it.h_hat.real), "float32 of shape", "complex64"),
    "NaN h_hat": ("estimate", lambda it: it._replace(h_hat=it.h_hat * np.nan), "nan", "at (0, 0); all must be finite"),
    "half the LLRs": ("demap", lambda it: it[..., :96], "shape (8, 10, 96)", "(8, 10, 192)"),
    "flat LLRs": ("demap", lambda it: it.reshape(len(it), -1), "shape (8, 1920)", "(8, 10, 192)"),
    "integer LLRs": ("demap", lambda it: it.astype(int), "int64 of shape", "float32"),
    "NaN LLRs": ("demap", lambda it: it * np.nan, "nan", "all must be finite"),
    "infinite LLRs": ("demap", lambda it: np.sign(it) * np.inf, "inf", "all must be finite"),
    "short bits": ("decode", lambda it: it[:, :-3], "shape (8, 957)", "(8, 960)"),
    "one packet": ("decode", lambda it: it[:1], "shape (1, 960)", "(8, 960)"),
    "float bits": ("decode", lambda it: it.astype(float), "float64 of shape", "uint8"),
    "bits of 2": ("decode", lambda it: 2 * it, "bits have 2", "0 or 1"),
}


@pytest.mark.parametrize("passes", [0, 1])
@pytest.mark.parametrize(("method", "change", "came", "needed"), WRONG.values(), ids=WRONG)
def test_blocks_of_the_wrong_shape_are_named(method, change, came, needed, passes, rng):
    place = {"estimate": "estimator", "demap": "demapper", "decode": "decoder"}[method]
    with pytest.raises(ValueError, match=f"{place} 'mine'") as caught:
        Link(AWGN(), Receiver(**{place: Own(method, change)}, passes=passes)).simulate(5.0, 8, rng)
    assert came in str(caught.value)
    assert needed in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("method", "change"),
    [
        ("estimate", lambda it: type(it)(it.h_hat.astype(complex), it.err_var.astype(float))),
        ("demap", lambda it: it.astype(float)),
        ("decode", lambda it: it.astype(bool)),
    ],
)
def test_other_precisions_are_converted(method, change, rng):
    place = {"estimate": "estimator", "demap": "demapper", "decode": "decoder"}[method]
    receivers = [Receiver(), Receiver(**{place: Own(method, change)})]
    one, other = compare(Link(AWGN()), receivers, 3.0, 16, rng)
    assert one.errors == other.errors
