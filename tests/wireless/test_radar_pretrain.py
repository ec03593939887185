"""The weights that ship may be the mean of several stages of training."""

import pytest
import torch

from wireless.radar.experiment.pretrain import mean
from wireless.radar.nets.classifier import Classifier, fresh


def test_the_mean_of_stages_is_that_of_each_number() -> None:
    stages = [fresh("iq-10k", ("lfm", "p1"), 256, torch.Generator().manual_seed(seed)) for seed in (1, 2)]
    averaged = Classifier.from_bytes(mean([each.to_bytes() for each in stages]))
    for (name, ours), a, b in zip(
        averaged.net.state_dict().items(), *(each.net.state_dict().values() for each in stages), strict=True
    ):
        assert ours.double().numpy() == pytest.approx((a.double() + b.double()).numpy() / 2, abs=1e-6), name
    assert averaged.classes == ("lfm", "p1")
