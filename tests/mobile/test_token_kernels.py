"""Kernels of attention, tables and moves compute the integers of their programs, whatever the sizes."""

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from token_nets import IMAGE, NETS, images, settled
from token_programs import TOKEN_PROGRAMS, attention
from torch import nn

from mobile.build.compile import compile_program
from mobile.lowering.lower import lower
from mobile.lowering.work import work
from mobile.pricing.token_nets import random_token_net
from shared.f8net import F8Net
from shared.f8net.convert import from_torch
from vision.nets.efficientformer import Factor, efficientformer_l1


@pytest.mark.parametrize("name", TOKEN_PROGRAMS)
def test_programs_of_every_operation_equal_their_library(name):
    compile_program(TOKEN_PROGRAMS[name](1), np.random.default_rng(0), format="2x4", count=20)


@settings(max_examples=3, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 99), st.integers(1, 70), st.integers(1, 3), st.integers(1, 9))
def test_attention_of_any_size_equals_its_library(seed, tokens, heads, width):
    compile_program(attention(seed, tokens, heads, width), np.random.default_rng(0), format="dense", count=4)


@pytest.mark.parametrize("name", NETS)
def test_transformers_and_gates_compile_in_integers(name):
    torch.manual_seed(0)
    make, x, format = NETS[name]
    fixed = F8Net(make().eval(), shape=x.shape[1:], input=format).calibrate(x).eval()
    integers = format.to_integers(x.double().numpy())
    compile_program(fixed.program(), np.random.default_rng(0), format="2x4", count=4, samples=[integers])


@pytest.mark.slow
def test_efficientformer_l1_compiles_in_integers():
    torch.manual_seed(0)
    net = efficientformer_l1(image=128, classes=10)
    for module in net.modules():
        if isinstance(module, Factor):
            nn.init.uniform_(module.weight, 0.2, 1.0)
    x = images(4, 128)
    program = from_torch(settled(net, x), (3, 128, 128), IMAGE, x)
    compile_program(program, np.random.default_rng(0), format="dense", count=2, samples=[IMAGE.to_integers(x.numpy())])


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 99), st.integers(1, 90), st.integers(1, 5), st.integers(1, 40))
def test_attention_of_many_sizes_equals_its_library(seed, tokens, heads, width):
    compile_program(attention(seed, tokens, heads, width), np.random.default_rng(0), format="dense", count=4)


def test_nets_to_calibrate_with_have_every_kernel_of_attention():
    kernels = {work(call).kernel for call in lower(random_token_net(np.random.default_rng(0)), format="dense").calls}
    needed = {work(call).kernel for make in TOKEN_PROGRAMS.values() for call in lower(make(), format="dense").calls}
    assert needed - kernels <= {"dense", "spread", "round"}  # the nets of convolutions have these


def test_every_call_has_work_that_its_time_is_linear_in():
    for make in TOKEN_PROGRAMS.values():
        for call in lower(make(), format="dense").calls:
            each = work(call)
            assert each.rows > 0
            assert each.reads > 0
