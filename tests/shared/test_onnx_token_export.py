"""Attention, tables, moves and wide words as ONNX compute the integers of the program, bit for bit, in ONNX Runtime."""

import numpy as np
import pytest
import token_nets
import torch
from integer_programs import samples
from token_programs import S8, TOKEN_PROGRAMS, U8, constant, layer_norm

from shared.f8net import F8Net
from shared.importers.onnx_runtime import OnnxRuntime, require_equal
from shared.integer import (
    Add,
    Clip,
    Constant,
    Conv1d,
    Input,
    Linear,
    Multiply,
    Program,
    Rearrange,
    Requantise,
    Subtract,
    run,
)
from shared.integer.format import Format
from shared.integer.onnx_qdq import to_onnx

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


def beyond(seed=0):
    """Sums beyond 2**24, which float32 does not count: added, taken apart, moved, limited, rounded to 8 and 16 bits."""
    rng = np.random.default_rng(seed)
    return Program(
        (Input("x", (6, 5), Format(16, 3)), Input("z", (6, 5), S8)),
        (
            Multiply(("x", "x"), "squares"),
            Multiply(("squares", "z"), "cubes"),
            Add(("cubes", "z"), "sums"),
            Subtract(("squares", "sums"), "less"),
            Rearrange(("less",), "turned", (5, 6), Constant(np.arange(30).reshape(6, 5).T.ravel(), Format(32, 0))),
            Clip(("turned",), "limited", -(2**30), 2**20),
            Clip(("turned",), "small", -(2**22), 2**20),
            Requantise(("limited",), "wide", Format(16, 0)),
            Requantise(("less",), "narrow", Format(8, -9)),
            Requantise(("small",), "y", U8),
            layer_norm(rng, "x", "norm", 6, 3),
            Requantise(("norm",), "n", S8),
            Conv1d(("n",), "last", constant(rng, (2, 6, 1))),
        ),
        ("wide", "narrow", "y", "norm", "less", "last"),
    )


@pytest.mark.parametrize("name", [*TOKEN_PROGRAMS, "beyond"])
def test_onnx_computes_the_integers(name):
    program = {**TOKEN_PROGRAMS, "beyond": beyond}[name](seed=1)
    inputs = samples(program, 40)
    for each in inputs:
        each[2] = each[2].ravel()[0]  # no deviation at all
    reals = [each.format.from_integers(x).astype(np.float32) for each, x in zip(program.inputs, inputs, strict=True)]
    computed = OnnxRuntime(to_onnx(program), program.outputs)(*reals)
    for output, real in zip(program.outputs, computed, strict=True):
        steps = real / program.values[output].format.step  # not by `to_integers`, which would saturate
        np.testing.assert_array_equal(steps, run(program, *inputs)[output], output)


NETS = {
    "images": (token_nets.Images, torch.rand(16, 3, 12, 12), token_nets.IMAGE),
    "words": (token_nets.Sentences, torch.randint(100, (16, 12)).float(), token_nets.WORDS),
    "gates": (token_nets.Gates, torch.rand(16, 3, 12, 20), token_nets.IMAGE),
}


@pytest.mark.parametrize("name", NETS)
def test_nets_of_attention_and_gates_are_exported(name):
    torch.manual_seed(0)
    make, x, format = NETS[name]
    program = F8Net(make(), shape=x.shape[1:], input=format).calibrate(x).eval().program()
    assert "bit for bit" in require_equal(to_onnx(program), program, program.outputs, exact=True).note


def test_weights_beyond_eight_bits_are_named():
    program = Program(
        (Input("x", (2,), S8),), (Linear(("x",), "y", Constant(np.ones((1, 2), int), Format(9, 0))),), ("y",)
    )
    with pytest.raises(ValueError, match="'y' has 9-bit weights, at most 8"):
        to_onnx(program)
