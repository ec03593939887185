"""Random nets of attention, tables and moves whose calls are measured, each of many sizes."""

import numpy as np
from numpy.typing import NDArray

from shared.integer import (
    Add,
    Concatenate,
    Constant,
    ConstantValue,
    Conv1d,
    Embedding,
    Input,
    LayerNorm,
    MatrixProduct,
    Multiply,
    Operation,
    Program,
    Rearrange,
    Requantise,
    Resample,
    Softmax,
    Table,
)
from shared.integer.format import Format

S8, S16, WHOLE = Format(8, 5), Format(16, 8), Format(32, 0)


def random_token_net(rng: np.random.Generator) -> Program:
    """Words that attend to each other and pass an MLP; then an image of their numbers, which is gated and enlarged."""
    side, heads, width = int(rng.integers(3, 14)), int(rng.integers(1, 9)), 8 * int(rng.integers(1, 9))
    tokens, channels = side * side, heads * width

    def weights(outputs: int, inputs: int) -> Constant:
        return _constant(np.rint(rng.normal(0, 32, (outputs, inputs, 1))).clip(-127, 127), Format(8, 7))

    def moved(source: str, output: str, index: NDArray[np.int64]) -> Rearrange:
        return Rearrange((source,), output, index.shape, _constant(index.ravel(), WHOLE))

    def rounded(*names: str, to: Format = S8) -> list[Operation]:
        return [Requantise((name,), f"{name}_r", to) for name in names]

    index = np.arange(3 * channels * tokens).reshape(3, heads, width, tokens).swapaxes(1, 2)
    back = np.arange(channels * tokens).reshape(width, heads, tokens).swapaxes(0, 1).reshape(channels, tokens)
    turned = np.arange(channels * tokens).reshape(channels, tokens).T.reshape(tokens, heads, width)
    exponentials = np.rint(np.exp(-np.arange(256) * np.array([[1], [256]]) / 256) * 2**15)
    taps, rows = np.arange(heads)[:, None] + np.arange(-1, 2), np.arange(2 * heads)[:, None] // 2
    across, columns = np.arange(width)[:, None] + np.arange(-1, 2), np.arange(2 * width)[:, None] // 2
    curves = rng.integers(-128, 128, (tokens, 256))
    operations: list[Operation] = [
        Embedding(("x",), "e", _constant(rng.integers(-128, 128, (100, channels)), S8)),
        ConstantValue((), "places", _constant(rng.integers(-(2**12), 2**12, (channels, tokens)), S16)),
        Add(("e", "places"), "sum"),
        *rounded("sum", to=S16),
        LayerNorm(
            ("sum_r",),
            "norm",
            _constant(rng.integers(64, 192, channels), Format(16, 7)),
            _constant(np.zeros(channels), Format(32, 16)),
            _constant(np.ones(1), WHOLE),
        ),
        *rounded("norm"),
        Conv1d(("norm_r",), "qkv", weights(3 * channels, channels)),
        *rounded("qkv"),
        *(moved("qkv_r", name, index[k]) for k, name in enumerate("qab")),
        MatrixProduct(("q", "a"), "scores", transposed=True),
        *rounded("scores", to=S16),
        Softmax(("scores_r",), "shares", _constant(exponentials, Format(17, 15))),
        MatrixProduct(("shares", "b"), "mix"),
        *rounded("mix"),
        moved("mix_r", "joined", back),
        Conv1d(("joined",), "wide", weights(2 * channels, channels)),
        *rounded("wide"),
        Table(("wide_r",), "curve", _constant(rng.integers(-128, 128, (1, 256)), S8)),
        Conv1d(("curve",), "narrow", weights(channels, 2 * channels)),
        *rounded("narrow"),
        Add(("sum_r", "narrow_r"), "trunk"),
        *rounded("trunk"),
        moved("trunk_r", "image", turned),
        Table(("image",), "curves", _constant(curves, S8)),
        Multiply(("curves", "image"), "gated"),
        *rounded("gated"),
        Concatenate(("gated_r", "curves"), "both"),
        Resample(
            ("gated_r",),
            "smooth",
            _constant(taps.clip(0, heads - 1), WHOLE),
            _constant(np.full(taps.shape, 85), Format(8, 8, signed=False)),
            _constant(across.clip(0, width - 1), WHOLE),
            _constant(np.full(across.shape, 85), Format(8, 8, signed=False)),
        ),
        *rounded("smooth"),
        Resample(
            ("both",),
            "large",
            *(_constant(each, WHOLE) for each in (rows, np.ones_like(rows), columns, np.ones_like(columns))),
        ),
    ]
    return Program((Input("x", (tokens,), Format(16, 0, signed=False)),), tuple(operations), ("large", "smooth_r"))


def _constant(numbers: NDArray[np.generic], format: Format) -> Constant:
    return Constant(numbers.astype(np.int64), format)
