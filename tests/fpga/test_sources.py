"""Integer programs from files and frameworks: alike whatever the way, and one clear line for what holds none."""

import doctest
import importlib
import json
import re
import sys

import numpy as np
import pytest
import torch
from torch import nn

from shared.f8net.convert import from_keras, from_torch, read
from shared.importers import spec
from shared.importers.read import read_module, write
from shared.integer import Constant, Input, Linear, Program, Requantise, run
from shared.integer.files import save
from shared.integer.format import Format

S8 = Format(8, 4)


def seeded(module, seed=0):
    """Weights, and statistics of batch norms, that are random."""
    draw = torch.Generator().manual_seed(seed)
    for name, tensor in module.state_dict().items():
        if tensor.is_floating_point():
            fresh = (
                torch.rand(tensor.shape, generator=draw) * 0.5 + 0.5
                if "var" in name
                else torch.randn(tensor.shape, generator=draw)
            )
            tensor.copy_(fresh * 0.4)
    return module.eval()


def dense():
    return seeded(nn.Sequential(nn.Linear(17, 24), nn.ReLU(), nn.Linear(24, 16)))


def line():
    """Every layer of one axis, in sequences and a residual block with a convolution beside it."""
    block = spec.Residual(
        nn.Sequential(nn.Conv1d(4, 4, 3, padding=1, groups=4, bias=False), nn.BatchNorm1d(4), nn.Dropout(0.1)),
        nn.Conv1d(4, 4, 1),
    )
    start = nn.Sequential(
        nn.Conv1d(2, 4, 5, stride=2), nn.BatchNorm1d(4, eps=1e-3, momentum=0.2), nn.ReLU(inplace=True)
    )
    return seeded(
        nn.Sequential(start, block, nn.ReLU(), nn.MaxPool1d(2), nn.AvgPool1d(2), nn.Flatten(), nn.Linear(8, 3))
    )


