"""Radar nets: what they read, how they are trained, and files of them."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from shared.f8net import F8Net, keep_zeros
from shared.integer import audit, outputs
from wireless.radar.datasets.generate import generate
from wireless.radar.datasets.recipe import Recipe
from wireless.radar.nets.classifier import Classifier, fresh
from wireless.radar.nets.inputs import FORMAT, as_input
from wireless.radar.nets.planes import Planes
from wireless.radar.nets.registry import NETS, build
from wireless.radar.training import Endless, Stored, run_epoch, trainer

EVERY = pytest.mark.parametrize("name", NETS)
LIMITS = {"iq": 35_000, "iq-10k": 10_000, "bank": 10_000, "spectrogram": 35_000, "transformer": 35_000}
EASY = Recipe(count=512, classes=("cw", "t1"), samples=256, snr_db=(5.0, 10.0))


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_a_net_reads_i_and_q_at_any_gain():
    samples = generate(EASY).samples[:8]
    x = as_input(samples)
    assert x.dtype == torch.float32
    assert x.shape == (8, 2, 256)
    assert x.square().mean((1, 2)).numpy() == pytest.approx(1, rel=1e-5)
    assert torch.allclose(as_input(samples * np.complex64(1e-4)), x, rtol=1e-4)
    phases = np.angle(samples)
    assert np.arctan2(x[:, 1], x[:, 0]).numpy() == pytest.approx(phases, abs=1e-5)


def test_silence_is_read_as_zeros():
    assert not as_input(np.zeros((1, 128), np.complex64)).any()


@EVERY
def test_a_net_has_a_logit_for_each_class_and_few_parameters(name):
    net = build(name, 5, 1024, generator())
    assert net(torch.randn(3, 2, 1024)).shape == (3, 5)
    assert sum(p.numel() for p in build(name, 12, 1024, generator()).parameters()) <= LIMITS[name]


@EVERY
def test_first_weights_follow_from_the_generator_alone(name):
    torch.manual_seed(0)
    one = build(name, 3, 256, generator(1)).state_dict()
    torch.manual_seed(1)
    other, third = build(name, 3, 256, generator(1)).state_dict(), build(name, 3, 256, generator(2)).state_dict()
    assert all(torch.equal(one[key], other[key]) for key in one)
    assert not all(torch.equal(one[key], third[key]) for key in one)


@EVERY
def test_a_saved_classifier_answers_as_the_one_that_was_saved(name):
    first = fresh(name, ("cw", "t1"), 256, generator())
    samples = generate(EASY).samples[:40]
    first.net.train()(as_input(samples))  # which moves the statistics of batch norms
    second = Classifier.from_bytes(first.to_bytes({"seed": "0"}))
    assert (second.name, second.classes, second.samples) == (name, ("cw", "t1"), 256)
    assert np.array_equal(first.probabilities(samples), second.probabilities(samples))
    assert first.probabilities(samples).sum(1) == pytest.approx(1)


@pytest.mark.parametrize("damage", [lambda data: data[:-9], lambda data: b"nothing", lambda data: b""])
def test_a_damaged_file_of_weights_is_refused(damage):
    data = fresh("iq-10k", ("cw", "t1"), 256, generator()).to_bytes()
    with pytest.raises(ValueError, match=r"^mine\.safetensors: not the weights of a radar net: "):
        Classifier.from_bytes(damage(data), "mine.safetensors")


@pytest.mark.parametrize("name", ["iq", "iq-10k", "bank"])
def test_a_net_on_raw_samples_is_an_integer_program_of_8_bits(name):
    x = as_input(generate(Recipe(count=24, samples=1024)).samples)
    fixed = F8Net(build(name, 12, 1024, generator()), shape=(2, 1024), input=FORMAT).calibrate(x).double().eval()
    program = fixed.program()
    audit(program).require(8)
    [scores] = outputs(program, FORMAT.to_integers(x.numpy()))
    with torch.no_grad():
        expected = fixed(x.double()).numpy()
    assert np.array_equal(program.values[program.outputs[0]].format.from_integers(scores), expected)


def test_every_epoch_has_pulses_of_its_own_and_a_stored_set_has_not():
    source = Endless(EASY)
    assert not np.array_equal(source.windows(1).samples, source.windows(2).samples)
    stored = Stored(generate(EASY))
    assert stored.windows(1) is stored.windows(2)


def test_training_learns_and_goes_on_after_a_stop_as_if_there_had_been_none():
    def started():
        net = build("iq-10k", 2, 256, generator())
        return trainer(net, 3, 1e-2, 32), generator(1)

    whole, sampled = started()
    losses = [run_epoch(whole, Endless(EASY), sampled) for _ in range(3)]
    assert losses[-1] < 0.7 * losses[0]

    first, sampled = started()
    run_epoch(first, Endless(EASY), sampled)
    second, _ = started()
    second.restore(first.state())
    assert [run_epoch(second, Endless(EASY), sampled) for _ in range(2)] == losses[1:]


def test_an_unknown_net_is_refused():
    with pytest.raises(ValueError, match=r"^no radar net 'resnet': it must be one of iq, iq-10k, "):
        build("resnet", 2, 256, generator())


def test_planes_train_a_net_as_its_own_layers_do():
    """Outputs, gradients, also through a mask, and statistics."""
    lines = build("iq-10k", 3, 256, generator())
    keep_zeros(lines[6], torch.rand(lines[6].weight.shape, generator=generator()) < 0.5)
    lines = lines.double().train()
    planes = Planes(copy.deepcopy(lines)).train()
    x = torch.randn(16, 2, 256, generator=generator(), dtype=torch.float64)
    for net in (lines, planes):
        net(x).square().sum().backward()
    for expected, actual in zip(lines.parameters(), planes.parameters(), strict=True):
        assert torch.allclose(actual.grad, expected.grad, rtol=1e-6, atol=1e-12)
    for expected, actual in zip(lines.buffers(), planes.buffers(), strict=True):
        assert torch.allclose(actual, expected)
    assert torch.allclose(planes(x), lines(x))
    assert torch.allclose(planes.eval()(x), lines.eval()(x))


def test_planes_take_nets_of_their_layers_alone():
    assert Planes.suits(build("iq", 2, 256, generator()))
    assert not any(Planes.suits(build(name, 2, 256, generator())) for name in ("spectrogram", "transformer"))
    assert not Planes.suits(nn.Sequential(nn.Conv1d(2, 2, 3), nn.GELU()))
