"""Width and depth of a plain net, learned together under a price by gates on channels and on whole blocks."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call

from shared.weights.prices import NetPrice
from vision.pruning_search.gates import THRESHOLD, GatedNet, GateSettings
from vision.pruning_search.price import PairedPrice, WidthPrice
from vision.pruning_search.rebuild import narrowed
from vision.pruning_search.rivals import equal_shares
from vision.pruning_search.space import ChannelSpace
from vision.pruning_search.widths import widths_within
from vision.superres.nets import PlainNet


@dataclass(frozen=True, eq=False)
class TrunkSpace:
    """Two groups: the channels of the trunk, which all blocks share, and the blocks.

    A block's gate multiplies its weights and biases. Its input, the output of a ReLU, is then what is left of it, so a
    net whose gates are 0 or 1 equals the net without the blocks of gate 0.
    """

    channels: ChannelSpace
    depth: int

    @classmethod
    def of(cls, net: PlainNet) -> "TrunkSpace":
        return cls(_channels(net), net.depth)

    @property
    def sizes(self) -> list[int]:
        return [*self.channels.sizes, self.depth]

    def forward(self, net: nn.Module, gates: Tensor, x: Tensor) -> Tensor:
        """`net(x)` with channels and blocks multiplied by `gates`, `(width + depth,)`."""
        channels, blocks = torch.split(gates, self.sizes)
        weights = dict(net.named_parameters()) | self.channels.weights(net, channels)
        for number, gate in enumerate(blocks):
            prefix = f"body.block{number}."
            weights |= {name: gate * value for name, value in weights.items() if name.startswith(prefix)}
        output: Tensor = functional_call(net, weights, (x,))
        return output

    def widths(self, gates: Tensor) -> Tensor:
        """Channels and blocks, `(2,)`."""
        return torch.stack([part.sum() for part in torch.split(gates, self.sizes)])


@dataclass(frozen=True, eq=False)
class TrunkPrice:
    """The price of `n` channels and `d` blocks, all blocks alike, from prices of nets of one block and of two:

        price(n, d) = one(n) + (d - 1) (two(n) - one(n))

    Head and tail are in `one`, and the gradient goes to channels and blocks.
    """

    one: WidthPrice
    two: WidthPrice

    @classmethod
    def of(cls, net: PlainNet, price: Callable[[PlainNet], WidthPrice]) -> "TrunkPrice":
        """`price` is that of a net by the channels of its trunk, `(1,)`."""
        one, two = (price(PlainNet(net.scale, net.width, depth)) for depth in (1, 2))
        return cls(one, two)

    @property
    def unit(self) -> str:
        return self.one.unit

    def expected(self, widths: Tensor) -> Tensor:
        channels, blocks = widths.double().split(1)
        one = self.one.expected(channels)
        price: Tensor = one + (blocks[0] - 1) * (self.two.expected(channels) - one)
        return price


def channels_price(net: PlainNet, price: NetPrice) -> WidthPrice:
    """A price of whole nets as one of `net` by the channels of its trunk; branches for training cost nothing."""
    return PairedPrice.of(net, _channels(net).groups, price)


def gated_net(
    net: PlainNet,
    price: TrunkPrice,
    share: float,
    steps: int,
    settings: GateSettings = GateSettings(),  # noqa: B008
) -> GatedNet:
    """`net` with gates for a search of `steps` steps down to `share` of its price.

    Scores begin between 0.5 and 1 by rank, those of channels and of blocks with large weights highest. With equal ones,
    as for classifiers, all gates of a net whose loss hardly differs between channels would close in the same step.
    """
    space = TrunkSpace.of(net)
    gated = GatedNet(net, space, price, share, steps, settings)
    [channels] = equal_shares(net, space.channels, torch.Generator())
    sums = torch.stack([_magnitude(net.body.get_submodule(f"block{number}")) for number in range(net.depth)])
    blocks = (sums.argsort().argsort() + 0.5) / net.depth
    with torch.no_grad():
        gated.scores.copy_(THRESHOLD + (1 - THRESHOLD) * torch.cat((channels, blocks)))
    return gated


def _magnitude(block: nn.Module) -> Tensor:
    return torch.stack([parameter.detach().abs().sum() for parameter in block.parameters()]).sum()


def chosen(gated: GatedNet) -> PlainNet:
    """The net of the channels and blocks of highest score that the budget allows, with the weights of the search."""
    scores = torch.split(gated.scores.detach().cpu(), gated.space.sizes)
    widths = widths_within(scores, gated.price, gated.share * gated.full, gated.settings.minimum)
    channels, blocks = (part.topk(n).indices.sort().values for part, n in zip(scores, widths, strict=True))
    assert isinstance(gated.net, PlainNet)
    return part_of(gated.net, channels, blocks)


def part_of(net: PlainNet, channels: Tensor, blocks: Tensor) -> PlainNet:
    """A copy of `net` with these channels and blocks, which equals the net with all other gates closed."""
    shallow = PlainNet(net.scale, net.width, len(blocks))
    kept = {f"block{old}": f"block{new}" for new, old in enumerate(blocks.tolist())}
    kept |= {name: name for name in ("head", "tail")}
    state = {}
    for name, value in net.state_dict().items():
        body, layer, rest = name.split(".", 2)
        if layer in kept:
            state[f"{body}.{kept[layer]}.{rest}"] = value
    shallow.load_state_dict(state)
    narrow = narrowed(shallow, _channels(shallow), [channels], torch.linspace(0, 1, 64).reshape(1, 1, 8, 8))
    assert isinstance(narrow, PlainNet)
    narrow.width = len(channels)
    return narrow


def _channels(net: PlainNet) -> ChannelSpace:
    return ChannelSpace.of(net, torch.zeros(1, 1, 8, 8))
