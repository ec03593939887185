"""An integer program survives ONNX; of other models, each node is read exactly or refused by name."""

import re
import sys

import numpy as np
import pytest
from integer_programs import PROGRAMS, bias, constant, dense, line, samples

from shared.integer import AveragePool, Input, Linear, Program, Requantise, run
from shared.integer.format import Format
from shared.integer.onnx_qdq import to_onnx
from shared.integer.onnx_reader import external_weights, from_onnx, load_onnx

onnx = pytest.importorskip("onnx", reason="pip install -e '.[fpga]'")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("seed", range(3))
def test_what_was_exported_reads_back_equal(program, seed):
    program = PROGRAMS[program](seed)
    assert from_onnx(to_onnx(program)) == program


def test_words_of_less_than_eight_bits_read_back_equal_but_weights_take_their_type():
    rng = np.random.default_rng(2)
    narrow = Program(
        (Input("x", (9,), Format(5, 2)),),
        (
            Linear(("x",), "a", constant(rng, (8, 9), Format(4, 3)), bias(rng, 8, 5)),
            Requantise(("a",), "b", Format(3, 0, signed=False)),
            Requantise(("a",), "c", Format(6, 1)),
        ),
        ("b", "c"),
    )
    actual = from_onnx(to_onnx(narrow))
    assert (actual.inputs, actual.operations[1:]) == (narrow.inputs, narrow.operations[1:])
    assert actual.operations[0].weight.format == Format(8, 3)
    assert actual.values == narrow.values


def model(*nodes, inputs=("x.real",), outputs=("y",), shape=(3,), **arrays):
    """A model of nodes given as (type, inputs, output, attributes)."""
    made = [helper.make_node(kind, ins, [out], name=out, **fields) for kind, ins, out, fields in nodes]
    ends = [[helper.make_tensor_value_info(name, TensorProto.FLOAT, ["b", *shape]) for name in inputs]]
    ends += [[helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]]
    tensors = [numpy_helper.from_array(np.asarray(array), name) for name, array in arrays.items()]
    return helper.make_model(
        helper.make_graph(made, "net", *ends, tensors), opset_imports=[helper.make_opsetid("", 13)]
    )


CONSTANTS = {
    "s": np.float32(0.25),
    "z": np.int8(0),
    "one": np.int8(1),
    "third": np.float32(0.3),
    "scales": np.float32([0.5, 0.25]),
    "w": np.int8([[1, -2], [3, -4], [5, 6]]),
    "kernel": np.int8([[[1, 2, 3]]]),
    "zu": np.uint8(0),
    "b2": np.int32([7, -9]),
    "b3": np.int32([7, -9, 5]),
    "s16": np.float32(1 / 16),
    "halves": np.float32([0.5, 0.5]),
    "zeros": np.int8([0, 1]),
    "half": np.float16(0.5),
    "scale2": np.float32(2),
    "low": np.float32(-3),
    "high": np.float32(3),
}
INPUT = (("QuantizeLinear", ["x.real", "s", "z"], "q", {}), ("DequantizeLinear", ["q", "s", "z"], "x", {}))
WEIGHT = ("DequantizeLinear", ["w", "s"], "W", {})
KERNEL = ("DequantizeLinear", ["kernel", "s"], "K", {})
BIAS = ("DequantizeLinear", ["b3", "s16"], "B", {})
BIAS2 = ("DequantizeLinear", ["b2", "s16"], "B", {})


def test_a_relu_before_a_signed_word_leaves_seven_bits():
    again = ("QuantizeLinear", ["r", "s", "z"], "q2", {}), ("DequantizeLinear", ["q2", "s", "z"], "y", {})
    net = model(*INPUT, WEIGHT, ("MatMul", ["x", "W"], "m", {}), ("Relu", ["m"], "r", {}), *again, **CONSTANTS)
    program = from_onnx(net)
    assert program.operations[1] == Requantise(("m",), "y", Format(7, 2, signed=False))
    x = samples(program, 50)[0]
    integers = np.clip(np.rint(np.maximum(x @ CONSTANTS["w"].astype(int), 0) / 4), 0, 127)
    np.testing.assert_array_equal(run(program, x)["y"], integers)