def image():
    """Every layer of two axes; a block whose shortcut is the value itself."""
    block = spec.Residual(nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4)), nn.Sequential())
    start = (nn.Conv2d(3, 4, (3, 2), stride=(2, 1), padding=(1, 0)), nn.BatchNorm2d(4), nn.ReLU())
    end = (nn.ReLU(), nn.MaxPool2d((2, 1)), nn.AvgPool2d(2, stride=1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return seeded(nn.Sequential(*start, block, *end, nn.Linear(4, 2)))


NETS = {"dense": (dense, (17,)), "line": (line, (2, 23)), "image": (image, (3, 12, 9))}


def random_inputs(shape, count=64, seed=1):
    return torch.randn(count, *shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("module", ["formats", "graph", "kinds", "layers", "spec"])
def test_examples_in_docstrings(module):
    assert doctest.testmod(importlib.import_module(f"shared.importers.{module}")).failed == 0


# Weights and their layers


@pytest.mark.parametrize("net", NETS)
def test_written_weights_read_back_as_the_program_of_the_module(net, tmp_path):
    make, shape = NETS[net]
    write(make(), tmp_path / "net.safetensors", shape=shape, input_format="s8.4", samples=random_inputs(shape))
    expected = from_torch(make(), shape, S8, random_inputs(shape))
    actual = read(tmp_path / "net.safetensors")
    assert [type(step) for step in actual.operations] == [type(step) for step in expected.operations]
    x = S8.to_integers(random_inputs(shape, 20, 5).numpy())
    np.testing.assert_array_equal(list(run(actual, x).values())[-1], list(run(expected, x).values())[-1])
    assert sorted(file.name for file in tmp_path.iterdir()) == ["net.json", "net.safetensors"]


def test_a_float_net_reads_back_as_its_module(tmp_path):
    module, shape = dense(), (17,)
    write(module, tmp_path / "net.safetensors", shape=shape, input_format="s8.4", samples=random_inputs(shape), word=6)
    net = read_module(tmp_path / "net.safetensors")
    assert (net.shape, net.input_format, net.word) == (shape, S8, 6)
    torch.testing.assert_close(net.samples, random_inputs(shape), rtol=0, atol=0)
    torch.testing.assert_close(net.module(random_inputs(shape)), module(random_inputs(shape)), rtol=0, atol=0)


def test_samples_of_the_caller_replace_those_in_the_file(tmp_path):
    path = tmp_path / "net.safetensors"
    write(dense(), path, shape=(17,), input_format=S8, samples=random_inputs((17,)), word=6)
    wide = read(path, samples=8 * random_inputs((17,)).numpy())
    assert wide.operations[1].format.fraction < read(path).operations[1].format.fraction
    assert wide.operations[0].weight.format.word == 6


@pytest.mark.parametrize("net", NETS)
def test_a_list_of_layers_builds_the_module_it_describes(net):
    module, shape = NETS[net][0](), NETS[net][1]
    again = spec.fill(spec.build(json.loads(json.dumps(spec.describe(module)))), spec.tensors(module))
    torch.testing.assert_close(again(random_inputs(shape)), module(random_inputs(shape)), rtol=0, atol=0)
    assert spec.describe(again) == spec.describe(module)


def test_the_layers_may_stand_in_the_metadata(tmp_path):
    from safetensors.torch import save_file

    layers = '{"input": [17], "format": "s8.4", "layers": [["linear", 17, 24], ["relu"], ["linear", 24, 16]]}'
    tensors = spec.tensors(dense()) | {"samples": random_inputs((17,))}
    save_file(tensors, tmp_path / "net.safetensors", {"spec": layers})
    assert len(read(tmp_path / "net.safetensors").operations) == 3


def test_pruned_and_parametrised_weights_are_written_as_they_act(tmp_path):
    module = dense()
    mask = (torch.arange(24 * 17).reshape(24, 17) % 3 == 0).float()

    class Masked(nn.Module):
        def forward(self, weight):
            return weight * mask

    torch.nn.utils.parametrize.register_parametrization(module[0], "weight", Masked())
    write(module, tmp_path / "net.safetensors", shape=(17,), input_format=S8, samples=random_inputs((17,)))
    weight = read(tmp_path / "net.safetensors").operations[0].weight.integers
    assert not weight[mask.numpy() == 0].any()


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (nn.Sequential(nn.Linear(2, 2), nn.GELU()), "layer 1, GELU, cannot be written: use linear, conv1d"),
        (nn.Conv1d(1, 1, 3, dilation=2), "dilation=(2,)), cannot be written: it would read as"),
        (nn.Conv1d(1, 1, 3, padding="same"), "layer Conv1d, conv1d, needs whole numbers of at least 1"),
    ],
)
def test_a_module_that_cannot_be_written_is_refused(module, message, tmp_path):
    with pytest.raises(ValueError, match=re.escape(message)):
        write(module, tmp_path / "net.safetensors", shape=(2,), input_format=S8)
    assert not list(tmp_path.iterdir())


LAYERS = [["linear", 17, 24], ["relu"], ["linear", 24, 16]]


def described(**changes):
    return {"input": [17], "format": "s8.4", "layers": LAYERS} | changes


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([], "a specification is an object with"),
        ({"layers": []}, '"input" must be the shape of one input, such as [17] or [3, 32, 32], got None'),
        (described(input=[0]), '"input" must be the shape of one input'),
        (described(input=[True]), '"input" must be the shape of one input'),
        (described(format="8.4"), "a format is a letter and two numbers, such as s8.4 or u8.7, got '8.4'"),
        (described(format=8), "a format is a letter and two numbers"),
        (described(format="s60.4"), "must be 1 to 53 bits"),
        (described(word=17), '"word" must be 2 to 16 bits, got 17'),
        (described(version=9), "a specification of version 9, but version 1 is read here"),
        (described(colour=1), "a specification has no entry 'colour'"),
        (described(layers={}), '"layers" must be a list'),
        (described(layers=[3]), 'layer 0 must be a list that begins with a name, such as ["relu"], got 3'),
        (described(layers=[["gelu"]]), "layer 0 is 'gelu': it must be one of linear, conv1d"),
        (described(layers=[["linear", 17]]), "layer 0, linear, needs ['in_features', 'out_features'] and may have"),
        (described(layers=[["linear", 17, -1]]), "layer 0, linear, needs whole numbers of at least 1, got [17, -1]"),
        (described(layers=[["linear", 17, 2, {"bias": 1}]]), "layer 0, linear, needs whole numbers"),
        (described(layers=[["conv1d", 3, 4, 3, {"groups": 2}]]), "layer 0, conv1d: in_channels must be divisible"),
        (described(layers=[["residual", []]]), "layer 0, residual, needs two lists of layers"),
        (described(layers=[["residual", [["x"]], []]]), "layer 0.main.0 is 'x'"),
        (
            described(layers=[["linear", 17, 25], *LAYERS[1:]]),
            "'0.weight' must be (25, 17), as the layers say, but is (",
        ),
        (described(layers=LAYERS[:2]), "the tensor '2.bias' must be absent, as the layers say, but is (16,)"),
        (
            described(layers=[*LAYERS, ["linear", 9, 9]]),
            "the tensor '3.weight' must be (9, 9), as the layers say, but is",
        ),
        (described(layers=[["linear", 10**9, 10**9], *LAYERS[1:]]), "'0.weight' must be (1000000000, 1000000000)"),
        (described(input=[16]), "the net does not take an input of shape (16,)"),
    ],
)
def test_layers_that_do_not_fit_are_named(entries, message, tmp_path):
    path = tmp_path / "net.safetensors"
    write(dense(), path, shape=(17,), input_format=S8)
    path.with_suffix(".json").write_text(json.dumps(entries))
    shape = (16,) if isinstance(entries, dict) and entries.get("input") == [16] else (17,)
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        read(path, samples=random_inputs(shape))
    assert str(path) in str(caught.value)


