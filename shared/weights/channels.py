"""Channels of a net: which layers write, carry and read each of them, so that they can be reordered or removed."""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from shared.importers.graph import TracedGraph, TracedNode

Weighted = nn.Linear | nn.Conv1d | nn.Conv2d | nn.ConvTranspose2d
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
_NONZERO_AT_ZERO = ("softplus", "sigmoid", "sigmoid_", "hardsigmoid")
"""Activations after which a channel of zeros is not zero, in lower case."""
_RESIZING = ("Upsample", "UpsamplingBilinear2d", "UpsamplingNearest2d", "interpolate")


@dataclass(frozen=True)
class Slot:
    """Where a group of channels stands in a layer: channel `c` takes the indices `start + c * repeat` and the
    `repeat - 1` after it, of the layer's inputs or outputs. Flattening a map of 4 x 4 repeats a channel 16 times.
    """

    path: str
    start: int = 0
    repeat: int = 1


@dataclass(eq=False)
class ChannelGroup:
    """Channels that exist together: removing or moving one concerns every layer of the group.

    The layers of a residual sum are writers of one group.
    """

    size: int
    writers: list[Slot] = field(default_factory=list)
    """Convolutions and linear layers whose outputs they are."""
    carriers: list[Slot] = field(default_factory=list)
    """Batch norms, depthwise convolutions and factors, which have numbers for each channel and keep channels apart."""
    readers: list[Slot] = field(default_factory=list)
    """Convolutions and linear layers whose inputs they are."""
    is_movable: bool = True
    """False if channels have a place that the net's users or an operation rely on."""
    is_removable: bool = True
    """False if a channel of zeros would not stay zero on its way to the readers."""


@runtime_checkable
class OwnChannels(Protocol):
    """A module that says itself which channels inside of it exist together: those that its operations hide from a
    traced graph, such as the heads of an attention.
    """

    def own_channel_groups(self) -> Sequence[ChannelGroup]:
        """The groups, with the paths of their slots relative to the module."""


@dataclass(frozen=True)
class _Value:
    """The channels of a value, group by group along its channel axis: the first behind the batch, or the last."""

    parts: tuple[tuple[ChannelGroup, int], ...]
    is_last: bool


def channel_groups(net: nn.Module, example: Tensor) -> list[ChannelGroup]:
    """The groups of a net's channels that can be reordered without changing its function.

    Raises `ValueError` if the net cannot be traced.
    """
    coupling = _Coupling()
    graph = TracedGraph.of(net, example)
    for node in graph:
        coupling.add(node)
    for name in graph.outputs:
        coupling.fix(name)
    own = [
        _placed(group, path)
        for path, module in net.named_modules()
        if isinstance(module, OwnChannels)
        for group in module.own_channel_groups()
    ]
    return [*coupling.groups(), *own]


def _placed(group: ChannelGroup, path: str) -> ChannelGroup:
    """A group of the module at `path`, named from the net."""
    prefix = f"{path}." if path else ""
    writers, carriers, readers = (
        [replace(slot, path=prefix + slot.path) for slot in slots]
        for slots in (group.writers, group.carriers, group.readers)
    )
    return replace(group, writers=writers, carriers=carriers, readers=readers)


