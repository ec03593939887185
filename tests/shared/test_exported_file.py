"""Files of torch.export: nets of tensors come back from them for any number of samples, and no pickle is opened."""

import io
import json
import zipfile

import pytest
import token_nets
import torch
from torch import nn

from shared.f8net.convert import read_file
from shared.importers.read import read_module

IMAGE = torch.randn(1, 3, 12, 20)
CASES = {
    "gates": (token_nets.Gates, IMAGE, None),
    "words": (token_nets.Sentences, torch.randint(100, (2, 12)), ({0: torch.export.Dim("batch")},)),
}


def saved(net, example, path, **options):
    torch.export.save(torch.export.export(net.eval(), (example,), **options), path)


@pytest.mark.parametrize("name", CASES)
def test_a_file_is_the_net_for_any_number_of_samples(name, tmp_path):
    torch.manual_seed(0)
    make, example, open_axes = CASES[name]
    net = make().eval()
    saved(net, example, tmp_path / "net.pt2", dynamic_shapes=open_axes)
    read = read_module(tmp_path / "net.pt2")
    x = example[:1].repeat(5, *(1 for _ in read.shape))
    assert read.shape == tuple(example.shape[1:])
    assert read.words == (100 if name == "words" else 0)
    torch.testing.assert_close(read.module(x), net(x), rtol=1e-5, atol=1e-5)
    program = read_file(tmp_path / "net.pt2", samples=x.numpy()).program
    assert program.inputs[0].shape == read.shape


def rewritten(data, change):
    """The archive with each entry as `change(name, content)` returns it, or without it."""
    copy = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as read, zipfile.ZipFile(copy, "w") as write:
        for name in read.namelist():
            content = change(name, read.read(name))
            if content is not None:
                write.writestr(name, content)
    return copy.getvalue()


def pickled(name, content):
    """A weight whose bytes torch.load would unpickle."""
    if not name.endswith("model_weights_config.json"):
        return content
    config = json.loads(content)
    next(iter(config["config"].values()))["use_pickle"] = True
    return json.dumps(config)


def evaluated(name, content):
    return content.replace(b'{"as_int": 4}', b'{"as_expr": {"expr_str": "exit()", "hint": null}}')


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda data: rewritten(data, pickled), "names a pickle, 'weight_0', which may be code: it is not read"),
        (lambda data: rewritten(data, evaluated), "has the size 'exit.*': only that of the batch can be left open"),
        (
            lambda data: rewritten(data, lambda name, x: None if "/models/" in name else x),
            "it is no archive of torch.export.save",
        ),
        (lambda data: data[: len(data) // 2], "incomplete or corrupt archive of torch.export"),
        (lambda data: b"no archive", "incomplete or corrupt archive of torch.export"),
    ],
)
def test_what_may_be_code_or_is_no_archive_is_one_line(spoil, says, tmp_path):
    path = tmp_path / "net.pt2"
    saved(nn.Linear(4, 3), torch.zeros(1, 4), path)
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(ValueError, match=says) as caught:
        read_module(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_example_in_a_file_is_never_opened(tmp_path):
    path = tmp_path / "net.pt2"
    saved(nn.Linear(4, 3), torch.zeros(1, 4), path)
    path.write_bytes(rewritten(path.read_bytes(), lambda name, x: b"spoilt" if "sample_inputs" in name else x))
    assert read_module(path).shape == (4,)
