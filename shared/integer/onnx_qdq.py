"""An integer program as ONNX in the QDQ form: quantise and dequantise by powers of two around float operators."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from shared.integer import operations
from shared.integer.catalogue import require_layers
from shared.integer.format import Format
from shared.integer.program import Program

if TYPE_CHECKING:
    import onnx

EXACT = 2**24  # float32 counts to here
OPSET = 13  # the first with all of these operators in today's form, so that old runtimes read the file too
IR = 8


def to_onnx(program: Program) -> "onnx.ModelProto":
    """The program as an ONNX model from real numbers (float32) to real numbers, batch first, that computes bit for bit.

    Each `Requantise` is a `QuantizeLinear` with a power of two as scale, which rounds ties to even and saturates as we
    do. Sums stand between dequantised values, in float32, exact because every one provably stays within 2**24; an
    average pool is a depthwise convolution by ones. Read an output with `program.values[name].format.to_integers`.

    A runtime may fuse this into integer kernels. ONNX Runtime's for uint8 by int8 saturate 16-bit pairs on x86 without
    VNNI: switch its graph optimisations off where equality matters.

    Raises `ValueError` naming the value that is too wide: formats beyond 8 bits, sums beyond 2**24; and operations of
    attention. Needs onnx.
    """
    try:
        from onnx import TensorProto, checker, helper
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("to_onnx needs onnx: pip install -e '.[fpga]'") from error
    require_layers(program, "the operators that are exported")
    graph = _Graph()
    for input in program.inputs:
        graph.quantise(f"{input.name}.real", input.name, input.format)
    for operation in program.operations:
        _check(program, operation)
        graph.add(operation, program)
    inputs = [
        helper.make_tensor_value_info(f"{input.name}.real", TensorProto.FLOAT, ["batch", *input.shape])
        for input in program.inputs
    ]
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *program.values[name].shape])
        for name in program.outputs
    ]
    nodes = [helper.make_node(kind, ins, [out], name=out, **attributes) for kind, ins, out, attributes in graph.nodes]
    constants = [
        helper.make_tensor(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape, array.tobytes(), raw=True)
        for name, array in graph.constants.items()
    ]
    model = helper.make_model(
        helper.make_graph(nodes, "program", inputs, outputs, constants),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR,
        producer_name="qwedge",
    )
    checker.check_model(model, full_check=True)
    return model


def _check(program: Program, operation: operations.Operation) -> None:
    value = program.values[operation.output]
    if isinstance(operation, operations.AbstractWeighted) and operation.weight.format.word > 8:
        raise ValueError(f"ONNX export: {operation.output!r} has {operation.weight.format.word}-bit weights, at most 8")
    reach = max(-value.low, value.high)
    if isinstance(operation, operations.AbstractWeighted | operations.Add | operations.AveragePool) and reach > EXACT:
        raise ValueError(f"ONNX export: {operation.output!r} may reach {reach}, float32 is exact to {EXACT}")


class _Graph:
    """Nodes and constants. The tensor of a value's name holds it as real numbers; names with a dot are in between."""

    def __init__(self) -> None:
        self.nodes: list[tuple[str, list[str], str, dict[str, Any]]] = []
        self.constants: dict[str, np.ndarray] = {}

    def node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append((kind, inputs, output, attributes))
        return output

    def constant(self, name: str, array: ArrayLike) -> str:
        self.constants[name] = np.asarray(array, order="C")
        return name

    def quantise(self, source: str, name: str, format: Format) -> None:
        if format.word > 8:
            raise ValueError(f"ONNX export: {name!r} has {format.word} bits, at most 8")
        if format.word < 8:  # QuantizeLinear saturates at 8 bits
            ends = format.from_integers(np.array([format.low, format.high])).astype(np.float32)
            low, high = self.constant(f"{name}.low", ends[0]), self.constant(f"{name}.high", ends[1])
            source = self.node("Clip", [source, low, high], f"{name}.clipped")
        scale = self.constant(f"{name}.scale", np.float32(format.step))
        zero = self.constant(f"{name}.zero", np.zeros((), format.dtype))
        integers = self.node("QuantizeLinear", [source, scale, zero], f"{name}.integers")
        self.node("DequantizeLinear", [integers, scale, zero], name)

    def dequantised(self, name: str, constant: operations.Constant) -> str:
        integers = constant.integers if constant.format.word <= 8 else constant.integers.astype(np.int32)
        stored = self.constant(f"{name}.integers", integers)
        scale = self.constant(f"{name}.scale", np.float32(constant.format.step))
        return self.node("DequantizeLinear", [stored, scale], name)

    def add(self, operation: operations.Operation, program: Program) -> None:
        inputs, output = list(operation.inputs), operation.output
        if isinstance(operation, operations.AbstractWeighted):
            inputs += [self.dequantised(f"{output}.weight", operation.weight)]
            inputs += [self.dequantised(f"{output}.bias", operation.bias)] if operation.bias else []
        if isinstance(operation, operations.Requantise):
            self.quantise(inputs[0], output, operation.format)
        elif isinstance(operation, operations.Linear):
            self.node("Gemm", inputs, output, transB=1)
        elif isinstance(operation, operations.AbstractConvolution):
            pads = [*operation.padding, *operation.padding]
            self.node("Conv", inputs, output, strides=operation.stride, pads=pads, group=operation.groups)
        elif isinstance(operation, operations.Clip):
            step = program.values[output].format.step
            low, high = (
                self.constant(f"{output}.low", np.float32(operation.low * step)),
                self.constant(f"{output}.high", np.float32(operation.high * step)),
            )
            self.node("Clip", [*inputs, low, high], output)
        elif isinstance(operation, operations.Add):
            self.node("Add", inputs, output)
        elif isinstance(operation, operations.AveragePool):
            channels = program.values[inputs[0]].shape[0]
            ones = operations.Constant(np.ones((channels, 1, *operation.size), np.int8), Format(8, operation.bits))
            weight = self.dequantised(f"{output}.ones", ones)
            self.node("Conv", [*inputs, weight], output, strides=operation.stride, group=channels)
        elif isinstance(operation, operations.AbstractPool):
            self.node("MaxPool", inputs, output, kernel_shape=operation.size, strides=operation.stride)
        elif isinstance(operation, operations.PixelShuffle):
            self.node("DepthToSpace", inputs, output, blocksize=operation.factor, mode="CRD")
        else:
            assert isinstance(operation, operations.Flatten)
            self.node("Flatten", inputs, output, axis=1)
