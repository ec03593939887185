"""What a block of a net is, and what it may become: tiles of weights, channels, numbers of few bits."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from shared.core.menu import Choices, Menu
from shared.weights.channels import ChannelGroup, numbers_of
from shared.weights.grid import fraction
from shared.weights.layout import Layout

WIDEST_WORD = 16


@dataclass(frozen=True)
class BlockSparsity:
    """Weights of convolutions and linear layers are dropped in tiles of `outputs` x `inputs` x `positions`.

    A weight `(out, in / groups, *kernel)` is cut along its outputs, its inputs and the positions of its kernel, row by
    row. Tiles stay within a group of outputs; those at an edge are smaller where a size does not divide.
    `permute` reorders channels first, which changes nothing about the net, so that large weights share tiles.
    """

    outputs: int = 4
    inputs: int = 1
    positions: int = 1
    permute: bool = True

    def __post_init__(self) -> None:
        for name in ("outputs", "inputs", "positions"):
            if getattr(self, name) < 1:
                raise ValueError(f"Arg `{name}` must be at least 1 but was {getattr(self, name)}.")

    def tiles(self, places: Tensor, groups: int = 1) -> Tensor:
        """The tiles of `places`, `(out, in / groups, *kernel)`, as `(tiles, size)`; -1 fills those at an edge.

        >>> BlockSparsity(outputs=2).tiles(torch.arange(6).reshape(3, 2))
        tensor([[ 0,  2],
                [ 1,  3],
                [ 4, -1],
                [ 5, -1]])
        """
        out, inputs = places.shape[:2]
        cube = places.reshape(groups, out // groups, inputs, -1)
        edges = (self.outputs, self.inputs, self.positions)
        short = [-side % edge for side, edge in zip(cube.shape[1:], edges, strict=True)]
        cube = pad(cube, (0, short[2], 0, short[1], 0, short[0]), value=-1)
        counts = [side // edge for side, edge in zip(cube.shape[1:], edges, strict=True)]
        sides = [length for pair in zip(counts, edges, strict=True) for length in pair]
        return cube.reshape(groups, *sides).permute(0, 1, 3, 5, 2, 4, 6).reshape(-1, math.prod(edges))


@dataclass(frozen=True)
class ChannelSparsity:
    """Whole channels are dropped, with all that writes, carries and reads them; the net that is returned is smaller.

    Channels that meet in a sum go together. One channel of each group always stays.

    >>> from shared import MACs, compress
    >>> net, x = nn.Sequential(nn.Linear(4, 9), nn.ReLU(), nn.Linear(9, 1)), torch.randn(50, 4)
    >>> compressed = compress(net, (x, x[:, :1]), on=ChannelSparsity(), price=MACs((4,)), budget=0.5)
    >>> compressed.module[0]
    Linear(in_features=4, out_features=4, bias=True)
    """


@dataclass(frozen=True)
class FixedPointWeights:
    """Weights of convolutions and linear layers lie on a grid of signed numbers of `word` bits, one for each weight
    tensor; its binary point is the nearest in squared distance. Alone, each weight may also become zero.
    """

    word: int = 8

    def __post_init__(self) -> None:
        if not 2 <= self.word <= WIDEST_WORD:
            raise ValueError(f"Arg `word` must be 2 to {WIDEST_WORD} bits but was {self.word}.")


Description = BlockSparsity | ChannelSparsity | FixedPointWeights


@dataclass(frozen=True, eq=False)
class Blocks:
    """The blocks of one net: where their numbers are, which may be dropped, and on which grid numbers must lie."""

    layout: Layout
    droppable: Tensor
    """`(blocks,)` bool."""
    step: Tensor
    """`(blocks, size)`: the grid of each number is the multiples of this; 0 for a number that may be any."""
    selected: int
    """How many blocks are compressed; they stand first."""
    word: int = 32
    """Bits of a weight on the grid."""

    def rounded(self, x: Tensor) -> Tensor:
        """The nearest point on the grids, without dropping a block."""
        top = 2 ** (self.word - 1)
        step = torch.where(self.step > 0, self.step, 1.0).to(x.device, x.dtype)
        on_grid = (x / step).round().clamp(-top, top - 1) * step
        return torch.where(self.step.to(x.device) > 0, on_grid, x)


@dataclass(frozen=True, eq=False)
class BlockMenu(Menu):
    """A block is zero and frozen, if it may be dropped, or is kept: numbers on a grid are rounded and frozen, others
    keep their value and stay trainable.
    """

    blocks: Blocks
    title: str

    def menu(self, v: Tensor) -> Choices:
        kept = self.blocks.rounded(v)
        free = (self.blocks.step == 0).to(v.device)
        droppable = self.blocks.droppable.to(v.device)[:, None]
        dropped = torch.where(droppable, torch.zeros_like(v), kept)
        return Choices(torch.stack((dropped, kept), 1), torch.stack((free & ~droppable, free), 1))

    def __repr__(self) -> str:
        return self.title


def tile_blocks(net: nn.Module, layers: Collection[str], tiles: BlockSparsity, word: int | None) -> Blocks:
    """Blocks that are tiles of the weights of `layers`."""
    parts = []
    for path in layers:
        layer = net.get_submodule(path)
        place = places(net)[f"{path}.weight"]
        parts.append(tiles.tiles(place, getattr(layer, "groups", 1)))
    return _blocks(net, parts, [True] * len(parts), layers, word)


def channel_blocks(
    net: nn.Module, groups: Sequence[ChannelGroup], costs: Tensor, layers: Collection[str], word: int | None
) -> Blocks:
    """Blocks that are the channels of `groups`. The channel of largest norm of each group may not be dropped.

    `costs` is what all channels cost, group by group. Numbers are scaled so that squared norm per cost is 1 on average
    in each group: a channel of few weights that many positions use would otherwise always be the first to go.
    """
    parts = [numbers_of(net, group) for group in groups]
    numbers = torch.cat([p.detach().flatten() for p in net.parameters()]).cpu()
    scale = torch.ones(len(numbers))
    mean_cost = costs.mean()
    for part, cost in zip(parts, torch.split(costs, [group.size for group in groups]), strict=True):
        mean_norm = numbers[part].square().sum(1).mean()
        scale[part.flatten()] = float((mean_norm / (cost.mean() / mean_cost)).sqrt().clamp(min=1e-6))
    blocks = _blocks(net, parts, [True] * len(parts), layers, word, scale)
    first = 0
    for part in parts:
        blocks.droppable[first + int(numbers[part].square().sum(1).argmax())] = False
        first += len(part)
    return blocks


def _blocks(
    net: nn.Module,
    parts: Sequence[Tensor],
    droppable: Sequence[bool],
    layers: Collection[str],
    word: int | None,
    scale: Tensor | None = None,
) -> Blocks:
    """`parts`, then all other numbers in blocks of the same size that cannot be dropped."""
    count = sum(p.numel() for p in net.parameters())
    size = max((part.shape[1] for part in parts), default=1)
    inside = torch.zeros(count + 1, dtype=torch.bool)
    for part in parts:
        inside[part.flatten()] = True  # -1 marks the last, which is no number
    rest = (~inside[:count]).nonzero()[:, 0]
    rest = pad(rest, (0, -len(rest) % size), value=-1).reshape(-1, size)
    layout = replace(Layout.join([*parts, rest]), scale=scale)
    steps = torch.zeros(count)
    if word is not None:
        for path in layers:
            weight = net.get_parameter(f"{path}.weight")
            steps[places(net)[f"{path}.weight"].flatten()] = 2.0 ** -fraction(weight.detach().cpu(), word)
    kinds = [torch.full((len(part),), flag) for part, flag in zip(parts, droppable, strict=True)]
    return Blocks(
        layout,
        torch.cat([*kinds, torch.full((len(rest),), False)]),
        layout.point(steps),
        len(layout.index) - len(rest),
        word or 32,
    )


def places(net: nn.Module) -> dict[str, Tensor]:
    """For each parameter, by name, the places of its numbers among all numbers of the net's parameters."""
    numbers, start = {}, 0
    for name, p in net.named_parameters():
        numbers[name] = torch.arange(start, start + p.numel()).reshape(p.shape)
        start += p.numel()
    return numbers
