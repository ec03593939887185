"""Luma enlarged in integers: the library is the program, whatever the plane, and is compiled once."""

import numpy as np
import pytest
import torch
from torch import nn

pytest.importorskip("PIL", reason="pip install -e '.[vision]'")

from qwedge.experiments import integer_luma
from qwedge.experiments.integer_luma import IntegerLuma
from shared.integer import outputs
from shared.training.loop import seeded
from vision.data.picture import Picture
from vision.superres.integers import enlarging_program, fixed_net
from vision.superres.nets import PlainNet
from vision.superres.upscaler import Upscaler, plain_net

RNG = np.random.default_rng(0)


@pytest.fixture
def luma(tmp_path, monkeypatch):
    monkeypatch.setattr(integer_luma, "cache_folder", lambda: tmp_path)  # that of compiled kernels is the usual one
    net = seeded(lambda: PlainNet(2, 8, 1), torch.Generator().manual_seed(1))
    nn.init.normal_(net.body.tail.weight, std=0.05, generator=torch.Generator().manual_seed(2))
    used = plain_net(net)
    fixed = fixed_net(used, torch.rand(8, 1, 12, 12, generator=torch.Generator().manual_seed(3))).eval()
    return used, IntegerLuma(lambda plane: enlarging_program(fixed, plane), 2)


def test_a_plane_is_the_program_s_and_smaller_ones_need_no_other_library(luma, monkeypatch):
    _, integers = luma
    compiled = []
    real = integer_luma.compile_program
    monkeypatch.setattr(integer_luma, "compile_program", lambda *a, **b: compiled.append(1) or real(*a, **b))
    large = RNG.integers(0, 256, (20, 24), np.uint8)
    assert np.array_equal(integers(large), outputs(integers.program((20, 24)), large[None, None].astype(int))[0][0, 0])
    small = integers(large[:15, :13])
    # Beyond a smaller plane is black, as beyond a picture; what is within reach of its edge sees that.
    [[[alone]]] = outputs(integers.program((15, 13)), large[None, None, :15, :13].astype(int))
    assert np.array_equal(small[:-6, :-6], alone[:-6, :-6])
    IntegerLuma(integers.program, 2)(large)
    assert len(compiled) == 1  # the second is from the cache
    integers(RNG.integers(0, 256, (21, 4), np.uint8))
    assert integers.net.program.inputs[0].shape == (1, 21, 24)


def test_tiled_is_untiled_to_the_bit(luma):
    net, integers = luma
    picture = Picture(RNG.integers(0, 256, (33, 40, 3), np.uint8))
    upscaler = Upscaler(net, 2, integers)
    assert np.array_equal(upscaler(picture, tile=16).pixels, upscaler(picture, tile=4096).pixels)
    deep = upscaler(Picture(RNG.integers(0, 2**16, (9, 9, 1), np.uint16)))
    assert (deep.peak, deep.notes) == (65535, ("what the net adds to 16 bits is computed from 8 of them, in integers",))
    assert upscaler(picture).notes == ()
    y = RNG.uniform(0, 255, (33, 40)).astype(np.float32)
    assert np.array_equal(upscaler.plane(y, 16), upscaler.plane(y, 4096))
    floats = Upscaler(net, 2)
    assert np.abs(floats.plane(y, 16).clip(0, 255) - upscaler.plane(y, 16)).mean() < 1