class _Coupling:
    """Groups, united as the operations of a net are read in order."""

    def __init__(self) -> None:
        self.values: dict[str, _Value] = {}
        self.united: dict[ChannelGroup, ChannelGroup] = {}
        self.paths: set[str] = set()
        self.parameters: dict[str, str] = {}
        """Parameters that the net's own code reads, by the name of the node."""
        self.shapes: dict[str, tuple[int, ...]] = {}

    def groups(self) -> Iterator[ChannelGroup]:
        groups = {self.root(group): None for value in self.values.values() for group, _ in value.parts}
        return (group for group in groups if group.is_movable and group.writers)

    def root(self, group: ChannelGroup) -> ChannelGroup:
        while group in self.united:
            group = self.united[group]
        return group

    def parts(self, name: str) -> tuple[tuple[ChannelGroup, int], ...]:
        return tuple((self.root(group), repeat) for group, repeat in self.values[name].parts)

    def fix(self, name: str) -> None:
        """Channels of a value stay where they are."""
        for group, _ in self.parts(name):
            group.is_movable = False

    def new(self, node: TracedNode, is_last: bool = False) -> ChannelGroup:
        size = node.shape[-1 if is_last else 0] if node.shape else 1
        group = ChannelGroup(size)
        self.values[node.name] = _Value(((group, 1),), is_last)
        return group

    def add(self, node: TracedNode) -> None:
        layer = node.layer
        self.shapes[node.name] = node.shape
        if node.kind == "parameter":
            self.parameters[node.name] = str(node.call.target)
        # A layer without numbers of its own, such as a net's only ReLU, may be used as often as one likes.
        reused = node.path in self.paths and layer is not None and bool(layer.state_dict())
        self.paths.add(node.path)
        if reused or not self._follow(node, layer):
            for name in node.inputs:
                self.fix(name)
            self.new(node).is_movable = False
            if reused:  # its first use too
                for group in {group for value in self.values.values() for group, _ in value.parts}:
                    if any(slot.path == node.path for slot in (*group.writers, *group.carriers, *group.readers)):
                        self.root(group).is_movable = False

    def _follow(self, node: TracedNode, layer: nn.Module | None) -> bool:
        """Whether the channels are known on the other side of an operation."""
        if node.kind in ("linear", "convolution") or isinstance(layer, nn.ConvTranspose2d):
            return isinstance(layer, Weighted) and self._weighted(node, layer)
        if node.kind in ("activation", "dropout", "identity", "pool"):
            self.values[node.name] = self.values[node.inputs[0]]
            for group, _ in self.parts(node.inputs[0]):
                group.is_removable &= node.operation.lower() not in _NONZERO_AT_ZERO
            # Pools of a value whose channels are last would mix them.
            return node.kind != "pool" or not self.values[node.inputs[0]].is_last
        if (
            isinstance(layer, _NORMS)
            and layer.affine
            and len(node.shape)
            and self._is_first(node.inputs[0], node.shape)
        ):
            self._place(node.inputs[0], node.path, "carriers")
            self.values[node.name] = self.values[node.inputs[0]]
            return True
        if (node.kind == "add" or node.operation == "sub") and len(node.inputs) == 2:
            return self._sum(node)
        if node.kind == "concatenate":
            values = [self.values[name] for name in node.inputs]
            if any(value.is_last for value in values):
                return False
            self.values[node.name] = _Value(sum((value.parts for value in values), ()), False)
            return True
        if node.kind == "flatten":
            return self._flatten(node)
        if node.operation in _RESIZING and not self.values[node.inputs[0]].is_last:
            self.values[node.name] = self.values[node.inputs[0]]
            return True
        if node.operation == "mean" and self._averages_planes(node):
            self.values[node.name] = replace(self.values[node.inputs[0]], is_last=len(node.shape) == 1)
            return True
        # Of a product of two values, a channel needs both of its factors, as those of a sum.
        return node.operation == "mul" and len(node.inputs) == 2 and (self._scaled(node) or self._sum(node))

    def _averages_planes(self, node: TracedNode) -> bool:
        """Whether a mean is over all axes behind the channels, which are first."""
        axes = node.call.kwargs.get("dim", node.call.args[1] if len(node.call.args) > 1 else ())
        axes = (axes,) if isinstance(axes, int) else axes
        rank = len(self.shapes[node.inputs[0]]) + 1
        behind = set(range(2, rank))
        return not self.values[node.inputs[0]].is_last and {axis % rank for axis in axes} == behind  # type: ignore[operator, union-attr]

    def _scaled(self, node: TracedNode) -> bool:
        """A value times a parameter `weight` that has one number for each of its channels."""
        name, factor = sorted(node.inputs, key=self.parameters.__contains__)
        path, _, last = self.parameters.get(factor, "").rpartition(".")
        value = self.values[name]
        width = sum(group.size * repeat for group, repeat in self.parts(name))
        apart = (width,) if value.is_last else (width, *(1,) * (len(node.shape) - 1))
        if last != "weight" or path in self.paths or self.shapes[factor] != apart:
            return False
        self.paths.add(path)
        self._place(name, path, "carriers")
        self.values[node.name] = value
        return True

    def _is_first(self, name: str, shape: tuple[int, ...]) -> bool:
        return not self.values[name].is_last or len(shape) == 1

    def _weighted(self, node: TracedNode, layer: Weighted) -> bool:
        (name,) = node.inputs
        if not isinstance(dict(layer.named_parameters()).get("weight"), Tensor):
            return False  # parametrized: its numbers are another module's
        if not isinstance(layer, nn.Linear) and self.values[name].is_last:
            return False  # it reads the first axis, but channels are last
        parts = self.parts(name)
        if isinstance(layer, nn.Linear):
            if len(node.shape) > 1 and not self.values[name].is_last and self.values[name].parts[0][0].writers:
                return False  # it reads the last axis, but channels are first
            self._place(name, node.path, "readers")
        elif layer.groups == 1:
            self._place(name, node.path, "readers")
        elif layer.groups == layer.in_channels == layer.out_channels and all(repeat == 1 for _, repeat in parts):
            self._place(name, node.path, "carriers")
            self.values[node.name] = self.values[name]
            return True
        else:
            return False
        self.new(node, is_last=isinstance(layer, nn.Linear)).writers.append(Slot(node.path))
        return True

    def _place(self, name: str, path: str, role: str) -> None:
        start = 0
        for group, repeat in self.parts(name):
            getattr(group, role).append(Slot(path, start, repeat))
            start += group.size * repeat

    def _sum(self, node: TracedNode) -> bool:
        first, second = (self.parts(name) for name in node.inputs)
        sizes = [[(group.size, repeat) for group, repeat in parts] for parts in (first, second)]
        if sizes[0] != sizes[1] or self.values[node.inputs[0]].is_last != self.values[node.inputs[1]].is_last:
            return False
        for (one, _), (two, _) in zip(first, second, strict=True):
            self._unite(one, self.root(two))
        self.values[node.name] = self.values[node.inputs[0]]
        return True

    def _unite(self, one: ChannelGroup, two: ChannelGroup) -> None:
        one = self.root(one)
        if one is two:
            return
        one.writers += two.writers
        one.carriers += two.carriers
        one.readers += two.readers
        one.is_movable &= two.is_movable
        one.is_removable &= two.is_removable
        self.united[two] = one

    def _flatten(self, node: TracedNode) -> bool:
        value = self.values[node.inputs[0]]
        width = sum(self.root(group).size * repeat for group, repeat in value.parts)
        if not width or node.shape[0] % width or (value.is_last and node.shape[0] != width):
            return False
        times = node.shape[0] // width
        self.values[node.name] = _Value(tuple((group, repeat * times) for group, repeat in value.parts), True)
        return True


