"""ResNet-8 is MLPerf Tiny's, and in fixed point it is its integer program, bit for bit."""

import numpy as np
import pytest
import torch
from pictures import coloured_noise

from shared.f8net import F8Net
from shared.integer import audit, run
from shared.training.data import Shuffled
from shared.training.epochs import NesterovCosine, Trainer
from vision.data.augment import PIXEL, Augmented, as_input
from vision.data.cifar10 import SHAPE
from vision.nets.resnet import ResNet8, random_resnet8
from vision.training.evaluate import correct, logits, program_logits, right


def test_it_has_the_numbers_of_mlperf_tiny_s_reference():
    """78,666 is what Keras prints of the reference model, running means and variances included."""
    net = ResNet8()
    counted = [value.numel() for name, value in net.state_dict().items() if not name.endswith("num_batches_tracked")]
    assert sum(counted) == 78_666
    assert sum(parameter.numel() for parameter in net.parameters()) == 78_666 - 480


def test_shapes_of_the_stages():
    x, shapes = torch.zeros(2, *SHAPE), []
    net = ResNet8()
    for part in (net.stem, *net.stages, net.head):
        x = part(x)
        shapes.append(tuple(x.shape[1:]))
    assert shapes == [(16, 32, 32), (16, 32, 32), (32, 16, 16), (64, 8, 8), (10,)]


def test_the_generator_alone_draws_the_weights():
    before = torch.get_rng_state()
    one, same, other = (random_resnet8(2, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(one.stem[0].weight, same.stem[0].weight)
    assert not torch.equal(one.stem[0].weight, other.stem[0].weight)


@pytest.fixture(scope="module")
def trained():
    images = coloured_noise(16)
    net = random_resnet8(4, torch.Generator().manual_seed(0))
    fixed = F8Net(net, shape=SHAPE, input=PIXEL).calibrate(as_input(torch.from_numpy(images.pixels)))
    trainer = Trainer(fixed, NesterovCosine(epochs=2, rate=0.05, batch=32))
    for _ in range(2):
        trainer.run_epoch(Shuffled(Augmented(images), 32, torch.Generator().manual_seed(1)))
    return fixed.eval()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_in_fixed_point_every_value_is_its_program_s(trained, dtype):
    pixels = coloured_noise(3, seed=9).pixels
    program = trained.program()
    with torch.no_grad():
        values = trained.to(dtype).values(as_input(torch.from_numpy(pixels)).to(dtype))
    trained.float()
    for name, integers in run(program, np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))).items():
        assert np.array_equal(program.values[name].format.from_integers(integers), values[name].numpy()), name
    assert max(max(-value.low, value.high) for value in program.values.values()) < 2**24  # float32 holds every sum


def test_nothing_wider_than_8_by_8_bits_is_multiplied(trained):
    found = audit(trained.program())
    found.require(8)
    assert set(found.multipliers) == {(8, 8)}
    wide = F8Net(ResNet8(2), shape=SHAPE, input=PIXEL, word=9).calibrate(torch.rand(20, *SHAPE))
    with pytest.raises(ValueError, match=r"Conv2d .* multiplies 8 x 9 bits, more than 8 x 8"):
        audit(wide.program()).require(8)


def test_both_ways_of_asking_say_the_same(trained):
    images, program = coloured_noise(23, seed=5), trained.program()
    reports = []
    said = program_logits(program, images, lambda done, total, _: reports.append((done, total)))
    assert reports == [(0, 230), (100, 230), (200, 230)]
    assert np.array_equal(said, logits(trained, images))
    assert right(said, images).sum() == correct(trained, images)


def test_counting_is_outside_training():
    """A batch norm in training would make an answer depend on the images beside it."""
    net, images = ResNet8(2).train(), coloured_noise(2)
    assert np.allclose(logits(net, images.first(1)), logits(net, images)[::2], atol=1e-5)
    assert net.stem[1].num_batches_tracked == 0
