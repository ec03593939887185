"""What a net costs: multiply-accumulates or bytes, over blocks of its weights or over its channels."""

import math
from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor, nn

from shared.core.price import AbstractAdditivePrice


class NetPrice(Protocol):
    """A price of a whole net, from which `compress` makes the price of its blocks."""

    @property
    def unit(self) -> str:
        """What is counted."""

    def number_costs(self, net: nn.Module, layers: Collection[str], word: int | None) -> Tensor:
        """What each number of the net's parameters costs while its block is kept, `(numbers,)`.

        `layers` are compressed, their weights to `word` bits if that is not None.
        """

    def block_cost(self) -> float:
        """What a block that may be dropped costs besides, dropped or not."""


@dataclass(frozen=True, eq=False)
class MACs:
    """Multiply-accumulates for one sample: each weight of a convolution or linear layer, times how often it is used.

    `example` is an input `(B, *shape)`, or its shape without the batch. Other layers are not counted.

    >>> net = nn.Sequential(nn.Conv1d(2, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(40, 3))
    >>> float(MACs((2, 10)).number_costs(net, (), None).sum())
    360.0
    """

    example: Tensor | tuple[int, ...]
    unit: str = "MAC"

    def number_costs(self, net: nn.Module, layers: Collection[str], word: int | None) -> Tensor:
        uses = positions(net, self.example)
        parts = []
        for name, p in net.named_parameters():
            path, _, kind = name.rpartition(".")
            parts.append(torch.full((p.numel(),), float(uses.get(path, 0) if kind == "weight" else 0)))
        return torch.cat(parts)

    def block_cost(self) -> float:
        return 0.0


@dataclass(frozen=True)
class Bytes:
    """Bytes of all parameters: 32 bits for each number, or the bits of its grid. With `bitmap`, a bit says for each
    block that may be dropped whether it is there; channels need none, as their tensors are smaller.

    >>> float(Bytes().number_costs(nn.Linear(3, 2), (), None).sum())
    32.0
    """

    bitmap: bool = True
    unit: str = "bytes"

    def number_costs(self, net: nn.Module, layers: Collection[str], word: int | None) -> Tensor:
        bits = [
            torch.full((p.numel(),), float(word if word is not None and name.removesuffix(".weight") in layers else 32))
            for name, p in net.named_parameters()
        ]
        return torch.cat(bits) / 8

    def block_cost(self) -> float:
        return 1 / 8 if self.bitmap else 0.0


def positions(net: nn.Module, example: Tensor | tuple[int, ...]) -> dict[str, int]:
    """How often each weight of a convolution or linear layer is used for one sample, by the layer's name.

    Counted in a forward pass, so that nets are welcome that cannot be traced. Raises `ValueError` if the net does not
    take the example.
    """
    like = next(net.parameters())
    x = example[:1] if isinstance(example, Tensor) else torch.zeros(1, *example)
    x = x.to(like.device, like.dtype if x.is_floating_point() else x.dtype)
    uses: dict[str, int] = {}

    def count(path: str, layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if isinstance(layer, nn.ConvTranspose2d):  # each input meets each weight once
            times = inputs[0].numel() // layer.in_channels
        else:
            outputs = layer.out_features if isinstance(layer, nn.Linear) else layer.out_channels
            times = output.numel() // int(outputs)  # type: ignore[arg-type]
        uses[path] = uses.get(path, 0) + times

    hooks = [
        layer.register_forward_hook(lambda layer, inputs, output, path=path: count(path, layer, inputs, output))
        for path, layer in net.named_modules()
        if isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d | nn.ConvTranspose2d)
    ]
    modes = [(module, module.training) for module in net.modules()]
    try:
        with torch.no_grad():
            net.eval()(x)  # in training, batch norms would take the example into their statistics
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        line = next((line for line in str(error).splitlines() if line), type(error).__name__)
        raise ValueError(f"the net does not take an input of shape {tuple(x.shape[1:])}: {line}") from error
    finally:
        for module, training in modes:
            module.training = training
        for hook in hooks:
            hook.remove()
    return uses


