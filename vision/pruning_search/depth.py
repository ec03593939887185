"""Widths and the number of blocks of a net that are searched together: gates on channels and on whole blocks."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call

from vision.pruning_search.gates import THRESHOLD, GatedNet, GateSettings
from vision.pruning_search.price import WidthPrice
from vision.pruning_search.rivals import equal_shares
from vision.pruning_search.space import ChannelSpace
from vision.pruning_search.widths import widths_within


@dataclass(frozen=True, eq=False)
class DepthSpace:
    """The groups of `channels`, and one more: the blocks.

    A block's gate multiplies the parameters whose names begin with its entry of `blocks`: where all of them are zero
    the block passes its input on. A net whose gates are 0 or 1 then equals the net without the blocks of gate 0.
    """

    channels: ChannelSpace
    blocks: tuple[str, ...]

    @property
    def sizes(self) -> list[int]:
        """How many channels each group has, and how many blocks there are."""
        return [*self.channels.sizes, len(self.blocks)]

    def forward(self, net: nn.Module, gates: Tensor, x: Tensor) -> Tensor:
        """`net(x)` with channels and blocks multiplied by `gates`, `(channels + blocks,)`."""
        channels, blocks = gates.split([sum(self.channels.sizes), len(self.blocks)])
        weights = dict(net.named_parameters()) | self.channels.weights(net, channels)
        for prefix, gate in zip(self.blocks, blocks, strict=True):
            weights |= {name: gate * value for name, value in weights.items() if name.startswith(prefix)}
        output: Tensor = functional_call(net, weights, (x,))
        return output

    def widths(self, gates: Tensor) -> Tensor:
        """Channels of each group, and blocks, `(groups + 1,)`."""
        return torch.stack([part.sum() for part in torch.split(gates, self.sizes)])


@dataclass(frozen=True, eq=False)
class DepthPrice:
    """The price of widths `n` and `d` blocks, all blocks alike, from prices of nets of one block and of two:

        price(n, d) = one(n) + (d - 1) (two(n) - one(n))

    What is before and behind the blocks is in `one`, and the gradient goes to widths and blocks.
    """

    one: WidthPrice
    two: WidthPrice

    @property
    def unit(self) -> str:
        return self.one.unit

    def expected(self, widths: Tensor) -> Tensor:
        """Of `(widths + 1,)`, the last being the number of blocks."""
        channels, blocks = widths.double()[:-1], widths.double()[-1]
        one = self.one.expected(channels)
        price: Tensor = one + (blocks - 1) * (self.two.expected(channels) - one)
        return price


def gated_depth(
    net: nn.Module,
    space: DepthSpace,
    price: WidthPrice,
    share: float,
    steps: int,
    settings: GateSettings = GateSettings(),  # noqa: B008
) -> GatedNet:
    """`net` with gates for a search of `steps` steps down to `share` of its price.

    Scores begin between 0.5 and 1 by rank, those of channels and of blocks with large weights highest. With equal ones,
    as for classifiers, all gates of a net whose loss hardly differs between channels would close in the same step.
    """
    gated = GatedNet(net, space, price, share, steps, settings)
    ranks = torch.cat(depth_ranks(net, space))
    with torch.no_grad():
        gated.scores.copy_(THRESHOLD + (1 - THRESHOLD) * ranks)
    return gated


def depth_ranks(net: nn.Module, space: DepthSpace) -> list[Tensor]:
    """From 0 to 1 by the magnitude of the weights, for the channels of each group and for the blocks."""
    sums = torch.stack([sum(_magnitudes(net, prefix), torch.zeros(())) for prefix in space.blocks])
    ranks = (sums.argsort().argsort() + 0.5) / len(space.blocks)
    return [*equal_shares(net, space.channels, torch.Generator()), ranks]


def _magnitudes(net: nn.Module, prefix: str) -> Iterator[Tensor]:
    return (value.detach().abs().sum() for name, value in net.named_parameters() if name.startswith(prefix))


def kept_parts(
    scores: Sequence[Tensor], price: WidthPrice, budget: float, minimum: int, multiple: int = 1
) -> list[Tensor]:
    """Of each group the indices of highest score that the budget allows, increasing: a `multiple` of channels, and
    any number of blocks, which are the last group.
    """
    widths = widths_within(scores, price, budget, minimum, [multiple] * (len(scores) - 1) + [1])
    return [part.topk(n).indices.sort().values for part, n in zip(scores, widths, strict=True)]


def settled_parts(gated: GatedNet, price: WidthPrice | None = None, multiple: int = 1) -> list[Tensor]:
    """`kept_parts` by the scores that a search has ended with, for its budget, at its price or another one."""
    scores = torch.split(gated.scores.detach().cpu(), gated.space.sizes)
    return kept_parts(scores, price or gated.price, gated.share * gated.full, gated.settings.minimum, multiple)


def renumbered(state: dict[str, Tensor], prefix: str, blocks: Sequence[int]) -> dict[str, Tensor]:
    """The state of a net with these blocks alone, `PREFIX0.`, `PREFIX1.` and so on, from that of the net with all."""
    new = {f"{prefix}{old}": f"{prefix}{number}" for number, old in enumerate(blocks)}
    result = {}
    for name, value in state.items():
        path, dot, rest = name.removeprefix(prefix).partition(".")
        if not name.startswith(prefix):
            result[name] = value
        elif prefix + path in new:
            result[new[prefix + path] + dot + rest] = value
    return result
