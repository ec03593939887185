"""Described weights: numbers and description come back, and another file is refused in a line."""

import pytest
import torch
from safetensors.torch import save

from shared.weights import described

TENSORS = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.ones(1, dtype=torch.float16)}


def test_numbers_and_description_come_back():
    about = {"width": 8, "classes": ["one", "two"], "nested": {"x": 0.5}}
    data = described.to_bytes({**TENSORS, "a": TENSORS["a"].T}, "toy", about)
    tensors, read = described.from_bytes(data, "toy")
    assert read == about
    torch.testing.assert_close(tensors, {**TENSORS, "a": TENSORS["a"].T})
    assert described.to_bytes(tensors, "toy", read) == data


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "incomplete or corrupt safetensors file"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "incomplete or corrupt safetensors file"),
        (described.to_bytes(TENSORS, "toy", {})[:-1], "incomplete or corrupt safetensors file"),
        (save(TENSORS), "a safetensors file without 'toy' in its metadata"),
        (described.to_bytes(TENSORS, "other", {}), "a safetensors file without 'toy' in its metadata"),
        (save(TENSORS, {"toy": "{"}), "Expecting"),
    ],
)
def test_another_file_is_refused(data, said):
    with pytest.raises(ValueError, match=said):
        described.from_bytes(data, "toy")
