"""Chains of three equal layers of 8 bits, whose weights are kept whole or in blocks."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.mobile.peers import peer_runs
from benchmarks.mobile.settings import MobileSettings
from mobile.build.compile import compile_program
from mobile.lowering.formats import FORMATS
from qwedge.experiments.runtimes import Run, interleaved, ours
from shared.integer import Constant, Conv2d, Input, Program, Requantise
from shared.integer.format import Format
from shared.lab import JSON, Context

SHAPES = {  # channels, pixels a side, kernel
    "1x1 56": (128, 56, 1),
    "1x1 28": (256, 28, 1),
    "1x1 14": (512, 14, 1),
    "1x1 7": (512, 7, 1),
    "3x3 56": (64, 56, 3),
    "3x3 28": (128, 28, 3),
    "3x3 14": (256, 14, 3),
    "3x3 7": (512, 7, 3),
}
CHAIN, KEPT = 3, 0.25


def layer(cell: MobileSettings, context: Context) -> Mapping[str, JSON]:
    channels, size, kernel = SHAPES[cell.subject]
    x = context.rng.integers(0, 256, (1, channels, size, size))
    runs: dict[str, Run] = {}
    for name, rows in FORMATS.items():
        program = chain(channels, size, kernel, rows if name != "dense" else 0, context.rng)
        compiled = compile_program(program, context.rng, format=name, count=2)
        runs[f"ours {name}"] = ours(compiled.net, x)
        context.progress(len(runs), len(FORMATS), "compiling layers")
    model, floats = (
        quantised_chain(channels, size, kernel, context.rng),
        float_chain(channels, size, kernel, context.rng),
    )
    peers, missing = peer_runs({"int8": (model, x.astype(np.uint8)), "fp32": (floats, x.astype(np.float32))})
    return {"instructions": compiled.net.instructions, "missing": missing, **interleaved(runs | peers, cell.rounds)}


def chain(channels: int, size: int, kernel: int, rows: int, rng: np.random.Generator) -> Program:
    """Layers of 8 bits, of whose blocks of `rows` x 4 weights a quarter is kept; dense for 0."""
    operations: list[Any] = []
    last = "x"
    for k in range(CHAIN):
        weight = normal_weights((channels, channels, kernel, kernel), rng)
        if rows:
            shape = (channels // rows, channels // 4, kernel, kernel)
            kept = rng.permutation(math.prod(shape)).reshape(shape) < KEPT * math.prod(shape)
            weight *= np.repeat(np.repeat(kept, rows, 0), 4, 1)
        pads = (kernel // 2,) * 2
        operations += [
            Conv2d((last,), f"sum{k}", Constant(weight, Format(8, 7)), None, (1, 1), pads),
            Requantise((f"sum{k}",), f"y{k}", Format(8, 0, signed=False)),
        ]
        last = f"y{k}"
    return Program((Input("x", (channels, size, size), Format(8, 0, signed=False)),), tuple(operations), (last,))


def normal_weights(shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.int64]:
    """Of 8 bits, the largest of some 10,000 at the limit: about as trained layers have them."""
    return np.rint(rng.standard_normal(shape) * 32).clip(-127, 127).astype(np.int64)


def quantised_chain(channels: int, size: int, kernel: int, rng: np.random.Generator) -> bytes:
    """The chain as ONNX with QDQ, unsigned bytes in and out, weights per channel."""
    from onnx import TensorProto, helper

    nodes, constants = [], _Constants()
    step, zero = constants.add(np.float32(0.05)), constants.add(np.uint8(0))
    last = "x"
    for k in range(CHAIN):
        weight = normal_weights((channels, channels, kernel, kernel), rng).astype(np.int8)
        scale = np.full(channels, 1 / (60 * math.sqrt(channels) * kernel), np.float32)
        scales, zeros = constants.add(scale), constants.add(np.zeros(channels, np.int8))
        bias, of_bias = constants.add(np.zeros(channels, np.int32)), constants.add((scale * 0.05).astype(np.float32))
        nodes += [
            helper.make_node("DequantizeLinear", [last, step, zero], [f"x{k}"]),
            helper.make_node("DequantizeLinear", [constants.add(weight), scales, zeros], [f"w{k}"], axis=0),
            helper.make_node(
                "DequantizeLinear", [bias, of_bias, constants.add(np.zeros(channels, np.int32))], [f"b{k}"], axis=0
            ),
            helper.make_node("Conv", [f"x{k}", f"w{k}", f"b{k}"], [f"s{k}"], pads=[kernel // 2] * 4),
            helper.make_node("Relu", [f"s{k}"], [f"r{k}"]),
            helper.make_node("QuantizeLinear", [f"r{k}", step, zero], [f"q{k}"]),
        ]
        last = f"q{k}"
    return constants.model(nodes, (channels, size, size), last, TensorProto.UINT8)


def float_chain(channels: int, size: int, kernel: int, rng: np.random.Generator) -> bytes:
    """The chain as ONNX in floats."""
    from onnx import TensorProto, helper

    nodes, constants = [], _Constants()
    last = "x"
    for k in range(CHAIN):
        weight = rng.standard_normal((channels, channels, kernel, kernel)) / (math.sqrt(channels) * kernel)
        names = [last, constants.add(weight.astype(np.float32)), constants.add(np.zeros(channels, np.float32))]
        nodes += [
            helper.make_node("Conv", names, [f"s{k}"], pads=[kernel // 2] * 4),
            helper.make_node("Relu", [f"s{k}"], [f"r{k}"]),
        ]
        last = f"r{k}"
    return constants.model(nodes, (channels, size, size), last, TensorProto.FLOAT)


class _Constants:
    """The initialisers of an ONNX graph, by a name each."""

    def __init__(self) -> None:
        self.tensors: list[Any] = []

    def add(self, array: Any) -> str:
        from onnx import numpy_helper

        name = f"c{len(self.tensors)}"
        self.tensors.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def model(self, nodes: list[Any], shape: tuple[int, ...], output: str, kind: int) -> bytes:
        from onnx import helper

        ends = [helper.make_tensor_value_info(name, kind, [1, *shape]) for name in ("x", output)]
        graph = helper.make_graph(nodes, "chain", ends[:1], ends[1:], self.tensors)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
        contents: bytes = model.SerializeToString()
        return contents
