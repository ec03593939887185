"""A float ONNX model as a torch module, so that it can be calibrated like any other."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from shared.importers import layers
from shared.importers.leading_norm import fold_norms
from shared.importers.onnx_constants import computed
from shared.importers.onnx_patterns import joined
from shared.importers.onnx_tensors import TENSOR_OPERATORS, tensor_functions
from shared.integer.attributes import allow, pool_window, require
from shared.integer.onnx_head import Head, opset
from shared.integer.onnx_nodes import attributes, constant_array, node_constant, require_numbers, symmetric_pads
from shared.integer.program import MOST

if TYPE_CHECKING:
    import onnx

SUPPORTED = (
    "Gemm, MatMul, Conv, ConvTranspose, BatchNormalization, Relu, PRelu, LeakyRelu, Clip, Sigmoid, Tanh, HardSwish, "
    "MaxPool, AveragePool, GlobalAveragePool, Add, Concat, DepthToSpace, Resize, Flatten, LayerNormalization, "
    f"and on tensors {', '.join(TENSOR_OPERATORS)}"
)


@dataclass(frozen=True, eq=False)
class OnnxModule:
    """The module that a float model computes, and how it relates to the model."""

    module: nn.Module
    shape: tuple[int, ...]
    """Of the input, without the batch."""
    words: int
    """Rows of the table that an input of whole numbers chooses from; 0 for an input of floats."""
    tensor: str
    """The tensor of the model that the module's output is."""
    notes: tuple[str, ...]
    """What was left out, in sentences."""


def to_torch(model: "onnx.ModelProto") -> tuple[nn.Module, tuple[int, ...]]:
    """The module that a float model computes, and the shape of its input without the batch.

    Its operators are those of `SUPPORTED`, Identity and Dropout; a constant added behind a MatMul is its bias; a batch
    norm without a layer before it is folded into the one behind; the error function of a GELU is one. Shapes are fixed
    but for the batch. Whole numbers, such as words, are read as floats too. Raises `ValueError` naming the node that is
    something else, and the way out. Needs onnx.
    """
    read = read_float(model)
    return read.module, read.shape


def read_float(model: "onnx.ModelProto", shape: Sequence[int] = ()) -> OnnxModule:
    """As `to_torch`, with the tensor that the output is; a Softmax at the end is left out, and a note says so.

    `shape` fixes the axes of the input behind the batch where the model leaves them open.
    """
    return _Reader(model).module(tuple(shape))


