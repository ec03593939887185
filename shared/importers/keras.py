"""A Keras model as a torch module: channels first, its weights moved to where torch has them."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from shared.importers import layers
from shared.importers.leading_norm import fold_norms
from shared.integer.attributes import require
from shared.integer.geometry import from_channels_last

SUPPORTED = (
    "Dense, Conv1D, Conv2D, DepthwiseConv1D, DepthwiseConv2D, BatchNormalization, ReLU, MaxPooling, AveragePooling, "
    "GlobalAveragePooling, Flatten, Dropout, Add"
)


def keras_to_torch(model: Any) -> tuple[nn.Module, tuple[int, ...]]:
    """The module that a Keras 3 model computes, and the shape of its input, channels first and without the batch.

    `model` is Sequential or functional, with one input and one output; Keras has channels last, so the module takes
    `numpy.moveaxis(x, -1, 1)` of what `model` takes. Its layers are those of `SUPPORTED`, with the activations linear
    and relu.

    Raises `ValueError` naming the layer that is something else, and the way out.
    """
    inputs, outputs = list(model.inputs or ()), list(model.outputs or ())
    if len(inputs) != 1 or len(outputs) != 1:
        counts = f"{len(inputs)} inputs and {len(outputs)} outputs"
        raise ValueError(f"a Keras model with one input and one output is needed, this has {counts}: build it first")
    shape = tuple(inputs[0].shape[1:])
    if not shape or None in shape:
        raise ValueError(f"a Keras input of fixed shape is needed, got {shape}")
    reader = _Reader()
    first = reader.key(inputs[0])
    plane = np.moveaxis(np.arange(math.prod(shape)).reshape(shape), -1, 0).shape
    reader.values[first] = _Value(plane, None)
    last = reader.walk(outputs[0])
    if reader.values[last].order is not None:
        raise ValueError(
            "a Keras model that ends flattened is not supported: end with a Dense, or leave the Flatten out"
        )
    return layers.LayerNet(first, fold_norms(reader.nodes, last), last).eval(), plane


def require_alike(model: Any, module: nn.Module, x: NDArray[Any]) -> None:
    """Raises `ValueError` if a module computes otherwise than the Keras model that it was read from; `x` as Keras's."""
    expected = np.asarray(model.predict_on_batch(x), np.float64)
    with torch.no_grad():
        actual = module(torch.from_numpy(np.moveaxis(x, -1, 1).copy())).double().numpy()
    error = float(np.abs(actual - expected).max())
    if not error <= 1e-3 * max(float(np.abs(expected).max()), 1e-6):  # NaN too
        raise ValueError(f"the module read from Keras computes otherwise: it differs by {error:.3g}: do not use it")


@dataclass(frozen=True)
class _Value:
    """A value: its shape in torch, and the order of its elements in Keras where it is flattened."""

    shape: tuple[int, ...]
    order: NDArray[np.int64] | None
    """Element `i` of ours is element `order[i]` of Keras's."""


class _Reader:
    def __init__(self) -> None:
        self.nodes: list[layers.LayerNode] = []
        self.values: dict[str, _Value] = {}

    def key(self, tensor: Any) -> str:
        """A name for a symbolic tensor of Keras."""
        past = tensor._keras_history
        return f"{past.operation.name}_{past.node_index}"

    def walk(self, tensor: Any) -> str:
        """Converts the layers that a tensor depends on, in order of computation; returns its name."""
        waiting, name = [tensor], self.key(tensor)
        while waiting:
            current = waiting[-1]
            past = current._keras_history
            sources = past.operation._inbound_nodes[past.node_index].input_tensors
            missing = [source for source in sources if self.key(source) not in self.values]
            if missing:
                waiting += missing
                continue
            waiting.pop()
            if self.key(current) not in self.values:
                self.add(past.operation, [self.key(source) for source in sources], self.key(current))
        return name

    def add(self, layer: Any, inputs: list[str], name: str) -> None:
        title = f"Keras {type(layer).__name__} {layer.name!r}"
        if not inputs:
            raise ValueError(f"{title} is a second input: one is supported")
        try:
            modules, value = self.convert(layer, [self.values[name] for name in inputs])
        except ValueError as error:
            raise ValueError(f"{title}: {error}") from error
        activation = _activation(layer, title)
        steps = [*modules, *activation] or [nn.Identity()]
        for index, step in enumerate(steps):
            output = name if index == len(steps) - 1 else f"{name}.{index}"
            self.nodes.append(layers.LayerNode(step, tuple(inputs), output))
            inputs = [output]
        self.values[name] = value

    def convert(self, layer: Any, inputs: list[_Value]) -> tuple[list[nn.Module], _Value]:
        """The modules of a layer, one after the other, and the value that they compute."""
        x, kind = inputs[0], type(layer).__name__
        axes = len(x.shape) - 1
        if kind == "Dense":
            return self.dense(layer, x)
        if kind in ("Conv1D", "Conv2D", "DepthwiseConv1D", "DepthwiseConv2D"):
            return _convolution(layer, x)
        if kind == "BatchNormalization":
            if layer.axis not in (-1, axes + 1):
                raise ValueError(f"axis={layer.axis} is not supported: normalise the last axis")
            return [_norm(layer, x)], x
        if kind in ("ReLU", "Activation", "Dropout", "InputLayer"):
            plain = kind != "ReLU" or (layer.max_value is None and not layer.negative_slope and not layer.threshold)
            if not plain:
                raise ValueError("a bounded, leaky or shifted ReLU is not supported: use ReLU()")
            return ([nn.ReLU()] if kind == "ReLU" else []), x
        if kind in ("MaxPooling1D", "MaxPooling2D", "AveragePooling1D", "AveragePooling2D"):
            return _pool(layer, "max" if kind.startswith("Max") else "average", x)
        if kind in ("GlobalAveragePooling1D", "GlobalAveragePooling2D"):
            _require(layer, keepdims=False, data_format="channels_last")
            pool = nn.AdaptiveAvgPool1d(1) if axes == 1 else nn.AdaptiveAvgPool2d(1)
            return [pool, nn.Flatten()], _Value(x.shape[:1], None)
        if kind == "Flatten":
            order = from_channels_last(x.shape)
            return ([nn.Flatten()] if axes else []), _Value((order.size,), order if axes else x.order)
        if kind == "Add":
            if len(inputs) != 2 or not _alike(inputs[0].order, inputs[1].order):
                raise ValueError("two terms are supported, both flattened or neither: add before the Flatten")
            return [layers.Sum()], x
        raise ValueError(f"this layer is not supported: use {SUPPORTED}")

    def dense(self, layer: Any, x: _Value) -> tuple[list[nn.Module], _Value]:
        if len(x.shape) != 1:
            raise ValueError(f"an input of {len(x.shape)} axes is not supported: flatten first")
        kernel = _tensor(layer.kernel).T
        if x.order is not None:
            kernel = kernel[:, torch.from_numpy(x.order)]
        bias = _tensor(layer.bias) if layer.use_bias else None
        return [layers.linear(kernel.contiguous(), bias)], _Value((kernel.shape[0],), None)


