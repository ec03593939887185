"""Every type that QuantizeLinear can carry is read as ONNX Runtime computes it, or refused by name."""

import re

import numpy as np
import pytest

from shared.importers import onnx_runtime
from shared.importers.onnx_runtime import require_equal
from shared.integer import onnx_reader
from shared.integer.format import Format
from shared.integer.onnx_reader import read_qdq

onnx = pytest.importorskip("onnx", reason="pip install -e '.[fpga]'")
pytest.importorskip("onnxruntime", reason="ONNX Runtime is the oracle: pip install -e '.[mobile]'")
from onnx import TensorProto, helper  # noqa: E402

KINDS = {name: getattr(TensorProto, name) for name in ("INT4", "UINT4", "INT8", "UINT8", "INT16", "UINT16")}
OTHERS = {name: getattr(TensorProto, name) for name in ("FLOAT8E4M3FN", "FLOAT8E5M2", "INT32")}


def tensor(name, kind, values, shape=()):
    return helper.make_tensor(name, kind, shape, np.asarray(values).ravel().tolist())


def dense(input, output, *, stated="zero", weight="INT8", middle=(), opset=21, bias=None, fields=None):
    """A MatMul in the QDQ form; a type is stated by the zero point, by `output_dtype`, by both, or not at all."""
    kinds, constants = KINDS | OTHERS, []
    low, high = (-8, 8) if weight == "INT4" else (0, 16) if weight == "UINT4" else (-100, 100)
    numbers = np.random.default_rng(0).integers(low, high, (8, 4))
    constants += [tensor("w", kinds[weight], numbers, (8, 4)), tensor("sw", TensorProto.FLOAT, 2.0**-5)]
    constants += [tensor("sx", TensorProto.FLOAT, 2.0**-3), tensor("sy", TensorProto.FLOAT, 2.0**-2)]
    nodes = []

    def quantise(source, scale, kind, output):
        zero, attributes = [], dict(fields or {})
        if stated in ("zero", "both"):
            constants.append(tensor(f"z{output}", kinds[kind], 0))
            zero = [f"z{output}"]
        if stated in ("attribute", "both"):
            attributes["output_dtype"] = kinds[kind]
        nodes.append(helper.make_node("QuantizeLinear", [source, scale, *zero], [f"q{output}"], **attributes))
        nodes.append(helper.make_node("DequantizeLinear", [f"q{output}", scale, *zero], [output]))

    quantise("x", "sx", input, "a")
    nodes.append(helper.make_node("DequantizeLinear", ["w", "sw"], ["W"]))
    nodes.append(helper.make_node("MatMul", ["a", "W"], ["m"]))
    nodes += middle
    quantise(middle[-1].output[0] if middle else "m", "sy", output, "y")
    ends = [
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", size])] for name, size in (("x", 8), ("y", 4))
    ]
    constants += bias or []
    graph = helper.make_graph(nodes, "net", *ends, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


def compared(net):
    read = read_qdq(net)
    assert require_equal(net, read.program, read.tensors).samples == onnx_runtime.SAMPLES
    return read.program


@pytest.mark.parametrize("stated", ["zero", "attribute", "both"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_type_is_read_as_the_runtime_computes_it(kind, stated):
    program = compared(dense(kind, kind, stated=stated))
    word, signed = int(kind.strip("UINT")), kind[0] == "I"
    assert program.inputs[0].format == Format(word, 3, signed)
    assert program.values["y"].format == Format(word, 2, signed)


def test_without_a_type_integers_are_unsigned_bytes():
    assert compared(dense("UINT8", "UINT8", stated="nothing")).inputs[0].format == Format(8, 3, signed=False)


@pytest.mark.parametrize("kind", ["INT4", "UINT4", "INT16"])
def test_weights_of_a_type_are_read_as_the_runtime_computes_them(kind):
    program = compared(dense("INT8", "INT8", weight=kind))
    assert program.operations[0].weight.format == Format(int(kind.strip("UINT")), 5, kind[0] == "I")


@pytest.mark.parametrize("kind", OTHERS)
@pytest.mark.parametrize("stated", ["zero", "attribute"])
def test_a_type_that_is_not_read_is_refused_by_name(kind, stated):
    with pytest.raises(ValueError, match=f"integers of type {kind} are not supported: use INT4, UINT4, INT8"):
        read_qdq(dense(kind, "INT8", stated=stated))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"block_size": 2}, "block_size=2 is not supported: it must be 0"),
        ({"precision": TensorProto.FLOAT16}, "precision=FLOAT16 is not supported: divide in FLOAT"),
        (
            {"output_dtype": TensorProto.UINT8},
            "its output_dtype is UINT8 but its zero point is INT8: give both one type",
        ),
        ({"unheard_of": 1}, "unheard_of=1 is not supported: leave it out"),
    ],
)
def test_an_attribute_is_read_or_refused_by_name(fields, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        read_qdq(dense("INT8", "INT8", fields=fields))
    assert compared(dense("INT8", "INT8", fields={"saturate": 1, "axis": 0})).inputs[0].format.signed


@pytest.mark.parametrize(("low", "high"), [(0.0, 6.0), (-3.0, 3.0), (0.3, 5.1), (-1e9, 2.0), (-32.0, 31.75)])
def test_a_clip_before_integers_limits_them(low, high):
    ends = [tensor("low", TensorProto.FLOAT, low), tensor("high", TensorProto.FLOAT, high)]
    program = compared(dense("INT8", "INT8", middle=[helper.make_node("Clip", ["m", "low", "high"], ["c"])], bias=ends))
    integers = np.clip(np.rint(np.array([low, high]) * 4), -128, 127)
    value = program.values[program.outputs[0]]
    assert (value.low, value.high) == tuple(integers)


@pytest.mark.parametrize("shape", [(4,), (1, 4), (1,), ()])
@pytest.mark.parametrize("kind", ["Add", "Gemm"])
def test_a_constant_behind_a_product_is_its_bias(kind, shape):
    numbers = np.random.default_rng(1).integers(-900, 900, shape)
    bias = [tensor("b", TensorProto.INT32, numbers, shape), tensor("sb", TensorProto.FLOAT, 2.0**-8)]
    middle = [helper.make_node("DequantizeLinear", ["b", "sb"], ["B"]), helper.make_node("Add", ["B", "m"], ["s"])]
    net = dense("INT8", "INT8", middle=middle, bias=bias)
    if kind == "Gemm":
        nodes = [node for node in net.graph.node if node.op_type != "Add"]
        product = next(node for node in nodes if node.op_type == "MatMul")
        nodes.remove(product)
        at = next(place for place, node in enumerate(nodes) if node.output[0] == "B")
        nodes.insert(at + 1, helper.make_node("Gemm", ["a", "W", "B"], ["s"]))
        del net.graph.node[:]
        net.graph.node.extend(nodes)
    assert (compared(net).operations[0].bias.integers == np.broadcast_to(numbers.ravel(), 4)).all()


def test_what_is_read_by_two_is_one_value():
    net = dense("INT8", "INT8", middle=[helper.make_node("Add", ["m", "m2"], ["s"])])
    again = [
        helper.make_node("DequantizeLinear", ["qa", "sx", "za"], ["a2"]),
        helper.make_node("MatMul", ["a2", "W"], ["m2"]),
    ]
    for place, node in enumerate(again):
        net.graph.node.insert(4 + place, node)
    assert [step.inputs for step in compared(net).operations[:2]] == [("a",), ("a",)]


@pytest.mark.parametrize("size", [4, 8])
def test_a_global_average_over_a_power_of_two_is_a_pool(size):
    constants = [tensor("s", TensorProto.FLOAT, 0.25), tensor("z", TensorProto.INT8, 0)]
    nodes = [("QuantizeLinear", ["x", "s", "z"], "q"), ("DequantizeLinear", ["q", "s", "z"], "a")]
    nodes += [
        ("GlobalAveragePool", ["a"], "g"),
        ("QuantizeLinear", ["g", "s", "z"], "p"),
        ("DequantizeLinear", ["p", "s", "z"], "y"),
    ]
    ends = [[helper.make_tensor_value_info(n, TensorProto.FLOAT, ["n", 3, k, k])] for n, k in (("x", size), ("y", 1))]
    graph = helper.make_graph([helper.make_node(k, i, [o]) for k, i, o in nodes], "net", *ends, constants)
    net = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    assert compared(net).operations[0].size == (size, size)


def test_a_softmax_at_the_end_is_left_out_and_said():
    net = dense("INT8", "INT8")
    net.graph.node.append(helper.make_node("Softmax", ["y"], ["p"]))
    net.graph.output[0].name = "p"
    read = read_qdq(net)
    assert (read.tensors, read.notes[0][:29]) == (("y",), "Softmax at the end is left ou")
    assert require_equal(net, read.program, read.tensors).samples


def test_names_are_words_of_no_language_and_each_its_own():
    net = dense("INT8", "INT8")
    for node in net.graph.node:
        for names in (node.input, node.output):
            names[:] = [{"a": "a.b", "m": "a_b", "y": "int"}.get(name, name) for name in names]
    net.graph.output[0].name = "int"
    assert [*compared(net).values] == ["a_b", "a_b_", "v_int"]


@pytest.mark.parametrize("misread", ["UINT8", "INT4", "INT16"])
def test_a_misread_type_shows(misread, monkeypatch):
    """The comparison sees the fault that it is for: without it, hardware equals a program that is another net."""
    monkeypatch.setattr(onnx_reader, "quantised_type", lambda fields, zero: misread)
    monkeypatch.setattr(onnx_reader, "dequantised_type", lambda fields, kind, zero: kind)
    net = dense("INT8", "INT8")
    read = read_qdq(net)
    with pytest.raises(ValueError, match=r"'y' was read otherwise than ONNX Runtime .* computes it \(.* off at most\)"):
        require_equal(net, read.program, read.tensors)


def test_without_the_runtime_nothing_is_claimed(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    net = dense("INT8", "INT8")
    read = read_qdq(net)
    result = require_equal(net, read.program, read.tensors)
    assert (result.runtime, result.samples) == ("", 0)
    assert "pip install onnxruntime" in result.note
