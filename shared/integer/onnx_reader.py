"""Reads an ONNX model in the QDQ form with powers of two as scales back into the integer program that it computes."""

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shared.integer import operations
from shared.integer.attributes import allow, pool_window, require
from shared.integer.format import Format
from shared.integer.names import value_name
from shared.integer.onnx_external import embed, external_files
from shared.integer.onnx_head import Head
from shared.integer.onnx_nodes import (
    attributes,
    constant_array,
    first_line,
    node_constant,
    require_float,
    symmetric_pads,
    type_name,
)
from shared.integer.onnx_types import dequantised_type, format_of, quantised_type
from shared.integer.program import Input, Program

if TYPE_CHECKING:
    import onnx

SUPPORTED = (
    "QuantizeLinear, DequantizeLinear, Gemm, MatMul, Conv, Relu, Clip, Add, MaxPool, AveragePool, GlobalAveragePool, "
    "Flatten, DepthToSpace"
)


def load_onnx(path: str | Path) -> "onnx.ModelProto":
    """The model in a file, checked against ONNX's own rules, with what it keeps in other files of its own folder.

    Raises `OSError` if a file cannot be read, `ValueError`, naming the file, if it is not a complete ONNX model or has
    weights outside its folder; needs onnx.
    """
    model = _parsed(Path(path))
    try:
        embed(model, Path(path).parent)
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: {first_line(error)}") from error
    from onnx import checker

    try:
        checker.check_model(model)
    except Exception as error:  # the checker raises types of its own
        raise ValueError(f"{path} is not a complete ONNX model: {first_line(error)}") from error
    return model


def external_weights(path: str | Path) -> tuple[Path, ...]:
    """The files beside an ONNX file in which it keeps weights. Raises as `load_onnx`."""
    model = _parsed(Path(path))
    try:
        return external_files(model, Path(path).parent)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _parsed(path: Path) -> "onnx.ModelProto":
    try:
        import onnx
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("load_onnx needs onnx: pip install -e '.[fpga]'") from error
    data = path.read_bytes()
    try:
        return onnx.load_model_from_string(data)
    except Exception as error:  # protobuf raises types of its own
        raise ValueError(f"{path} is not a complete ONNX model: {first_line(error)}") from error


@dataclass(frozen=True)
class OnnxProgram:
    """An integer program, and how it relates to the model that it was read from."""

    program: Program
    tensors: tuple[str, ...]
    """The tensors of the model that the program's outputs are."""
    notes: tuple[str, ...]
    """What was left out, in sentences."""


def from_onnx(model: "onnx.ModelProto") -> Program:
    """The integer program of a QDQ model; of what `to_onnx` wrote, the same program.

    Each `QuantizeLinear` with its `DequantizeLinear` is a `Requantise`, a `Clip` before it limits it, a `Relu` makes it
    unsigned. Between them stand Gemm or MatMul, Conv, Add, MaxPool, AveragePool over powers of two, Flatten and
    DepthToSpace. Integers have 4, 8 or 16 bits, biases 32; weights and biases are constants behind a
    `DequantizeLinear`, and their words are those of their types, even if the program that was exported had fewer bits
    there. Every scale is one power of two, every zero point 0.

    Raises `ValueError` naming the node that is something else, and the way out. Needs onnx.
    """
    return read_qdq(model).program


def read_qdq(model: "onnx.ModelProto") -> OnnxProgram:
    """As `from_onnx`, with the tensors that the outputs are; a Softmax at the end is left out, and a note says so."""
    return _Reader(model).read_all()