def taken(net: nn.Module, choices: Sequence[tuple[ChannelGroup, Tensor]]) -> nn.Module:
    """A copy of `net` with these channels of each group, in this order: a permutation, or fewer channels.

    A permutation computes the same function; so do fewer channels where the others are zero.
    """
    net = copy.deepcopy(net)
    for role, names in (
        ("writers", ("weight", "bias")),
        ("carriers", ("weight", "bias", "running_mean", "running_var")),
        ("readers", ("weight",)),
    ):
        by_layer: dict[str, list[tuple[Slot, int, Tensor]]] = {}
        for group, channels in choices:
            for slot in getattr(group, role):
                by_layer.setdefault(slot.path, []).append((slot, group.size, channels))
        for path, slots in by_layer.items():
            layer = net.get_submodule(path)
            length = layer.get_parameter("weight").shape[channel_axis(layer, role)]
            for name in names:
                _take(layer, name, channel_axis(layer, role) if name == "weight" else 0, _indices(slots, length))
            _state_sizes(layer)
    return net


def channel_axis(layer: nn.Module, role: str) -> int:
    """The axis of a layer's `weight` along which channels stand that the layer has as one of `writers`, `carriers` or
    `readers`: torch gives a transposed convolution its inputs first.
    """
    return int((role == "readers") != (isinstance(layer, nn.ConvTranspose2d) and role != "carriers"))


