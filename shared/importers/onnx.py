"""A float ONNX model as a torch module, so that it can be calibrated like any other."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from shared.importers import layers
from shared.importers.leading_norm import fold_norms
from shared.integer.attributes import allow, pool_window, require
from shared.integer.onnx_head import Head
from shared.integer.onnx_nodes import attributes, constant_array, node_constant, require_float, symmetric_pads
from shared.integer.program import MOST

if TYPE_CHECKING:
    import onnx

SUPPORTED = (
    "Gemm, MatMul, Conv, BatchNormalization, Relu, PRelu, LeakyRelu, Clip, Sigmoid, Tanh, HardSwish, MaxPool, "
    "AveragePool, GlobalAveragePool, Add, Concat, DepthToSpace, Resize, Flatten, and Softmax at the end"
)

BATCH = 0
"""Stands for the size of the batch in a shape that a model computes; in a Reshape, 0 copies it."""


@dataclass(frozen=True, eq=False)
class OnnxModule:
    """The module that a float model computes, and how it relates to the model."""

    module: nn.Module
    shape: tuple[int, ...]
    """Of the input, without the batch."""
    tensor: str
    """The tensor of the model that the module's output is."""
    notes: tuple[str, ...]
    """What was left out, in sentences."""


def to_torch(model: "onnx.ModelProto") -> tuple[nn.Module, tuple[int, ...]]:
    """The module that a float model computes, and the shape of its input without the batch.

    Its operators are those of `SUPPORTED`, Reshape to one axis, Identity and Dropout; a constant added behind a MatMul
    is its bias; a batch norm without a layer before it is folded into the one behind. Raises `ValueError` naming the
    node that is something else, and the way out. Needs onnx.
    """
    read = read_float(model)
    return read.module, read.shape


def read_float(model: "onnx.ModelProto") -> OnnxModule:
    """As `to_torch`, with the tensor that the output is; a Softmax at the end is left out, and a note says so."""
    return _Reader(model).module()