def test_what_is_missing_is_named(tmp_path):
    path = tmp_path / "net.safetensors"
    with pytest.raises(FileNotFoundError):
        read(path)
    write(dense(), path, shape=(17,), input_format=S8)
    with pytest.raises(ValueError, match=re.escape("give samples (n, 17) to calibrate, or write them into it")):
        read(path)
    with pytest.raises(ValueError, match=re.escape("samples must be (n, 17), got (3, 16)")):
        read(path, samples=np.zeros((3, 16)))
    with pytest.raises(ValueError, match="samples must be finite numbers"):
        read(path, samples=np.full((3, 17), np.nan))
    with pytest.raises(ValueError, match=r"but perhaps the layers of .*net.safetensors: read that"):
        read(path.with_suffix(".json"))
    path.with_suffix(".json").unlink()
    with pytest.raises(ValueError, match=r"its layers are missing: write them into .*net.json, or into its metadata"):
        read(path)


def test_weights_that_are_no_numbers_are_refused(tmp_path):
    module = dense()
    module[0].weight.data[1, 2] = float("nan")
    write(module, tmp_path / "net.safetensors", shape=(17,), input_format=S8, samples=random_inputs((17,)))
    with pytest.raises(ValueError, match=r"net.safetensors: F8Net needs finite weights, '0.weight' has NaN"):
        read(tmp_path / "net.safetensors")


@pytest.mark.parametrize("ending", [".pt", ".pth", ".keras", ".h5", ".npz", ".pkl"])
def test_files_that_may_hold_code_are_not_opened(ending, tmp_path):
    with pytest.raises(ValueError, match=r"may hold code: load it yourself, then write\(\) the module, or"):
        read(tmp_path / f"net{ending}")


def test_an_unknown_ending_is_refused(tmp_path):
    with pytest.raises(ValueError, match=re.escape("must be a file .json, .onnx, .pt2, .safetensors: got '.txt'")):
        read(tmp_path / "net.txt")


