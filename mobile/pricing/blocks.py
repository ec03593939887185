"""What each block of 2 x 4 weights of a net costs in milliseconds, for searches that drop blocks."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mobile.lowering.formats import FORMATS, blocks, share
from mobile.pricing.latency import Latency
from mobile.pricing.net import net_latency

SPARSE = "2x4"


@dataclass(frozen=True, eq=False)
class BlockMilliseconds:
    """A price for `shared.weights.compress`: the time that blocks of 2 x 4 weights add to `least_ms`.

    A layer's time is linear in the share of its blocks that are kept, so every block of it costs the same. Layers of
    `dense` are not priced: their time is part of `least_ms`.
    """

    added_ms: Mapping[str, float]
    """By all blocks of a layer together, for each layer that may be sparse."""
    dense: Mapping[str, str]
    """The layers that are left dense, and why."""
    least_ms: float
    """Of the net without any block of the others."""
    dense_ms: float
    """Of the net as it is."""
    dense_at: Mapping[str, float]
    """The share of kept blocks above which the dense format is faster, for each layer that may be sparse."""
    unit: str = "ms"

    def number_costs(self, net: nn.Module, layers: Collection[str], word: int | None) -> Tensor:
        """See `shared.weights.prices.NetPrice`."""
        parts = []
        for name, p in net.named_parameters():
            path, _, kind = name.rpartition(".")
            ms = self.added_ms.get(path, 0.0) if kind == "weight" else 0.0
            parts.append(torch.full((p.numel(),), ms / p.numel()))
        return torch.cat(parts)

    def block_cost(self) -> float:
        """A block that is dropped costs nothing."""
        return 0.0


def block_milliseconds(
    net: nn.Module, shape: tuple[int, ...], latency: Latency, dense: Mapping[str, str] | None = None
) -> BlockMilliseconds:
    """The price of the blocks of a net with inputs `shape`; layers of `dense`, each with a reason, stay dense.

    So do layers in groups, whose blocks would be of other groups' channels. Raises as `net_latency`.
    """
    priced = net_latency(net, shape, latency)
    left = dict(dense or {})
    for path, layer in net.named_modules():
        if getattr(layer, "groups", 1) > 1:
            left.setdefault(path, "it has groups")
    sparse = [call.layer for call in priced.calls if len(call.groups) == 2 and call.layer not in left]
    one_hot = {name: torch.eye(len(FORMATS))[k] for k, name in enumerate(FORMATS)}

    def ms(layer: str, density: float, format: str) -> float:
        terms = priced.by_call(densities={layer: torch.tensor(density)}, choices={layer: one_hot[format]})
        return float(sum(term for name, term in terms.items() if name.rpartition(" ")[0] == layer))

    none = {layer: ms(layer, 0.0, SPARSE) for layer in sparse}
    added = {layer: ms(layer, 1.0, SPARSE) - none[layer] for layer in sparse}
    whole = {layer: ms(layer, 1.0, "dense") for layer in sparse}
    least = float(priced.ms) - sum(min(whole[layer], none[layer] + added[layer]) - none[layer] for layer in sparse)
    dense_at = {layer: (whole[layer] - none[layer]) / added[layer] for layer in sparse}
    return BlockMilliseconds(added, left, least, priced.ms, dense_at)


def kept_share(layer: nn.Module) -> float:
    """Share of a layer's blocks of 2 x 4 weights that hold one."""
    assert isinstance(layer.weight, Tensor)
    weight = layer.weight.detach()
    return share(blocks(weight.reshape(*weight.shape[:2], -1).cpu().numpy()), SPARSE)