def test_names_become_letters_and_digits():
    net = model(*INPUT, WEIGHT, ("MatMul", ["x", "W"], "/1/Mat.Mul", {}), outputs=("/1/Mat.Mul",), **CONSTANTS)
    assert from_onnx(net).outputs == ("_1_Mat_Mul",)


def test_an_average_over_a_power_of_two_is_read():
    pool = ("AveragePool", ["x"], "y", {"kernel_shape": [4], "strides": [2]})
    program = from_onnx(model(*INPUT, pool, shape=(2, 8), **CONSTANTS))
    assert program.operations == (AveragePool(("x",), "y", (4,), (2,)),)


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ([("Sigmoid", ["x"], "y", {})], "ONNX Sigmoid 'y': this operator is not supported: use Qu"),
        ([("Gemm", ["x", "w"], "y", {})], "ONNX Gemm 'y': its weight 'w' is not a quantised constant"),
        ([WEIGHT, ("Gemm", ["x", "W"], "y", {"alpha": 2.0})], "alpha=2.0 is not supported: it must be 1.0"),
        ([WEIGHT, ("Gemm", ["q", "W"], "y", {})], "it reads 'q', which is not a dequantised value or sum: quantise it"),
        ([WEIGHT, ("Gemm", ["x", "W"], "y", {"transB": 1})], "a weight (3, 2) needs (2,), got (3,)"),
        (
            [("DequantizeLinear", ["w", "third"], "y", {})],
            "the scale 0.30000001192092896 is not a power of two: use",
        ),
        ([("DequantizeLinear", ["w", "scales"], "y", {})], "it has 2 scales: use one for the whole tensor"),
        ([("DequantizeLinear", ["w", "s", "one"], "y", {})], "the zero point is not 0: quantise symmetrically"),
        ([("DequantizeLinear", ["s", "s"], "y", {})], "integers of type FLOAT are not supported: use INT4, "),
        ([("DequantizeLinear", ["q", "low"], "y", {})], "the scale -3.0 is not a power of two"),
        (
            [("AveragePool", ["x"], "y", {"kernel_shape": [3]})],
            "an average over (3,) is not a shift: use a window of",
        ),
        (
            [("MaxPool", ["x"], "y", {"kernel_shape": [2], "pads": [1, 0]})],
            "pads=[1, 0] is not supported: it must be",
        ),
        ([("MaxPool", ["x"], "y", {})], "ONNX MaxPool 'y': it lacks an input or attribute ('kernel_shape')"),
        (
            [("DequantizeLinear", ["kernel", "s"], "K", {}), ("Conv", ["x", "K"], "y", {"pads": [1, 0]})],
            "ONNX Conv 'y': pads (1, 0) differ between the sides: pad alike",
        ),
        ([("Flatten", ["x"], "y", {"axis": 0})], "axis=0 is not supported: it must be 1"),
        ([("Identity", ["w"], "z2", {})], "ONNX Identity 'z2': this operator is not supported"),
        ([("DequantizeLinear", ["w", "s", "zu"], "y", {})], "its zero point is UINT8 but its integers are INT8"),
        ([("DequantizeLinear", ["w", "half"], "y", {})], "its scale is of float16: float32 is needed"),
        ([WEIGHT, ("MatMul", ["x", "W"], "m", {}), ("Add", ["m", "K3"], "y", {})], "it reads 'K3', which is not a"),
        ([WEIGHT, ("Add", ["x", "W"], "y", {})], "a constant can be added to a Gemm, MatMul or Conv alone"),
        ([("Clip", ["x", "high", "low"], "c", {}), ("Flatten", ["c"], "y", {})], "a Clip to 3.0 .. -3.0 is empty"),
        (
            [("Clip", ["x", "third", "high"], "c", {}), ("Flatten", ["c"], "y", {})],
            "a Clip to 0.30000001192092896 .. 3.0 has no integers at the scale 0.25: quantise it",
        ),
        (
            [("Conv", ["x", "kernel"], "y", {})],
            "ONNX Conv 'y': its weight 'kernel' is not a quantised constant",
        ),
        ([("Relu", ["x"], "r", {}), ("Flatten", ["r"], "y", {})], "it reads 'r', which is not a dequantised value"),
        (
            [("MaxPool", ["x"], "y", {"kernel_shape": [2], "ceil_mode": 1})],
            "ceil_mode=1 is not supported: it must be 0",
        ),
        (
            [("QuantizeLinear", ["x.real", "scale2", "z"], "q2", {}), ("DequantizeLinear", ["q2", "scale2"], "y", {})],
            "the input 'x.real' is quantised in two ways: use one scale and type for it",
        ),
        ([WEIGHT, ("Gemm", ["x", "W"], "y", {"beta": 2.0})], "beta=2.0 is not supported: it must be 1.0"),
        ([WEIGHT, ("Gemm", ["x", "W"], "y", {"transA": 1})], "transA=1 is not supported: it must be 0"),
        ([WEIGHT, BIAS, ("Gemm", ["x", "W", "B"], "y", {})], "a bias of 2 numbers is needed, got (3,)"),
        (
            [WEIGHT, BIAS, ("MatMul", ["x", "W"], "m", {}), ("Add", ["m", "B"], "y", {})],
            "a constant of shape (3,) cannot be",
        ),
        ([KERNEL, ("Conv", ["x", "K"], "y", {"auto_pad": "SAME_UPPER"})], "auto_pad=b'SAME_UPPER' is not supported"),
        ([KERNEL, ("Conv", ["x", "K"], "y", {"dilations": [2]})], "dilations=[2] is not supported: it must be 1"),
        ([KERNEL, ("Conv", ["x", "K"], "y", {"kernel_shape": [2]})], "its kernel_shape [2] is not that of its weight"),
        ([("MaxPool", ["x"], "y", {"kernel_shape": [2], "auto_pad": "VALID"})], "auto_pad=b'VALID' is not supported"),
        ([("MaxPool", ["x"], "y", {"kernel_shape": [2], "dilations": [2]})], "dilations=[2] is not supported"),
        ([("MaxPool", ["x"], "y", {"kernel_shape": [2], "storage_order": 1})], "storage_order=1 is not supported"),
        ([("DequantizeLinear", ["q", "scale2", "z"], "y", {})], "it undoes its QuantizeLinear with another scale"),
        ([("DequantizeLinear", ["w", "halves", "zeros"], "y", {})], "the zero point is not 0: quantise symmetrically"),
        ([("Relu", ["x"], "y", {"domain": "com.microsoft"})], "operators of the domain 'com.microsoft' are not read"),
        (
            [
                WEIGHT,
                BIAS2,
                ("MatMul", ["x", "W"], "m", {}),
                ("Add", ["m", "B"], "a", {}),
                ("Add", ["a", "m"], "y", {}),
            ],
            "a constant can be added to a Gemm, MatMul or Conv alone, once",
        ),
        (
            [WEIGHT, BIAS2, ("Gemm", ["x", "W", "B"], "m", {}), ("Add", ["m", "B"], "y", {})],
            "a constant can be added to a Gemm, MatMul or Conv alone, once",
        ),
        ([("Softmax", ["x"], "y", {"axis": 0})], "ONNX Softmax 'y': axis=0 is not that of the classes"),
        ([("Relu", ["x"], "y", {})], "ONNX output 'y' is not a dequantised value or sum"),
    ],
)
def test_a_node_that_cannot_be_read_is_named(nodes, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        from_onnx(model(*INPUT, *nodes, **CONSTANTS))


def test_an_input_that_is_not_quantised_is_named():
    with pytest.raises(ValueError, match=r"ONNX input 'z.real' is not quantised: QuantizeLinear must read it, once"):
        from_onnx(model(*INPUT, inputs=("x.real", "z.real"), outputs=("x",), **CONSTANTS))


def test_a_file_reads_back(tmp_path):
    path = tmp_path / "net.onnx"
    path.write_bytes(to_onnx(line()).SerializeToString())
    assert from_onnx(load_onnx(path)) == line()
    with pytest.raises(FileNotFoundError):
        load_onnx(tmp_path / "none.onnx")


def beside(net, folder, location="weights/net.bin"):
    """The model in a file, its weights at `location`; the second file holds other bytes before and behind them."""
    tensors = [tensor for tensor in net.graph.initializer if tensor.name.endswith("weight.integers")]
    (folder / "weights").mkdir()
    data = b"before"
    for tensor in tensors:
        raw = tensor.raw_data
        onnx.external_data_helper.set_external_data(tensor, location, offset=len(data), length=len(raw))
        tensor.ClearField("raw_data")
        data += raw
    (folder / "weights" / "net.bin").write_bytes(data + b"behind")
    (folder / "net.onnx").write_bytes(net.SerializeToString())
    return folder / "net.onnx"


def test_weights_beside_the_model_are_read_from_its_folder(tmp_path, monkeypatch):
    (tmp_path / "model").mkdir()
    path = beside(to_onnx(dense()), tmp_path / "model")
    monkeypatch.chdir(tmp_path)  # a runtime would look here
    assert from_onnx(load_onnx(path)) == dense()
    assert external_weights(path) == (tmp_path / "model" / "weights" / "net.bin",)
    (tmp_path / "model" / "weights" / "net.bin").write_bytes(b"short")
    with pytest.raises(ValueError, match=r"the weights '.*' need \d+ bytes at 6 of net.bin, which is another file"):
        load_onnx(path)


@pytest.mark.parametrize("location", ["../elsewhere", "/etc/hostname", "", "link/net.bin", "weights"])
def test_weights_outside_the_folder_of_the_model_are_refused(location, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "elsewhere").write_bytes(b"0" * 999)
    (tmp_path / "model" / "link").symlink_to(tmp_path)
    path = beside(to_onnx(dense()), tmp_path / "model", location)
    with pytest.raises(
        ValueError, match=r"net.onnx: the weights '.*' are in (the file )?'.*', (outside the model's|which is)"
    ):
        load_onnx(path)


def test_a_constant_node_keeps_its_numbers_to_the_same_rule(tmp_path):
    tensor = onnx.numpy_helper.from_array(np.float32(0.5), "s")
    onnx.external_data_helper.set_external_data(tensor, "../secret")
    tensor.ClearField("raw_data")
    node = helper.make_node("Constant", [], ["s"], value=tensor)
    net = model(*INPUT, outputs=("x",), **CONSTANTS)
    net.graph.node.insert(0, node)
    (tmp_path / "net.onnx").write_bytes(net.SerializeToString())
    with pytest.raises(ValueError, match="outside the model's folder"):
        load_onnx(tmp_path / "net.onnx")


def damaged(data, rng):
    """A file with a few bytes changed, or cut short."""
    data = bytearray(data)
    if rng.random() < 0.3:
        return data[: rng.integers(len(data))]
    for place in rng.integers(0, len(data), rng.integers(1, 6)):
        data[place] = rng.integers(256)
    return data


@pytest.mark.parametrize("program", [dense, line])
def test_a_damaged_file_gives_a_program_or_one_line(program, tmp_path):
    whole, rng, refused = to_onnx(program()).SerializeToString(), np.random.default_rng(0), 0
    path = tmp_path / "net.onnx"
    for _ in range(200):
        path.write_bytes(damaged(whole, rng))
        try:
            from_onnx(load_onnx(path))
        except ValueError as error:
            refused += "\n" not in str(error) or pytest.fail(str(error))
    assert refused > 50


def test_without_onnx_there_is_a_hint(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ModuleNotFoundError, match=re.escape("load_onnx needs onnx: pip install -e '.[fpga]'")):
        load_onnx(tmp_path)
