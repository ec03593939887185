"""Widths and depth of a net, learned together under a price by gates on channels and on whole blocks."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from shared.weights.prices import NetPrice
from vision.pruning_search.depth import DepthPrice, DepthSpace, gated_depth, renumbered, settled_parts
from vision.pruning_search.gates import GatedNet, GateSettings
from vision.pruning_search.price import PairedPrice, WidthPrice
from vision.pruning_search.rebuild import narrowed
from vision.pruning_search.space import ChannelSpace
from vision.superres.nets import Supernet

EXAMPLE = torch.linspace(0, 1, 64).reshape(1, 1, 8, 8)


def space_of(net: Supernet) -> DepthSpace:
    """A group for each width, which all blocks share, and the blocks."""
    return DepthSpace(channel_space(net), tuple(f"body.block{number}.{net.gated}" for number in range(net.depth)))


def channel_space(net: Supernet) -> ChannelSpace:
    """The groups of channels in the order of the net's sizes: the k-th channels of all blocks are one."""
    return ChannelSpace.of(net, EXAMPLE).tied(net.layers())


def shape_price(net: Supernet, price: Callable[[Supernet], WidthPrice]) -> DepthPrice:
    """The price of widths and blocks; `price` is that of a net by its widths."""
    one, two = (price(net.at([*net.sizes[:-1], blocks])) for blocks in (1, 2))
    return DepthPrice(one, two)


def channels_price(net: Supernet, price: NetPrice) -> WidthPrice:
    """A price of whole nets as one of the widths of `net`; branches for training cost nothing."""
    return PairedPrice.of(net, channel_space(net).groups, price)


def sizes_at(net: Supernet, channels: int, blocks: int) -> list[int]:
    """The sizes of a net whose widest layers have so many channels, and all others the same share of theirs."""
    *full, _ = net.sizes
    return [*(max(size * channels // max(full), 1) for size in full), blocks]


def widest(net: Supernet, price: WidthPrice, blocks: int, budget: float) -> list[int] | None:
    """The sizes of a net with so many blocks that has the largest share of every width that the budget allows; None
    where it allows no such net.
    """
    for count in range(max(net.sizes[:-1]), 0, -1):
        sizes = sizes_at(net, count, blocks)
        if float(price.expected(torch.tensor(sizes))) <= budget:
            return sizes
    return None


def gated_net(
    net: Supernet,
    price: WidthPrice,
    share: float,
    steps: int,
    settings: GateSettings = GateSettings(),  # noqa: B008
) -> GatedNet:
    """`net` with gates for a search of `steps` steps down to `share` of its price."""
    return gated_depth(net, space_of(net), price, share, steps, settings)


def chosen(gated: GatedNet, price: WidthPrice | None = None) -> Supernet:
    """The net of the channels and blocks of highest score that the budget allows, with the weights of the search; at
    `price` where nets turned out to cost something else than was thought in the search.
    """
    assert isinstance(gated.net, Supernet)
    return part_of(gated.net, settled_parts(gated, price))


def part_of(net: Supernet, kept: Sequence[Tensor]) -> Supernet:
    """A copy of `net` with these channels of each group and these blocks, which equals `net` with all other gates
    closed.
    """
    *channels, blocks = kept
    shallow = net.at([*net.sizes[:-1], len(blocks)])
    shallow.load_state_dict(renumbered(net.state_dict(), "body.block", blocks.tolist()))
    narrow = narrowed(shallow, channel_space(shallow), channels, EXAMPLE)
    assert isinstance(narrow, Supernet)
    return narrow
