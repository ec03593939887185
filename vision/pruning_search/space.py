"""The channels of a net that a search may remove, and the net with some of them switched off."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn
from torch.func import functional_call

from shared.weights.channels import ChannelGroup, channel_axis, channel_groups


@dataclass(frozen=True, eq=False)
class ChannelSpace:
    """Groups of channels; a gate for each channel, all groups in turn, says whether it is there.

    A gate stands after the activation, as a depthwise 1x1 convolution would: it multiplies the channel where layers
    read it. Convolutions and linear layers are linear, so their weights are multiplied instead, which costs less. What
    the channel was before the gate does not matter: a net whose gates are 0 or 1 equals the net without the channels of
    gate 0, whatever its norms and activations are.
    """

    groups: tuple[ChannelGroup, ...]
    example: Tensor
    """An input by which the net was traced."""

    @classmethod
    def of(cls, net: nn.Module, example: Tensor, skip: Collection[str] = ()) -> "ChannelSpace":
        """The groups of two channels and more, without those that a layer of `skip` writes.

        Raises `ValueError` for a net without any, or that cannot be traced, and for an unknown name in `skip`.
        """
        modules = dict(net.named_modules())
        if unknown := sorted(set(skip) - set(modules)):
            raise ValueError(f"skip={unknown[0]!r} is no layer of the net: it has {', '.join(filter(None, modules))}")
        groups = tuple(
            group
            for group in channel_groups(net, example)
            if group.size > 1 and group.readers and not {slot.path for slot in group.writers} & set(skip)
        )
        if not groups:
            raise ValueError(
                f"{type(net).__name__} has no channels that can be removed: outputs of the net, and what an operation "
                "that is not followed reads or writes, stay"
            )
        return cls(groups, example)

    def tied(self, layers: Sequence[Sequence[str]]) -> "ChannelSpace":
        """One group for each entry, of the groups that its layers write: their k-th channels are there or not together.

        That is how all blocks of a net get the same width.
        """
        by_layer = {slot.path: group for group in self.groups for slot in group.writers}
        groups = tuple(_united([by_layer[layer] for layer in each]) for each in layers)
        return ChannelSpace(groups, self.example)

    @property
    def sizes(self) -> list[int]:
        """How many channels each group has."""
        return [group.size for group in self.groups]

    @property
    def names(self) -> list[str]:
        """The first layer that writes each group, and how many others do."""
        others = [len({slot.path for slot in group.writers}) - 1 for group in self.groups]
        return [
            group.writers[0].path + (f" and {count} more" if count else "")
            for group, count in zip(self.groups, others, strict=True)
        ]

    @cached_property
    def readers(self) -> dict[str, Tensor]:
        """For each layer that reads channels, the channel of each of its inputs; the number of channels for others."""
        slots: dict[str, list[tuple[int, Tensor]]] = {}
        first = 0
        for group in self.groups:
            channels = torch.arange(first, first + group.size)
            for slot in group.readers:
                slots.setdefault(slot.path, []).append((slot.start, channels.repeat_interleave(slot.repeat)))
            first += group.size
        return {path: _joined(parts, first) for path, parts in slots.items()}

    def forward(self, net: nn.Module, gates: Tensor, x: Tensor) -> Tensor:
        """`net(x)` with the channels multiplied by `gates`, `(channels,)`; differentiable in gates and parameters."""
        output: Tensor = functional_call(net, self.weights(net, gates), (x,))
        return output

    def weights(self, net: nn.Module, gates: Tensor) -> dict[str, Tensor]:
        """The parameters of `net` by which it computes that, those that are not its own."""
        always = torch.cat((gates, gates.new_ones(1)))
        weights = {}
        for path, channels in self.readers.items():
            layer = net.get_submodule(path)
            weight, axis = layer.get_parameter("weight"), channel_axis(layer, "readers")
            factors = gates.new_ones(weight.shape[axis])
            factors = torch.cat((always[channels.to(gates.device)], factors[len(channels) :]))
            weights[f"{path}.weight"] = weight * factors.reshape(-1, *(1,) * (weight.ndim - 1 - axis))
        return weights

    def widths(self, gates: Tensor) -> Tensor:
        """The sum of the gates of each group, `(groups,)`."""
        return torch.stack([part.sum() for part in torch.split(gates, self.sizes)])


def _united(groups: Sequence[ChannelGroup]) -> ChannelGroup:
    unique = list(dict.fromkeys(groups))
    writers, carriers, readers = (
        [slot for group in unique for slot in getattr(group, side)] for side in ("writers", "carriers", "readers")
    )
    return ChannelGroup(unique[0].size, writers, carriers, readers)


def _joined(parts: list[tuple[int, Tensor]], channels: int) -> Tensor:
    """The channel of each input up to the last that has one; `channels`, one more than the last, where none has."""
    index = torch.full((max(start + len(part) for start, part in parts),), channels)
    for start, part in parts:
        index[start : start + len(part)] = part
    return index
