"""What a net answers in integers is said beside what it answers in floating point, and bad inputs are refused."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from fpga.build.experiment import Synth, SynthSettings, _answers
from shared.f8net.agreement import accuracy, agreement
from shared.f8net.convert import NetFile, from_torch, read_file
from shared.importers.arrays import load_array
from shared.importers.read import write
from shared.integer import run

S8 = "s8.5"


def net(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 3)).eval()


def compute_of(module):
    return lambda x: module(torch.from_numpy(np.asarray(x, np.float32))).detach().numpy()


def samples(count=300, seed=1):
    return np.random.default_rng(seed).normal(size=(count, 8)).astype(np.float32)


def test_a_net_in_eight_bits_agrees_with_itself():
    module, x = net(), samples()
    result = agreement(compute_of(module), from_torch(module, (8,), S8, x), x)
    assert result.correlation > 0.999
    assert result.same_decision > 0.97 * len(x)
    assert (result.samples, result.vanished, result.channels, result.warning) == (300, 0, 8, "")
    assert 0 <= result.saturated < 0.001


def test_features_of_different_scales_are_a_warning_with_the_way_out(tmp_path):
    """The first feature takes all of the input's bits; the weights of the others make up for their size in vain."""
    module, x, gains = net(), samples(), np.float32([1e4, 1, 1, 1, 1, 1, 1, 1])
    with torch.no_grad():
        module[0].weight /= torch.from_numpy(gains)
    path = tmp_path / "net.safetensors"
    write(module, path, shape=(8,), input_format="s8.-8", samples=x * gains)
    file = read_file(path)
    result = agreement(file.compute, file.program, file.samples.numpy())
    assert result.correlation is None or result.correlation < 0.9
    assert result.vanished == 7
    assert "7 of 8 inputs are rounded to 0" in result.warning
    assert "Bring all inputs to one scale" in result.warning


def test_accuracies_are_counted_on_labels():
    module, x = net(), samples()
    program, labels = from_torch(module, (8,), S8, x), compute_of(module)(x).argmax(1)
    counted = accuracy(compute_of(module), program, x, labels)
    integers = run(program, program.inputs[0].format.to_integers(x))[program.outputs[0]]
    assert (counted.samples, counted.float, counted.integer) == (300, 300, int((integers.argmax(1) == labels).sum()))
    assert accuracy(None, program, x, labels).float is None
    for wrong, message in (
        (labels[1:], "labels must be 300 whole"),
        (labels + 3, "labels must be 0 to 2"),
        (x[:, 0], "labels"),
    ):
        with pytest.raises(ValueError, match=message):
            accuracy(None, program, x, wrong)


def test_the_row_holds_both_and_the_page_shows_them(tmp_path):
    module, x = net(), samples()
    write(module, tmp_path / "net.safetensors", shape=(8,), input_format=S8, samples=x)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "labels.npy", compute_of(module)(x).argmax(1))
    cell = SynthSettings(
        model=str(tmp_path / "net.safetensors"), samples=str(tmp_path / "x.npy"), labels=str(tmp_path / "labels.npy")
    )
    answers = _answers(read_file(cell.model, samples=load_array(cell.samples)), cell)
    assert answers["accuracy"]["float"] == 300
    assert answers["agreement"]["warning"] == ""
    json.dumps(answers)
    assert _answers(NetFile(read_file(cell.model).program), SynthSettings()) == {"agreement": None, "accuracy": None}
    assert {"labels", "samples", "model", "spec"} == set(Synth().data(cell))


@pytest.mark.parametrize(
    "values", [np.zeros((5, 8)), np.full((5, 8), np.nan), np.ones((5, 8), complex), np.ones((5, 9))]
)
def test_samples_that_cannot_calibrate_are_refused(values):
    with pytest.raises(ValueError, match=r"^samples must"):
        from_torch(net(), (8,), S8, values)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", r"not a complete .npy file \(No data left in file\)"),
        (
            b"\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False, 'shape': (1099511627776,), }".ljust(129),
            "complete",
        ),
        (b"PK\x03\x04 cut short", "not a complete .npy file"),
        (b"no array", "not a complete .npy file"),
    ],
)
def test_a_file_without_an_array_is_refused_in_one_line(data, message, tmp_path):
    (tmp_path / "x.npy").write_bytes(data)
    with pytest.raises(ValueError, match=message) as caught:
        load_array(tmp_path / "x.npy")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("array", [np.array(["a"]), np.ones(3, complex), np.array([None])])
def test_an_array_of_something_else_is_refused(array, tmp_path):
    np.save(tmp_path / "x.npy", array)
    with pytest.raises(ValueError, match=r"x.npy (holds|is not)"):
        load_array(tmp_path / "x.npy")
    np.savez(tmp_path / "x.npz", x=np.ones(3))
    with pytest.raises(ValueError, match=r"x.npz is an archive of arrays: write one array of numbers by numpy.save"):
        load_array(tmp_path / "x.npz")


def test_weights_beside_a_model_belong_to_the_row(tmp_path):
    onnx = pytest.importorskip("onnx", reason="pip install 'qwedge[fpga]'")
    from onnx import TensorProto, helper, numpy_helper

    weight = numpy_helper.from_array(np.ones((4, 2), np.float32), "w")
    ends = [[helper.make_tensor_value_info(n, TensorProto.FLOAT, ["n", size])] for n, size in (("x", 4), ("y", 2))]
    model = helper.make_model(
        helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "net", *ends, [weight])
    )
    onnx.save(model, tmp_path / "net.onnx", save_as_external_data=True, location="net.bin", size_threshold=0)
    cell = SynthSettings(model=str(tmp_path / "net.onnx"))
    before = Synth().data(cell)
    (tmp_path / "net.bin").write_bytes(np.zeros((4, 2), np.float32).tobytes())
    after = Synth().data(cell)
    assert before.keys() == {"model", "weights 0"}
    assert (before["model"], before["weights 0"] == after["weights 0"]) == (after["model"], False)
    (tmp_path / "net.bin").unlink()
    with pytest.raises(FileNotFoundError, match=r"net\.bin"):
        read_file(cell.model, samples=np.ones((3, 4)))