class _Reader:
    def __init__(self, model: "onnx.ModelProto") -> None:
        self.head, self.opset = Head.of(model, of_integers=False), opset(model)
        self.graph = model.graph
        self.arrays: dict[str, NDArray[Any]] = {}
        self.nodes: list[layers.LayerNode] = []
        self.samples: dict[str, Tensor] = {}  # what a value is of one sample of zeros
        self.words = 0
        self.alias: dict[str, str] = {}

    def module(self, fixed: tuple[int, ...]) -> OnnxModule:
        for tensor in self.graph.initializer:
            self.arrays[tensor.name] = constant_array(tensor, f"constant {tensor.name!r}")
        inputs = [value for value in self.graph.input if value.name not in self.arrays]
        if len(inputs) != 1 or len(self.head.outputs) != 1:
            counts = f"{len(inputs)} inputs and {len(self.graph.output)} outputs"
            raise ValueError(f"an ONNX model with one input and one output is needed, this has {counts}")
        shape, is_float = require_numbers(inputs[0], fixed)
        if math.prod(shape) > MOST:
            raise ValueError(
                f"the ONNX input {inputs[0].name!r} has {math.prod(shape):,} numbers, {MOST:,} at most can be run"
            )
        self.samples[inputs[0].name] = torch.zeros(1, *shape)
        for node in self.head.nodes:
            if node.op_type == "Constant":
                self.arrays[node.output[0]] = node_constant(node)
            elif node.op_type == "Identity" and node.input[0] in self.arrays:  # weights that two layers share
                self.arrays[node.output[0]] = self.arrays[node.input[0]]
        for node in joined(self.head.nodes, self.arrays, self.head.outputs):
            try:
                self.read(node)
            except (ValueError, KeyError, IndexError, TypeError, RuntimeError, OverflowError) as error:
                lacks = isinstance(error, KeyError | IndexError)
                reason = f"it lacks {error}" if lacks else str(error).splitlines()[0]
                raise ValueError(f"ONNX {node.op_type} {node.name or node.output[0]!r}: {reason}") from error
        output = self.alias.get(self.head.outputs[0], self.head.outputs[0])
        if output not in self.samples:
            raise ValueError(f"no ONNX node writes the output {output!r}")
        nodes = fold_norms(self.nodes, output)
        module = layers.LayerNet(inputs[0].name, nodes, output).eval()
        if not is_float and not self.words:
            raise ValueError(f"the ONNX input {inputs[0].name!r} is of whole numbers: those that choose words are read")
        return OnnxModule(module, shape, self.words, self.head.outputs[0], self.head.notes)

    def read(self, node: "onnx.NodeProto") -> None:
        if node.domain not in ("", "ai.onnx"):
            raise ValueError(f"operators of the domain {node.domain!r} are not read: use {SUPPORTED}")
        fields = attributes(node)
        inputs = [self.alias.get(name, name) for name in node.input]
        output = node.output[0]
        if output in self.arrays:
            return
        if node.op_type == "Shape":
            allow(fields, "start", "end")
            values = self.arrays if inputs[0] in self.arrays else self.samples
            sizes = np.array(values[inputs[0]].shape)  # of one sample, which a Reshape reads as any number
            self.arrays[output] = sizes[fields.get("start", 0) : fields.get("end")]
        elif inputs and all(name in self.arrays or not name for name in inputs):
            results = computed(node, self.opset, [self.arrays[name] for name in inputs if name])
            self.arrays |= dict(zip(node.output, results, strict=True))
        elif node.op_type in ("Identity", "Dropout"):
            self.alias[output] = inputs[0]
        elif node.op_type == "Add" and self.is_bias(inputs):
            self.bias(inputs, output)
        else:
            self.layer(node.op_type, fields, inputs, list(node.output))

    def layer(self, kind: str, fields: dict[str, Any], inputs: list[str], outputs: list[str]) -> None:
        values = [name for name in inputs if name not in self.arrays and name]
        for name in values:
            if name not in self.samples:
                raise ValueError(f"it reads {name!r}, which no node writes")
        operands = [torch.from_numpy(self.arrays[name].copy()) if name in self.arrays else None for name in inputs]
        shape = tuple(self.samples[values[0]].shape[1:])
        if _is_layer(kind, fields, operands, shape):
            if inputs[0] in self.arrays:
                raise ValueError("its first input is a constant: put the constant second")
            arrays = [self.arrays[name] for name in inputs if name in self.arrays]
            self.put(self.convert(kind, fields, arrays, shape), values, outputs[0])
            return
        if kind == "Gather" and operands[0] is not None:
            self.words = len(operands[0])
        if "" in inputs:
            raise ValueError("an input between others is left out: state its default")
        functions = tensor_functions(kind, fields, operands, self.samples[values[0]])
        for function, output in zip(functions, outputs, strict=True):
            self.put(layers.Function(function, operands), values, output)

    def put(self, layer: nn.Module, values: list[str], output: str) -> None:
        self.nodes.append(layers.LayerNode(layer, tuple(values), output))
        with torch.no_grad():
            self.samples[output] = layer.eval()(*(self.samples[name] for name in values))

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
            return _convolution(fields, numbers, shape[1:])
        if kind == "ConvTranspose":
            return _transposed(fields, numbers, axes)
        if kind == "BatchNormalization":
            allow(fields, "epsilon", "momentum", "training_mode", "spatial")
            require(fields, training_mode=0, spatial=1)
            gamma, beta, mean, variance = numbers
            return layers.norm(axes, gamma, beta, mean, variance, fields.get("epsilon", 1e-5))
        if kind in ("MaxPool", "AveragePool"):
            return _pool(kind, fields, shape[1:])
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
            return nn.Flatten()
        if kind == "LayerNormalization":
            return _layer_norm(fields, numbers)
        raise ValueError(f"this operator is not supported: use {SUPPORTED}")

    def is_bias(self, inputs: list[str]) -> bool:
        """Whether a sum is of a constant and of a MatMul that nothing else reads."""
        values = [name for name in inputs if name not in self.arrays]
        before = next((node for node in self.nodes if [node.output] == values), None)
        bare = before is not None and [name for name, _ in before.layer.named_parameters()] == ["weight"]
        constants = [self.arrays[name] for name in inputs if name in self.arrays]
        return (
            before is not None
            and bare
            and isinstance(before.layer, nn.Linear)
            and max(constants[0].shape, default=1) == constants[0].size
            and sum(values[0] in node.input for node in self.graph.node) == 1
        )

    def bias(self, inputs: list[str], output: str) -> None:
        """The constant becomes the bias of the layer."""
        value, constant = sorted(inputs, key=lambda name: name in self.arrays)
        before = next(node for node in self.nodes if node.output == value)
        assert isinstance(before.layer, nn.Linear)
        bias = _bias([torch.from_numpy(self.arrays[constant].copy())], before.layer.out_features)
        layer = layers.linear(before.layer.weight.detach(), bias)
        self.nodes[self.nodes.index(before)] = layers.LayerNode(layer, before.inputs, value)
        self.alias[output] = value