class _Reader:
    def __init__(self, model: "onnx.ModelProto") -> None:
        self.head = Head.of(model)
        self.graph = model.graph
        self.arrays: dict[str, NDArray[Any]] = {}
        self.types: dict[str, str] = {}  # of constants and of what is quantised
        for tensor in model.graph.initializer:
            self.store(tensor.name, constant_array(tensor, f"constant {tensor.name!r}"), tensor.data_type)
        self.constants: dict[str, operations.Constant] = {}
        self.real = {value.name: value for value in self.graph.input if value.name not in self.arrays}
        self.entries: dict[str, Input] = {}  # a tensor of the model -> the input of the program that quantises it
        self.quantised: dict[str, tuple[str, Format]] = {}  # integers -> what they were, and their format
        self.clipped: dict[str, tuple[str, float, float]] = {}
        self.rectified: dict[str, str] = {}
        self.names: dict[str, str] = {}  # a tensor -> our value
        self.values: dict[str, operations.Value] = {}
        self.operations: list[operations.Operation] = []

    def read_all(self) -> OnnxProgram:
        for node in self.head.nodes:
            try:
                self.read(node)
            except (ValueError, KeyError, IndexError, TypeError, OverflowError, AttributeError) as error:
                raise ValueError(f"ONNX {node.op_type} {node.name or node.output[0]!r}: {_reason(error)}") from error
        for name in self.real:
            if name not in self.entries:
                raise ValueError(f"ONNX input {name!r} is not quantised: QuantizeLinear must read it, once")
        for name in self.head.outputs:
            if name not in self.names and name not in self.clipped:
                raise ValueError(f"ONNX output {name!r} is not a dequantised value or sum: end with one")
        outputs = tuple(self.value(name) for name in self.head.outputs)
        program = Program(tuple(self.entries.values()), tuple(self.operations), outputs)
        return OnnxProgram(program, self.head.outputs, self.head.notes)

    def store(self, name: str, array: NDArray[Any], data_type: int) -> None:
        self.types[name] = type_name(data_type)
        narrow = self.types[name] in ("INT4", "UINT4")  # NumPy has no such type of its own
        self.arrays[name] = array.astype(np.int8) if narrow else array

    def read(self, node: "onnx.NodeProto") -> None:
        fields = attributes(node)
        inputs, output = list(node.input), node.output[0]
        if node.domain not in ("", "ai.onnx") or len(node.output) != 1:
            raise ValueError(f"operators of the domain {node.domain!r} are not read: use {SUPPORTED}")
        if node.op_type == "Constant":
            from onnx import helper

            array = node_constant(node)
            stored = fields["value"].data_type if "value" in fields else helper.np_dtype_to_tensor_dtype(array.dtype)
            self.store(output, array, stored)
        elif node.op_type == "QuantizeLinear":
            kind = quantised_type(fields, self.types[inputs[2]] if inputs[2:] and inputs[2] else "")
            self.types[output] = kind
            self.quantised[output] = (inputs[0], self.format(kind, inputs))
        elif node.op_type == "DequantizeLinear":
            self.dequantise(fields, inputs, output)
        elif node.op_type == "Clip":
            self.clipped[output] = (inputs[0], *self.limits(fields, inputs))
        elif node.op_type == "Relu":
            self.rectified[output] = inputs[0]
        elif node.op_type == "Identity" and inputs[0] in self.names:
            self.names[output] = self.names[inputs[0]]
        elif node.op_type == "Add" and any(name in self.constants for name in inputs):
            self.bias(inputs, output)
        else:
            self.add(self.operation(node.op_type, fields, inputs, output), output)

    def operation(self, kind: str, fields: dict[str, Any], inputs: list[str], output: str) -> operations.Operation:
        name = self.name(output)
        if kind in ("Gemm", "MatMul"):
            return self.linear(kind, fields, inputs, name)
        if kind == "Conv":
            return self.convolution(fields, inputs, name)
        if kind == "Add":
            allow(fields)
            return operations.Add((self.value(inputs[0]), self.value(inputs[1])), name)
        if kind in ("MaxPool", "AveragePool", "GlobalAveragePool"):
            return self.pool(kind, fields, self.value(inputs[0]), name)
        if kind == "Flatten":
            allow(fields, "axis")
            require(fields, axis=1)
            return operations.Flatten((self.value(inputs[0]),), name)
        if kind == "DepthToSpace":
            allow(fields, "blocksize", "mode")
            require({"mode": fields.get("mode", b"DCR")}, mode=b"CRD")
            return operations.PixelShuffle((self.value(inputs[0]),), name, fields["blocksize"])
        raise ValueError(f"this operator is not supported: use {SUPPORTED}")

    def linear(self, kind: str, fields: dict[str, Any], inputs: list[str], name: str) -> operations.Operation:
        allow(fields, "alpha", "beta", "transA", "transB")
        require(fields, alpha=1.0, beta=1.0, transA=0)
        weight = self.constant(inputs[1], "weight")
        if not fields.get("transB", 0) or kind == "MatMul":
            weight = operations.Constant(weight.integers.T, weight.format)
        bias = self.bias_of(inputs[2], weight) if inputs[2:] and inputs[2] else None
        return operations.Linear((self.value(inputs[0]),), name, weight, bias)

    def convolution(self, fields: dict[str, Any], inputs: list[str], name: str) -> operations.Operation:
        allow(fields, "auto_pad", "dilations", "group", "kernel_shape", "pads", "strides")
        require(fields, auto_pad=b"NOTSET", dilations=1)
        weight = self.constant(inputs[1], "weight")
        axes = weight.integers.ndim - 2
        kinds = {1: operations.Conv1d, 2: operations.Conv2d}
        if axes not in kinds:
            raise ValueError(f"a weight of shape {weight.integers.shape} is for neither one nor two axes")
        if tuple(fields.get("kernel_shape", weight.integers.shape[2:])) != weight.integers.shape[2:]:
            raise ValueError(
                f"its kernel_shape {fields['kernel_shape']} is not that of its weight {weight.integers.shape}"
            )
        padding = symmetric_pads(fields, axes)
        stride, groups = tuple(fields.get("strides", (1,) * axes)), fields.get("group", 1)
        bias = self.constant(inputs[2], "bias") if inputs[2:] and inputs[2] else None
        source, shape = self.value(inputs[0]), weight.integers.shape
        if shape[:2] == (groups, 1) and bias is None and not any(padding) and (weight.integers == 1).all():
            pool = operations.AveragePool((source,), name, shape[2:], stride)
            if weight.format.fraction == pool.bits:  # as `to_onnx` writes it
                return pool
        return kinds[axes]((source,), name, weight, bias, stride, padding, groups)

    def pool(self, kind: str, fields: dict[str, Any], source: str, name: str) -> operations.Operation:
        if kind == "GlobalAveragePool":
            allow(fields)
            fields = {"kernel_shape": self.values[source].shape[1:]}
        size, stride = pool_window(fields)
        if kind == "MaxPool":
            return operations.MaxPool((source,), name, size, stride)
        pool = operations.AveragePool((source,), name, size, stride)
        if math.prod(size) != 1 << pool.bits:
            raise ValueError(f"an average over {size} is not a shift: use a window of a power of two")
        return pool

    def bias(self, inputs: list[str], output: str) -> None:
        """A constant added to the product before it, which nothing else reads, is its bias."""
        value, constant = sorted(inputs, key=lambda name: name in self.constants)
        before = next((step for step in self.operations if step.output == self.value(value)), None)
        readers = sum(value in node.input for node in self.head.nodes) + self.head.outputs.count(value)
        if not isinstance(before, operations.AbstractWeighted) or before.bias is not None or readers != 1:
            raise ValueError(
                "a constant can be added to a Gemm, MatMul or Conv alone, once: give it to one as its bias"
            )
        bias, axes = self.constants[constant], self.values[before.output].shape
        shape = (1,) * (len(axes) + 1 - bias.integers.ndim) + bias.integers.shape
        if shape not in ((1, axes[0], *(1 for _ in axes[1:])), (1,) * (len(axes) + 1)):
            raise ValueError(f"a constant of shape {bias.integers.shape} cannot be the bias of {axes[0]} channels")
        flat = operations.Constant(bias.integers.reshape(-1), bias.format)
        biased = replace(before, bias=_as_many(flat, axes[0]))
        self.values[before.output] = self.infer(biased)
        self.operations[self.operations.index(before)] = biased
        self.names[output] = before.output

    def bias_of(self, tensor: str, weight: operations.Constant) -> operations.Constant:
        """The bias of a Gemm, which may be one number for all outputs."""
        bias, out = self.constant(tensor, "bias"), len(weight.integers)
        if bias.integers.size not in (1, out) or max(bias.integers.shape, default=1) != bias.integers.size:
            raise ValueError(f"a bias of {out} numbers is needed, got {bias.integers.shape}")
        return _as_many(operations.Constant(bias.integers.reshape(-1), bias.format), out)

    def dequantise(self, fields: dict[str, Any], inputs: list[str], output: str) -> None:
        zero = self.types[inputs[2]] if inputs[2:] and inputs[2] else ""
        if inputs[0] in self.arrays:
            kind = dequantised_type(fields, self.types[inputs[0]], zero)
            self.constants[output] = operations.Constant(self.arrays[inputs[0]], self.format(kind, inputs))
            return
        source, format = self.quantised[inputs[0]]
        kind = dequantised_type(fields, self.types[inputs[0]], zero)
        if self.format(kind, inputs) != format:
            raise ValueError("it undoes its QuantizeLinear with another scale: use one for both")
        if inputs[0] in self.names:  # read by another DequantizeLinear before
            self.names[output] = self.names[inputs[0]]
        else:
            self.quantise(source, format, output)
        self.names[inputs[0]] = self.names[output]

    def quantise(self, source: str, format: Format, output: str) -> None:
        """What is quantised, and the clip and the ReLU before it: a word of fewer bits, or limits inside the word."""
        limits = (format.low, format.high)
        while source in self.clipped or source in self.rectified:  # as rounding and limits are monotone, limits commute
            source, *ends = self.clipped.get(source) or (self.rectified[source], 0.0, math.inf)
            low, high = np.rint(np.array(ends) / format.step).clip(*limits).astype(np.int64).tolist()
            limits = (low, high)
        narrow = _narrowest(format, *limits)
        if source in self.real:
            self.enter(source, narrow, output)
        else:
            self.add(operations.Requantise((self.value(source),), self.name(output), narrow), output)
        if limits != (narrow.low, narrow.high):
            self.add(operations.Clip((self.names[output],), self.name(output), *limits), output)

    def enter(self, source: str, format: Format, output: str) -> None:
        """An input of the model, quantised, is an input of the program."""
        entry = self.entries.setdefault(source, Input(self.name(output), require_float(self.real[source]), format))
        if entry.format != format:
            raise ValueError(f"the input {source!r} is quantised in two ways: use one scale and type for it")
        self.names[output] = entry.name
        self.values[entry.name] = operations.Value.full(entry.shape, format)

    def clip(self, source: str, low: float, high: float, output: str) -> None:
        """A Clip that nothing quantises."""
        format = self.values[self.value(source)].format
        ends = np.array([low, high]).clip(format.low * format.step, format.high * format.step) / format.step
        if (ends != np.rint(ends)).any():
            raise ValueError(f"a Clip to {low} .. {high} has no integers at the scale {format.step}: quantise it")
        self.add(operations.Clip((self.value(source),), self.name(output), *map(int, ends)), output)

    def limits(self, fields: dict[str, Any], inputs: list[str]) -> tuple[float, float]:
        """Of a Clip: inputs since opset 11, attributes before."""
        allow(fields, "min", "max")
        ends = [fields.get("min", -math.inf), fields.get("max", math.inf)]
        for place, name in enumerate(inputs[1:]):
            ends[place] = float(self.arrays[name]) if name else ends[place]
        if not ends[0] <= ends[1]:
            raise ValueError(f"a Clip to {ends[0]} .. {ends[1]} is empty")
        return ends[0], ends[1]

    def format(self, kind: str, inputs: list[str]) -> Format:
        """The format of integers whose scale and zero point are the second and third of `inputs`."""
        zero = self.arrays[inputs[2]] if inputs[2:] and inputs[2] else None
        return format_of(kind, self.arrays[inputs[1]], zero)

    def constant(self, tensor: str, what: str) -> operations.Constant:
        if tensor not in self.constants:
            raise ValueError(
                f"its {what} {tensor!r} is not a quantised constant: store integers behind DequantizeLinear"
            )
        return self.constants[tensor]

    def value(self, tensor: str) -> str:
        if tensor in self.clipped and tensor not in self.names:
            self.clip(*self.clipped[tensor], tensor)
        if tensor not in self.names or tensor in self.quantised:
            raise ValueError(f"it reads {tensor!r}, which is not a dequantised value or sum: quantise it first")
        return self.names[tensor]

    def name(self, tensor: str) -> str:
        """The tensor's name, its letters and digits, distinct from the others."""
        return value_name(tensor, self.values)

    def add(self, operation: operations.Operation, tensor: str) -> None:
        self.values[operation.output] = self.infer(operation)
        self.operations.append(operation)
        self.names[tensor] = operation.output

    def infer(self, operation: operations.Operation) -> operations.Value:
        return operation.infer(*(self.values[name] for name in operation.inputs))


def _as_many(bias: operations.Constant, out: int) -> operations.Constant:
    """One number for each of `out` outputs."""
    return operations.Constant(np.broadcast_to(bias.integers, (out,)), bias.format)


def _narrowest(format: Format, low: int, high: int) -> Format:
    """The word of fewest bits at the same scale whose ends are `low` and `high`; the format, unsigned if `low` is 0."""
    for signed in (True, False):
        for word in range(1, format.word + 1):
            narrow = Format(word, format.fraction, signed)
            if (narrow.low, narrow.high) == (low, high):
                return narrow
    if low >= 0 and format.signed:
        return Format(format.word - 1, format.fraction, signed=False)
    return format


def _reason(error: Exception) -> str:
    return first_line(error) if isinstance(error, ValueError) else f"it lacks an input or attribute ({error})"
