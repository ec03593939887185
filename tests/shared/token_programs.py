"""Random integer programs of the operations of attention, of moves and of tables, for the laws of several tests."""

import numpy as np

from shared.integer import (
    Add,
    Concatenate,
    Constant,
    ConstantValue,
    Conv1d,
    Conv2d,
    Embedding,
    Input,
    LayerNorm,
    MatrixProduct,
    Multiply,
    Program,
    Rearrange,
    Requantise,
    Resample,
    Softmax,
    Subtract,
    Table,
)
from shared.integer.format import Format

U8, S8, S16 = Format(8, 6, signed=False), Format(8, 5), Format(16, 8)
WHOLE = Format(32, 0)


def constant(rng, shape, format=S8):
    return Constant(rng.integers(format.low, format.high + 1, shape), format)


def exponentials(step):
    """Of `-d` and `-256 d` steps, 15 fraction bits."""
    distances = np.arange(256) * np.array([[1], [256]])
    return Constant(np.rint(np.exp(-distances * step) * 2**15).astype(int), Format(17, 15))


def layer_norm(rng, source, output, channels, epsilon=0):
    weight, bias = Constant(rng.integers(-200, 200, channels), Format(16, 7)), rng.integers(-(2**12), 2**12, channels)
    one = Constant(np.array([epsilon]), Format(53, 0))
    return LayerNorm((source,), output, weight, Constant(bias, Format(32, 16)), one)


def moved(source, output, shape, index):
    return Rearrange((source,), output, tuple(shape), Constant(np.asarray(index).ravel(), WHOLE))


def attention(seed=0, tokens=7, heads=2, width=8):
    """Heads that attend to each other's tokens behind a layer norm, with a bias of scores, and their mix added."""
    rng = np.random.default_rng(seed)
    channels = heads * width
    index = np.arange(3 * channels * tokens).reshape(3, heads, width, tokens).swapaxes(1, 2)  # (3, width, heads, N)
    back = np.arange(channels * tokens).reshape(width, heads, tokens).swapaxes(0, 1)
    shape = (width, heads, tokens)
    return Program(
        (Input("x", (channels, tokens), S8),),
        (
            layer_norm(rng, "x", "norm", channels, 1000),
            Requantise(("norm",), "n", S8),
            Conv1d(("n",), "qkv_sum", constant(rng, (3 * channels, channels, 1))),
            Requantise(("qkv_sum",), "qkv", Format(8, 4)),
            *(moved("qkv", name, shape, index[k]) for k, name in enumerate("qkv"[0:1] + "kv")),
            MatrixProduct(("q", "k"), "products", transposed=True),
            Requantise(("products",), "scores", S16),
            ConstantValue((), "bias", constant(rng, (tokens, heads, tokens), Format(12, 8))),
            Add(("scores", "bias"), "biased"),
            Requantise(("biased",), "narrow", S16),
            Softmax(("narrow",), "shares", exponentials(2.0**-8)),
            MatrixProduct(("shares", "v"), "mixed"),
            Requantise(("mixed",), "mix", S8),
            moved("mix", "joined", (channels, tokens), back),
            Conv1d(("joined",), "projected", constant(rng, (channels, channels, 1))),
            Add(("x", "projected"), "y"),
        ),
        ("y", "shares", "products", "norm"),
    )


def pieces(seed=0):
    """Tables, differences, products, joined and enlarged images."""
    rng = np.random.default_rng(seed)
    rows, columns = np.array([[0], [0], [1], [3], [2]]), np.array([[0, 1], [1, 2], [2, 2], [4, 3]])
    ones, shares = np.ones((5, 1), int), np.array([[3, 1], [1, 3], [2, 2], [4, -1]])
    return Program(
        (Input("x", (6, 4, 5), S8), Input("z", (6, 4, 5), U8), Input("s", (6, 1, 1), U8)),
        (
            Table(("x",), "leaky", constant(rng, (6, 256))),
            Table(("z",), "curve", constant(rng, (1, 256), Format(8, 3, signed=False))),
            Subtract(("leaky", "curve"), "less"),
            Multiply(("less", "s"), "gated"),
            Requantise(("gated",), "g", S8),
            Multiply(("g", "x"), "squared"),
            Concatenate(("g", "x", "leaky"), "joined"),
            Concatenate(("g", "curve"), "shifted", axis=2),
            Resample(
                ("joined",),
                "nearest",
                *(Constant(array, WHOLE) for array in (rows, ones, columns[:, :1], np.ones((4, 1), int))),
            ),
            Resample(
                ("z",),
                "between",
                *(Constant(array, WHOLE) for array in (rows, ones, columns)),
                Constant(shares, Format(8, 2)),
            ),
            moved("nearest", "turned", (4, 5, 18), np.arange(360).reshape(18, 5, 4).T),
            Conv2d(("turned",), "y", constant(rng, (3, 4, 1, 1))),
        ),
        ("y", "squared", "shifted", "between", "less"),
    )


def words(seed=0):
    """A table of words, and their places added."""
    rng = np.random.default_rng(seed)
    return Program(
        (Input("x", (5,), Format(16, 0, signed=False)),),
        (
            Embedding(("x",), "e", constant(rng, (40, 6))),
            ConstantValue((), "places", constant(rng, (6, 5))),
            Add(("e", "places"), "both"),
            Requantise(("both",), "b", S16),
            layer_norm(rng, "b", "norm", 6),
            Requantise(("norm",), "y", S8),
        ),
        ("y",),
    )


TOKEN_PROGRAMS = {"attention": attention, "pieces": pieces, "words": words}
