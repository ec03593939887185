"""Integer programs: a fixed-point net as an explicit list of integer operations, run bit for bit.

>>> import numpy as np
>>> from shared.integer.format import Format
>>> from shared.integer import Constant, Input, Linear, Program, Requantise, run
>>> weight = Constant(np.array([[64, -64]]), Format(8, 6))
>>> steps = (Linear(("x",), "sum", weight), Requantise(("sum",), "y", Format(8, 6, signed=False)))
>>> net = Program((Input("x", (2,), Format(8, 7)),), steps, ("y",))
>>> run(net, np.array([[100, 10], [10, 100]]))["y"].tolist()
[[45], [0]]
"""

from shared.integer.audit import Audit, Count, audit, bits
from shared.integer.elements import Multiply, Subtract, Table
from shared.integer.moves import Concatenate, ConstantValue, Rearrange, Resample
from shared.integer.operations import (
    AbstractConvolution,
    AbstractPool,
    AbstractWeighted,
    Add,
    AveragePool,
    Clip,
    Constant,
    Conv1d,
    Conv2d,
    Flatten,
    Linear,
    MaxPool,
    Operation,
    PixelShuffle,
    Requantise,
    Value,
)
from shared.integer.program import Input, Program
from shared.integer.run import outputs, run, run_operation
from shared.integer.tokens import Embedding, LayerNorm, MatrixProduct, Softmax

__all__ = [
    "AbstractConvolution",
    "AbstractPool",
    "AbstractWeighted",
    "Add",
    "Audit",
    "AveragePool",
    "Clip",
    "Concatenate",
    "Constant",
    "ConstantValue",
    "Conv1d",
    "Conv2d",
    "Count",
    "Embedding",
    "Flatten",
    "Input",
    "LayerNorm",
    "Linear",
    "MatrixProduct",
    "MaxPool",
    "Multiply",
    "Operation",
    "PixelShuffle",
    "Program",
    "Rearrange",
    "Requantise",
    "Resample",
    "Softmax",
    "Subtract",
    "Table",
    "Value",
    "audit",
    "bits",
    "outputs",
    "run",
    "run_operation",
]
