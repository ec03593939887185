"""The program for 64-bit Arm, emulated, computes what the net does, with every instruction set; times are not its."""

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from integer_programs import PROGRAMS
from programs import piped
from random_layers import elementwise, programs, weighted
from test_anchors import CASES as SQUARES
from test_anchors import program as squares
from test_floats import images, tokens
from test_shortcuts import CASES as SHORTCUTS
from test_shortcuts import shortcut
from token_programs import TOKEN_PROGRAMS

from mobile.build.check import check, stimuli
from mobile.build.example import example
from mobile.codegen.library import library
from mobile.kernels import INSTRUCTION_SETS
from mobile.lowering.formats import FORMATS
from mobile.lowering.lower import lower
from mobile.lowering.lower_floats import lower_floats
from mobile.runtime.compiler import CompilerError, find
from mobile.runtime.net import CompiledFloatNet, CompiledNet
from mobile.runtime.piped import emulator
from shared.importers.graph import TracedGraph

ARM = INSTRUCTION_SETS["arm64"]


@pytest.fixture(autouse=True, scope="module")
def tools():
    """A compiler for Arm and an emulator; where one is missing these tests are skipped and say so."""
    try:
        find("arm64")
    except CompilerError as error:
        pytest.skip(str(error))
    if emulator("arm64") is None:
        pytest.skip("needs qemu-aarch64: apt install qemu-user")


def equal(program, format, folder):
    net = CompiledNet(piped(library(lower(program, format=format)), folder, target="arm64"), program)
    checks = check(net, stimuli(program, 6, np.random.default_rng(0)))
    assert [(each.instructions, each.mismatches) for each in checks] == [(name, 0) for name in ARM]


@pytest.mark.parametrize("format", FORMATS)
def test_integers_are_those_of_the_program(format, tmp_path):
    equal(example(np.random.default_rng(0)), format, tmp_path)


@pytest.mark.parametrize("name", TOKEN_PROGRAMS)
def test_programs_of_every_operation_equal_their_library(name, tmp_path):
    equal(TOKEN_PROGRAMS[name](seed=1), "dense", tmp_path)


@pytest.mark.parametrize("make", [lambda rng: squares(rng, *SQUARES[0]), lambda rng: shortcut(rng, *SHORTCUTS[3])])
def test_what_is_added_on_the_way_equals_the_program(make, tmp_path):
    equal(make(np.random.default_rng(0)), "2x4", tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", PROGRAMS)
def test_nets_of_integers_equal_their_programs(name, tmp_path):
    equal(PROGRAMS[name](seed=1), "2x4", tmp_path)


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(programs(weighted, 8) | programs(elementwise, 8))
def test_layers_of_any_shape_equal_the_program(tmp_path_factory, program):
    for format in FORMATS:
        equal(program, format, tmp_path_factory.mktemp("net"))


@pytest.mark.parametrize("make", [images, tokens])
def test_floats_are_near_those_of_torch(make, tmp_path):
    torch.manual_seed(0)
    module = make().eval()
    program = piped(library(lower_floats(TracedGraph.of(module, (3, 33, 33)))), tmp_path, target="arm64")
    net = CompiledFloatNet(program, [(3, 33, 33)], [(5,)])
    x = np.random.default_rng(0).standard_normal((2, 3, 33, 33)).astype(np.float32)
    x[:, :, 0, :12] = np.arange(12) % 5  # words, for the table of them
    with torch.no_grad():
        expected = module(torch.from_numpy(x)).numpy()
    assert net.available() == ARM
    for each in ARM:
        net.use(each)
        assert np.abs(net(x)[0] - expected).max() <= 1e-5 * np.abs(expected).max()
    with pytest.raises(ValueError, match="cannot use 'avx2': it has plain, neon, dotprod"):
        net.use("avx2")
