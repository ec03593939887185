"""Reads an ONNX model in the QDQ form with powers of two as scales back into the integer program that it computes."""

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shared.integer import operations
from shared.integer.attributes import require
from shared.integer.format import Format
from shared.integer.onnx_nodes import attributes, constant_array, first_line, symmetric_pads
from shared.integer.program import Input, Program

if TYPE_CHECKING:
    import onnx

SUPPORTED = "QuantizeLinear, DequantizeLinear, Gemm, MatMul, Conv, Relu, Add, MaxPool, AveragePool, Flatten"


def load_onnx(path: str | Path) -> "onnx.ModelProto":
    """The model in a file, checked against ONNX's own rules.

    Raises `OSError` if the file cannot be read, `ValueError`, naming the file, if it is not a complete ONNX model;
    needs onnx.
    """
    try:
        import onnx
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("load_onnx needs onnx: pip install 'qwedge[fpga]'") from error
    data = Path(path).read_bytes()
    try:
        model = onnx.load_model_from_string(data)
        if not any(tensor.data_location for tensor in model.graph.initializer):  # the checker would look for its file
            onnx.checker.check_model(model)
            return model
    except Exception as error:  # protobuf and the checker raise types of their own
        raise ValueError(f"{path} is not a complete ONNX model: {first_line(error)}") from error
    raise ValueError(f"{path} keeps weights in other files: save them inside, save_as_external_data=False")


def from_onnx(model: "onnx.ModelProto") -> Program:
    """The integer program of a QDQ model; of what `to_onnx` wrote, the same program.

    Each `QuantizeLinear` with its `DequantizeLinear` is a `Requantise`, a `Clip` before it narrows the word, a `Relu`
    makes it unsigned. Between them stand Gemm or MatMul, Conv, Add, MaxPool, AveragePool over powers of two, Flatten.
    Weights and biases are int8, uint8 or int32 behind a `DequantizeLinear`; their words are those of these types, even
    if the program that was exported had fewer bits there. Every scale is one power of two, every zero point 0.

    Raises `ValueError` naming the node that is something else, and the way out. Needs onnx.
    """
    return _Reader(model).program()


