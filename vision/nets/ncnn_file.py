"""Nets in ncnn's files, read as torch modules: a text that lists the layers, and their numbers one after the other.

https://github.com/Tencent/ncnn/wiki/param-and-model-file-structure. No runtime of ncnn is needed, and nothing in the
files is executed.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, silu

_MAGIC = "7767517"
_HALVES = 0x01306B47
"""In front of weights of 16 bits; 0 is in front of those of 32."""
_ARITHMETIC: Mapping[int, Callable[[Any, Any], Tensor]] = {0: torch.add, 1: torch.sub, 2: torch.mul}
_MODES = {1: "nearest", 2: "bilinear", 3: "bicubic"}

Options = Mapping[int, str]
"""Of a layer, by their number."""


class Layer(NamedTuple):
    """A layer, and the names of what it reads and writes."""

    compute: Callable[..., Any]
    reads: tuple[str, ...]
    writes: tuple[str, ...]


class NcnnNet(nn.Module):
    """The net of a `param` text and of the bytes of its `bin` file, from its one input to what its last layer writes.

    Convolutions, PReLU, sigmoid and swish, sums and products, concatenations, pixel shuffles and resizing are read.
    Raises `ValueError`, naming `source`, for files that are something else, are too short or too long, or have a layer
    of another kind.
    """

    def __init__(self, param: str, data: bytes, source: str = "the file") -> None:
        super().__init__()
        lines = param.splitlines()
        if not lines or lines[0].strip() != _MAGIC:
            raise ValueError(f"{source}: not a list of layers of ncnn, which begins with {_MAGIC}")
        numbers = _Numbers(data)
        try:
            self.layers = [_layer(line.split(), numbers) for line in lines[2:] if line.strip()]
            numbers.end()
        except (IndexError, KeyError, RuntimeError, ValueError) as error:
            raise ValueError(f"{source}: not a net that is read here: {error}") from None
        self.modules_of_layers = nn.ModuleList([it.compute for it in self.layers if isinstance(it.compute, nn.Module)])

    def forward(self, x: Tensor) -> Tensor:
        values: dict[str, Tensor] = {}
        for layer in self.layers:
            if layer.compute is _input:
                values[layer.writes[0]] = x
                continue
            y: Tensor = layer.compute(*(values[name] for name in layer.reads))
            values |= dict.fromkeys(layer.writes, y)
        return y


class _Numbers:
    """The bytes of a `bin` file, in the order in which layers take them."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, kind: str, count: int) -> Tensor:
        size = count * np.dtype(kind).itemsize
        if self.at + size > len(self.data):
            raise ValueError(f"{len(self.data)} bytes of weights, and the layers need more")
        part = np.frombuffer(self.data, kind, count, self.at)
        self.at += -(-size // 4) * 4  # parts begin at multiples of four bytes
        return torch.from_numpy(part.astype(np.float32))

    def weights(self, count: int) -> Tensor:
        """Behind the word that says of how many bits they are."""
        tag = int.from_bytes(self.data[self.at : self.at + 4], "little")
        if tag not in (0, _HALVES):
            raise ValueError("weights of another kind than 16 or 32 bits of floating point")
        self.at += 4
        return self.take("<f2" if tag else "<f4", count)

    def end(self) -> None:
        if self.at < len(self.data):
            raise ValueError(f"{len(self.data)} bytes of weights, and the layers need {self.at}")


def _layer(words: list[str], numbers: _Numbers) -> Layer:
    kind, inputs, outputs = words[0], int(words[2]), int(words[3])
    values = tuple(words[4 : 4 + inputs + outputs])
    pairs = (word.split("=") for word in words[4 + inputs + outputs :])
    options = {int(key): value for key, value in pairs}
    if kind not in _KINDS:
        raise ValueError(f"a layer of the kind {kind}")
    return Layer(_KINDS[kind](options, numbers), values[:inputs], values[inputs:])


def _input(*_: Tensor) -> Tensor:
    raise AssertionError("the net's own argument stands here")


def _memory(options: Options, numbers: _Numbers) -> Callable[..., Tensor]:
    width, height, channels = (int(options.get(key, 0)) for key in (0, 1, 2))
    constant = numbers.take("<f4", max(width, 1) * max(height, 1) * max(channels, 1))
    return partial(_same, constant.reshape(1, max(channels, 1), max(height, 1), max(width, 1)))


def _same(x: Tensor) -> Tensor:
    return x


def _convolution(options: Options, numbers: _Numbers) -> nn.Module:
    channels, side = int(options[0]), int(options[1])
    stride, padding = int(options.get(3, 1)), int(options.get(4, 0))
    count = int(options[6])
    layer = nn.Conv2d(count // (channels * side**2), channels, side, stride, padding, bias=options.get(5, "0") != "0")
    weight = numbers.weights(count).reshape(layer.weight.shape)
    layer.weight = nn.Parameter(weight, requires_grad=False)
    if layer.bias is not None:
        layer.bias = nn.Parameter(numbers.take("<f4", channels), requires_grad=False)
    return layer


def _prelu(options: Options, numbers: _Numbers) -> nn.Module:
    layer = nn.PReLU(int(options[0]))
    layer.weight = nn.Parameter(numbers.take("<f4", int(options[0])), requires_grad=False)
    return layer


def _arithmetic(options: Options, numbers: _Numbers) -> Callable[..., Tensor]:
    compute = _ARITHMETIC[int(options.get(0, 0))]
    if options.get(1, "0") == "0":
        return compute
    number = float(options[2])
    return lambda x: compute(x, number)


def _resize(options: Options, numbers: _Numbers) -> Callable[..., Tensor]:
    mode, scales = _MODES[int(options[0])], (float(options[1]), float(options[2]))
    exact = {} if mode == "nearest" else {"align_corners": False}
    return lambda x: interpolate(x, scale_factor=scales, mode=mode, **exact)


_KINDS: Mapping[str, Callable[[Options, _Numbers], Callable[..., Any]]] = {
    "Input": lambda options, numbers: _input,
    "Split": lambda options, numbers: _same,
    "MemoryData": _memory,
    "Convolution": _convolution,
    "PReLU": _prelu,
    "Sigmoid": lambda options, numbers: torch.sigmoid,
    "Swish": lambda options, numbers: silu,
    "BinaryOp": _arithmetic,
    "Concat": lambda options, numbers: lambda *x: torch.cat(x, 1),
    "PixelShuffle": lambda options, numbers: nn.PixelShuffle(int(options[0])),
    "Interp": _resize,
}