def test_a_layer_without_integers_is_named():
    for layer, message in (
        (nn.GLU(1), "F8Net cannot convert GLU '1': use Linear, Conv1d"),
        (nn.Conv1d(4, 4, 3, dilation=2), "F8Net cannot convert Conv1d '1' with dilation (2,): use stride or larger"),
    ):
        with pytest.raises(ValueError, match=re.escape(message)):
            from_torch(nn.Sequential(nn.Conv1d(2, 4, 3), layer), (2, 16), "s8.4", random_inputs((2, 16)))


# Programs and ONNX


def small():
    rng = np.random.default_rng(0)
    weight = Constant(rng.integers(-128, 128, (3, 5)), Format(8, 6))
    steps = (Linear(("x",), "a", weight), Requantise(("a",), "y", Format(8, 4, signed=False)))
    return Program((Input("x", (5,), S8),), steps, ("y",))


def test_programs_read_back_equal_from_json_and_onnx(tmp_path):
    onnx_qdq = importlib.import_module("shared.integer.onnx_qdq")
    save(small(), tmp_path / "net.json")
    assert read(tmp_path / "net.json") == small()
    pytest.importorskip("onnx", reason="pip install -e '.[fpga]'")
    (tmp_path / "net.onnx").write_bytes(onnx_qdq.to_onnx(small()).SerializeToString())
    assert read(tmp_path / "net.onnx") == small()


