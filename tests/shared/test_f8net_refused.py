"""What F8Net cannot convert is one line that names the layer and the way out."""

import math
import re

import pytest
import torch
from fixed_nets import S8, Mlp, batch
from torch import nn
from torch.nn.utils import prune

from shared.f8net import F8Net


def test_hooks_that_would_be_skipped_are_refused():
    net = nn.Sequential(nn.Linear(4, 4))
    prune.random_unstructured(net[0], "weight", amount=2)
    with pytest.raises(ValueError, match=re.escape("F8Net would skip the hooks of Linear '0': use torch")):
        F8Net(net, shape=(4,), input=S8)
    prune.remove(net[0], "weight")
    F8Net(net, shape=(4,), input=S8)


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x):
        return self.layer(self.layer(x).relu())


class Branches(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


@pytest.mark.parametrize(
    ("net", "shape", "message"),
    [
        (nn.Sequential(nn.Linear(4, 4), nn.GLU()), (4,), "F8Net cannot convert GLU '1': use Linear, Conv1d"),
        (nn.Sequential(nn.ConvTranspose1d(1, 1, 1)), (1, 4), "cannot convert ConvTranspose1d '0'"),
        (
            nn.Sequential(nn.BatchNorm1d(4)),
            (4,),
            "BatchNorm1d '0' with no Linear or Conv of its own before it: move it",
        ),
        (nn.Sequential(nn.Conv1d(1, 1, 3, dilation=2)), (1, 9), "Conv1d '0' with dilation (2,): use stride"),
        (nn.Sequential(nn.Conv1d(1, 1, 3, padding="same")), (1, 9), "with padding='same': give it in numbers"),
        (nn.Sequential(nn.Conv1d(1, 1, 3, padding=1, padding_mode="circular")), (1, 9), "circular padding: use zeros"),
        (nn.Sequential(nn.MaxPool1d(3, padding=1), nn.Conv1d(1, 1, 1)), (1, 9), "MaxPool1d '0' with padding"),
        (nn.Sequential(nn.AvgPool1d(3, ceil_mode=True)), (1, 8), "AvgPool1d '0' with ceil_mode"),
        (nn.Sequential(nn.AdaptiveAvgPool1d(2)), (1, 8), "AdaptiveAvgPool1d '0' with several outputs: use AvgPool"),
        (nn.Sequential(nn.AvgPool1d(3)), (1, 9), "is an average of the input: end with a Linear or Conv"),
        (
            nn.Sequential(nn.Conv1d(1, 2, 1), nn.BatchNorm1d(2, track_running_stats=False)),
            (1, 4),
            "no running statistics",
        ),
        (Twice(), (4,), "Linear 'layer' twice: its uses need weights of their own"),
        (Branches(), (4,), "whose forward does not depend on its data"),
        (nn.Sequential(nn.Linear(4, 4)), (5,), "the net does not take an input of shape (5,)"),
    ],
)
def test_what_cannot_be_converted_is_named(net, shape, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        F8Net(net, shape=shape, input=S8)


def test_weights_that_are_not_finite_are_named():
    net = nn.Sequential(nn.Linear(2, 2))
    net[0].weight.data[0, 1] = math.nan
    with pytest.raises(ValueError, match=re.escape("finite weights, '0.weight' has NaN")):
        F8Net(net, shape=(2,), input=S8)


def test_a_batch_norm_needs_a_batch():
    net = F8Net(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)), shape=(2,), input=S8)
    with pytest.raises(ValueError, match="more than one value per channel: use a larger batch"):
        net.calibrate(torch.zeros(1, 2))


def test_formats_come_before_use():
    net = F8Net(Mlp(), shape=Mlp.shape, input=S8)
    for use in (net.program, lambda: net.eval()(batch(Mlp, 2))):
        with pytest.raises(ValueError, match=re.escape("no formats yet: call calibrate(batch), or train on a batch")):
            use()
    net.train()(batch(Mlp, 20))
    assert net.program().outputs


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"0": 9}, r"^weight_words gives '0' 9 bits: they must be 2 to 8, the word of the net$"),
        ({"0": 1}, r"^weight_words gives '0' 1 bits: "),
        ({"1": 4}, r"^weight_words names '1': it must be a layer with weights, 0, 2$"),
    ],
)
def test_weight_words_that_no_layer_can_have_are_refused(words, message):
    net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    with pytest.raises(ValueError, match=message):
        F8Net(net, shape=(2,), input=S8, weight_words=words)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"word": 1}, "word=1: weights and activations have 2 to 16 bits"),
        ({"word": 8.5}, "word=8.5: weights and activations have 2 to 16 bits"),
        ({"fit": "best"}, "fit='best': it must be one of spread, error"),
    ],
)
def test_an_option_that_is_none_is_refused(options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        F8Net(nn.Linear(4, 4), shape=(4,), input=S8, **options)


@pytest.mark.parametrize(
    ("x", "got"),
    [
        (torch.zeros(0, 4), "got none"),
        (torch.full((2, 4), math.nan), "got NaN or infinite ones"),
    ],
)
def test_what_cannot_calibrate_is_refused(x, got):
    with pytest.raises(ValueError, match=re.escape(f"calibration needs finite samples, {got}")):
        F8Net(nn.Linear(4, 4), shape=(4,), input=S8).calibrate(x)
