"""The networks that are known by name: there, small, of a stated seed, and as their command makes them."""

import numpy as np
import pytest
import torch
from radio import sent
from safetensors import safe_open

from shared.training.loop import Schedule
from shared.weights.files import from_bytes
from wireless.ofdm.catalogue import DECODERS, DEMAPPERS, ESTIMATORS, receiver
from wireless.ofdm.channel.models import ExponentialFading
from wireless.ofdm.link.simulation import Link, compare
from wireless.ofdm.neural import DelayGate, NeuralEstimator, pretrained
from wireless.ofdm.phy.rates import MCS, RATES
from wireless.ofdm.recordings.frames import decode
from wireless.ofdm.training import pretrain
from wireless.ofdm.training.blocks import train_estimator
from wireless.recordings import samples

NAMES = ("neural", "neural-5k", "dense", "demapper", "decoder")
TRAINED = [
    *(receiver(estimator=name) for name in ("neural", "neural-5k", "dense")),
    receiver(demapper="neural"),
    receiver(decoder="neural"),
    receiver("neural", "neural", "neural"),
]


@pytest.mark.parametrize("known", TRAINED, ids=repr)
@pytest.mark.parametrize("rate", [RATES[24], MCS[3].short()], ids=lambda rate: rate.name)
def test_every_name_decodes_clean_frames_of_both_formats(known, rate, rng):
    data, samples = sent(rate, 120, rng, cfo_hz=2e4, snr_db=35)
    [frame] = decode(samples, known)
    assert (frame.psdu, frame.fcs_ok) == (data, True)


@pytest.mark.parametrize("known", [receiver("neural"), receiver("dense"), receiver("lmmse-robust")], ids=repr)
def test_how_loud_a_recording_is_does_not_matter(known, rng):
    _, samples = sent(RATES[24], 120, rng, snr_db=9)
    psdus = {decode((samples * gain).astype(np.complex64), known)[0].psdu for gain in (1e-3, 1.0, 30.0)}
    assert len(psdus) == 1


def test_estimators_by_name_beat_ls():
    names = ("ls", "neural", "neural-5k", "dense")
    receivers = [receiver(name) for name in names]
    wrong = [
        counts.ber for counts in compare(Link(ExponentialFading()), receivers, 10.0, 600, np.random.default_rng(7))
    ]
    assert max(wrong[1:]) < 0.75 * wrong[0]


def test_a_name_is_read_once_and_is_the_blocks_own():
    for known in (ESTIMATORS, DEMAPPERS, DECODERS):
        assert known["neural"]() is known["neural"]()
        assert all(known[name]().name == name for name in known)


def test_the_help_of_decode_lists_every_block_that_needs_no_simulation(python):
    from qwedge.commands import decode

    assert set(decode.ESTIMATORS) == set(ESTIMATORS) - {"lmmse-genie", "perfect"}
    assert (set(decode.DEMAPPERS), set(decode.DECODERS)) == (set(DEMAPPERS), set(DECODERS))
    assert samples.FORMATS == decode.FORMATS
    words = " ".join(python("-m", "qwedge", "decode", "--help").stdout.split())
    assert "ls, dft, lmmse-robust, neural, neural-5k, dense" in words


def test_a_legacy_receiver_loads_no_torch(python):
    code = "import sys; from wireless.ofdm.catalogue import receiver; receiver(); print('torch' in sys.modules)"
    assert python("-c", code).stdout.strip() == "False"


@pytest.mark.parametrize("name", NAMES)
def test_a_file_says_from_which_seed_and_commit_it_comes(name, tmp_path):
    data = pretrained.weights_file(name)
    assert len(data) < 220_000
    (tmp_path / "a.safetensors").write_bytes(data)
    with safe_open(tmp_path / "a.safetensors", "pt") as file:
        about = file.metadata()
    assert about["seed"] == "0"
    assert len(about["commit"]) == 40
    assert about["torch"] == torch.__version__


def test_the_same_seed_makes_the_same_files():
    short = Schedule(steps=2, batch=8)
    first, again, other = (
        {name: pretrain.to_bytes(net) for name, net in pretrain.networks(seed, short, short, short)}
        for seed in (1, 1, 2)
    )
    assert tuple(first) == NAMES
    assert first == again
    assert all(first[name] != other[name] for name in NAMES)


@pytest.mark.slow
def test_the_command_makes_the_file_that_is_kept():
    """Other processors round otherwise: the estimates agree, not every bit of the weights."""
    kept = from_bytes(DelayGate(), pretrained.weights_file("neural"))
    made = train_estimator(torch.Generator().manual_seed(0))
    observation = Link(ExponentialFading()).packets(10.0, 200, np.random.default_rng(0)).observation
    one, two = (NeuralEstimator.of(net).estimate(observation).h_hat for net in (kept, made))
    assert np.mean(np.abs(one - two) ** 2) < 1e-3 * np.mean(np.abs(one - observation.truth.h) ** 2)


def test_the_command_needs_a_folder(python):
    done = python("-m", "wireless.ofdm.training.pretrain")
    assert done.returncode == 2
    assert "the following arguments are required: --out" in done.stderr
