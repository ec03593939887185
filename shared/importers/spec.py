"""A net as a short list of layers, so that a file of weights says what it is: written, read and built."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from shared.importers.formats import parse, short
from shared.integer.format import Format

KIND = "qwedge layers"
VERSION = 1
WIDEST_WORD = 16  # of F8Net


class Residual(nn.Module):
    """`main(x) + shortcut(x)`; without layers, a branch is `x` itself."""

    def __init__(self, main: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.main, self.shortcut = main, shortcut

    def forward(self, x: Tensor) -> Tensor:
        total: Tensor = self.main(x) + self.shortcut(x)
        return total


@dataclass(frozen=True)
class Spec:
    """What a file of weights holds: the layers, the shape and format of one input, the word of the integer program.

    A layer is a name, its sizes in torch's order, and perhaps a table of torch's options:
    `["conv1d", 2, 8, 5, {"stride": 2}]`. The names are those of `LAYERS`, and `["residual", [...], [...]]` for two
    branches that are added. The tensors are called as torch calls those of `nn.Sequential`: `0.weight`, `0.bias`,
    `2.main.0.weight`.
    """

    input: tuple[int, ...]
    format: Format
    layers: tuple[Any, ...]
    word: int = 8

    def to_json_data(self) -> dict[str, Any]:
        """The specification as JSON has it."""
        head = {"kind": KIND, "version": VERSION, "input": list(self.input), "format": short(self.format)}
        return head | {"word": self.word, "layers": list(self.layers)}


LAYERS: dict[str, tuple[Callable[..., nn.Module], tuple[str, ...], dict[str, Any]]] = {
    "linear": (nn.Linear, ("in_features", "out_features"), {"bias": True}),
    "conv1d": (
        nn.Conv1d,
        ("in_channels", "out_channels", "kernel_size"),
        {"stride": 1, "padding": 0, "groups": 1, "bias": True},
    ),
    "conv2d": (
        nn.Conv2d,
        ("in_channels", "out_channels", "kernel_size"),
        {"stride": 1, "padding": 0, "groups": 1, "bias": True},
    ),
    "batchnorm1d": (nn.BatchNorm1d, ("num_features",), {"eps": 1e-5}),
    "batchnorm2d": (nn.BatchNorm2d, ("num_features",), {"eps": 1e-5}),
    "relu": (nn.ReLU, (), {}),
    "maxpool1d": (nn.MaxPool1d, ("kernel_size",), {"stride": None}),
    "maxpool2d": (nn.MaxPool2d, ("kernel_size",), {"stride": None}),
    "avgpool1d": (nn.AvgPool1d, ("kernel_size",), {"stride": None}),
    "avgpool2d": (nn.AvgPool2d, ("kernel_size",), {"stride": None}),
    "globalpool1d": (nn.AdaptiveAvgPool1d, ("output_size",), {}),
    "globalpool2d": (nn.AdaptiveAvgPool2d, ("output_size",), {}),
    "flatten": (nn.Flatten, (), {}),
}
_IMPLIED = {"globalpool1d": {"output_size": 1}, "globalpool2d": {"output_size": 1}}


def from_json_data(data: Any) -> Spec:
    """The specification in JSON's objects. `"word"` is 8 by default; formats are those of `shared.importers.formats`.

    >>> layers = [["linear", 17, 24], ["relu"], ["linear", 24, 16, {"bias": False}]]
    >>> net = from_json_data({"input": [17], "format": "s8.4", "layers": layers})
    >>> net.format, build(net.layers)
    (Format(word=8, fraction=4, signed=True), Sequential(
      (0): Linear(in_features=17, out_features=24, bias=True)
      (1): ReLU()
      (2): Linear(in_features=24, out_features=16, bias=False)
    ))

    Raises `ValueError` saying which entry is wrong.
    """
    if not isinstance(data, dict) or data.get("kind", KIND) != KIND or "layers" not in data:
        raise ValueError(f'a specification is an object with "input", "format" and "layers", of the kind {KIND!r}')
    if data.get("version", VERSION) != VERSION:
        raise ValueError(f"a specification of version {data['version']!r}, but version {VERSION} is read here")
    if unknown := data.keys() - {"kind", "version", "input", "format", "word", "layers"}:
        raise ValueError(f"a specification has no entry {min(unknown)!r}")
    shape, word = data.get("input"), data.get("word", 8)
    if not isinstance(shape, list) or not 1 <= len(shape) <= 3 or not all(map(_positive, shape)):
        raise ValueError(f'"input" must be the shape of one input, such as [17] or [3, 32, 32], got {shape!r}')
    if not _positive(word) or not 2 <= word <= WIDEST_WORD:
        raise ValueError(f'"word" must be 2 to {WIDEST_WORD} bits, got {word!r}')
    if not isinstance(data["layers"], list):
        raise ValueError(f'"layers" must be a list, got {data["layers"]!r}')
    return Spec(tuple(shape), parse(data.get("format", "")), tuple(data["layers"]), word)


def build(layers: Iterable[Any], where: str = "") -> nn.Sequential:
    """The module of a list of layers, on torch's meta device: shapes without numbers.

    Raises `ValueError` naming the layer, and what it needs.
    """
    return nn.Sequential(*(_layer(entry, f"{where}{index}") for index, entry in enumerate(layers)))


def describe(net: nn.Module) -> list[list[Any]]:
    """The list of a module's layers: a layer, `Residual`, or an `nn.Sequential` of them, nested or not.

    Raises `ValueError` naming the layer that has no entry.
    """
    return [_entry(name, layer) for name, layer in _flat(net, "")]


def tensors(net: nn.Module) -> dict[str, Tensor]:
    """The numbers of a module that `describe` knows, named as in the module that `build` constructs."""
    numbers: dict[str, Tensor] = {}
    for index, (_, layer) in enumerate(_flat(net, "")):
        if isinstance(layer, Residual):
            for branch in ("main", "shortcut"):
                inner = tensors(getattr(layer, branch))
                numbers |= {f"{index}.{branch}.{name}": tensor for name, tensor in inner.items()}
            continue
        for name in ("weight", "bias", "running_mean", "running_var"):
            tensor = getattr(layer, name, None)
            if tensor is not None:
                numbers[f"{index}.{name}"] = tensor.detach().contiguous()
    return numbers


def fill(net: nn.Module, numbers: dict[str, Tensor]) -> nn.Module:
    """A module of `build` with these numbers, as float32.

    Raises `ValueError` naming the first tensor that is missing, too many, or of another shape.
    """
    needed = {name: tuple(entry.shape) for name, entry in net.state_dict().items() if not name.endswith("_tracked")}
    shapes = {name: tuple(tensor.shape) for name, tensor in numbers.items()}
    for name in (*needed, *shapes):
        if needed.get(name) != shapes.get(name):
            raise ValueError(
                f"the tensor {name!r} must be {needed.get(name, 'absent')}, as the layers say, "
                f"but is {shapes.get(name, 'missing')}"
            )
    state = {name: tensor.to(torch.float32) for name, tensor in numbers.items()}
    counts = {name: torch.tensor(0) for name in net.state_dict() if name.endswith("_tracked")}
    net.load_state_dict(state | counts, assign=True)
    return net.eval()


def _positive(value: Any) -> bool:
    return type(value) is int and 0 < value < 2**31


def _layer(entry: Any, where: str) -> nn.Module:
    if not isinstance(entry, list) or not entry or not isinstance(entry[0], str):
        raise ValueError(f'layer {where} must be a list that begins with a name, such as ["relu"], got {entry!r}')
    name, *sizes = entry
    if name == "residual":
        if len(sizes) != 2 or not all(isinstance(branch, list) for branch in sizes):
            raise ValueError(f"layer {where}, residual, needs two lists of layers")
        return Residual(build(sizes[0], f"{where}.main."), build(sizes[1], f"{where}.shortcut."))
    if name not in LAYERS:
        raise ValueError(f"layer {where} is {name!r}: it must be one of {', '.join(LAYERS)}, residual")
    make, needed, options = LAYERS[name]
    implied = _IMPLIED.get(name, {})
    chosen = sizes.pop() if sizes and isinstance(sizes[-1], dict) else {}
    needed = tuple(size for size in needed if size not in implied)
    if len(sizes) != len(needed) or chosen.keys() - options.keys():
        raise ValueError(f"layer {where}, {name}, needs {list(needed)} and may have {list(options)}, got {entry[1:]}")
    if not all(_number(key, value) for key, value in (*zip(needed, sizes, strict=True), *chosen.items())):
        raise ValueError(f"layer {where}, {name}, needs whole numbers of at least 1, got {entry[1:]}")
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in chosen.items()}
    values |= {key: tuple(size) if isinstance(size, list) else size for key, size in zip(needed, sizes, strict=True)}
    try:
        with torch.device("meta"):
            return make(**values, **implied)
    except (ValueError, RuntimeError, TypeError) as error:
        raise ValueError(f"layer {where}, {name}: {str(error).splitlines()[0]}") from error


def _number(key: str, value: Any) -> bool:
    if key == "bias":
        return isinstance(value, bool)
    if key == "eps":
        return isinstance(value, float) and 0 < value < 1
    if isinstance(value, list):
        return (
            key in ("kernel_size", "stride", "padding") and 1 <= len(value) <= 2 and all(_number(key, v) for v in value)
        )
    return (key == "padding" and type(value) is int and value == 0) or _positive(value)


def _flat(net: nn.Module, where: str) -> list[tuple[str, nn.Module]]:
    """Layers in order, without the sequences around them and those that do nothing."""
    if isinstance(net, nn.Sequential):
        return [pair for name, layer in net.named_children() for pair in _flat(layer, f"{where}{name}.")]
    if isinstance(net, nn.Identity | nn.Dropout | nn.Dropout1d | nn.Dropout2d):
        return []
    return [(where.rstrip(".") or type(net).__name__, net)]


def _entry(where: str, layer: nn.Module) -> list[Any]:
    if isinstance(layer, Residual):
        return ["residual", describe(layer.main), describe(layer.shortcut)]
    names = {make: name for name, (make, _, _) in LAYERS.items()}
    kind = next((base for base in type(layer).__mro__ if base in names), None)  # parametrised layers are subclasses
    if kind is None:
        raise ValueError(f"layer {where}, {type(layer).__name__}, cannot be written: use {', '.join(LAYERS)}, Residual")
    name = names[kind]
    _, needed, options = LAYERS[name]
    sizes = [_plain(getattr(layer, size)) for size in needed if size not in _IMPLIED.get(name, {})]
    chosen = {key: _plain(_option(layer, key)) for key in options}
    entry = [name, *sizes, *([chosen] if chosen else [])]
    _same(where, layer, entry)
    return entry


def _option(layer: nn.Module, key: str) -> Any:
    return getattr(layer, key) is not None if key == "bias" else getattr(layer, key)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _same(where: str, layer: nn.Module, entry: list[Any]) -> None:
    """Refuses a layer with settings that its entry does not hold, such as dilation."""
    again = _layer(entry, where)
    has, would = (re.sub(r"momentum=[^,]*|inplace=True", "", one.extra_repr()) for one in (layer, again))
    if has != would:
        raise ValueError(f"layer {where}, {type(layer).__name__}({has}), cannot be written: it would read as ({would})")
