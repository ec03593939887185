"""Width and depth of a plain net, learned together under a price by gates on channels and on whole blocks."""

from collections.abc import Callable

import torch
from torch import Tensor

from shared.weights.prices import NetPrice
from vision.pruning_search.depth import DepthPrice, DepthSpace, gated_depth, renumbered, settled_parts
from vision.pruning_search.gates import GatedNet, GateSettings
from vision.pruning_search.price import PairedPrice, WidthPrice
from vision.pruning_search.rebuild import narrowed
from vision.pruning_search.space import ChannelSpace
from vision.superres.nets import PlainNet


def trunk_space(net: PlainNet) -> DepthSpace:
    """Two groups: the channels of the trunk, which all blocks share, and the blocks.

    A block's input is the output of a ReLU: of a block without weights and biases it is what is left.
    """
    return DepthSpace(_channels(net), tuple(f"body.block{number}." for number in range(net.depth)))


def trunk_price(net: PlainNet, price: Callable[[PlainNet], WidthPrice]) -> DepthPrice:
    """The price of channels and blocks; `price` is that of a net by the channels of its trunk, `(1,)`."""
    one, two = (price(PlainNet(net.scale, net.width, depth)) for depth in (1, 2))
    return DepthPrice(one, two)


def channels_price(net: PlainNet, price: NetPrice) -> WidthPrice:
    """A price of whole nets as one of `net` by the channels of its trunk; branches for training cost nothing."""
    return PairedPrice.of(net, _channels(net).groups, price)


def gated_net(
    net: PlainNet,
    price: DepthPrice,
    share: float,
    steps: int,
    settings: GateSettings = GateSettings(),  # noqa: B008
) -> GatedNet:
    """`net` with gates for a search of `steps` steps down to `share` of its price."""
    return gated_depth(net, trunk_space(net), price, share, steps, settings)


def chosen(gated: GatedNet) -> PlainNet:
    """The net of the channels and blocks of highest score that the budget allows, with the weights of the search."""
    assert isinstance(gated.net, PlainNet)
    return part_of(gated.net, *settled_parts(gated))


def part_of(net: PlainNet, channels: Tensor, blocks: Tensor) -> PlainNet:
    """A copy of `net` with these channels and blocks, which equals the net with all other gates closed."""
    shallow = PlainNet(net.scale, net.width, len(blocks))
    shallow.load_state_dict(renumbered(net.state_dict(), "body.block", blocks.tolist()))
    narrow = narrowed(shallow, _channels(shallow), [channels], torch.linspace(0, 1, 64).reshape(1, 1, 8, 8))
    assert isinstance(narrow, PlainNet)
    narrow.width = len(channels)
    return narrow


def _channels(net: PlainNet) -> ChannelSpace:
    return ChannelSpace.of(net, torch.zeros(1, 1, 8, 8))
