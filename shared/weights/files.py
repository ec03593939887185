"""Weights as safetensors: plain numbers, nothing that can run."""

from collections.abc import Mapping
from typing import TypeVar

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

Net = TypeVar("Net", bound=nn.Module)


def to_bytes(net: nn.Module, about: Mapping[str, str] | None = None) -> bytes:
    """Every parameter of a network, by name; `about` becomes the file's metadata."""
    tensors = {name: parameter.detach().contiguous() for name, parameter in net.named_parameters()}
    return save(tensors, dict(about) if about else None)


def from_bytes(net: Net, data: bytes) -> Net:
    """`net` with the weights of `to_bytes`.

    Raises `ValueError` for bytes that end early, and where names or shapes are another network's.
    """
    try:
        return from_tensors(net, load(data))
    except SafetensorError as error:
        raise ValueError(f"incomplete or corrupt safetensors file: {error}") from error


def from_tensors(net: Net, tensors: dict[str, Tensor]) -> Net:
    """`net` with these weights, ready to be used."""
    expected = {name: tuple(parameter.shape) for name, parameter in net.named_parameters()}
    actual = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if actual != expected:
        raise ValueError(f"weights {actual} are not those of {type(net).__name__}, which needs {expected}")
    net.load_state_dict(tensors, strict=False)
    return net.eval()
