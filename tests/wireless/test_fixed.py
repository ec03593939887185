"""The delay gate in fixed point: its program is what the trained net computes, and pruned weights stay zero."""

import numpy as np
import pytest
import torch

from shared.integer import audit
from shared.training.loop import Schedule
from wireless.ofdm.channel.models import ExponentialFading
from wireless.ofdm.compression.fixed_point import FixedEstimator, calibrated, input_format, train_fixed
from wireless.ofdm.link.simulation import Link
from wireless.ofdm.neural import DelayGate, NeuralEstimator
from wireless.ofdm.neural.estimator import FLOOR
from wireless.ofdm.neural.pretrained import neural_estimator

FEW = Schedule(steps=3, batch=64)


@pytest.fixture(scope="module")
def gate():
    net = DelayGate()
    for layer, (weight, bias) in zip(net.layers, neural_estimator().layers, strict=True):
        layer.weight.data, layer.bias.data = torch.from_numpy(weight.copy()), torch.from_numpy(bias.copy())
    return net


@pytest.mark.parametrize("word", [8, 16])
def test_more_bits_come_closer_to_the_float_gate(gate, word):
    observation = Link(ExponentialFading()).packets(10.0, 40, np.random.default_rng(0)).observation
    program = calibrated(gate, torch.Generator().manual_seed(0), word).program()
    exact, fixed = NeuralEstimator.of(gate).estimate(observation), FixedEstimator(program).estimate(observation)
    off = np.mean(np.abs(fixed.h_hat - exact.h_hat) ** 2) / np.mean(np.abs(exact.h_hat - observation.ls) ** 2)
    assert off < {8: 0.1, 16: 0.002}[word]
    audit(program).require(word)


@pytest.mark.parametrize("word", [8, 16])
def test_the_input_format_holds_what_the_gate_reads_and_no_bit_more(word):
    inputs = np.log([FLOOR, 1e5])  # an absent tap, and one 50 dB above its noise
    read = input_format(word)
    assert read.low * read.step <= inputs.min()
    assert inputs.max() <= read.high * read.step < 16


def test_pruned_weights_stay_zero(gate):
    keep = [layer.weight.abs() > 0.2 for layer in gate.layers]
    program = train_fixed(gate, torch.Generator().manual_seed(0), keep=keep, schedule=FEW).program()
    assert audit(program).nonzero_macs <= sum(int(mask.sum()) for mask in keep) < audit(program).macs


def test_training_is_the_same_for_the_same_seed(gate):
    programs = [train_fixed(gate, torch.Generator().manual_seed(1), schedule=FEW).program() for _ in range(2)]
    assert programs[0] == programs[1]