def float_onnx(nodes, arrays, shape, output=(1,)):
    onnx = pytest.importorskip("onnx", reason="pip install -e '.[fpga]'")
    helper, numpy_helper, kind = onnx.helper, onnx.numpy_helper, onnx.TensorProto.FLOAT
    made = [helper.make_node(op, ins, [out], name=out, **fields) for op, ins, out, fields in nodes]
    ends = [helper.make_tensor_value_info(name, kind, ["b", *sizes]) for name, sizes in (("x", shape), ("y", output))]
    tensors = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    graph = helper.make_graph(made, "net", [ends[0]], [ends[1]], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def float_net():
    """Every operator that is read: a residual block, a norm, pools, a MatMul with its bias behind it, a Gemm."""
    rng = np.random.default_rng(0)
    draw = lambda *shape: rng.normal(size=shape).astype(np.float32)  # noqa: E731
    nodes = [
        ("Conv", ["x", "w1", "b1"], "c1", {"kernel_shape": [3], "pads": [1, 1], "strides": [2]}),
        ("BatchNormalization", ["c1", "gamma", "beta", "mean", "var"], "n1", {"epsilon": 1e-3}),
        ("Relu", ["n1"], "r1", {}),
        ("Conv", ["r1", "w2"], "c2", {"kernel_shape": [3], "pads": [1, 1], "group": 4}),
        ("Conv", ["r1", "w3"], "c3", {"kernel_shape": [1]}),
        ("Add", ["c2", "c3"], "s", {}),
        ("Relu", ["s"], "r2", {}),
        ("MaxPool", ["r2"], "m", {"kernel_shape": [2], "strides": [2]}),
        ("AveragePool", ["m"], "a", {"kernel_shape": [2], "strides": [1]}),
        ("Flatten", ["a"], "f", {}),
        ("Identity", ["f"], "i", {}),
        ("MatMul", ["i", "w4"], "mm", {}),
        ("Add", ["b4", "mm"], "d", {}),
        ("Relu", ["d"], "r3", {}),
        ("Gemm", ["r3", "w5", "b5"], "y", {"transB": 1}),
    ]
    arrays = {"w1": draw(4, 2, 3), "b1": draw(4), "gamma": draw(4), "beta": draw(4), "mean": draw(4)}
    arrays |= {"var": np.abs(draw(4)) + 0.5, "w2": draw(4, 1, 3), "w3": draw(4, 4, 1), "w4": draw(12, 6), "b4": draw(6)}
    return float_onnx(nodes, arrays | {"w5": draw(3, 6), "b5": draw(3)}, (2, 16), (3,))


def test_a_float_onnx_model_is_computed_alike():
    from shared.importers.onnx import to_torch

    model = float_net()
    onnxruntime = pytest.importorskip("onnxruntime", reason="ONNX Runtime is the oracle: pip install -e '.[mobile]'")
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    module, shape = to_torch(model)
    x = random_inputs(shape, 5)
    (expected,) = session.run(None, {"x": x.numpy()})
    np.testing.assert_allclose(module(x).detach().numpy(), expected, rtol=1e-4, atol=1e-4)


def test_a_float_onnx_file_is_calibrated(tmp_path):
    path = tmp_path / "net.onnx"
    path.write_bytes(float_net().SerializeToString())
    with pytest.raises(ValueError, match=re.escape("it holds floating-point weights: give samples (n, 2, 16) to")):
        read(path)
    program = read(path, samples=random_inputs((2, 16)))
    assert program.inputs[0].format == Format(8, 5)  # the largest sample is between 2 and 4
    actual = next(reversed(run(program, program.inputs[0].format.to_integers(random_inputs((2, 16)).numpy())).values()))
    module = importlib.import_module("shared.importers.onnx").to_torch(float_net())[0]
    real, step = module(random_inputs((2, 16))).detach().numpy(), program.values[program.outputs[0]].format.step
    assert np.corrcoef(real.ravel(), actual.ravel() * step)[0, 1] > 0.95


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ([("Gelu", ["x"], "y", {})], "No Op registered for Gelu"),
        ([("Erf", ["x"], "y", {})], "ONNX Erf 'y': this operator is not supported: use Gemm"),
        ([("Gemm", ["x", "w"], "y", {"alpha": 0.5})], "ONNX Gemm 'y': alpha=0.5 is not supported: it must be 1.0"),
        ([("Add", ["x", "w"], "y", {})], "with a constant of shape (4, 4) for (4,): give it one sample"),
        ([("MatMul", ["w", "x"], "y", {})], "ONNX MatMul 'y': mat1 and mat2 shapes cannot"),
        (
            [("Reshape", ["x", "dims"], "y", {})],
            "F8Net cannot convert what reads 'reshape': keep the",
        ),
    ],
)
def test_a_float_node_that_is_not_supported_is_named(nodes, message, tmp_path):
    model = float_onnx(nodes, {"w": np.ones((4, 4), np.float32), "dims": np.array([2, 2])}, (4,), (4,))
    (tmp_path / "net.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ValueError, match=re.escape(message)):
        read(tmp_path / "net.onnx", samples=random_inputs((4,)))


# Damage


def damaged(data, rng):
    """A file with a few bytes changed, or cut short."""
    data = bytearray(data)
    if rng.random() < 0.3:
        return data[: rng.integers(len(data))]
    for place in rng.integers(0, len(data), rng.integers(1, 5)):
        data[place] = rng.integers(256)
    return data


@pytest.mark.parametrize("name", ["net.json", "net.onnx", "net.safetensors", "weights.json"])
def test_a_damaged_file_gives_a_program_or_one_line(name, tmp_path):
    rng, path, samples = np.random.default_rng(0), tmp_path / name, None
    if name == "net.json":
        save(small(), path)
    elif name == "net.onnx":
        path.write_bytes(float_net().SerializeToString())
        samples = random_inputs((2, 16))
    else:
        tiny = seeded(nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)))
        path = path.with_suffix(".safetensors")
        write(tiny, path, shape=(3,), input_format=S8, samples=random_inputs((3,)))
    changed = tmp_path / name
    whole, refused = changed.read_bytes(), 0
    for _ in range(150):
        changed.write_bytes(damaged(whole, rng))
        try:
            read(path, samples=samples)
        except ValueError as error:
            refused += ("\n" not in str(error) and str(path) in str(error)) or pytest.fail(str(error))
    assert refused > 20


