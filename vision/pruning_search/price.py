"""What a net costs as a function of how wide its layers are."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from shared.weights.channels import ChannelGroup, sides_of
from shared.weights.prices import NetPrice


class WidthPrice(Protocol):
    """A price of widths, with a gradient: `shared.TablePrice` is one, of kernels that were measured."""

    @property
    def unit(self) -> str:
        """What is counted."""

    def expected(self, widths: Tensor) -> Tensor:
        """The price at the widths of all groups, `(groups,)`, which need not be whole; differentiable in them."""


@dataclass(frozen=True, eq=False)
class PairedPrice:
    """What a net price charges for each pair of a channel that is written and one that is read:

        price(n) = sum over groups g, h of cost[g, h] n_g n_h        with n = 1 for what no channel changes

    A layer that is between two groups costs less if either is narrower, and the gradient goes to both.
    """

    cost: Tensor
    """`(groups + 1, groups + 1)`, double."""
    unit: str

    @classmethod
    def of(cls, net: nn.Module, groups: Sequence[ChannelGroup], price: NetPrice) -> "PairedPrice":
        """The price of `net`; branches that its blocks merge into one convolution for use cost nothing."""
        costs = price.number_costs(net, (), None).double() * _stays(net)
        sizes = torch.tensor([group.size for group in groups])
        group_of = torch.cat((torch.arange(len(groups)).repeat_interleave(sizes), torch.tensor([len(groups)])))
        written, read = (group_of[side] for side in sides_of(net, groups))  # -1 is the last, which is no channel
        total = torch.zeros(len(groups) + 1, len(groups) + 1, dtype=torch.float64)
        total.index_put_((written, read), costs, accumulate=True)
        counts = torch.cat((sizes, torch.ones(1))).double()
        return cls(total / counts[:, None] / counts, price.unit)

    def expected(self, widths: Tensor) -> Tensor:
        counts = torch.cat((widths.double(), widths.new_ones(1, dtype=torch.float64)))
        return counts @ self.cost.to(widths.device) @ counts


@dataclass(frozen=True, eq=False)
class ScaledPrice:
    """Another price times a factor: what was measured over what it predicts."""

    price: WidthPrice
    factor: float

    @property
    def unit(self) -> str:
        return self.price.unit

    def expected(self, widths: Tensor) -> Tensor:
        return self.factor * self.price.expected(widths)

    @classmethod
    def fitted(cls, price: WidthPrice, widths: Sequence[int], measured: float) -> "ScaledPrice":
        """`price`, scaled so that these widths cost what they were measured to."""
        return cls(price, measured / float(price.expected(torch.tensor(widths, dtype=torch.float64))))


def _stays(net: nn.Module) -> Tensor:
    """For each number of the parameters 1, or 0 where a block merges it into another branch, `(numbers,)`."""
    merged = tuple(
        f"{path}.{branch}." for path, module in net.named_modules() for branch in getattr(module, "merged", ())
    )
    stays = [(p.numel(), not name.startswith(merged)) for name, p in net.named_parameters()]
    return torch.cat([torch.full((count,), float(stay)) for count, stay in stays])
