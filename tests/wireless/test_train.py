"""Training: reproducible by its seed, better than where it started, and kept as it was."""

import pytest
import torch

from shared.training.loop import Schedule, descend
from shared.weights.files import from_bytes, to_bytes
from wireless.ofdm.neural import ContextNet, DelayGate, DenseNet, NeuralEstimator, SyndromeNet
from wireless.ofdm.neural.decoder import CODES, features, targets
from wireless.ofdm.receiver.estimators import LS
from wireless.ofdm.training.blocks import (
    GROWING_MEMORY,
    code_and_noise,
    demapper_loss,
    dense_loss,
    estimator_loss,
    fading,
    impaired,
    noisy_code,
    train_decoder,
    train_demapper,
    train_dense,
    train_estimator,
)

SHORT = Schedule(steps=3, batch=8)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def behind(generator, schedule):
    return train_demapper(NeuralEstimator.of(train_estimator(generator, SHORT)), generator, schedule)


def growing(generator, schedule):
    return train_decoder(generator, schedule, curriculum=GROWING_MEMORY)


def flat(net):
    return torch.cat([p.detach().flatten() for p in net.parameters()])


@pytest.mark.parametrize(
    "train", [train_estimator, train_dense, train_decoder, growing, behind], ids=lambda train: train.__name__
)
def test_the_same_seed_trains_the_same_network_whatever_torch_did_before(train):
    first = flat(train(seeded(1), SHORT))
    torch.randn(7)
    assert torch.equal(first, flat(train(seeded(1), SHORT)))
    assert not torch.equal(first, flat(train(seeded(2), SHORT)))


META = torch.device("meta")
"""A device without memory: whatever mixes its tensors with the CPU's fails, as it would on a GPU."""


def decoder_loss(net, batch, generator, device):
    llr, wrong = (sampled.to(device) for sampled in noisy_code(batch, 3.0, generator))
    return (net(features(llr)) - targets(wrong)).square().mean()


def context_loss(net, batch, generator, device):
    return demapper_loss(net, impaired(LS(), batch, generator, count=1)[0], device)


@pytest.mark.parametrize(
    ("build", "loss"),
    [
        (DelayGate, estimator_loss),
        (DenseNet, dense_loss),
        (SyndromeNet, decoder_loss),
        (ContextNet, context_loss),
    ],
    ids=lambda it: it.__name__,
)
def test_a_loss_stays_on_the_device_of_its_net(build, loss):
    net = build().to(META)
    loss(net, 2, seeded(), META).backward()
    assert {p.grad.device for p in net.parameters() if p.grad is not None} == {META}


def test_blocks_are_trained_on_the_device_of_the_environment(monkeypatch):
    monkeypatch.setenv("QWEDGE_DEVICE", "tpu")
    with pytest.raises(ValueError, match="device='tpu': must be one of auto, cpu, cuda"):
        train_estimator(seeded(), SHORT)


def test_training_leaves_the_global_generator_alone():
    before = torch.random.get_rng_state()
    train_estimator(seeded(), SHORT)
    assert torch.equal(before, torch.random.get_rng_state())


def test_training_lowers_the_loss():
    net = train_estimator(seeded(), Schedule(steps=150, batch=128))
    with torch.no_grad():
        trained, fresh = (float(estimator_loss(it, 2000, seeded(9))) for it in (net, DelayGate()))
    assert trained < 0.8 * fresh


def test_training_the_dense_estimator_lowers_its_loss_and_learns_how_wrong_it_is():
    net = train_dense(seeded(), Schedule(steps=200, batch=128))
    h, ls, noise = fading(4000, seeded(9))
    with torch.no_grad():
        assert dense_loss(net, 2000, seeded(9)) < dense_loss(DenseNet(), 2000, seeded(9))
        found, doubt = net(ls, noise)
    error = (found - h).abs().square() / noise[:, None]
    assert float((error / doubt.exp()).mean()) == pytest.approx(1, abs=0.2)


def test_the_curriculum_grows_in_memory_and_from_few_errors_to_many_in_each_lesson():
    plan = code_and_noise(GROWING_MEMORY, 50)
    assert [sum(code == CODES[length] for code, _ in plan) for length, _ in GROWING_MEMORY] == [10, 10, 30]
    assert [code for code, _ in plan] == sorted((code for code, _ in plan), key=list(CODES.values()).index)
    lesson = [db for code, db in plan if code == CODES[7]]
    assert lesson == sorted(lesson, reverse=True)
    assert lesson[14] == lesson[-1] == 1.0 < lesson[0]
    assert len(code_and_noise(GROWING_MEMORY, 3)) == 3


def test_the_ls_of_training_has_half_the_noise_of_a_symbol():
    h, ls, noise = fading(4000, seeded())
    assert float((h.abs().square()).mean()) == pytest.approx(1, rel=0.05)
    assert float(((ls - h).abs().square() / noise[:, None]).mean()) == pytest.approx(0.5, rel=0.02)


def test_the_curriculum_makes_wrong_signs_exactly_where_llrs_point_to_one():
    llr, wrong = noisy_code(50, 0.0, seeded())
    assert torch.equal(wrong.transpose(1, 2).reshape(50, -1) == 1, llr > 0)
    assert 0.01 < float(wrong.float().mean()) < 0.2


def test_progress_is_reported():
    calls = []
    train_estimator(seeded(), Schedule(steps=100, batch=8), progress=lambda *said: calls.append(said))
    assert calls == [(50, 100, "training the estimator"), (100, 100, "training the estimator")]


def test_divergence_says_where():
    x = torch.zeros(1, requires_grad=True)
    with pytest.raises(ValueError, match=r"training diverged: loss nan at step 1 of 2, epoch 1, of Schedule\(steps=2"):
        descend([x], lambda: (x * float("nan")).sum(), Schedule(steps=2))


@pytest.mark.parametrize("kind", [DelayGate, DenseNet, ContextNet, SyndromeNet])
def test_weights_survive_files_exactly(kind):
    net = kind()
    for p in net.parameters():
        torch.nn.init.normal_(p)
    assert torch.equal(flat(from_bytes(kind(), to_bytes(net))), flat(net))


def test_the_weights_of_another_network_are_refused():
    with pytest.raises(ValueError, match="are not those of DelayGate, which needs"):
        from_bytes(DelayGate(), to_bytes(DelayGate((8,))))