@pytest.mark.parametrize("text", ["[" * 100_000, '{"kind": ' * 50_000, "\x00\xff", "", "null"])
def test_a_file_of_nonsense_is_refused(text, tmp_path):
    (tmp_path / "net.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match=re.escape(str(tmp_path / "net.json"))):
        read(tmp_path / "net.json")


# Keras


def keras_nets(keras):
    """Models, and whether they have integers: a norm does not that stands behind anything but a layer of weights."""
    layers, start = keras.layers, keras.Input((12, 3))
    a = layers.Conv1D(4, 3, padding="same", activation="relu")(start)
    b = layers.Conv1D(4, 1, use_bias=False)(start)
    x = layers.ReLU()(layers.BatchNormalization()(layers.Add()([a, b])))
    x = layers.MaxPooling1D(2)(layers.DepthwiseConv1D(3, depth_multiplier=2)(x))
    x = layers.Dropout(0.5)(layers.BatchNormalization(scale=False)(layers.Flatten()(x)))
    yield keras.Model(start, layers.Dense(5)(layers.Dense(7, activation="relu")(x))), False
    plane = [
        keras.Input((10, 8, 2)),
        layers.Conv2D(6, (3, 2), strides=(2, 1), groups=2),
        layers.BatchNormalization(),
        layers.Activation("relu"),
        layers.DepthwiseConv2D(3, padding="same"),
        layers.AveragePooling2D((2, 1)),
    ]
    yield keras.Sequential([*plane, layers.GlobalAveragePooling2D(), layers.Dense(3)]), True
    yield keras.Sequential([*plane, layers.Flatten(), layers.Dense(3)]), True


@pytest.mark.slow
def test_a_keras_model_is_computed_alike_and_calibrated():
    keras = pytest.importorskip("keras", reason="pip install -e '.[fpga]'")
    from shared.importers.keras import keras_to_torch, require_alike

    rng = np.random.default_rng(0)
    for model, converts in keras_nets(keras):
        for weight in model.weights:
            weight.assign(
                rng.uniform(0.1, 1, weight.shape)
                * rng.choice([1, 1 if "variance" in weight.path else -1], weight.shape)
            )
        x = rng.normal(size=(9, *model.input_shape[1:])).astype(np.float32)
        module, shape = keras_to_torch(model)
        actual = module(torch.from_numpy(np.moveaxis(x, -1, 1).copy())).detach().numpy()
        np.testing.assert_allclose(actual, np.asarray(model(x)), rtol=1e-3, atol=1e-3)
        if converts:
            assert from_keras(model, "s8.5", x).inputs[0].shape == shape
        else:
            with pytest.raises(ValueError, match="with no Linear or Conv of its own before it: move it behind one"):
                from_keras(model, "s8.5", x)
        weight = next(module.parameters())
        weight.data += 1
        with pytest.raises(ValueError, match="the module read from Keras computes otherwise: it differs by"):
            require_alike(model, module, x)


@pytest.mark.slow
def test_a_keras_layer_that_is_not_supported_is_named():
    keras = pytest.importorskip("keras", reason="pip install -e '.[fpga]'")
    layers = keras.layers
    for layer, message in (
        (layers.GRU(3, name="g"), "Keras GRU 'g': this layer is not supported: use Dense, Conv1D"),
        (
            layers.Conv1D(3, 3, dilation_rate=2, name="c"),
            "Keras Conv1D 'c': dilation_rate=(2,) is not supported",
        ),
        (layers.Conv1D(3, 2, padding="same", name="c"), "padding 'same' pads the two sides alike only for odd kernels"),
        (layers.Conv1D(3, 3, activation="gelu", name="c"), "Keras Conv1D 'c': the activation 'gelu' is not supported"),
        (layers.ReLU(max_value=6, name="r"), "a bounded, leaky or shifted ReLU is not supported"),
        (layers.Flatten(name="f"), "a Keras model that ends flattened is not supported"),
        (layers.Dense(2, name="d"), "Keras Dense 'd': an input of 2 axes is not supported: flatten first"),
    ):
        model = keras.Sequential([keras.Input((8, 3)), layer])
        with pytest.raises(ValueError, match=re.escape(message)):
            from_keras(model, "s8.5", np.zeros((2, 8, 3)))


def test_without_safetensors_there_is_a_hint(monkeypatch, tmp_path):
    (tmp_path / "net.safetensors").touch()
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(ModuleNotFoundError, match=re.escape("weights need safetensors: pip install -e '.[fpga]'")):
        read(tmp_path / "net.safetensors")