class _Reader:
    def __init__(self, model: "onnx.ModelProto") -> None:
        self.graph = model.graph
        self.arrays = {
            tensor.name: constant_array(tensor, f"constant {tensor.name!r}") for tensor in self.graph.initializer
        }
        self.constants: dict[str, operations.Constant] = {}
        self.real = {value.name: value for value in self.graph.input if value.name not in self.arrays}
        self.quantised: dict[str, tuple[str, Format]] = {}  # integers -> what they were, and their format
        self.clipped: dict[str, tuple[str, float, float]] = {}
        self.rectified: dict[str, str] = {}
        self.names: dict[str, str] = {}  # a tensor -> our value
        self.inputs: list[Input] = []
        self.operations: list[operations.Operation] = []

    def program(self) -> Program:
        for node in self.graph.node:
            try:
                self.read(node)
            except (ValueError, KeyError, IndexError, TypeError, OverflowError, AttributeError) as error:
                raise ValueError(f"ONNX {node.op_type} {node.name or node.output[0]!r}: {_reason(error)}") from error
        for name in self.real:
            raise ValueError(f"ONNX input {name!r} is not quantised: QuantizeLinear must read it, once")
        try:
            outputs = tuple(self.names[out.name] for out in self.graph.output)
        except KeyError as error:
            raise ValueError(f"ONNX output {error} is not a dequantised value or sum: end with one") from error
        return Program(tuple(self.inputs), tuple(self.operations), outputs)

    def read(self, node: "onnx.NodeProto") -> None:
        fields = attributes(node)
        inputs, output = list(node.input), node.output[0]
        if node.domain not in ("", "ai.onnx") or len(node.output) != 1:
            raise ValueError(f"operators of the domain {node.domain!r} are not read: use {SUPPORTED}")
        if node.op_type == "QuantizeLinear":
            format = self.format(inputs[1:], self.arrays.get(inputs[2]) if len(inputs) > 2 else np.zeros((), np.uint8))
            self.quantised[output] = (inputs[0], format)
        elif node.op_type == "DequantizeLinear":
            self.dequantise(inputs, output)
        elif node.op_type == "Clip":
            low, high = (float(self.arrays[name]) for name in inputs[1:])
            self.clipped[output] = (inputs[0], low, high)
        elif node.op_type == "Relu":
            self.rectified[output] = inputs[0]
        else:
            self.add(self.operation(node.op_type, fields, inputs, output), output)

    def operation(self, kind: str, fields: dict[str, Any], inputs: list[str], output: str) -> operations.Operation:
        name = self.name(output)
        if kind in ("Gemm", "MatMul"):
            return self.linear(kind, fields, inputs, name)
        if kind == "Conv":
            return self.convolution(fields, inputs, name)
        if kind == "Add":
            return operations.Add((self.value(inputs[0]), self.value(inputs[1])), name)
        if kind in ("MaxPool", "AveragePool"):
            require(fields, auto_pad=b"NOTSET", ceil_mode=0, storage_order=0, pads=0, dilations=1)
            size = tuple(fields["kernel_shape"])
            stride = tuple(fields.get("strides", (1,) * len(size)))
            if kind == "MaxPool":
                return operations.MaxPool((self.value(inputs[0]),), name, size, stride)
            pool = operations.AveragePool((self.value(inputs[0]),), name, size, stride)
            if math.prod(size) != 1 << pool.bits:
                raise ValueError(f"an average over {size} is not a shift: use a window of a power of two")
            return pool
        if kind == "Flatten":
            require(fields, axis=1)
            return operations.Flatten((self.value(inputs[0]),), name)
        raise ValueError(f"this operator is not supported: use {SUPPORTED}")

    def linear(self, kind: str, fields: dict[str, Any], inputs: list[str], name: str) -> operations.Operation:
        require(fields, alpha=1.0, beta=1.0, transA=0)
        weight = self.constant(inputs[1], "weight")
        if not fields.get("transB", 0) or kind == "MatMul":
            weight = operations.Constant(weight.integers.T, weight.format)
        bias = self.constant(inputs[2], "bias") if len(inputs) > 2 else None
        return operations.Linear((self.value(inputs[0]),), name, weight, bias)

    def convolution(self, fields: dict[str, Any], inputs: list[str], name: str) -> operations.Operation:
        require(fields, auto_pad=b"NOTSET", dilations=1)
        weight = self.constant(inputs[1], "weight")
        axes = weight.integers.ndim - 2
        kinds = {1: operations.Conv1d, 2: operations.Conv2d}
        if axes not in kinds:
            raise ValueError(f"a weight of shape {weight.integers.shape} is for neither one nor two axes")
        padding = symmetric_pads(fields, axes)
        stride, groups = tuple(fields.get("strides", (1,) * axes)), fields.get("group", 1)
        bias = self.constant(inputs[2], "bias") if len(inputs) > 2 else None
        source, shape = self.value(inputs[0]), weight.integers.shape
        if shape[:2] == (groups, 1) and bias is None and not any(padding) and (weight.integers == 1).all():
            pool = operations.AveragePool((source,), name, shape[2:], stride)
            if weight.format.fraction == pool.bits:  # as `to_onnx` writes it
                return pool
        return kinds[axes]((source,), name, weight, bias, stride, padding, groups)

    def dequantise(self, inputs: list[str], output: str) -> None:
        if inputs[0] in self.arrays:
            integers = self.arrays[inputs[0]]
            if integers.dtype not in (np.int8, np.uint8, np.int32):
                raise ValueError(f"weights and biases must be int8, uint8 or int32, got {integers.dtype}")
            self.constants[output] = operations.Constant(integers, self.format(inputs[1:], integers))
            return
        source, format = self.quantised[inputs[0]]
        if self.format(inputs[1:], self.arrays.get(inputs[2]) if len(inputs) > 2 else None, format) != format:
            raise ValueError("it undoes its QuantizeLinear with another scale: use one for both")
        name = self.name(output)
        source, format = self.narrowed(source, format)
        if source in self.real:
            shape = self.real.pop(source).type.tensor_type.shape
            self.inputs.append(Input(name, tuple(axis.dim_value for axis in shape.dim)[1:], format))
            self.names[output] = name
            return
        self.add(operations.Requantise((self.value(source),), name, format), output)

    def narrowed(self, source: str, format: Format) -> tuple[str, Format]:
        """What is quantised, before a clip and a ReLU, and the format that both leave."""
        if source in self.clipped:
            source, low, high = self.clipped[source]
            narrow = (Format(word, format.fraction, format.signed) for word in range(1, format.word))
            fits = [word for word in narrow if word.low * word.step == low and word.high * word.step == high]
            if not fits:
                raise ValueError(f"a Clip to {low} .. {high} is not a word of fewer bits at the scale {format.step}")
            format = fits[0]
        if source in self.rectified:
            source = self.rectified[source]
            format = Format(format.word - format.signed, format.fraction, signed=False)
        return source, format

    def format(self, scales: list[str], zero: NDArray[Any] | None, like: Format | None = None) -> Format:
        """The format of a scale and the type of a zero point."""
        every = np.unique(np.asarray(self.arrays[scales[0]], np.float64))
        if every.size != 1:
            raise ValueError(f"it has {every.size} scales: use one for the whole tensor")
        mantissa, exponent = math.frexp(float(every[0]))
        if mantissa != 0.5:
            raise ValueError(f"the scale {every[0]} is not a power of two: use 2**-n")
        points = self.arrays.get(scales[1]) if len(scales) > 1 else None
        if points is not None and points.any():
            raise ValueError("the zero point is not 0: quantise symmetrically")
        if zero is None:
            assert like is not None
            return Format(like.word, 1 - exponent, like.signed)
        return Format(8 * zero.dtype.itemsize, 1 - exponent, zero.dtype.kind == "i")

    def constant(self, tensor: str, what: str) -> operations.Constant:
        if tensor not in self.constants:
            raise ValueError(
                f"its {what} {tensor!r} is not a quantised constant: store integers behind DequantizeLinear"
            )
        return self.constants[tensor]

    def value(self, tensor: str) -> str:
        if tensor not in self.names:
            raise ValueError(f"it reads {tensor!r}, which is not a dequantised value or sum: quantise it first")
        return self.names[tensor]

    def name(self, tensor: str) -> str:
        """The tensor's name, its letters and digits, distinct from the others."""
        name = re.sub(r"\W", "_", tensor, flags=re.ASCII)
        name = name if name.isidentifier() else f"v_{name}"
        while name in self.names.values():
            name += "_"
        return name

    def add(self, operation: operations.Operation, tensor: str) -> None:
        self.operations.append(operation)
        self.names[tensor] = operation.output


def _reason(error: Exception) -> str:
    return first_line(error) if isinstance(error, ValueError) else f"it lacks an input or attribute ({error})"