def _is_layer(kind: str, fields: dict[str, Any], operands: list[Tensor | None], shape: tuple[int, ...]) -> bool:
    """Whether a node is a layer; of the operators on tensors, those that are one in a special case."""
    constants = [each for each in operands if each is not None]
    match kind:
        case "MatMul":
            return operands[0] is None and len(constants) == 1 and constants[0].ndim == 2
        case "Add":
            return not constants
        case "Concat":
            return fields.get("axis") == 1 and not constants
        case "Reshape":
            # A batch of 1 that was written into the file is that of the example it was exported with.
            sizes = constants[0].tolist() if constants else []
            is_whole = len(sizes) == 2 and sizes != [-1, -1] and sizes[1] in (-1, math.prod(shape))
            return is_whole and sizes[0] in (-1, 0, 1) and not fields.get("allowzero")
    return kind not in TENSOR_OPERATORS


def _layer_norm(fields: dict[str, Any], numbers: list[Tensor]) -> nn.LayerNorm:
    """Over the last axes, those of its weights."""
    allow(fields, "axis", "epsilon", "stash_type")
    axis = fields.get("axis", -1)
    if axis < 0 and -axis != numbers[0].ndim:
        raise ValueError(f"axis={axis} is not that of its weights, {tuple(numbers[0].shape)}")
    layer = nn.LayerNorm(numbers[0].shape, fields.get("epsilon", 1e-5), bias=len(numbers) > 1)
    layer.load_state_dict(dict(zip(("weight", "bias"), numbers, strict=False)))
    return layer


_ACTIVATIONS: Final[dict[str, type[nn.Module]]] = {
    "Relu": nn.ReLU,
    "Sigmoid": nn.Sigmoid,
    "Tanh": nn.Tanh,
    "HardSwish": nn.Hardswish,
}


def _convolution(fields: dict[str, Any], numbers: list[Tensor], size: tuple[int, ...]) -> nn.Module:
    """A convolution; behind zeros where the two sides of an axis differ."""
    allow(fields, "auto_pad", "dilations", "group", "kernel_shape", "pads", "strides")
    require(fields, dilations=1)
    weight, *rest = numbers
    before, behind = _pads(fields, size, tuple(weight.shape[2:]))
    bias, group, stride = rest[0] if rest else None, fields.get("group", 1), _stride(fields, len(size))
    if before == behind:
        return layers.convolution(weight, bias, stride, before, group)
    inner = layers.convolution(weight, bias, stride, (0,) * len(size), group)
    return nn.Sequential(layers.Zeros(before, behind), inner)


def _stride(fields: dict[str, Any], axes: int) -> tuple[int, ...]:
    return tuple(fields.get("strides", (1,) * axes))


def _pads(
    fields: dict[str, Any], size: tuple[int, ...], window: tuple[int, ...]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """What is padded before and behind each axis of `size`."""
    axes, mode = len(size), fields.get("auto_pad", b"NOTSET")
    pads = tuple(fields.get("pads", (0,) * 2 * axes))
    if len(pads) != 2 * axes or min(pads, default=0) < 0:
        raise ValueError(f"pads {pads} must be two numbers for each axis, none below zero")
    if mode not in (b"SAME_UPPER", b"SAME_LOWER"):
        require(fields, auto_pad=b"NOTSET")
        return pads[:axes], pads[axes:]
    sizes = zip(size, _stride(fields, axes), window, strict=True)
    total = [max((-(-n // step) - 1) * step + k - n, 0) for n, step, k in sizes]
    less, more = tuple(n // 2 for n in total), tuple(-(-n // 2) for n in total)
    return (less, more) if mode == b"SAME_UPPER" else (more, less)


def _transposed(fields: dict[str, Any], numbers: list[Tensor], axes: int) -> nn.Module:
    allow(fields, "auto_pad", "dilations", "group", "kernel_shape", "output_padding", "pads", "strides")
    require(fields, auto_pad=b"NOTSET", dilations=1, group=1, output_padding=0)
    padding, stride = symmetric_pads(fields, axes), tuple(fields.get("strides", (1,) * axes))
    return layers.transposed(numbers[0], numbers[1] if numbers[1:] else None, stride, padding)


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


def _pool(kind: str, fields: dict[str, Any], size: tuple[int, ...]) -> nn.Module:
    """The largest of each window, or the mean, of which zeros around may be a part.

    What lies around images never is the largest: the edge, repeated, is as good, and may differ between sides.
    """
    before, behind = _pads(fields, size, tuple(fields["kernel_shape"]))
    window = pool_window({name: value for name, value in fields.items() if name not in ("pads", "auto_pad")})
    if kind == "AveragePool":
        require({"pads": [a - b for a, b in zip(before, behind, strict=True)]}, pads=0)
        counted = bool(fields.get("count_include_pad", 0))
        return layers.pool("average", *window, padding=before, count_include_pad=counted)
    if before == behind:
        return layers.pool("max", *window, padding=before)
    sides: Any = tuple(each for pair in zip(reversed(before), reversed(behind), strict=True) for each in pair)
    edges = nn.ReplicationPad2d(sides) if len(size) == 2 else nn.ReplicationPad1d(sides)
    return nn.Sequential(edges, layers.pool("max", *window))
