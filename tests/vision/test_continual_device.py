"""The learner on a device: its encoder is an integer program."""

import pytest
import torch
from small_learners import embedding, pictures
from torch.nn.functional import normalize

from shared.integer import outputs
from vision.continual.device import IntegerEmbedding
from vision.continual.frozen import NearestMeans
from vision.data.augment import PIXEL


@pytest.fixture(scope="module")
def integers():
    torch.manual_seed(0)
    return IntegerEmbedding(embedding(), pictures(40))


@pytest.fixture
def device(integers):
    device = NearestMeans(integers, 8)
    device.learn({"a": pictures(1)})
    return device


def test_a_device_answers_as_its_integer_program_does():
    integers = IntegerEmbedding(embedding(), pictures(40))
    device = NearestMeans(integers, 8)
    support = {"a": pictures(3, 1), "b": pictures(2, 2)}
    device.learn(support)
    asked = pictures(20, 3)
    program = integers.encoder.program()
    [answers] = outputs(program, PIXEL.to_integers(asked.numpy()))
    reals = torch.from_numpy(program.values[program.outputs[0]].format.from_integers(answers)).float()
    embedded = normalize(integers.rest(reals) - integers.centre, dim=1)
    torch.testing.assert_close(device.scores(asked), embedded @ device.stored.means.T, atol=1e-5, rtol=0)
    assert device.stored.names == ["a", "b"]
    assert device.bytes_kept == 16


@pytest.mark.parametrize(
    ("support", "said"),
    [
        ({}, "without classes"),
        ({"a": pictures(1)}, "'a' is stored already"),
        ({"b": pictures(0)}, "'b' has no picture"),
        (
            {"b": pictures(1), "c": pictures(1)[:, :, :8]},
            r"'c': its pictures are \(3, 8, 16\) and those of 'b'",
        ),
        ({"b": pictures(1)[:, :, :8, :8]}, r"needs a tensor of pictures \(B, 3, 16, 16\), not \(1, 3, 8, 8\)"),
        ({"b": 255 * pictures(1)}, "needs numbers in 0 to 1"),
        ({"b": pictures(1) * torch.nan}, "needs numbers in 0 to 1"),
    ],
    ids=["no class", "a name twice", "no picture", "two shapes", "other shape", "bytes", "no number"],
)
def test_a_device_refuses_a_bad_task_and_keeps_what_it_has(device, support, said):
    before = device.stored.names[:], device.stored.codes.clone()
    with pytest.raises(ValueError, match=said):
        device.learn(support)
    assert device.stored.names == before[0]
    assert torch.equal(device.stored.codes, before[1])


def test_integers_are_centred_on_their_own_features_and_so_nearer_to_the_floats():
    torch.manual_seed(0)
    net, x = embedding(), pictures(300)
    with torch.no_grad():
        for norm in list(net.encoder)[1:16:4]:
            norm.bias.fill_(1.0)
        net.centre.copy_(net.encoder(x).mean(0))
        integers = IntegerEmbedding(net, x)
        features = integers.rest(integers.encoder(x))
        torch.testing.assert_close(features.mean(0), integers.centre)
        own, of_floats = (
            (net(x) * normalize(features - each, dim=1)).sum(1).mean() for each in (integers.centre, net.centre)
        )
    assert own > of_floats + 0.01
