"""Several threads compute what one does, to the bit, with every instruction set, and no two write the same bytes."""

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from integer_programs import PROGRAMS
from programs import piped
from random_layers import elementwise, programs, weighted
from test_floats import images, tokens

from mobile.build.check import stimuli
from mobile.build.example import example
from mobile.codegen.library import library
from mobile.lowering.lower import lower
from mobile.lowering.lower_floats import lower_floats
from mobile.runtime.compiler import build
from mobile.runtime.net import CompiledFloatNet, CompiledNet
from shared.importers.graph import TracedGraph
from shared.integer import outputs

NETS = {**{name: make(seed=1) for name, make in PROGRAMS.items()}, "example": example(np.random.default_rng(0))}


def equal(program, folder):
    net = CompiledNet(build(library(lower(program, format="2x4")), folder, "net.so", shared=True), program)
    inputs = stimuli(program, 4, np.random.default_rng(0))
    expected = outputs(program, *inputs)
    for name in net.available():
        net.use(name)
        for threads in (2, 5, 3):
            assert net.use_threads(threads) == threads
            for ours, theirs in zip(net(*inputs), expected, strict=True):
                assert (ours == theirs).all()
    assert net.use_threads(1) == 1


@pytest.mark.parametrize("name", NETS)
def test_integers_are_those_of_one_thread(name, tmp_path):
    equal(NETS[name], tmp_path)


@pytest.mark.slow
@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(programs(weighted, 12) | programs(elementwise, 12))
def test_integers_of_layers_of_any_shape_are_those_of_one_thread(tmp_path_factory, program):
    equal(program, tmp_path_factory.mktemp("net"))


@pytest.mark.parametrize("make", [images, tokens])
def test_floats_are_those_of_one_thread(make, tmp_path):
    torch.manual_seed(0)
    files = library(lower_floats(TracedGraph.of(make().eval(), (3, 33, 33))))
    net = CompiledFloatNet(build(files, tmp_path, "net.so", shared=True), [(3, 33, 33)], [(5,)])
    x = np.random.default_rng(0).standard_normal((3, 3, 33, 33)).astype(np.float32)
    x[:, :, 0, :12] = np.arange(12) % 5  # words, for the table of them
    for name in net.available():
        net.use(name)
        net.use_threads(1)
        [alone] = net(x)
        for threads in (2, 4):
            net.use_threads(threads)
            assert (net(x)[0] == alone).all()
    net.use_threads(1)


@pytest.mark.slow
@pytest.mark.parametrize("make", [images, tokens])
def test_the_thread_sanitizer_finds_no_race(make, tmp_path):
    torch.manual_seed(0)
    files = library(lower_floats(TracedGraph.of(make().eval(), (3, 33, 33))))
    program = piped(files, tmp_path, flags=("-O1", "-g", "-fsanitize=thread"))
    program.use_threads(3)
    CompiledFloatNet(program, [(3, 33, 33)], [(5,)])(np.zeros((2, 3, 33, 33), np.float32))
