"""The numbers of a net together with what they are of: safetensors with JSON in its metadata."""

import json
from collections.abc import Mapping
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from shared.lab import JSON, canonical


def to_bytes(tensors: Mapping[str, Tensor], kind: str, about: Mapping[str, JSON]) -> bytes:
    """A file of a `kind`: `about` is the one entry of its metadata, for the library writes several in changing order.

    >>> import torch
    >>> data = to_bytes({"scale": torch.ones(1)}, "toy", {"width": 8})
    >>> from_bytes(data, "toy")
    ({'scale': tensor([1.])}, {'width': 8})
    """
    return save({name: value.detach().cpu().contiguous() for name, value in tensors.items()}, {kind: canonical(about)})


def from_bytes(data: bytes, kind: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The numbers and the description. Raises `ValueError` for a file that is no safetensors, or of another kind."""
    try:
        tensors = load(data)
    except SafetensorError as error:
        raise ValueError(f"incomplete or corrupt safetensors file: {error}") from None
    size = int.from_bytes(data[:8], "little")  # of the JSON that follows
    entries = json.loads(data[8 : 8 + size]).get("__metadata__", {})
    if kind not in entries:
        raise ValueError(f"a safetensors file without {kind!r} in its metadata")
    return tensors, dict(json.loads(entries[kind]))