def _indices(slots: Sequence[tuple[Slot, int, Tensor]], length: int) -> Tensor:
    """All indices of an axis of `length`, with those of each slot taken in the order of its channels."""
    index, parts, end = torch.arange(length), [], 0
    for slot, size, channels in sorted(slots, key=lambda entry: entry[0].start):
        last = slot.start + size * slot.repeat
        parts += [index[end : slot.start], index[slot.start : last].reshape(size, slot.repeat)[channels].flatten()]
        end = last
    return torch.cat((*parts, index[end:]))


def _take(layer: nn.Module, name: str, axis: int, index: Tensor) -> None:
    tensor = getattr(layer, name, None)
    if tensor is None:
        return
    picked = tensor.detach().index_select(axis, index.to(tensor.device)).clone()
    if isinstance(tensor, nn.Parameter):
        setattr(layer, name, nn.Parameter(picked, requires_grad=tensor.requires_grad))
    else:
        setattr(layer, name, picked)


def _state_sizes(layer: nn.Module) -> None:
    """A layer's own numbers of channels, after the shape of its weight."""
    weight = layer.weight
    assert isinstance(weight, Tensor)
    if isinstance(layer, nn.Linear):
        layer.out_features, layer.in_features = weight.shape
    elif isinstance(layer, nn.ConvTranspose2d):
        layer.in_channels, layer.out_channels = weight.shape[:2]
    elif isinstance(layer, nn.Conv1d | nn.Conv2d):
        layer.out_channels = len(weight)
        if layer.groups == 1:
            layer.in_channels = weight.shape[1]
        else:  # depthwise
            layer.groups = layer.in_channels = len(weight)
    elif isinstance(layer, _NORMS):
        layer.num_features = len(weight)


def numbers_of(net: nn.Module, group: ChannelGroup) -> Tensor:
    """Places among all numbers of the net's parameters that each channel of a group owns, `(channels, numbers)`.

    They are the weights and biases of its writers, and those of its carriers: all zero, the channel is zero.
    """
    places, start = {}, 0
    for name, p in net.named_parameters():
        places[name] = torch.arange(start, start + p.numel()).reshape(p.shape)
        start += p.numel()
    rows = []
    for slot in (*group.writers, *group.carriers):
        for name in ("weight", "bias"):
            if (place := places.get(f"{slot.path}.{name}")) is not None:
                inside = _channels_first(net, slot, "writers", place)[slot.start :][: group.size * slot.repeat]
                rows.append(inside.reshape(group.size, -1))
    return torch.cat(rows, 1)


def _channels_first(net: nn.Module, slot: Slot, role: str, numbers: Tensor) -> Tensor:
    """A view of `numbers`, of a weight or a bias, whose first axis is that of the channels."""
    return numbers.movedim(channel_axis(net.get_submodule(slot.path), role) if numbers.ndim > 1 else 0, 0)


def sides_of(net: nn.Module, groups: Sequence[ChannelGroup]) -> tuple[Tensor, Tensor]:
    """For each number of the net's parameters the channel that it writes and the one that it reads, else -1.

    Channels count through all groups in turn.
    """
    written, read = {}, {}
    for name, p in net.named_parameters():
        written[name], read[name] = (torch.full(p.shape, -1) for _ in range(2))
    first = 0
    for group in groups:
        channels = torch.arange(first, first + group.size)
        for slot in (*group.writers, *group.carriers):
            for name in ("weight", "bias"):
                if (place := written.get(f"{slot.path}.{name}")) is not None:
                    _mark(_channels_first(net, slot, "writers", place), slot, channels)
        for slot in group.readers:
            _mark(_channels_first(net, slot, "readers", read[f"{slot.path}.weight"]), slot, channels)
        first += group.size
    return tuple(torch.cat([part.flatten() for part in side.values()]) for side in (written, read))  # type: ignore[return-value]


def _mark(places: Tensor, slot: Slot, channels: Tensor) -> None:
    index = channels.repeat_interleave(slot.repeat)
    places[slot.start : slot.start + len(index)] = index.reshape(-1, *(1,) * (places.ndim - 1))