def _alike(a: NDArray[np.int64] | None, b: NDArray[np.int64] | None) -> bool:
    return a is b if a is None or b is None else np.array_equal(a, b)


def _tensor(variable: Any) -> Tensor:
    return torch.from_numpy(np.array(variable.numpy(), np.float32))


def _require(layer: Any, **values: Any) -> None:
    require({name: getattr(layer, name) for name in values}, **values)


def _activation(layer: Any, title: str) -> list[nn.Module]:
    name = getattr(getattr(layer, "activation", None), "__name__", "linear")
    if name not in ("linear", "relu"):
        raise ValueError(f"{title}: the activation {name!r} is not supported: use linear or relu")
    return [nn.ReLU()] if name == "relu" else []


def _convolution(layer: Any, x: _Value) -> tuple[list[nn.Module], _Value]:
    _require(layer, data_format="channels_last", dilation_rate=1)
    kernel, groups = _tensor(layer.kernel), getattr(layer, "groups", 1)  # (*size, in, out)
    if type(layer).__name__.startswith("Depthwise"):
        groups = x.shape[0]
        kernel = kernel.reshape(*kernel.shape[:-2], 1, -1)
    weight = kernel.movedim((-1, -2), (0, 1)).contiguous()
    padding = (0,) * (weight.ndim - 2)
    if layer.padding == "same":
        odd = all(size % 2 for size in weight.shape[2:]) and all(stride == 1 for stride in layer.strides)
        if not odd:
            raise ValueError("padding 'same' pads the two sides alike only for odd kernels of stride 1: use 'valid'")
        padding = tuple(size // 2 for size in weight.shape[2:])
    elif layer.padding != "valid":
        raise ValueError(f"padding {layer.padding!r} is not supported: use 'valid' or 'same'")
    bias = _tensor(layer.bias) if layer.use_bias else None
    module = layers.convolution(weight, bias, tuple(layer.strides), padding, groups)
    return [module], _Value(_shape(module, x.shape), None)


def _norm(layer: Any, x: _Value) -> nn.Module:
    mean, variance = _tensor(layer.moving_mean), _tensor(layer.moving_variance)
    gamma = _tensor(layer.gamma) if layer.scale else torch.ones_like(mean)
    beta = _tensor(layer.beta) if layer.center else torch.zeros_like(mean)
    order = torch.arange(len(mean)) if x.order is None else torch.from_numpy(x.order)
    axes, eps = len(x.shape) - 1, float(layer.epsilon)
    return layers.norm(axes, gamma[order], beta[order], mean[order], variance[order], eps)


def _pool(layer: Any, kind: str, x: _Value) -> tuple[list[nn.Module], _Value]:
    _require(layer, data_format="channels_last", padding="valid")
    module = layers.pool(kind, tuple(layer.pool_size), tuple(layer.strides))
    return [module], _Value(_shape(module, x.shape), None)


def _shape(layer: nn.Module, shape: tuple[int, ...]) -> tuple[int, ...]:
    with torch.no_grad():
        return tuple(layer(torch.zeros(1, *shape)).shape[1:])
