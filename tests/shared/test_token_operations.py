"""Attention, tables and moves in integers are what floats compute within a step, and hold their proven ranges."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from integer_programs import samples
from token_programs import S8, S16, TOKEN_PROGRAMS, U8, WHOLE, attention, constant, exponentials, layer_norm
from torch.nn import functional

from shared.integer import (
    Concatenate,
    Constant,
    ConstantValue,
    Embedding,
    Input,
    LayerNorm,
    MatrixProduct,
    Multiply,
    Program,
    Rearrange,
    Resample,
    Softmax,
    Subtract,
    Table,
    audit,
    outputs,
    run,
)
from shared.integer.c_header import c_header
from shared.integer.files import from_json, to_json
from shared.integer.format import Format
from shared.integer.packed import pack, unpack

RNG = np.random.default_rng(5)


def single(operation, *inputs):
    return Program(inputs, (operation,), (operation.output,))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", TOKEN_PROGRAMS)
def test_no_value_leaves_its_shape_and_its_proven_range(name, seed):
    program = TOKEN_PROGRAMS[name](seed)
    for value, array in run(program, *samples(program, 60, seed)).items():
        about = program.values[value]
        assert array.shape[1:] == about.shape
        assert about.low <= array.min()
        assert array.max() <= about.high


@pytest.mark.parametrize("name", TOKEN_PROGRAMS)
def test_files_and_packed_bytes_hold_every_constant(name):
    program, other = TOKEN_PROGRAMS[name](0), TOKEN_PROGRAMS[name](1)
    assert from_json(to_json(program)) == program
    assert unpack(pack(other), program) == other


@pytest.mark.parametrize("channels", [1, 3, 64, 1000])
@pytest.mark.parametrize("format", [S8, S16])
def test_a_softmax_is_torch_s_within_a_step(channels, format):
    x = RNG.integers(format.low, format.high + 1, (20, channels, 4)) // RNG.integers(1, 200, (20, 1, 4))
    program = single(Softmax(("x",), "y", exponentials(format.step)), Input("x", (channels, 4), format))
    expected = torch.from_numpy(format.from_integers(x)).softmax(1).numpy()
    assert np.abs(outputs(program, x)[0] / 256 - expected.clip(0, 255 / 256)).max() <= 0.6 / 256


@pytest.mark.parametrize("channels", [2, 48, 448, 4096])
@pytest.mark.parametrize("format", [S8, S16])
def test_a_layer_norm_is_torch_s_within_a_hundredth_of_a_deviation(channels, format):
    scale = RNG.integers(1, format.high, (20, 1, 3))
    x = (RNG.standard_normal((20, channels, 3)) * scale / 4 + scale / 9).round().clip(format.low, format.high)
    x[0] = 7  # no deviation
    ones = Constant(np.full(channels, 1 << 7), Format(16, 7))
    epsilon = 1 + round(channels**2 * 1e-5 * 4.0**format.fraction)
    real_epsilon = epsilon / channels**2 / 4.0**format.fraction
    operation = LayerNorm(
        ("x",),
        "y",
        ones,
        Constant(np.zeros(channels, int), Format(32, 16)),
        Constant(np.array([epsilon]), Format(53, 0)),
    )
    y = outputs(single(operation, Input("x", (channels, 3), format)), x.astype(np.int64))[0] / 2**16
    real = torch.from_numpy(format.from_integers(x.astype(np.int64))).transpose(1, 2)
    expected = functional.layer_norm(real, (channels,), eps=real_epsilon).transpose(1, 2).numpy()
    assert np.abs(y - expected).max() <= 0.004 * max(1, np.abs(expected).max())
    assert not y[0].any()


@pytest.mark.parametrize("transposed", [True, False])
def test_products_of_matrices_are_exact(transposed):
    a, b = RNG.integers(-128, 128, (4, 5, 3, 7)), RNG.integers(-128, 128, (4, 5, 3, 6) if transposed else (4, 6, 3, 5))
    program = single(
        MatrixProduct(("a", "b"), "y", transposed), Input("a", a.shape[1:], S8), Input("b", b.shape[1:], S8)
    )
    expected = np.einsum("bkhm,bkhn->bnhm" if transposed else "bkhm,bnhk->bnhm", a, b)
    np.testing.assert_array_equal(outputs(program, a, b)[0], expected)
    assert audit(program).macs == 6 * 3 * 7 * 5
    assert audit(program).multipliers == {(8, 8): 630}


@pytest.mark.parametrize(
    ("operation", "shapes", "message"),
    [
        (Table(("x",), "y", constant(RNG, (1, 128))), [(2, 3)], r"Table 'y': 2 channels of 8 bits need one row of 256"),
        (Subtract(("x", "x2"), "y"), [(2, 3), (3, 2)], "the terms must have one shape"),
        (Multiply(("x", "x2"), "y"), [(2, 3), (2, 2)], "one shape, or the second one number a channel"),
        (ConstantValue((), "y", constant(RNG, (0, 2))), [(2,)], "a shape of positive sizes"),
        (Rearrange(("x",), "y", (2, 2), Constant(np.arange(4) + 3, WHOLE)), [(6,)], "3 to 6 must lie in the 6"),
        (Rearrange(("x",), "y", (2, 3), Constant(np.arange(4), WHOLE)), [(6,)], r"\(2, 3\) needs as many places"),
        (Concatenate(("x", "x2"), "y", 1), [(2, 3), (3, 3)], "only axis 1 may differ"),
        (Concatenate((), "y"), [(2, 3)], "takes 1 inputs"),
        (MatrixProduct(("x", "x2"), "y"), [(2, 1, 3), (4, 1, 3)], "do not fit, transposed=False"),
        (Softmax(("x",), "y", Constant(np.ones((2, 256), int), WHOLE)), [(2, 3)], "numbers from 32768 downwards"),
        (layer_norm(RNG, "x", "y", 3), [(2, 3)], "2 weights and biases are needed"),
        (Embedding(("x",), "y", constant(RNG, (2, 3))), [(4,)], "whole numbers is needed"),
        (
            Resample(("x",), "y", *(Constant(np.ones((2, 1), int), WHOLE),) * 4),
            [(2, 1, 3)],
            "places 1 to 1 must lie in 1 pixels",
        ),
    ],
)
def test_what_does_not_fit_is_refused_with_the_reason(operation, shapes, message):
    inputs = [Input(name, shape, S8) for name, shape in zip(("x", "x2"), shapes, strict=False)]
    with pytest.raises(ValueError, match=message):
        single(operation, *inputs)


def test_weights_of_a_product_need_a_sign_and_eight_bits():
    values = [Input("a", (4, 1, 3), U8), Input("b", (4, 1, 3), U8)]
    with pytest.raises(ValueError, match="with a sign for the weights"):
        single(MatrixProduct(("a", "b"), "y", True), *values)
    with pytest.raises(ValueError, match="8 bits are needed"):
        single(MatrixProduct(("a", "b"), "y", True), replace(values[0], format=S16), replace(values[1], format=S8))


def test_a_header_of_c_refuses_attention_by_name():
    with pytest.raises(ValueError, match="LayerNorm 'norm' is none of the layers that a header holds: compile the net"):
        c_header(attention())
