"""Which function converts an operation."""

from collections.abc import Callable
from typing import Final

from torch import nn

from shared.f8net.builder import Builder
from shared.f8net.operators.arithmetic import add, join, multiply
from shared.f8net.operators.attention import attention, embedding, layer_norm, matrices, softmax
from shared.f8net.operators.functions import FUNCTIONS, activation, clipped, relu
from shared.f8net.operators.moves import concatenate, dropout, flatten, move, pass_on
from shared.f8net.operators.pools import POOLS, mean, padded_average, pool
from shared.f8net.operators.resampling import enlarge, pixel_shuffle
from shared.f8net.operators.weighted import NORMS, convolution, linear, norm
from shared.importers.graph import TracedNode
from shared.importers.moves import MOVES

SUPPORTED: Final = (
    "Linear, Conv1d, Conv2d, BatchNorm behind them, ReLU, ReLU6, other activations, LayerNorm, softmax, "
    "matrix products, scaled_dot_product_attention, Embedding, MaxPool, AvgPool, AdaptiveAvgPool(1), mean, Flatten, "
    "reshapes and transpositions, Dropout, PixelShuffle, interpolation, concatenation, +, -, *"
)

Operator = Callable[[Builder, TracedNode], None]


def convert(builder: Builder, node: TracedNode) -> None:
    """Appends the steps of an operation, and says where its tensor lies.

    Raises `ValueError` naming an operation that has none, and those that do.
    """
    if node.layer is not None:
        if node.path in builder.paths and any(True for _ in node.layer.parameters()):
            raise ValueError(f"F8Net cannot convert {node.title} twice: its uses need weights of their own")
        builder.paths.add(node.path)
    if node.name in builder.placed:  # part of the layer before it
        return
    operator = _operator(builder, node)
    if operator is None:
        raise ValueError(f"F8Net cannot convert {node.title}: use {SUPPORTED}")
    operator(builder, node)


def _operator(builder: Builder, node: TracedNode) -> Operator | None:
    name = node.plain_name
    if node.kind == "identity":
        return pass_on
    if node.kind == "add" or name in ("add", "iadd", "sub", "isub"):
        return add if node.kind == "add" and all(builder.is_plain(each) for each in node.inputs) else join
    if name in FUNCTIONS or name == "prelu":
        return activation
    if isinstance(node.layer, nn.AvgPool2d) and node.layer.padding not in (0, (0, 0)):
        return padded_average
    if name == "relu6" or (name == "hardtanh" and node.argument(1, "min_val", -1.0) == 0):
        return clipped
    if node.kind == "flatten":
        return flatten
    if name in _BY_NAME:
        return _BY_NAME[name]
    for kinds, operator in _BY_LAYER:
        if isinstance(node.layer, kinds):
            return operator
    return move if name in MOVES else None


_BY_NAME: Final[dict[str, Operator]] = {
    "linear": linear,
    "relu": relu,
    "mul": multiply,
    "imul": multiply,
    "div": multiply,
    "truediv": multiply,
    "layernorm": layer_norm,
    "softmax": softmax,
    "matmul": matrices,
    "bmm": matrices,
    "scaleddotproductattention": attention,
    "cat": concatenate,
    "concat": concatenate,
    "concatenate": concatenate,
    "mean": mean,
    "embedding": embedding,
    "pixelshuffle": pixel_shuffle,
    "interpolate": enlarge,
}

_BY_LAYER: Final[tuple[tuple[tuple[type[nn.Module], ...], Operator], ...]] = (
    ((nn.Conv1d, nn.Conv2d), convolution),
    (NORMS, norm),
    (POOLS, pool),
    ((nn.Upsample,), enlarge),
    ((nn.Dropout, nn.Dropout1d, nn.Dropout2d), dropout),
)
