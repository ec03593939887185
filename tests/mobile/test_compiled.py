"""A compiled net computes the integers of its program, with every format and instruction set; its counts are honest."""

import subprocess

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from integer_programs import PROGRAMS
from programs import piped
from random_layers import elementwise, programs, weighted
from token_programs import TOKEN_PROGRAMS

from mobile.build.check import check, stimuli
from mobile.build.compile import compile_program
from mobile.build.example import example
from mobile.codegen.library import library
from mobile.lowering.formats import FORMATS
from mobile.lowering.lower import lower
from mobile.runtime.compiler import FLAGS, SANITIZERS, build, run
from mobile.runtime.net import CompiledNet
from shared.integer import (
    AbstractWeighted,
    AveragePool,
    Constant,
    Conv2d,
    Input,
    MaxPool,
    Program,
    Requantise,
    Table,
)
from shared.integer.format import Format

NETS = {**{name: make(seed=1) for name, make in PROGRAMS.items()}, "example": example(np.random.default_rng(0))}
SLOW_INPUTS = [HealthCheck.too_slow, HealthCheck.data_too_large]


def equal(program, format, count=4):
    """Compiles; `compile_program` compares each instruction set and raises where one differs."""
    compiled = compile_program(program, np.random.default_rng(0), format=format, count=count)
    assert {check.instructions for check in compiled.checks} >= {"plain"}
    return compiled


@settings(max_examples=10, deadline=None, suppress_health_check=SLOW_INPUTS)
@given(programs(weighted, 6), st.sampled_from(list(FORMATS)))
def test_layers_of_any_shape_equal_the_program(program, format):
    equal(program, format)


@settings(max_examples=8, deadline=None, suppress_health_check=SLOW_INPUTS)
@given(programs(elementwise, 8))
def test_sums_pools_and_rounding_equal_the_program(program):
    equal(program, "dense")


@pytest.mark.parametrize("pool", [AveragePool, MaxPool])
@pytest.mark.parametrize("word", [8, 20])
def test_a_pool_of_a_whole_image_equals_the_program(pool, word):
    """Of rows that are longer than what the kernel reads at once, bytes and 32-bit sums."""
    x, size = Input("x", (6, 3, 70), Format(8, 2)), (3, 70)
    wide = Requantise(("x",), "wide", Format(word, 4))
    equal(Program((x,), (wide, pool(("wide",), "y", size, size)), ("y",)), "dense", count=4)


@pytest.mark.slow
@settings(max_examples=300, deadline=None, suppress_health_check=SLOW_INPUTS)
@given(st.one_of(programs(weighted, 12), programs(elementwise, 12)), st.sampled_from(list(FORMATS)))
def test_many_layers_equal_the_program(program, format):
    equal(program, format, count=6)


@pytest.mark.parametrize("name", NETS)
def test_nets_of_several_layers_equal_the_program(name):
    equal(NETS[name], "2x4", count=20)


def test_a_wrong_library_is_noticed(monkeypatch):
    from mobile.build import compile as whole

    def spoilt(net):
        files = library(net)
        return files | {"net.c": files["net.c"].replace(b"_bias[12] = {\n    ", b"_bias[12] = {\n    99999 + ")}

    monkeypatch.setattr(whole, "library", spoilt)
    with pytest.raises(RuntimeError, match="does not compute the program"):
        equal(NETS["example"], "dense")


def test_no_value_is_overwritten_while_it_lives():
    for net in (lower(program, format="1x4") for program in NETS.values()):
        live = {view.name: view for view in net.inputs}
        for step, call in enumerate(net.calls):
            begin, end = net.places[call.writes.name], net.places[call.writes.name] + call.writes.bytes
            assert end <= net.arena
            later = {read.name for each in net.calls[step:] for read in each.reads} | {v.name for v in net.outputs}
            for name, value in live.items():
                if name in later:
                    assert end <= net.places[name] or net.places[name] + value.bytes <= begin
            live[call.writes.name] = call.writes


def test_the_arena_is_smaller_than_its_values_together():
    net = lower(NETS["example"])
    assert net.arena < sum(call.writes.bytes for call in net.calls) / 1.5


# Counts


def rerandomised(program):
    """The same program with no weight that is zero."""
    rng = np.random.default_rng(3)
    operations = []
    for operation in program.operations:
        if isinstance(operation, AbstractWeighted):
            weight = rng.choice([-1, 1], operation.weight.integers.shape) * rng.integers(1, 60)
            operation = type(operation)(**{**operation.__dict__, "weight": Constant(weight, operation.weight.format)})
        operations.append(operation)
    return Program(program.inputs, tuple(operations), program.outputs)


@pytest.mark.parametrize("format", FORMATS)
def test_new_weights_without_zeros_bring_every_multiplication_back(format):
    program = rerandomised(NETS["example"])
    compiled = equal(program, format)
    for layer in compiled.lowered.layers:
        assert layer.executed_macs >= layer.dense_macs
        assert not layer.all_zero


def single(weight, groups=1):
    program = (Conv2d(("x",), "y", Constant(weight, Format(8, 0)), None, groups=groups),)
    return Program((Input("x", (weight.shape[1] * groups, 5, 5), Format(8, 0)),), program, ("y",))


