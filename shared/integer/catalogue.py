"""All that a program consists of: multiply integers, add, shift, compare, look up, move."""

from typing import Final

from shared.integer.elements import Multiply, Subtract, Table
from shared.integer.moves import Concatenate, ConstantValue, Rearrange, Resample
from shared.integer.operations import (
    Add,
    AveragePool,
    Clip,
    Conv1d,
    Conv2d,
    Flatten,
    Linear,
    MaxPool,
    Operation,
    PixelShuffle,
    Requantise,
)
from shared.integer.program import Program
from shared.integer.tokens import Embedding, LayerNorm, MatrixProduct, Softmax

LAYERS: Final[tuple[type[Operation], ...]] = (
    Linear,
    Conv1d,
    Conv2d,
    Add,
    Requantise,
    Clip,
    MaxPool,
    AveragePool,
    Flatten,
    PixelShuffle,
)
"""What convolutional nets are of: hardware has these alone."""
OPERATIONS: Final[tuple[type[Operation], ...]] = (
    *LAYERS,
    Subtract,
    Multiply,
    Table,
    ConstantValue,
    Rearrange,
    Concatenate,
    Resample,
    Embedding,
    LayerNorm,
    Softmax,
    MatrixProduct,
)


def require_layers(program: Program, what: str) -> None:
    """Raises `ValueError` for an operation beyond `LAYERS`, which `what` does not have."""
    for operation in program.live:
        if type(operation) not in LAYERS:
            kind = type(operation).__name__
            raise ValueError(f"{kind} {operation.output!r} is none of {what}: compile the net for a processor (mobile)")