@dataclass(frozen=True, eq=False)
class BlocksPrice(AbstractAdditivePrice):
    """A block costs the sum of its numbers unless it is dropped, and what cannot be dropped always does."""

    kept: Tensor
    """`(blocks,)`, what a block costs while it is there."""
    always: Tensor
    """`(blocks,)`, what it costs in any case."""
    unit: str

    def price(self, values: Tensor) -> Tensor:
        kept, always = self.kept.to(values.device)[:, None], self.always.to(values.device)[:, None]
        return always + kept * (values != 0).any(-1)


@dataclass(frozen=True, eq=False)
class NumbersPrice(AbstractAdditivePrice):
    """Every number that is not zero costs something of its own: what a user's menu is priced by."""

    each: Tensor
    """`(blocks, size)`."""
    unit: str

    def price(self, values: Tensor) -> Tensor:
        return (self.each.to(values.device)[:, None] * (values != 0)).double().sum(-1)


@dataclass(frozen=True, eq=False)
class ChannelsPrice:
    """A weight costs what it costs while the channel that it writes and the one that it reads are both there.

    Not additive: a channel is cheaper once its neighbours are gone. A number costs half for each of its two channels.
    With the channels of `around`, of which linear terms cost L and products P, all grown by the factor u,

        L u + P u^2 = budget

    and products are priced at u times what they cost around that point. By the inequality of the means a product is
    then never above its estimate, however the budget is divided between neighbours, and the sum is exact where all have
    grown by u: choices that meet the budget as estimated exceed it hardly ever, and little, as measured.
    """

    each: Tensor
    """`(numbers,)`."""
    written: Tensor
    read: Tensor
    """`(numbers,)`, the channel that a number writes or reads, else -1. A point begins with the channels' blocks."""
    unit: str
    budget: float
    around: Tensor | None = None
    """`(channels,)` bool, the channels that were there when prices were set; all if None."""

    @cached_property
    def channels(self) -> int:
        return int(max(self.written.max(), self.read.max())) + 1

    def there(self, values: Tensor) -> Tensor:
        return (values[: self.channels] != 0).any(-1)

    @cached_property
    def always(self) -> float:
        """What no channel changes."""
        return float(self.each[(self.written < 0) & (self.read < 0)].double().sum())

    @cached_property
    def alone(self) -> Tensor:
        """The estimate for each channel, `(channels,)`."""
        kept = torch.ones(self.channels, dtype=torch.bool) if self.around is None else self.around
        is_product = (self.written >= 0) & (self.read >= 0)
        linear, products = self._shares(kept, ~is_product), self._shares(kept, is_product) / 2
        first, second = float(linear[kept].sum()), float(products[kept].sum())
        room = max(self.budget - self.always, 0.0)
        if not second or math.isinf(room):
            return linear + products
        return linear + products * 2 * room / (first + math.sqrt(first * first + 4 * second * room))

    def _shares(self, kept: Tensor, which: Tensor) -> Tensor:
        """What the numbers `which` cost, by each channel of theirs, while their other channel is there."""
        also = torch.cat((kept, torch.ones(1, dtype=torch.bool)))  # -1 is no channel, and always there
        sums = torch.zeros(self.channels + 1, dtype=torch.float64)
        for side, other in ((self.written, self.read), (self.read, self.written)):
            sums.index_add_(0, side % (self.channels + 1), (self.each * which * also[other]).double())
        return sums[:-1]

    def _count(self, kept: Tensor) -> float:
        also = torch.cat((kept, torch.ones(1, dtype=torch.bool)))
        return float((self.each * (also[self.written] & also[self.read])).double().sum())

    def price(self, values: Tensor) -> Tensor:
        prices = torch.zeros(values.shape[:2], dtype=torch.float64, device=values.device)
        prices[: self.channels] = self.alone.to(values.device)[:, None] * self.there(values)
        return prices + self.always / len(values)

    def measure(self, z: Tensor) -> float:
        return self._count(self.there(z).cpu())

    def reprice(self, z: Tensor) -> "ChannelsPrice":
        return replace(self, around=self.there(z).cpu())
