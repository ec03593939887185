"""Laws of identity: the same inputs, however spelled, have one hash; a change of any of them has another."""

import hashlib
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from shared.lab import canonical, fingerprint, hash_bytes, hash_file, to_json_data

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=10)


@given(st.dictionaries(st.text(), values))
def test_order_of_keys_does_not_matter(value):
    backwards = dict(reversed(value.items()))
    assert canonical(to_json_data(value)) == canonical(to_json_data(backwards))


@given(values)
def test_plain_leaves_plain_data_alone(value):
    assert to_json_data(value) == value


def test_plain_understands_numpy_and_torch():
    given_ = {"a": np.float32(0.5), "b": np.arange(3), "c": torch.tensor([[1, 2]]), "d": (np.int64(4), np.bool_(True))}
    assert to_json_data(given_) == {"a": 0.5, "b": [0, 1, 2], "c": [[1, 2]], "d": [4, True]}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"esp": math.nan}, r"result\.esp=nan: rows hold finite numbers; write None for a missing one"),
        ({"loss": [0.0, -math.inf]}, r"result\.loss\[1\]=-inf: rows hold finite"),
        ({"circuit": object()}, r"result\.circuit is a object: .*context\.artefact"),
        ({"by": {3: 1}}, r"result\.by has the key 3: .*strings"),
    ],
)
def test_plain_says_where_the_fault_is(value, message):
    with pytest.raises(ValueError, match=message):
        to_json_data(value, "result")


def test_fingerprint_is_the_hash_of_the_documented_text():
    text = '{"data":{"x.csv":"ab"},"experiment":"coin","settings":{"bias":0.5,"seed":0},"version":1}'
    expected = hashlib.sha256(text.encode()).hexdigest()
    assert fingerprint("coin", 1, {"seed": 0, "bias": 0.5}, {"x.csv": "ab"}) == expected


def test_everything_that_affects_the_result_changes_the_fingerprint():
    base = ("coin", 1, {"seed": 0}, {})
    changes = [
        ("dice", 1, {"seed": 0}, {}),
        ("coin", 2, {"seed": 0}, {}),
        ("coin", 1, {"seed": 1}, {}),
        ("coin", 1, {"seed": 0}, {"x.csv": "ab"}),
        ("coin", 1, {"seed": 0}, {"x.csv": "cd"}),
    ]
    assert len({fingerprint(*each) for each in [base, *changes]}) == 6


def test_a_files_hash_is_its_contents(tmp_path):
    path = tmp_path / "x.csv"
    path.write_bytes(b"1,2\n")
    assert hash_file(path) == hash_bytes(b"1,2\n")