class _Reader:
    def __init__(self, model: "onnx.ModelProto") -> None:
        self.head = Head.of(model)
        self.graph = model.graph
        self.arrays: dict[str, NDArray[Any]] = {}
        self.nodes: list[layers.LayerNode] = []
        self.shapes: dict[str, tuple[int, ...]] = {}  # of a value, without the batch
        self.alias: dict[str, str] = {}

    def module(self) -> OnnxModule:
        for tensor in self.graph.initializer:
            self.arrays[tensor.name] = constant_array(tensor, f"constant {tensor.name!r}")
        inputs = [value for value in self.graph.input if value.name not in self.arrays]
        if len(inputs) != 1 or len(self.head.outputs) != 1:
            counts = f"{len(inputs)} inputs and {len(self.graph.output)} outputs"
            raise ValueError(f"an ONNX model with one input and one output is needed, this has {counts}")
        shape = require_float(inputs[0])
        if math.prod(shape) > MOST:
            raise ValueError(
                f"the ONNX input {inputs[0].name!r} has {math.prod(shape):,} numbers, {MOST:,} at most can be run"
            )
        self.shapes[inputs[0].name] = shape
        for node in self.head.nodes:
            try:
                self.read(node)
            except (ValueError, KeyError, IndexError, TypeError, RuntimeError, OverflowError) as error:
                lacks = isinstance(error, KeyError | IndexError)
                reason = f"it lacks {error}" if lacks else str(error).splitlines()[0]
                raise ValueError(f"ONNX {node.op_type} {node.name or node.output[0]!r}: {reason}") from error
        output = self.alias.get(self.head.outputs[0], self.head.outputs[0])
        if output not in self.shapes:
            raise ValueError(f"no ONNX node writes the output {output!r}")
        nodes = fold_norms(self.nodes, output)
        module = layers.LayerNet(inputs[0].name, nodes, output).eval()
        return OnnxModule(module, shape, self.head.outputs[0], self.head.notes)

    def read(self, node: "onnx.NodeProto") -> None:
        if node.domain not in ("", "ai.onnx"):
            raise ValueError(f"operators of the domain {node.domain!r} are not read: use {SUPPORTED}")
        fields = attributes(node)
        inputs = [self.alias.get(name, name) for name in node.input]
        output = node.output[0]
        if node.op_type == "Constant":
            self.arrays[output] = node_constant(node)
        elif node.op_type == "Shape":
            allow(fields, "start", "end")
            sizes = np.array([BATCH, *self.shapes[inputs[0]]])
            self.arrays[output] = sizes[fields.get("start", 0) : fields.get("end")]
        elif inputs and all(name in self.arrays or not name for name in inputs):
            self.arrays[output] = _computed(node, fields, [self.arrays[name] for name in inputs if name])
        elif node.op_type in ("Identity", "Dropout"):
            self.alias[output] = inputs[0]
        elif node.op_type == "Add" and any(name in self.arrays for name in inputs):
            self.bias(inputs, output)
        else:
            self.layer(node.op_type, fields, inputs, output)

    def layer(self, kind: str, fields: dict[str, Any], inputs: list[str], output: str) -> None:
        values = [name for name in inputs if name not in self.arrays and name]
        if values[0] not in self.shapes:
            raise ValueError(f"it reads {values[0]!r}, which no node writes")
        if inputs[0] in self.arrays:
            raise ValueError("its first input is a constant: put the constant second")
        arrays = [self.arrays[name] for name in inputs if name in self.arrays]
        layer = self.convert(kind, fields, arrays, self.shapes[values[0]])
        self.nodes.append(layers.LayerNode(layer, tuple(values), output))
        with torch.no_grad():
            zeros = [torch.zeros(1, *self.shapes[name]) for name in values]
            self.shapes[output] = tuple(layer.eval()(*zeros).shape[1:])

    def convert(
        self, kind: str, fields: dict[str, Any], arrays: list[NDArray[Any]], shape: tuple[int, ...]
    ) -> nn.Module:
        """The layer of a node that reads a value of this shape."""
        axes, numbers = len(shape) - 1, [torch.from_numpy(array.copy()) for array in arrays]
        if kind in ("Gemm", "MatMul"):
            allow(fields, "alpha", "beta", "transA", "transB")
            require(fields, alpha=1.0, beta=1.0, transA=0)
            weight = numbers[0] if fields.get("transB", 0) and kind == "Gemm" else numbers[0].T
            return layers.linear(weight.contiguous(), _bias(numbers[1:], len(weight)))
        if kind == "Conv":
            allow(fields, "auto_pad", "dilations", "group", "kernel_shape", "pads", "strides")
            require(fields, auto_pad=b"NOTSET", dilations=1)
            padding, stride = symmetric_pads(fields, axes), tuple(fields.get("strides", (1,) * axes))
            bias = numbers[1] if len(numbers) > 1 else None
            return layers.convolution(numbers[0], bias, stride, padding, fields.get("group", 1))
        if kind == "BatchNormalization":
            allow(fields, "epsilon", "momentum", "training_mode", "spatial")
            require(fields, training_mode=0, spatial=1)
            gamma, beta, mean, variance = numbers
            return layers.norm(axes, gamma, beta, mean, variance, fields.get("epsilon", 1e-5))
        if kind in ("MaxPool", "AveragePool"):
            return _pool(kind, fields)
        if kind == "GlobalAveragePool":
            return nn.AdaptiveAvgPool1d(1) if axes == 1 else nn.AdaptiveAvgPool2d(1)
        if kind in _ACTIVATIONS:
            return _ACTIVATIONS[kind]()
        if kind == "LeakyRelu":
            return nn.LeakyReLU(fields.get("alpha", 0.01))
        if kind == "PRelu":
            return _prelu(numbers[0], shape)
        if kind == "Clip":
            return _clip(fields, arrays)
        if kind == "Concat":
            require(fields, axis=1)
            return layers.Joined()
        if kind == "DepthToSpace":
            require({"mode": fields.get("mode", b"DCR")}, mode=b"CRD")
            return nn.PixelShuffle(fields["blocksize"])
        if kind == "Resize":
            return _resize(fields, arrays)
        if kind == "Add":
            return layers.Sum()
        if kind == "Flatten":
            require(fields, axis=1)
            return nn.Flatten()
        if kind == "Reshape":
            require(fields, allowzero=0)
            sizes, elements = arrays[0].tolist(), math.prod(shape)
            # A batch of 1 that was written into the file is that of the example it was exported with.
            if len(sizes) != 2 or sizes[1] not in (-1, elements) or sizes[0] not in (-1, BATCH, 1) or sizes == [-1, -1]:
                raise ValueError(f"a reshape to {sizes} is not supported: flatten all axes behind the batch")
            return nn.Flatten()
        raise ValueError(f"this operator is not supported: use {SUPPORTED}")

    def bias(self, inputs: list[str], output: str) -> None:
        """A constant added behind a MatMul that nothing else reads."""
        value, constant = sorted(inputs, key=lambda name: name in self.arrays)
        before = next((node for node in self.nodes if node.output == value), None)
        readers = sum(value in node.input for node in self.graph.node)
        bare = before is not None and [name for name, _ in before.layer.named_parameters()] == ["weight"]
        if before is None or readers != 1 or not bare or not isinstance(before.layer, nn.Linear):
            raise ValueError("a constant can be added behind a MatMul alone: give it to the layer before, as its bias")
        bias = _bias([torch.from_numpy(self.arrays[constant].copy())], before.layer.out_features)
        layer = layers.linear(before.layer.weight.detach(), bias)
        self.nodes[self.nodes.index(before)] = layers.LayerNode(layer, before.inputs, value)
        self.alias[output] = value


