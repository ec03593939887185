"""Operations beyond those of convolutional nets, as steps: attention, functions as tables, moves, constants."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from shared.f8net import token_steps as steps
from shared.f8net.placed import Placed
from shared.f8net.scales import REAL
from shared.f8net.steps import Quantiser
from shared.importers.graph import TracedNode
from shared.importers.interpolation import interpolation_options, interpolation_taps
from shared.importers.moves import MOVES

if TYPE_CHECKING:
    from shared.f8net.graph import Builder

Operator = Callable[["Builder", TracedNode], None]

UNSIGNED: Final = ("sigmoid", "hardsigmoid", "relu6")
FUNCTIONS: Final[dict[str, Callable[[Tensor], Tensor]]] = {
    "sigmoid": torch.sigmoid,
    "hardsigmoid": functional.hardsigmoid,
    "hardswish": functional.hardswish,
    "silu": functional.silu,
    "gelu": functional.gelu,
    "tanh": torch.tanh,
    "elu": functional.elu,
    "mish": functional.mish,
    "softplus": functional.softplus,
}


def operator(builder: "Builder", node: TracedNode) -> Operator | None:
    """What converts an operation; `None` for those of convolutional nets, which the builder converts itself."""
    name = node.plain_name
    if node.kind == "add" or name in ("add", "iadd", "sub", "isub"):
        return None if node.kind == "add" and all(builder.is_plain(each) for each in node.inputs) else join
    if name in ("mul", "imul", "truediv", "div"):
        return multiply
    if name in FUNCTIONS or name in ("leakyrelu", "prelu"):
        return activation
    if isinstance(node.layer, nn.AvgPool2d) and node.layer.padding not in (0, (0, 0)):
        return padded_average
    if name == "relu6" or (name == "hardtanh" and node.argument(1, "min_val", -1.0) == 0):
        return clipped
    if name in _BY_NAME:
        return _BY_NAME[name]
    if name in MOVES and node.kind != "flatten" and name != "pixelshuffle":
        return move
    return None


def is_norm_or_factor(node: TracedNode) -> bool:
    """A layer norm, or a factor for each channel: nets with them add many branches to one trunk."""
    if isinstance(node.layer, nn.LayerNorm):
        return True
    has_constant = any(isinstance(each, fx.Node) and each.op == "get_attr" for each in node.call.args)
    return node.plain_name in ("mul", "imul") and has_constant


def move(builder: "Builder", node: TracedNode) -> None:
    """What only moves numbers: torch moves their places."""
    source = builder.placed[node.inputs[0]]
    step = (source[0] if isinstance(source, tuple) else source).step  # the parts of a tensor lie in one value
    result = builder.evaluator.run(node.call)
    if isinstance(result, tuple | list):
        builder.placed[node.name] = tuple(Placed(step, part.long()) for part in result)
    else:
        builder.placed[node.name] = Placed(step, result.long())


def join(builder: "Builder", node: TracedNode) -> None:
    """A sum or difference of two tensors, or of a tensor and a constant, which are broadcast as torch does it."""
    builder.refuse(node, bool(node.call.kwargs), f"{', '.join(node.call.kwargs)}", "leave it out")
    subtracts = "sub" in node.plain_name
    args = [builder.evaluator.constant(each) for each in node.call.args]
    if len(args) == 2 and any(each is not None for each in args):
        if subtracts and args[1] is None:
            builder.refuse(node, True, "a constant less a tensor", "negate the layer before it")
        constant = torch.as_tensor(args[0] if args[1] is None else args[1]).float()
        a = builder.whole(builder.value(node, node.inputs[0] if args[1] is not None else node.inputs[-1]))
        result = _with_constant(builder, node, a, -constant if subtracts else constant)
    else:
        a, b = (builder.value(node, name) for name in (*node.inputs, *node.inputs)[:2])
        a, second = _alike(builder, node, a, b)
        first = a.step
        if subtracts:  # of the same 8 bits, so that what is equal leaves nothing
            first, second = builder.narrow(first), builder.narrow(second)
        else:
            first, second = builder.trunk_and_branch(node, first, second)
        kind = steps.Subtract if subtracts else None
        result = Placed(builder.joined(node, node.name, first, second, kind), a.index)
    builder.placed[node.name] = result if subtracts else Placed(builder.narrow(result.step, 16), result.index)


def _with_constant(builder: "Builder", node: TracedNode, a: Placed, constant: Tensor) -> Placed:
    shape = builder.values[a.step].shape
    own = torch.zeros(math.prod(shape))
    own[a.index.flatten()] = _broadcast(builder, node, constant, a).flatten()
    name = builder.constant(f"{node.name}_constant", own.reshape(shape), a.step)
    return Placed(builder.joined(node, node.name, a.step, name, None), a.index)


def _broadcast(builder: "Builder", node: TracedNode, constant: Tensor, to: Placed) -> Tensor:
    """A constant as large as a tensor."""
    sizes = zip(reversed(constant.shape), reversed(to.index.shape), strict=False)
    fits = constant.ndim <= to.index.ndim and all(size in (1, other) for size, other in sizes)
    builder.refuse(
        node, not fits, f"a constant of shape {tuple(constant.shape)} for {to.shape}", "give it one sample's shape"
    )
    return constant.broadcast_to(to.index.shape)


def _alike(builder: "Builder", node: TracedNode, a: Placed, b: Placed) -> tuple[Placed, str]:
    """The first of two tensors that are broadcast, whole, and the step that holds the second alike."""
    at_a, at_b = torch.broadcast_tensors(a.index, b.index)
    builder.refuse(node, len(at_a) != 1, "several samples", "keep the batch as the first axis")
    whole = builder.whole(Placed(a.step, at_a))
    shape = builder.values[whole.step].shape
    table = torch.empty(math.prod(shape), dtype=torch.int64)
    table[whole.index.flatten()] = at_b.flatten()
    return whole, builder.arranged(b.step, table.reshape(shape))


def multiply(builder: "Builder", node: TracedNode) -> None:
    """A tensor times a number, times numbers for its channels, or times another tensor; a tensor by a number."""
    args = [builder.evaluator.constant(each) for each in node.call.args]
    builder.refuse(node, len(args) != 2, "these arguments", "multiply two tensors, or a tensor and a number")
    constants = [each for each in args if each is not None]
    divides = node.plain_name in ("truediv", "div")
    builder.refuse(node, divides and args[1] is None, "a divisor that depends on the input", "leave it to the host")
    if not constants:
        _product(builder, node)
        return
    factor = torch.as_tensor(constants[0]).double()
    factor = 1 / factor if divides else factor
    source = builder.value(node, node.inputs[0])
    if factor.numel() == 1 and float(factor) > 0:
        builder.placed[node.name] = Placed(builder.rescaled(node.name, source.step, float(factor)), source.index)
        return
    whole = builder.whole(source)
    shape = builder.values[whole.step].shape
    own = torch.zeros(math.prod(shape), dtype=torch.float64)
    own[whole.index.flatten()] = _broadcast(builder, node, factor, whole).flatten()
    by_channel = own.reshape(shape[0], -1)
    builder.refuse(
        node, bool((by_channel != by_channel[:, :1]).any()), "a factor for each number", "use one for each channel"
    )
    builder.placed[node.name] = Placed(builder.by_channel(node.name, whole.step, by_channel[:, 0]), whole.index)


def _product(builder: "Builder", node: TracedNode) -> None:
    a, b = (builder.value(node, name) for name in (*node.inputs, *node.inputs)[:2])
    if b.index.numel() > a.index.numel():
        a, b = b, a
    at_a, at_b = torch.broadcast_tensors(a.index, b.index)
    whole = builder.whole(Placed(builder.narrow(a.step), at_a))
    shape = builder.values[whole.step].shape
    table = torch.empty(math.prod(shape), dtype=torch.int64)
    table[whole.index.flatten()] = at_b.flatten()
    per = table.reshape(shape[0], -1)
    is_gate = bool((per == per[:, :1]).all())
    index = per[:, 0].reshape(-1, *(1 for _ in shape[1:])) if is_gate else table.reshape(shape)
    second = builder.arranged(builder.narrow(b.step), index)
    builder.real(node, whole.step, second)
    value = builder.values
    signed = value[whole.step].signed or value[second].signed
    builder.emit(node.name, (whole.step, second), steps.Multiply, shape, signed)
    builder.ties.tie(node.name, REAL, builder.ratio(whole.step) * builder.ratio(second))
    builder.placed[node.name] = Placed(node.name, whole.index)


def activation(builder: "Builder", node: TracedNode) -> None:
    """A function of every number, which becomes a table."""
    name, channels = node.plain_name, 1
    function: Callable[[Tensor], Tensor]
    if name == "prelu":
        slopes = node.layer.weight if node.layer is not None else builder.evaluator.constant(node.call.args[1])
        builder.refuse(node, not isinstance(slopes, Tensor), "slopes that depend on the input", "use constants")
        assert isinstance(slopes, Tensor)
        channels, function = slopes.numel(), _Slopes(slopes)
    elif name == "leakyrelu":
        slope = float(node.argument(1, "negative_slope", 0.01))
        function = _Leaky(slope)
    elif name == "gelu" and node.argument(1, "approximate", "none") == "tanh":
        function = _tanh_gelu
    else:
        function = FUNCTIONS[name]
    source = builder.value(node, node.inputs[0])
    whole = Placed.plain(builder.plain(node.inputs[0]), node.shape) if channels > 1 else builder.whole(source)
    shape = builder.values[whole.step].shape
    operand = builder.narrow(whole.step)
    origin = builder.origin(operand)
    signed = name not in UNSIGNED

    def construct() -> Quantiser:
        scales = builder.scale(operand), builder.scale(node.name)
        built = steps.Activation(
            function,
            channels,
            builder.word,
            builder.fit,
            signed=signed,
            source=builder.format_of(origin),
            scales=scales,
        )
        builder.quantisers[node.name] = built
        return built

    builder.ties.tie(node.name, REAL)
    builder.emit(node.name, (operand,), construct, shape, signed, source=node.name)
    builder.order.append(node.name)
    builder.placed[node.name] = Placed(node.name, whole.index)


class _Leaky:
    def __init__(self, slope: float) -> None:
        self.slope = slope

    def __call__(self, x: Tensor) -> Tensor:
        return functional.leaky_relu(x, self.slope)


class _Slopes:
    """Numbers below zero times the slope of their channel, the second axis."""

    def __init__(self, slopes: Tensor) -> None:
        self.slopes = slopes

    def __call__(self, x: Tensor) -> Tensor:
        slopes = self.slopes.flatten().to(x.dtype).reshape(-1, *(1,) * (x.ndim - 2))
        return torch.where(x > 0, x, x * slopes)


def _tanh_gelu(x: Tensor) -> Tensor:
    return functional.gelu(x, approximate="tanh")


def clipped(builder: "Builder", node: TracedNode) -> None:
    """A ReLU with an upper end: rounded without a sign, then clipped."""
    most = 6.0 if node.plain_name == "relu6" else float(node.argument(2, "max_val", 1.0))
    whole = builder.whole(builder.value(node, node.inputs[0]))
    name = f"{node.name}_rectified"
    shape = builder.values[whole.step].shape
    builder.quantise(name, whole.step, signed=False)
    builder.ties.tie(node.name, name)
    builder.emit(
        node.name,
        (name,),
        lambda: steps.Clip(most, builder.quantisers[name], builder.scale(name)),
        shape,
        signed=False,
        source=name,
    )
    builder.placed[node.name] = Placed(node.name, whole.index)


def linear(builder: "Builder", node: TracedNode) -> None:
    """A linear layer on the last axis."""
    assert isinstance(node.layer, nn.Linear)
    source = builder.value(node, node.inputs[0])
    if len(source.shape) == 1:
        builder.weighted(node, node.layer, builder.plain(node.inputs[0]))
        return
    operand = builder.channels_last(Placed(builder.narrow(source.step), source.index))
    builder.weighted(node, node.layer, operand)


def layer_norm(builder: "Builder", node: TracedNode) -> None:
    """Over the last axes, which become channels."""
    layer = node.layer
    builder.refuse(node, not isinstance(layer, nn.LayerNorm), "a function", "use the layer nn.LayerNorm")
    assert isinstance(layer, nn.LayerNorm)
    source = builder.value(node, node.inputs[0])
    index = source.index.flatten(-len(layer.normalized_shape))
    operand = builder.channels_last(Placed(builder.narrow(source.step, 16), index))
    origin = builder.origin(operand)
    builder.ties.tie(node.name, REAL)
    shape = builder.values[operand].shape
    builder.emit(
        node.name,
        (operand,),
        lambda: steps.LayerNorm(layer, builder.format_of(origin), (builder.scale(operand), builder.scale(node.name))),
        shape,
        signed=True,
    )
    lines = Placed.lines(node.name, shape[0], tuple(index.shape[1:-1]))
    builder.placed[node.name] = Placed(node.name, lines.index.reshape(source.index.shape))


def softmax(builder: "Builder", node: TracedNode) -> None:
    """Over any axis, which becomes that of channels."""
    axis = builder.evaluator.constant(node.argument(1, "dim", None))
    builder.refuse(node, axis is None, "no axis", "name it: dim=-1")
    builder.placed[node.name] = _shares(builder, node.name, builder.value(node, node.inputs[0]), axis)


def _shares(builder: "Builder", name: str, source: Placed, axis: int) -> Placed:
    moved = source.index.movedim(axis, -1)
    operand = builder.channels_last(Placed(builder.narrow(source.step, 16), moved))
    origin = builder.origin(operand)
    builder.ties.tie(name, REAL)
    shape = builder.values[operand].shape

    def construct() -> steps.Softmax:
        built = steps.Softmax(builder.format_of(origin), builder.scale(operand))
        builder.formats[name] = built
        return built

    builder.emit(name, (operand,), construct, shape, signed=False, source=name)
    return Placed(name, Placed.lines(name, moved.shape[-1], tuple(moved.shape[1:-1])).index.movedim(-1, axis))


def matrices(builder: "Builder", node: TracedNode) -> None:
    """A matrix product of two tensors."""
    a, b = (builder.value(node, name) for name in (*node.inputs, *node.inputs)[:2])
    builder.refuse(node, len(node.inputs) == 1, "a factor that is a constant", "use nn.Linear")
    builder.placed[node.name] = _matrices(builder, node, node.name, a, b)


def _matrices(builder: "Builder", node: TracedNode, name: str, a: Placed, b: Placed) -> Placed:
    """`a @ b`: the last axis of `a` are the channels that are summed over."""
    builder.refuse(node, min(a.index.ndim, b.index.ndim) < 3, "vectors", "give it matrices, with the batch before them")
    batch = np.broadcast_shapes(a.index.shape[:-2], b.index.shape[:-2])  # torch's own loads its compiler first
    at_a = a.index.expand(*batch, *a.index.shape[-2:]).flatten(0, -3)  # (rows, M, K)
    at_b = b.index.expand(*batch, *b.index.shape[-2:]).flatten(0, -3)  # (rows, K, N)
    first, second = builder.narrow(a.step), builder.narrow(b.step, signed=True)
    pixels = builder.arranged(first, at_a.permute(2, 0, 1))
    positions = math.prod(builder.values[second].shape[1:])
    step = int((at_b[0, 1, 0] - at_b[0, 0, 0]) if at_b.shape[1] > 1 else 0)
    transposed = step != 0 and step % positions == 0  # what is summed over are channels of the value already
    weights = builder.arranged(second, at_b.permute(1, 0, 2) if transposed else at_b.permute(2, 0, 1))
    builder.real(node, pixels, weights)
    shape = (at_b.shape[2], at_a.shape[0], at_a.shape[1])
    builder.emit(name, (pixels, weights), lambda: steps.MatrixProduct(transposed=transposed), shape, signed=True)
    builder.ties.tie(name, REAL, builder.ratio(pixels) * builder.ratio(weights))
    index = Placed.plain(name, shape).index[0].permute(1, 2, 0)
    return Placed(name, index.reshape(*batch, at_a.shape[1], at_b.shape[2]))


def attention(builder: "Builder", node: TracedNode) -> None:
    """`scaled_dot_product_attention`: a product, a mask that is constant or causal, a softmax, a product."""
    option = {
        name: builder.evaluator.constant(node.argument(place, name, default))
        for place, name, default in ((3, "attn_mask", None), (5, "is_causal", False), (6, "scale", None))
    }
    builder.refuse(
        node, len(node.inputs) > 3 and option["attn_mask"] is None, "a mask that is computed", "use a constant"
    )
    query, key, value = (builder.value(node, name) for name in node.inputs[:3])
    scale = query.shape[-1] ** -0.5 if option["scale"] is None else float(option["scale"])
    scores = _matrices(builder, node, f"{node.name}_products", query, Placed(key.step, key.index.mT))
    scores = Placed(builder.rescaled(f"{node.name}_scores", scores.step, scale), scores.index)
    mask = option["attn_mask"]
    if option["is_causal"]:
        mask = torch.ones(scores.shape[-2:]).tril().bool()
    if mask is not None:
        bias = torch.zeros(mask.shape).masked_fill(~mask, -torch.inf) if mask.dtype == torch.bool else mask
        name = builder.constant_like(f"{node.name}_mask", bias, scores)
        scores = Placed(builder.joined(node, f"{node.name}_masked", scores.step, name, None), scores.index)
    shares = _shares(builder, f"{node.name}_shares", scores, -1)
    builder.placed[node.name] = _matrices(builder, node, node.name, shares, value)


def concatenate(builder: "Builder", node: TracedNode) -> None:
    """Tensors one behind the other along any axis, constants too."""
    listed: Any = node.call.args[0] if node.call.args else node.call.kwargs["tensors"]
    axis = builder.evaluator.constant(node.argument(1, "dim", 0)) % (len(node.shape) + 1)
    builder.refuse(node, axis == 0, "the batch as its axis", "join another axis")
    parts: list[Placed | Tensor] = []
    for each in listed if isinstance(listed, tuple | list) else [listed]:
        if each.name in builder.placed:
            value = builder.placed[each.name]
            parts += value if isinstance(value, tuple) else [value]
        else:
            parts.append(builder.evaluator.operand(each))
    reals = [each for each in parts if isinstance(each, Placed)]
    builder.refuse(node, not reals, "constants alone", "compute it beforehand")
    in_lines = not any(builder.is_plain_placed(each) for each in reals)
    names = []
    for place, each in enumerate(parts):
        index = each.index[0] if isinstance(each, Placed) else each[0]
        wanted = index.movedim(-1, 0) if in_lines else index
        if isinstance(each, Placed):
            names.append(builder.arranged(each.step, wanted))
        else:
            names.append(builder.constant(f"{node.name}_constant{place}", wanted.float(), reals[0].step))
    for name in names:
        agree = builder.ties.tie(name, names[0])
        builder.refuse(node, not agree, "parts whose scales differ", "put a convolution of kernel 1 before one of them")
    builder.ties.tie(node.name, names[0])
    last = len(node.shape)
    own = (0 if axis == last else axis) if in_lines else axis - 1
    shape = (node.shape[-1], *node.shape[:-1]) if in_lines else node.shape
    signed = any(builder.values[name].signed for name in names)
    builder.emit(node.name, tuple(names), lambda: steps.Concatenate(own), shape, signed)
    make = Placed.lines(node.name, shape[0], shape[1:]) if in_lines else Placed.plain(node.name, shape)
    builder.placed[node.name] = make


def mean(builder: "Builder", node: TracedNode) -> None:
    """The mean over some axes, which become the window of a pool."""
    source, axes = builder.value(node, node.inputs[0]), builder.evaluator.constant(node.argument(1, "dim", ()))
    over = sorted(axis % source.index.ndim for axis in ([axes] if isinstance(axes, int) else axes))
    builder.refuse(node, not over or over[0] == 0, "the mean over samples", "name the other axes")
    moved = source.index.movedim(over, list(range(-len(over), 0)))
    rest = tuple(moved.shape[1 : -len(over)])
    wanted = moved[0].reshape(math.prod(rest), -1)
    operand = builder.arranged(builder.narrow(source.step, 16), wanted, like=(math.prod(rest),))
    window = builder.values[operand].shape[1:]
    builder.average(f"{node.name}", operand, window)
    builder.placed[node.name] = Placed(node.name, torch.arange(math.prod(rest)).reshape(1, *node.shape))


def padded_average(builder: "Builder", node: TracedNode) -> None:
    """An average pool with padding, whose weights rows and columns have apart."""
    layer: Any = node.layer
    builder.refuse(
        node, layer.ceil_mode or layer.divisor_override is not None, "ceil_mode or a divisor", "leave it out"
    )
    operand = builder.narrow(builder.plain(node.inputs[0]))
    shape = builder.values[operand].shape
    axes = []
    for axis, size in enumerate(shape[1:]):
        window, stride, pad = (
            each if isinstance(each, int) else each[axis] for each in (layer.kernel_size, layer.stride, layer.padding)
        )
        begins = torch.arange(node.shape[axis + 1]) * stride - pad
        places = begins[:, None] + torch.arange(window)
        inside = (places >= 0) & (places < size)
        count = torch.full_like(begins, window) if layer.count_include_pad else inside.sum(1)
        axes.append((places.clamp(0, size - 1), inside.double() / count[:, None]))
    _resample(builder, node, operand, axes)


def resize(builder: "Builder", node: TracedNode) -> None:
    """Interpolation of images: weighted sums of rows and of columns, as torch says."""
    options = interpolation_options(node)
    operand = builder.plain(node.inputs[0])
    shape = builder.values[operand].shape
    builder.refuse(node, len(shape) != 3, f"the shape {shape}", "give it images")
    axes = [interpolation_taps(size, axis, options) for axis, size in enumerate(shape[1:])]
    moves_only = all(weights.shape[1] == 1 and bool((weights == 1).all()) for _, weights in axes)
    _resample(builder, node, operand if moves_only else builder.narrow(operand), axes, keeps=moves_only)


def _resample(
    builder: "Builder", node: TracedNode, operand: str, axes: list[tuple[Tensor, Tensor]], *, keeps: bool = False
) -> None:
    value = builder.values[operand]
    builder.ties.tie(node.name, operand)
    signed = value.signed or any(bool((weights < 0).any()) for _, weights in axes)
    rows, columns = axes
    source = value.source if keeps else None
    builder.emit(node.name, (operand,), lambda: steps.Resample(rows, columns), node.shape, signed, source=source)
    builder.placed[node.name] = Placed.plain(node.name, node.shape)


def embedding(builder: "Builder", node: TracedNode) -> None:
    """A row of a table for each number of the input."""
    table = node.layer.weight if node.layer is not None else builder.evaluator.constant(node.call.args[1])
    builder.refuse(node, not isinstance(table, Tensor), "a table that depends on the input", "use a constant")
    assert isinstance(table, Tensor)
    operand = builder.plain(node.inputs[0])
    builder.refuse(node, len(builder.values[operand].shape) != 1, "several axes", "give it a vector of words")
    builder.ties.tie(node.name, REAL)

    def construct() -> steps.Embedding:
        built = steps.Embedding(table, builder.word, builder.fit)
        builder.formats[node.name] = built
        return built

    shape = (node.shape[-1], *node.shape[:-1])
    builder.emit(node.name, (operand,), construct, shape, signed=True, source=node.name)
    builder.placed[node.name] = Placed.lines(node.name, shape[0], shape[1:])


_BY_NAME: Final[dict[str, Operator]] = {
    "linear": linear,
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
}
