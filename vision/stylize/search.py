"""The shape of a generator for a budget: gates on the channels of every convolution and on the residual blocks."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from shared.weights.prices import NetPrice
from vision.pruning_search.depth import DepthPrice, DepthSpace, depth_ranks, gated_depth, renumbered, settled_parts
from vision.pruning_search.gates import GatedNet, GateSettings
from vision.pruning_search.price import PairedPrice, WidthPrice
from vision.pruning_search.rebuild import narrowed
from vision.pruning_search.space import ChannelSpace
from vision.stylize.nets import Generator, Shape

LAYERS = ("stem.conv", "down.conv", "trunk.conv")
"""The first convolution of each group that is outside of the blocks, in the order of `Shape`."""
INNER = "blocks.{}.first.conv"
"""The last group is of these: all blocks have the same width."""
EXAMPLE = torch.linspace(0, 1, 3 * 64).reshape(1, 3, 8, 8)


def channel_space(net: Generator) -> ChannelSpace:
    """The groups of channels in the order of `Shape`; those inside of the blocks, the k-th of each, are one group."""
    inner = [INNER.format(number) for number in range(len(net.blocks))]
    return ChannelSpace.of(net, EXAMPLE).tied([*([layer] for layer in LAYERS), inner])


def space_of(net: Generator) -> DepthSpace:
    """A block's gate multiplies its last norm, without whose numbers it passes its input on."""
    return DepthSpace(channel_space(net), tuple(f"blocks.{number}.second.norm." for number in range(len(net.blocks))))


def shape_price(shape: Shape, price: Callable[[Generator], WidthPrice]) -> DepthPrice:
    """The price of widths and blocks; `price` is that of a net by its widths, in the order of `Shape`."""
    one, two = (price(Generator(replace(shape, blocks=blocks))) for blocks in (1, 2))
    return DepthPrice(one, two)


def channels_price(net: Generator, price: NetPrice) -> WidthPrice:
    """A price of whole nets as one of the widths of `net`."""
    return PairedPrice.of(net, channel_space(net).groups, price)


def gated_net(
    net: Generator,
    price: WidthPrice,
    share: float,
    steps: int,
    settings: GateSettings = GateSettings(),  # noqa: B008
) -> GatedNet:
    """`net` with gates for a search of `steps` steps down to `share` of its price."""
    return gated_depth(net, space_of(net), price, share, steps, settings)


def chosen(gated: GatedNet, price: WidthPrice | None = None, multiple: int = 1) -> Generator:
    """The net of the channels and blocks of highest score that the budget allows, with the weights of the search, its
    widths multiples; at `price` where nets turned out to cost something else than was thought in the search.
    """
    assert isinstance(gated.net, Generator)
    return part_of(gated.net, settled_parts(gated, price, multiple))


def part_of(net: Generator, kept: Sequence[Tensor]) -> Generator:
    """A copy of `net` with these channels and blocks, which equals `net` with the other gates closed."""
    *channels, blocks = kept
    shallow = Generator(replace(net.shape, blocks=len(blocks)))
    shallow.load_state_dict(renumbered(net.state_dict(), "blocks.", blocks.tolist()))
    narrow = narrowed(shallow, channel_space(shallow), channels, EXAMPLE)
    assert isinstance(narrow, Generator)
    return narrow


def uniform_scores(net: Generator) -> list[Tensor]:
    """All blocks, and of every group the same share of its channels, those with the largest weights."""
    *channels, blocks = depth_ranks(net, space_of(net))
    return [*channels, torch.full_like(blocks, 2.0)]


def random_scores(net: Generator, generator: torch.Generator) -> list[Tensor]:
    """Numbers between 0 and 1, those of a group around a mean of its own: widths and depth at random."""
    sizes = space_of(net).sizes
    return [(torch.rand(1, generator=generator) + torch.rand(size, generator=generator)) / 2 for size in sizes]