_ACTIVATIONS: Final[dict[str, type[nn.Module]]] = {
    "Relu": nn.ReLU,
    "Sigmoid": nn.Sigmoid,
    "Tanh": nn.Tanh,
    "HardSwish": nn.Hardswish,
}


def _prelu(slopes: Tensor, shape: tuple[int, ...]) -> nn.PReLU:
    """Slopes below zero: one, or one for each channel."""
    count = slopes.numel()
    if count != 1 and tuple(slopes.shape) != (shape[0], *(1,) * (len(shape) - 1)):
        raise ValueError(f"slopes must be one, or one for each of {shape[0]} channels, got {tuple(slopes.shape)}")
    layer = nn.PReLU(count)
    layer.load_state_dict({"weight": slopes.flatten()})
    return layer


def _clip(fields: dict[str, Any], arrays: list[NDArray[Any]]) -> nn.Module:
    """Limits on both sides, which are constants."""
    allow(fields)
    if len(arrays) != 2 or any(array.size != 1 for array in arrays):
        raise ValueError("a lower and an upper limit are needed, each a constant number")
    return nn.Hardtanh(float(arrays[0].item()), float(arrays[1].item()))


def _resize(fields: dict[str, Any], arrays: list[NDArray[Any]]) -> nn.Upsample:
    """Enlargement by one whole factor, which every way to place pixels but that of aligned corners agrees on."""
    scales = arrays[-1].tolist() if arrays and arrays[-1].size == 4 else []
    factor = round(scales[-1]) if scales else 0
    if scales != [1, 1, factor, factor] or arrays[-1].dtype.kind != "f":
        raise ValueError(f"scales [1, 1, n, n] with a whole n are needed, got {scales or 'sizes'}")
    mode, places = fields.get("mode", b"nearest"), fields.get("coordinate_transformation_mode", b"half_pixel")
    if mode == b"nearest":
        require({"nearest_mode": fields.get("nearest_mode", b"round_prefer_floor"), "places": places}, **_NEAREST)
        return nn.Upsample(scale_factor=float(factor), mode="nearest")
    if mode not in (b"linear", b"cubic") or places not in (b"half_pixel", b"pytorch_half_pixel"):
        raise ValueError(f"mode {mode.decode()} with {places.decode()} is not supported: use nearest, linear or cubic")
    require(fields, cubic_coeff_a=-0.75, exclude_outside=0, antialias=0)
    return nn.Upsample(scale_factor=float(factor), mode="bilinear" if mode == b"linear" else "bicubic")


_NEAREST: Final = {"nearest_mode": b"floor", "places": b"asymmetric"}


def _bias(numbers: list[Tensor], out: int) -> Tensor | None:
    """A bias of `out` numbers; one number stands for all."""
    if not numbers:
        return None
    bias = numbers[0].reshape(-1)
    if bias.numel() not in (1, out) or max(numbers[0].shape, default=1) != bias.numel():
        raise ValueError(f"a bias of {out} numbers is needed, got {tuple(numbers[0].shape)}")
    return bias.expand(out).contiguous()


def _pool(kind: str, fields: dict[str, Any]) -> nn.Module:
    return layers.pool(kind[:-4].lower(), *pool_window(fields))


def _computed(node: "onnx.NodeProto", fields: dict[str, Any], arrays: list[NDArray[Any]]) -> NDArray[Any]:
    """What a node computes of constants: the shapes that torch's `x.view(x.size(0), -1)` leaves behind."""
    match node.op_type:
        case "Gather":
            return np.take(arrays[0], arrays[1], fields.get("axis", 0))
        case "Unsqueeze":
            return np.expand_dims(arrays[0], _axes(fields, arrays))
        case "Squeeze":
            return np.squeeze(arrays[0], _axes(fields, arrays) or None)
        case "Concat":
            return np.concatenate([np.atleast_1d(array) for array in arrays], fields["axis"])
        case "Slice" if len(arrays) > 2 and arrays[0].ndim == 1:
            step = int(arrays[4].item()) if len(arrays) > 4 else 1
            return arrays[0][int(arrays[1].item()) : int(arrays[2].item()) : step]
        case "Cast" | "Identity":
            return arrays[0]
    raise ValueError(f"this operator on constants is not supported: fold them, as onnxsim does; or use {SUPPORTED}")


def _axes(fields: dict[str, Any], arrays: list[NDArray[Any]]) -> tuple[int, ...]:
    """Attributes before opset 13, an input since."""
    return tuple(fields["axes"]) if "axes" in fields else tuple(arrays[1].tolist()) if arrays[1:] else ()
