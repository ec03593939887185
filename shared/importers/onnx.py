"""A float ONNX model as a torch module, so that it can be calibrated like any other."""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from shared.importers import layers
from shared.integer.attributes import require
from shared.integer.onnx_nodes import attributes, constant_array, symmetric_pads

if TYPE_CHECKING:
    import onnx

SUPPORTED = "Gemm, MatMul, Conv, BatchNormalization, Relu, MaxPool, AveragePool, GlobalAveragePool, Add, Flatten"


def to_torch(model: "onnx.ModelProto") -> tuple[nn.Module, tuple[int, ...]]:
    """The module that a float model computes, and the shape of its input without the batch.

    Its operators are those of `SUPPORTED`, Reshape to one axis, Identity and Dropout; a constant added behind a MatMul
    is its bias. Raises `ValueError` naming the node that is something else, and the way out. Needs onnx.
    """
    return _Reader(model).module()


class _Reader:
    def __init__(self, model: "onnx.ModelProto") -> None:
        self.graph = model.graph
        self.arrays: dict[str, Tensor] = {}
        self.nodes: list[layers.LayerNode] = []
        self.axes: dict[str, int] = {}  # of a value, without batch and channels
        self.alias: dict[str, str] = {}

    def module(self) -> tuple[nn.Module, tuple[int, ...]]:
        for tensor in self.graph.initializer:
            self.arrays[tensor.name] = _tensor(tensor, tensor.name)
        inputs = [value for value in self.graph.input if value.name not in self.arrays]
        if len(inputs) != 1 or len(self.graph.output) != 1:
            counts = f"{len(inputs)} inputs and {len(self.graph.output)} outputs"
            raise ValueError(f"an ONNX model with one input and one output is needed, this has {counts}")
        shape = tuple(axis.dim_value for axis in inputs[0].type.tensor_type.shape.dim)[1:]
        if not shape or min(shape) < 1:
            raise ValueError(f"the ONNX input {inputs[0].name!r} needs a fixed shape behind its batch, got {shape}")
        self.axes[inputs[0].name] = len(shape) - 1
        for node in self.graph.node:
            try:
                self.read(node)
            except (ValueError, KeyError, IndexError, TypeError, RuntimeError, OverflowError) as error:
                reason = str(error).splitlines()[0] if isinstance(error, ValueError) else f"it lacks {error}"
                raise ValueError(f"ONNX {node.op_type} {node.name or node.output[0]!r}: {reason}") from error
        output = self.alias.get(self.graph.output[0].name, self.graph.output[0].name)
        if output not in self.axes:
            raise ValueError(f"no ONNX node writes the output {output!r}")
        return layers.LayerNet(inputs[0].name, self.nodes, output).eval(), shape

    def read(self, node: "onnx.NodeProto") -> None:
        fields = attributes(node)
        inputs = [self.alias.get(name, name) for name in node.input]
        output = node.output[0]
        if node.op_type == "Constant":
            self.arrays[output] = _tensor(fields["value"], output)
        elif node.op_type in ("Identity", "Dropout"):
            if inputs[0] in self.arrays:
                self.arrays[output] = self.arrays[inputs[0]]
            else:
                self.alias[output] = inputs[0]
        elif node.op_type == "Add" and any(name in self.arrays for name in inputs):
            self.bias(inputs, output)
        else:
            self.layer(node.op_type, fields, inputs, output)

    def layer(self, kind: str, fields: dict[str, Any], inputs: list[str], output: str) -> None:
        values = [name for name in inputs if name not in self.arrays and name]
        if values[0] not in self.axes:
            raise ValueError(f"it reads {values[0]!r}, which no node writes")
        if inputs[0] in self.arrays:
            raise ValueError("its first input is a constant: put the constant second")
        arrays = [self.arrays[name] for name in inputs if name in self.arrays]
        layer, axes = self.convert(kind, fields, arrays, self.axes[values[0]])
        self.nodes.append(layers.LayerNode(layer, tuple(values), output))
        self.axes[output] = axes

    def convert(self, kind: str, fields: dict[str, Any], arrays: list[Tensor], axes: int) -> tuple[nn.Module, int]:
        """The layer, and how many axes its result has behind the channels."""
        if kind in ("Gemm", "MatMul"):
            require(fields, alpha=1.0, beta=1.0, transA=0)
            weight = arrays[0] if fields.get("transB", 0) and kind == "Gemm" else arrays[0].T
            return layers.linear(weight.contiguous(), arrays[1].reshape(-1) if len(arrays) > 1 else None), axes
        if kind == "Conv":
            require(fields, auto_pad=b"NOTSET", dilations=1)
            padding, stride = symmetric_pads(fields, axes), tuple(fields.get("strides", (1,) * axes))
            bias = arrays[1] if len(arrays) > 1 else None
            return layers.convolution(arrays[0], bias, stride, padding, fields.get("group", 1)), axes
        if kind == "BatchNormalization":
            require(fields, training_mode=0)
            gamma, beta, mean, variance = arrays
            return layers.norm(axes, gamma, beta, mean, variance, fields.get("epsilon", 1e-5)), axes
        if kind in ("MaxPool", "AveragePool"):
            require(fields, auto_pad=b"NOTSET", ceil_mode=0, pads=0, dilations=1)
            size = tuple(fields["kernel_shape"])
            return layers.pool(kind[:-4].lower(), size, tuple(fields.get("strides", (1,) * len(size)))), axes
        if kind == "GlobalAveragePool":
            return (nn.AdaptiveAvgPool1d(1) if axes == 1 else nn.AdaptiveAvgPool2d(1)), axes
        if kind == "Relu":
            return nn.ReLU(), axes
        if kind == "Add":
            return layers.Sum(), axes
        if kind == "Flatten":
            require(fields, axis=1)
            return nn.Flatten(), 0
        if kind == "Reshape":
            sizes = arrays[0].tolist()
            if len(sizes) != 2 or (sizes[1] != -1 and sizes[0] not in (-1, 0, 1)):
                raise ValueError(f"a reshape to {sizes} is not supported: flatten all axes behind the batch")
            return nn.Flatten(), 0
        raise ValueError(f"this operator is not supported: use {SUPPORTED}")

    def bias(self, inputs: list[str], output: str) -> None:
        """A constant added behind a MatMul that nothing else reads."""
        value, constant = sorted(inputs, key=lambda name: name in self.arrays)
        before = next((node for node in self.nodes if node.output == value), None)
        readers = sum(value in node.input for node in self.graph.node)
        bare = before is not None and [name for name, _ in before.layer.named_parameters()] == ["weight"]
        if before is None or readers != 1 or not bare or not isinstance(before.layer, nn.Linear):
            raise ValueError("a constant can be added behind a MatMul alone: give it to the layer before, as its bias")
        bias = self.arrays[constant].reshape(-1)
        if bias.numel() not in (1, before.layer.out_features):
            raise ValueError(f"a bias of {before.layer.out_features} numbers is needed, got {bias.numel()}")
        layer = layers.linear(before.layer.weight.detach(), bias.expand(before.layer.out_features).contiguous())
        self.nodes[self.nodes.index(before)] = layers.LayerNode(layer, before.inputs, value)
        self.alias[output] = value


def _tensor(tensor: "onnx.TensorProto", name: str) -> Tensor:
    return torch.from_numpy(constant_array(tensor, f"constant {name!r}").copy())