@pytest.mark.parametrize(("format", "rows"), [("2x4", 2), ("1x4", 1)])
def test_only_blocks_with_weights_are_executed(format, rows):
    rng = np.random.default_rng(0)
    weight = rng.integers(1, 9, (8, 12, 1, 1)) * (rng.random((8, 12, 1, 1)) < 0.2)
    kept = sum(weight[i : i + rows, j : j + 4].any() for i in range(0, 8, rows) for j in range(0, 12, 4))
    [layer] = lower(single(weight), format=format).layers
    assert layer.executed_macs == kept * rows * 4 * 25
    assert layer.dense_macs == 8 * 12 * 25


def test_a_layer_of_zeros_is_named_and_no_gain_is_claimed():
    [layer] = lower(single(np.zeros((8, 8, 1, 1), int))).layers
    assert layer.all_zero
    assert "every weight is zero" in layer.reason


NS = {"dense": 1.0, "2x4": 1.5, "1x4": 2.0}


@pytest.mark.parametrize(("kept", "format"), [(8, "dense"), (6, "dense"), (4, "2x4"), (1, "1x4")])
def test_the_price_decides_between_sparse_and_dense(kept, format):
    weight = np.zeros((8, 32, 1, 1), int)
    weight[:, : 4 * kept] = 1
    weight[0] = 1  # so that no input is left out of the dense form
    [layer] = lower(single(weight), lambda work: work.reads * work.pixels * NS[work.kernel]).layers
    assert layer.format == format
    assert layer.predicted_ms == pytest.approx(layer.executed_macs / 4 * NS[format])


# What cannot be compiled


@pytest.mark.parametrize(
    ("program", "message"),
    [
        (
            Program((Input("x", (2,), Format(33, 0)),), (Requantise(("x",), "y", Format(8, 0)),), ("y",)),
            "'x' may reach -4294967296 to 4294967295, beyond 32 bits: use narrower words",
        ),
        (
            Program(
                (Input("x", (2, 3, 3), Format(8, 0)),),
                (
                    Requantise(("x",), "z", Format(12, 2)),
                    Conv2d(("z",), "y", Constant(np.ones((2, 2, 1, 1), int), Format(8, 0))),
                ),
                ("y",),
            ),
            "Conv2d 'y' multiplies 'z', which has more than 8 bits: requantise it to 8 first",
        ),
        (
            Program(
                (Input("x", (2, 3, 3), Format(8, 0)),),
                (Conv2d(("x",), "y", Constant(np.full((2, 2, 1, 1), 200), Format(8, 0, signed=False))),),
                ("y",),
            ),
            "Conv2d 'y' has weights beyond -128 to 127",
        ),
        (
            Program(
                (Input("x", (2, 3), Format(8, 0)),),
                (Table(("x",), "y", Constant(np.ones((1, 256), int), Format(9, 0))),),
                ("y",),
            ),
            "Table 'y' looks up 9 bits: at most 8 have a kernel",
        ),
    ],
)
def test_what_has_no_kernel_is_named_with_the_way_out(program, message):
    with pytest.raises(ValueError, match=message):
        lower(program)


def test_a_net_refuses_what_its_program_refuses(tmp_path):
    net = CompiledNet(build(library(lower(NETS["dense"])), tmp_path, "net.so", shared=True), NETS["dense"])
    with pytest.raises(ValueError, match="needs"):
        net(np.zeros((1, 8), np.int64))
    with pytest.raises(ValueError, match="holds -128 to 127"):
        net(np.full((1, 7), 200))
    with pytest.raises(ValueError, match="cannot run 'mmx': it has plain"):
        net.use("mmx")
    assert net(np.zeros((0, 7), np.int64))[0].shape == (0, 3)


# C


@pytest.mark.parametrize(
    ("program", "format"),
    [
        (NETS["example"], "dense"),
        (NETS["example"], "1x4"),
        *((make(seed=1), "2x4") for make in TOKEN_PROGRAMS.values()),
    ],
)
def test_sanitizers_find_nothing(tmp_path, program, format):
    flags = ("-O1", "-g", *SANITIZERS)
    net = CompiledNet(piped(library(lower(program, format=format)), tmp_path, flags=flags), program)
    net.use_threads(2)
    assert all(each.mismatches == 0 for each in check(net, stimuli(program, 8, np.random.default_rng(0))))


def test_the_net_compiles_without_a_warning(tmp_path):
    for name, data in library(lower(NETS["example"], format="2x4")).items():
        (tmp_path / name).write_bytes(data)
    run(
        [
            *FLAGS,
            "-O0",
            "-Werror",
            "-pedantic",
            "net.c",
            "kernels.c",
            "threads.c",
            "bench.c",
            "-pthread",
            "-lm",
            "-o",
            "bench",
        ],
        tmp_path,
    )
    done = subprocess.run([str(tmp_path / "bench"), "3", "plain"], capture_output=True, text=True, timeout=60)
    assert done.stdout.startswith("instructions\tplain\n")
    assert done.stdout.splitlines()[-1].startswith("net\t")
