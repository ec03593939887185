"""The operations of a traced net on TensorFlow's values: images with channels last, all else as torch has it."""

import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from torch import fx, nn


@dataclass(frozen=True, eq=False)
class Image:
    """A value of four axes whose channels lie last."""

    tensor: Any

    @property
    def shape(self) -> tuple[int, ...]:
        """As torch has it."""
        batch, height, width, channels = self.tensor.shape
        return (batch, channels, height, width)


class InTensorFlow(fx.Interpreter):
    """Computes a traced net on TensorFlow's values.

    Raises `ValueError` naming a layer, function or method that has no counterpart here.
    """

    def __init__(self, module: fx.GraphModule, tensorflow: Any) -> None:
        super().__init__(module)
        self.extra_traceback = False  # errors are of one line
        self.tf = tensorflow

    def compute(self, x: Any) -> Any:
        """What the net returns for a value as LiteRT has it, which is as LiteRT has it too."""
        result = self.run(Image(x) if len(x.shape) == 4 else x)
        return self.last(result).tensor if len(result.shape) == 4 else result

    # The order of axes

    def last(self, x: Any) -> Image:
        """A value of four axes, with its channels last."""
        return x if isinstance(x, Image) else Image(self.tf.transpose(x, (0, 2, 3, 1)))

    def plain(self, x: Any) -> Any:
        """A value as torch has it."""
        return self.tf.transpose(x.tensor, (0, 3, 1, 2)) if isinstance(x, Image) else x

    # What torch.fx calls

    def get_attr(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return self.tf.constant(self.fetch_attr(target).detach().numpy())

    def call_module(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        layer = self.fetch_attr(target)
        compute = next((compute for kind, compute in _LAYERS.items() if isinstance(layer, kind)), None)
        if compute is None:
            raise ValueError(f"{type(layer).__name__} {target!r} is not written to LiteRT files")
        return self.named(f"{type(layer).__name__} {target!r}", lambda: compute(self, layer, *args))

    def call_function(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        name = getattr(target, "__name__", str(target))
        if target is getattr:
            return args[0].shape
        if not any(_is_value(each) for each in _flat((args, kwargs))):  # sizes, and what is computed of them
            return target(*args, **kwargs)
        return self.call(name, args, kwargs)

    def call_method(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return self.call(target, args, kwargs)

    def call(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        compute = _FUNCTIONS.get(name.strip("_"))
        if compute is None:
            raise ValueError(f"{name} is not written to LiteRT files")
        return self.named(name, lambda: compute(self, *args, **kwargs))

    def named(self, title: str, compute: Callable[[], Any]) -> Any:
        """What is computed; an error of it names the operation."""
        try:
            return compute()
        except (ValueError, TypeError) as error:
            if "LiteRT" in str(error):
                raise
            line = next(iter(str(error).splitlines()), type(error).__name__)
            raise ValueError(f"{title} is not written to LiteRT files in this form: {line}") from error

    # Pieces that operations share

    def each(self, function: Callable[[Any], Any], x: Any) -> Any:
        """A function of every number."""
        return Image(function(x.tensor)) if isinstance(x, Image) else function(x)

    def joint(self, function: Callable[[Any, Any], Any], a: Any, b: Any) -> Any:
        """A function of two numbers each."""
        if isinstance(a, Image) and isinstance(b, Image):
            return Image(function(a.tensor, b.tensor))
        if isinstance(a, Image) and not _is_value(b):
            return Image(function(a.tensor, b))
        return function(self.plain(a), self.plain(b))


def _is_value(each: Any) -> bool:
    return isinstance(each, Image) or type(each).__module__.startswith("tensorflow")


def _flat(arguments: Any) -> list[Any]:
    if isinstance(arguments, dict):
        return _flat(list(arguments.values()))
    return [leaf for each in arguments for leaf in _flat(each)] if isinstance(arguments, list | tuple) else [arguments]


def _pair(sizes: Any) -> tuple[int, int]:
    return (sizes, sizes) if isinstance(sizes, int) else tuple(sizes)


def _padded(run: InTensorFlow, x: Any, sides: Sequence[int], value: float = 0.0) -> Any:
    """TensorFlow pads strided windows on the other side: so images are padded before."""
    if not any(sides):
        return x
    return run.tf.pad(x, [(0, 0), *((side, side) for side in sides), (0, 0)], constant_values=value)


def _convolution(run: InTensorFlow, layer: nn.Conv2d, x: Any) -> Any:
    if layer.padding_mode != "zeros" or isinstance(layer.padding, str):
        raise ValueError(f"padding {layer.padding!r} of {layer.padding_mode}: pad with numbers of zeros")
    weight, image = layer.weight.detach().numpy().transpose(2, 3, 1, 0), run.last(x).tensor
    image = _padded(run, image, _pair(layer.padding))
    stride, dilation = _pair(layer.stride), _pair(layer.dilation)
    if layer.groups == layer.in_channels > 1 and stride[0] == stride[1]:
        kernel = weight.reshape(*weight.shape[:2], layer.groups, -1)
        y = run.tf.nn.depthwise_conv2d(
            image, np.ascontiguousarray(kernel), (1, *stride, 1), "VALID", dilations=dilation
        )
    else:
        parts = run.tf.split(image, layer.groups, 3) if layer.groups > 1 else [image]
        kernels = np.split(weight, layer.groups, 3)
        terms = [
            run.tf.nn.conv2d(part, np.ascontiguousarray(kernel), stride, "VALID", dilations=dilation)
            for part, kernel in zip(parts, kernels, strict=True)
        ]
        y = run.tf.concat(terms, 3) if len(terms) > 1 else terms[0]
    return Image(y if layer.bias is None else y + layer.bias.detach().numpy())


def _linear(run: InTensorFlow, layer: nn.Linear, x: Any) -> Any:
    y = run.tf.matmul(run.plain(x), layer.weight.detach().numpy().T.copy())
    return y if layer.bias is None else y + layer.bias.detach().numpy()


def _batch_norm(run: InTensorFlow, layer: Any, x: Any) -> Any:
    assert layer.running_mean is not None
    gain = (layer.weight if layer.affine else torch.ones_like(layer.running_var)) / (
        layer.running_var + layer.eps
    ).sqrt()
    offset = (layer.bias if layer.affine else 0) - layer.running_mean * gain
    factors = [each.detach().numpy() for each in (gain, offset)]
    if isinstance(x, Image):
        return Image(x.tensor * factors[0] + factors[1])
    shape = (1, -1, *(1,) * (len(x.shape) - 2))
    return x * factors[0].reshape(shape) + factors[1].reshape(shape)


def _layer_norm(run: InTensorFlow, layer: nn.LayerNorm, x: Any) -> Any:
    x, axes = run.plain(x), tuple(range(-len(layer.normalized_shape), 0))
    apart = x - run.tf.reduce_mean(x, axes, keepdims=True)
    y = apart * run.tf.math.rsqrt(run.tf.reduce_mean(apart * apart, axes, keepdims=True) + layer.eps)
    y = y if layer.weight is None else y * layer.weight.detach().numpy()
    return y if layer.bias is None else y + layer.bias.detach().numpy()


def _largest(run: InTensorFlow, layer: nn.MaxPool2d, x: Any) -> Any:
    if layer.ceil_mode or layer.dilation not in (1, (1, 1)):
        raise ValueError("ceil_mode and dilation are not read")
    image = _padded(run, run.last(x).tensor, _pair(layer.padding), float(np.finfo(np.float32).min))
    return Image(run.tf.nn.max_pool2d(image, _pair(layer.kernel_size), _pair(layer.stride), "VALID"))


def _average(run: InTensorFlow, layer: nn.AvgPool2d, x: Any) -> Any:
    size, stride, sides = _pair(layer.kernel_size), _pair(layer.stride), _pair(layer.padding)
    if layer.ceil_mode or layer.divisor_override is not None:
        raise ValueError("ceil_mode and divisor_override are not read")
    image = run.last(x).tensor
    if any(sides) and not layer.count_include_pad:
        if stride != (1, 1) or any(2 * side + 1 != each for side, each in zip(sides, size, strict=True)):
            raise ValueError("windows that leave out what is padded are read for stride 1 and results of one size")
        return Image(run.tf.nn.avg_pool2d(image, size, stride, "SAME"))
    return Image(run.tf.nn.avg_pool2d(_padded(run, image, sides), size, stride, "VALID"))


def _whole_average(run: InTensorFlow, layer: Any, x: Any) -> Any:
    if layer.output_size not in (1, (1, 1)):
        raise ValueError(f"output_size={layer.output_size}: 1 is read")
    return Image(run.tf.reduce_mean(run.last(x).tensor, (1, 2), keepdims=True))


def _prelu(run: InTensorFlow, layer: nn.PReLU, x: Any) -> Any:
    slopes = layer.weight.detach().numpy()
    if not isinstance(x, Image):
        slopes = slopes.reshape(-1, *(1,) * (len(x.shape) - 2))
    return run.each(lambda y: run.tf.maximum(y, 0.0) + slopes * run.tf.minimum(y, 0.0), x)


def _resized(
    run: InTensorFlow, x: Any, size: Any = None, scale_factor: Any = None, mode: str = "nearest", **rest: Any
) -> Any:
    """To the nearest pixel, whose places torch computes; bilinear with TensorFlow's own half pixels."""
    image = run.last(x).tensor
    sizes = (None, None) if size is None else _pair(size)
    factors = tuple(scale_factor) if isinstance(scale_factor, tuple | list) else (scale_factor, scale_factor)
    places = [
        nn.functional.interpolate(torch.arange(n).float()[None, None], to, factor)[0, 0].long().numpy()
        for n, to, factor in zip(image.shape[1:3], sizes, factors, strict=True)
    ]
    if mode == "nearest":
        return Image(run.tf.gather(run.tf.gather(image, places[0], axis=1), places[1], axis=2))
    if mode == "bilinear" and not rest.get("align_corners"):
        return Image(run.tf.image.resize(image, tuple(map(len, places)), "bilinear"))
    raise ValueError(f"mode {mode!r}: nearest and bilinear without aligned corners are read")


def _shuffled(run: InTensorFlow, x: Any, factor: int) -> Any:
    """LiteRT orders the channels of several results the other way round: so they are turned before."""
    image = run.last(x).tensor
    channels = image.shape[3]
    results = channels // factor**2
    if results > 1:
        order = np.arange(channels).reshape(results, factor**2).T.ravel()
        image = run.tf.gather(image, order, axis=3)
    return Image(run.tf.nn.depth_to_space(image, factor))


def _joined(run: InTensorFlow, values: Sequence[Any], dim: int = 0, **rest: Any) -> Any:
    axis = rest.get("axis", dim)
    if all(isinstance(each, Image) for each in values):
        return Image(run.tf.concat([each.tensor for each in values], (0, 3, 1, 2)[axis]))
    return run.tf.concat([run.plain(each) for each in values], axis)


def _mean(run: InTensorFlow, x: Any, dim: Any = None, keepdim: bool = False) -> Any:
    return run.tf.reduce_mean(
        run.plain(x), dim if isinstance(dim, int) or dim is None else tuple(dim), keepdims=keepdim
    )


def _reshaped(run: InTensorFlow, x: Any, *sizes: Any) -> Any:
    return run.tf.reshape(run.plain(x), sizes[0] if len(sizes) == 1 and not isinstance(sizes[0], int) else sizes)


def _flattened(run: InTensorFlow, x: Any, start_dim: int = 0, end_dim: int = -1) -> Any:
    x = run.plain(x)
    start, end = start_dim % len(x.shape), end_dim % len(x.shape)
    return run.tf.reshape(x, (*x.shape[:start], math.prod(x.shape[start : end + 1]), *x.shape[end + 1 :]))


def _permuted(run: InTensorFlow, x: Any, *order: Any) -> Any:
    axes = order[0] if not isinstance(order[0], int) else order
    return run.tf.transpose(run.plain(x), [axis % len(axes) for axis in axes])


def _transposed(run: InTensorFlow, x: Any, first: int, second: int) -> Any:
    x = run.plain(x)
    axes = list(range(len(x.shape)))
    axes[first], axes[second] = axes[second], axes[first]
    return run.tf.transpose(x, axes)


def _moved(run: InTensorFlow, x: Any, source: int, to: int) -> Any:
    x = run.plain(x)
    axes = list(range(len(x.shape)))
    axes.insert(to % len(axes), axes.pop(source))
    return run.tf.transpose(x, axes)


def _attention(
    run: InTensorFlow,
    q: Any,
    k: Any,
    v: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    **rest: Any,
) -> Any:
    q, k, v = map(run.plain, (q, k, v))
    scale = rest.get("scale") or q.shape[-1] ** -0.5
    scores = run.tf.matmul(q, k, transpose_b=True) * scale
    if is_causal:
        scores += np.triu(np.full((q.shape[-2], k.shape[-2]), -1e30, np.float32), 1)
    if attn_mask is not None:
        scores += run.plain(attn_mask)
    return run.tf.matmul(run.tf.nn.softmax(scores), v)


def _item(run: InTensorFlow, x: Any, place: Any) -> Any:
    return x[place] if isinstance(x, tuple | list) else run.plain(x)[place]


def _split(run: InTensorFlow, x: Any, sizes: Any, dim: int = 0) -> Any:
    x = run.plain(x)
    parts = [sizes] * (x.shape[dim] // sizes) if isinstance(sizes, int) else list(sizes)
    return tuple(run.tf.split(x, parts, dim))


def _gelu(run: InTensorFlow, x: Any, approximate: str = "none", **rest: Any) -> Any:
    return run.each(lambda y: run.tf.nn.gelu(y, approximate=approximate == "tanh"), x)


def _clamped(run: InTensorFlow, x: Any, low: float | None = None, high: float | None = None, **rest: Any) -> Any:
    low, high = rest.get("min", low), rest.get("max", high)
    return run.each(
        lambda y: run.tf.clip_by_value(y, -math.inf if low is None else low, math.inf if high is None else high), x
    )


def _by_each(name: str) -> Callable[..., Any]:
    """A function of TensorFlow's that is the same in torch."""
    return lambda run, x, *rest, **named: run.each(operator.attrgetter(name)(run.tf), x)


def _by_joint(function: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    return lambda run, a, b: run.joint(function, a, b)


def _hard_sigmoid(run: InTensorFlow, x: Any, *rest: Any, **named: Any) -> Any:
    return run.each(lambda y: run.tf.nn.relu6(y + 3.0) * (1 / 6), x)


def _hard_swish(run: InTensorFlow, x: Any, *rest: Any, **named: Any) -> Any:
    return run.each(lambda y: y * (run.tf.nn.relu6(y + 3.0) * (1 / 6)), x)


def _leaky(run: InTensorFlow, x: Any, slope: float = 0.01, *rest: Any, **named: Any) -> Any:
    return run.each(lambda y: run.tf.nn.leaky_relu(y, named.get("negative_slope", slope)), x)


def _same(run: InTensorFlow, x: Any, *rest: Any, **named: Any) -> Any:
    return x


_FUNCTIONS: Final[dict[str, Callable[..., Any]]] = {
    "add": _by_joint(operator.add),
    "iadd": _by_joint(operator.add),
    "sub": _by_joint(operator.sub),
    "mul": _by_joint(operator.mul),
    "imul": _by_joint(operator.mul),
    "truediv": _by_joint(operator.truediv),
    "div": _by_joint(operator.truediv),
    "neg": _by_each("negative"),
    "matmul": lambda run, a, b: run.tf.matmul(run.plain(a), run.plain(b)),
    "bmm": lambda run, a, b: run.tf.matmul(run.plain(a), run.plain(b)),
    "relu": _by_each("nn.relu"),
    "relu6": _by_each("nn.relu6"),
    "sigmoid": _by_each("nn.sigmoid"),
    "tanh": _by_each("nn.tanh"),
    "silu": _by_each("nn.silu"),
    "hardsigmoid": _hard_sigmoid,
    "hardswish": _hard_swish,
    "leaky_relu": _leaky,
    "gelu": _gelu,
    "clamp": _clamped,
    "hardtanh": lambda run, x, min_val=-1.0, max_val=1.0, *rest: _clamped(run, x, min_val, max_val),
    "softmax": lambda run, x, dim=-1, **rest: run.tf.nn.softmax(run.plain(x), dim),
    "mean": _mean,
    "cat": _joined,
    "concat": _joined,
    "concatenate": _joined,
    "pixel_shuffle": _shuffled,
    "interpolate": _resized,
    "scaled_dot_product_attention": _attention,
    "getitem": _item,
    "split": _split,
    "chunk": lambda run, x, count, dim=0: _split(run, x, -(-x.shape[dim] // count), dim),
    "unbind": lambda run, x, dim=0: tuple(run.tf.unstack(run.plain(x), axis=dim)),
    "view": _reshaped,
    "reshape": _reshaped,
    "flatten": _flattened,
    "unflatten": lambda run, x, dim, sizes: run.tf.reshape(
        run.plain(x), (*x.shape[: dim % len(x.shape)], *sizes, *x.shape[dim % len(x.shape) + 1 :])
    ),
    "permute": _permuted,
    "transpose": _transposed,
    "swapaxes": _transposed,
    "movedim": _moved,
    "narrow": lambda run, x, dim, start, length: run.tf.gather(
        run.plain(x), np.arange(start, start + length), axis=dim
    ),
    "index_select": lambda run, x, dim, places: run.tf.gather(run.plain(x), places, axis=dim),
    "masked_fill": lambda run, x, mask, number: run.tf.where(mask, number, run.plain(x)),
    "unsqueeze": lambda run, x, dim: run.tf.expand_dims(run.plain(x), dim),
    "squeeze": lambda run, x, dim: run.tf.squeeze(run.plain(x), dim),
    "select": lambda run, x, dim, index: run.tf.gather(run.plain(x), index, axis=dim),
    "expand": lambda run, x, *sizes: run.tf.broadcast_to(
        run.plain(x), [own if size == -1 else size for own, size in zip(x.shape, _flat(sizes), strict=True)]
    ),
    "size": lambda run, x, *dim: x.shape[dim[0]] if dim else x.shape,
    "embedding": lambda run, x, table, *rest: run.tf.gather(table, run.tf.cast(x, run.tf.int32)),
    "long": lambda run, x: run.tf.cast(x, run.tf.int32),
    "contiguous": _same,
    "clone": _same,
    "float": _same,
    "dropout": _same,
}

_LAYERS: Final[dict[type[nn.Module], Callable[..., Any]]] = {
    nn.Identity: lambda run, layer, x: x,  # where a norm was
    nn.Dropout: lambda run, layer, x: x,
    nn.Conv2d: _convolution,
    nn.Linear: _linear,
    nn.BatchNorm2d: _batch_norm,
    nn.BatchNorm1d: _batch_norm,
    nn.LayerNorm: _layer_norm,
    nn.Embedding: lambda run, layer, x: run.tf.gather(layer.weight.detach().numpy(), run.tf.cast(x, run.tf.int32)),
    nn.MaxPool2d: _largest,
    nn.AvgPool2d: _average,
    nn.AdaptiveAvgPool2d: _whole_average,
    nn.Flatten: lambda run, layer, x: _flattened(run, x, layer.start_dim, layer.end_dim),
    nn.PixelShuffle: lambda run, layer, x: _shuffled(run, x, layer.upscale_factor),
    nn.Upsample: lambda run, layer, x: _resized(
        run, x, layer.size, layer.scale_factor, layer.mode, align_corners=layer.align_corners
    ),
    nn.PReLU: _prelu,
    nn.LeakyReLU: lambda run, layer, x: _leaky(run, x, layer.negative_slope),
    nn.ReLU6: lambda run, layer, x: run.each(run.tf.nn.relu6, x),
    nn.Hardtanh: lambda run, layer, x: _clamped(run, x, layer.min_val, layer.max_val),
    nn.ReLU: lambda run, layer, x: run.each(run.tf.nn.relu, x),
    nn.GELU: lambda run, layer, x: _gelu(run, x, layer.approximate),
    nn.SiLU: lambda run, layer, x: run.each(run.tf.nn.silu, x),
    nn.Sigmoid: lambda run, layer, x: run.each(run.tf.nn.sigmoid, x),
    nn.Tanh: lambda run, layer, x: run.each(run.tf.nn.tanh, x),
    nn.Hardsigmoid: lambda run, layer, x: _hard_sigmoid(run, x),
    nn.Hardswish: lambda run, layer, x: _hard_swish(run, x),
    nn.Softmax: lambda run, layer, x: run.tf.nn.softmax(run.plain(x), layer.dim),
}
