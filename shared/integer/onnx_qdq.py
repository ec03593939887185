"""An integer program as ONNX in the QDQ form: quantise and dequantise by powers of two around float operators."""

from typing import TYPE_CHECKING

import numpy as np

from shared.integer import operations
from shared.integer.catalogue import LAYERS
from shared.integer.format import Format
from shared.integer.onnx_tokens import write
from shared.integer.onnx_writer import EXACT, OnnxWriter
from shared.integer.program import Program

if TYPE_CHECKING:
    import onnx

OPSET = 13  # the first with all of these operators in today's form, so that old runtimes read the file too
IR = 8


def to_onnx(program: Program) -> "onnx.ModelProto":
    """The program as an ONNX model from real numbers (float32) to real numbers, batch first, that computes bit for bit.

    Each `Requantise` is a `QuantizeLinear` with a power of two as scale, which rounds ties to even and saturates as we
    do. Sums stand between dequantised values, in float32, exact because every one provably stays within 2**24; an
    average pool is a depthwise convolution by ones. Read an output with `program.values[name].format.to_integers`.

    Values of more than 8 bits, and sums beyond 2**24, which are of float64, are rounded by `Round` and limited by
    `Clip`. Softmax, layer norms, tables and moves are nodes of integers, step by step as `shared.integer.tokens` states
    them; outputs beyond 2**24 are of float64.

    A runtime may fuse this into integer kernels. ONNX Runtime's for uint8 by int8 saturate 16-bit pairs on x86 without
    VNNI: switch its graph optimisations off where equality matters.

    Raises `ValueError` naming the value that is too wide: formats beyond 24 bits, weights beyond 8, and sums of layers
    with weights beyond 2**24. Needs onnx.
    """
    try:
        from onnx import TensorProto, checker, helper
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("to_onnx needs onnx: pip install -e '.[fpga]'") from error
    graph = OnnxWriter(dict(program.values))
    for input in program.inputs:
        graph.quantise(f"{input.name}.real", input.name, input.format)
    for operation in program.operations:
        _check(program, operation)
        if isinstance(operation, LAYERS):
            _add(graph, operation)
        else:
            write(operation, graph)
    inputs = [
        helper.make_tensor_value_info(f"{input.name}.real", TensorProto.FLOAT, ["batch", *input.shape])
        for input in program.inputs
    ]
    outputs = [
        helper.make_tensor_value_info(
            name,
            TensorProto.DOUBLE if graph.is_wide(name) else TensorProto.FLOAT,
            ["batch", *program.values[name].shape],
        )
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
    if isinstance(operation, operations.AbstractWeighted | operations.AveragePool) and reach > EXACT:
        raise ValueError(f"ONNX export: {operation.output!r} may reach {reach}, float32 is exact to {EXACT}")


def _add(graph: OnnxWriter, operation: operations.Operation) -> None:
    inputs, output = list(operation.inputs), operation.output
    if isinstance(operation, operations.AbstractWeighted):
        inputs += [graph.dequantised(f"{output}.weight", operation.weight)]
        inputs += [graph.dequantised(f"{output}.bias", operation.bias)] if operation.bias else []
    if isinstance(operation, operations.Requantise):
        graph.quantise(inputs[0], output, operation.format, graph.is_wide(inputs[0]))
    elif isinstance(operation, operations.Linear):
        graph.node("Gemm", inputs, output, transB=1)
    elif isinstance(operation, operations.AbstractConvolution):
        pads = [*operation.padding, *operation.padding]
        graph.node("Conv", inputs, output, strides=operation.stride, pads=pads, group=operation.groups)
    elif isinstance(operation, operations.Clip):
        kind, step = np.float64 if graph.is_wide(inputs[0]) else np.float32, graph.values[output].format.step
        low = graph.constant(f"{output}.low", kind(operation.low * step))
        high = graph.constant(f"{output}.high", kind(operation.high * step))
        narrows = graph.is_wide(inputs[0]) and not graph.is_wide(output)
        clipped = graph.node("Clip", [*inputs, low, high], f"{output}.clipped" if narrows else output)
        if narrows:
            graph.node("Cast", [clipped], output, to=1)
    elif isinstance(operation, operations.Add):
        graph.node("Add", graph.alike(inputs, output), output)
    elif isinstance(operation, operations.AveragePool):
        channels = graph.values[inputs[0]].shape[0]
        ones = operations.Constant(np.ones((channels, 1, *operation.size), np.int8), Format(8, operation.bits))
        weight = graph.dequantised(f"{output}.ones", ones)
        graph.node("Conv", [*inputs, weight], output, strides=operation.stride, group=channels)
    elif isinstance(operation, operations.AbstractPool):
        graph.node("MaxPool", inputs, output, kernel_shape=operation.size, strides=operation.stride)
    elif isinstance(operation, operations.PixelShuffle):
        graph.node("DepthToSpace", inputs, output, blocksize=operation.factor, mode="CRD")
    else:
        assert isinstance(operation, operations.Flatten)
        graph.node("Flatten", inputs, output, axis=1)
