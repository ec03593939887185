"""A row of a store is a model too: the net that it holds, or one line that says which there are."""

import json

import numpy as np
import pytest

from mobile.build.example import example
from mobile.build.model import data_files, net_name, read_net, require_files
from shared.integer.files import to_json
from shared.lab import Row, Store

PROGRAM = to_json(example(np.random.default_rng(0))).encode()
ORIGIN = {"command": "qwedge run made", "started": "", "cpu": "", "commit": None, "wall_s": 1.0}


def stored(folder, *artefacts):
    """A store with a row for each mapping of names to bytes; ids begin with a, b, ..."""
    store = Store(folder)
    for letter, files in zip("abc", artefacts, strict=False):
        hashes = {name: store.put(data) for name, data in files.items()}
        store.append(Row(letter * 64, "made", 1, {}, 0, {}, hashes, ORIGIN))
    return str(folder)


def test_a_row_with_one_net_is_that_net(tmp_path):
    folder = stored(tmp_path / "runs", {"plan.json": b'{"depth": 3}', "net.json": PROGRAM, "weights.safetensors": b""})
    for model in (folder, f"{folder}/aaa", f"{folder}/aaaa/net.json"):
        require_files(model, "")
        assert to_json(read_net(model, "", np.random.default_rng(0)).program).encode() == PROGRAM
        assert net_name(model) == "net"
    assert data_files(folder, "") == data_files(f"{folder}/a/net.json", "")


@pytest.mark.parametrize(
    ("rest", "error", "says"),
    [
        ("", ValueError, r"has 3 rows: name one, as .*runs/ID, of aaaaaaaaaaaa \(made\), bbbbbbbbbbbb"),
        ("/a", ValueError, "aaaaaaaaaaaa has the nets one.json, two.json: name one, as .*/aaaaaaaaaaaa/one.json"),
        ("/a/three.json", ValueError, "has the nets one.json, two.json: name one"),
        ("/b", ValueError, "bbbbbbbbbbbb has no net that can be read: an integer program, .onnx, .pt2"),
        ("/d", ValueError, "0 of the 3 rows in .*runs have an id beginning with d; needs one"),
        ("/steps", IsADirectoryError, "runs/steps is a folder without rows: name a net, or a folder"),
        ("/net.json", FileNotFoundError, "runs/net.json: no such file, and no row of a store"),
    ],
)
def test_what_has_to_be_chosen_is_named(rest, error, says, tmp_path):
    programs = {"one.json": PROGRAM, "two.json": PROGRAM}
    folder = stored(tmp_path / "runs", programs, {"table.json": json.dumps([1]).encode()}, {"net.json": PROGRAM})
    (tmp_path / "runs" / "steps").mkdir(exist_ok=True)
    with pytest.raises(error, match=says):
        require_files(folder + rest, "")


def test_an_error_in_a_stored_net_names_the_row(tmp_path):
    folder = stored(tmp_path / "runs", {"net.onnx": b"no model"})
    with pytest.raises(ValueError, match=r"runs/aaaaaaaaaaaa/net\.onnx is not a complete ONNX model"):
        read_net(folder, "", np.random.default_rng(0))
