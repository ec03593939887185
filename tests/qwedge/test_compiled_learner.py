"""A compiled learner answers as the integer encoder does."""

import pytest
import torch

from qwedge.experiments.compiled_learner import compiled_learner
from qwedge.experiments.continual import CompiledContinual
from vision.continual.device import IntegerEmbedding
from vision.continual.figures import METHODS
from vision.continual.frozen import NearestMeans
from vision.nets.conv4 import Conv4
from vision.nets.encoder import Embedding
from vision.nets.resnet12 import ResNet12


@pytest.mark.parametrize("channels", [1, 3])
def test_a_compiled_learner_answers_as_the_integer_encoder_does(channels):
    torch.manual_seed(0)
    embedding, x = Embedding(Conv4(channels, 16, 8)).eval(), torch.rand(40, channels, 16, 16)
    learners = [compiled_learner(embedding, x), NearestMeans(IntegerEmbedding(embedding, x), 8)]
    for learner in learners:
        learner.learn({"a": x[:3], "b": x[3:5]})
        learner.learn({"c": x[5:6]})
    compiled, integers = learners
    assert torch.equal(compiled.stored.codes, integers.stored.codes)
    torch.testing.assert_close(compiled.scores(x), integers.scores(x), atol=1e-6, rtol=0)


def test_the_experiment_has_the_compiled_encoder_of_a_residual_net_beside_its_integers():
    torch.manual_seed(0)
    embedding, x = Embedding(ResNet12(3, 16, 4)).eval(), torch.rand(8, 3, 16, 16)
    integers = IntegerEmbedding(embedding, x)
    [(name, compiled)] = CompiledContinual().compiled(integers).items()
    assert name in METHODS
    torch.testing.assert_close(compiled(x), integers(x), atol=1e-6, rtol=0)
