"""Channels in an order that lets large weights share tiles: the net computes the same, and more of its norm is kept."""

from collections.abc import Collection, Sequence

import torch
from torch import Tensor, nn

from shared.weights.blocks import BlockSparsity, places
from shared.weights.channels import ChannelGroup, taken


def permuted(
    net: nn.Module,
    groups: Sequence[ChannelGroup],
    layers: Collection[str],
    tiles: BlockSparsity,
    uses: dict[str, int],
    share: float,
) -> tuple[nn.Module, float]:
    """`net` with channels reordered, and the factor by which this raises the squared norm of the tiles that would be
    kept for `share` of the multiply-accumulates. An order that does not raise it is not taken, so it is at least 1.

    Tiles are gathered around the largest channels; then pairs of channels are exchanged as long as the sum over tiles
    of their squared norm, squared, grows: that is large where few tiles hold most of the norm. After Pool & Yu 2021,
    *Channel permutations for N:M sparsity*, in our own form for tiles of any shape.
    """
    before = best = kept_norm(net, layers, tiles, uses, share)
    for group in groups:
        energy = _energy(net, group, layers, tiles)
        if energy is None:
            continue
        candidate = taken(net, [(group, _order(energy, tiles.outputs if tiles.outputs > 1 else tiles.inputs))])
        if (norm := kept_norm(candidate, layers, tiles, uses, share)) > best * (1 + 1e-9):
            net, best = candidate, norm
    return net, best / before if before else 1.0


def kept_norm(
    net: nn.Module, layers: Collection[str], tiles: BlockSparsity, uses: dict[str, int], share: float
) -> float:
    """Squared norm of the tiles with most of it per multiply-accumulate, for `share` of all of them."""
    numbers = torch.cat((*(p.detach().flatten() for p in net.parameters()), torch.zeros(1)))
    energies, costs = [], []
    for path in layers:
        index = tiles.tiles(places(net)[f"{path}.weight"], getattr(net.get_submodule(path), "groups", 1))
        energies.append(numbers[index].double().square().sum(1))
        costs.append((index >= 0).sum(1).double() * uses.get(path, 1))
    energy, cost = torch.cat(energies), torch.cat(costs)
    best = (energy / cost).argsort(descending=True, stable=True)
    return float(energy[best][cost[best].cumsum(0) <= share * cost.sum()].sum())


def _energy(net: nn.Module, group: ChannelGroup, layers: Collection[str], tiles: BlockSparsity) -> Tensor | None:
    """Squared norm of each channel by the columns of tiles that it takes part in, `(channels, columns)`."""
    axis, edge = (0, tiles.inputs) if tiles.outputs > 1 else (1, tiles.outputs)
    if tiles.outputs == tiles.inputs == 1:
        return None
    columns = []
    for slot in group.writers if axis == 0 else group.readers:
        if slot.path not in layers or slot.repeat != 1:
            continue
        weight = net.get_parameter(f"{slot.path}.weight").detach().double().square()
        rows = weight if axis == 0 else weight.transpose(0, 1)
        rows = rows.reshape(*rows.shape[:2], -1)
        rows = rows[slot.start : slot.start + group.size]
        rows = _summed(_summed(rows, 1, edge), 2, tiles.positions)
        columns.append(rows.flatten(1))
    return torch.cat(columns, 1) if columns else None


def _summed(values: Tensor, axis: int, edge: int) -> Tensor:
    """Neighbours added, `edge` at a time."""
    return torch.stack([part.sum(axis) for part in values.split(edge, axis)], axis)


def _order(energy: Tensor, edge: int) -> Tensor:
    """Channels so that those of similar columns stand together, `edge` at a time."""
    gram = energy @ energy.T
    order, tile = _gathered(gram, edge), torch.arange(len(energy)) // edge
    for _ in range(4 * len(order)):
        near = gram[order][:, order]
        by_tile = near @ torch.nn.functional.one_hot(tile).double()
        own = by_tile.gather(1, tile[:, None])[:, 0] - near.diagonal()
        elsewhere = by_tile[:, tile]
        gain = elsewhere + elsewhere.T - 2 * near - own[:, None] - own[None, :]
        gain[tile[:, None] == tile[None, :]] = 0
        best = int(gain.argmax())
        one, two = divmod(best, len(order))
        if gain[one, two] <= 1e-9 * near.diagonal().sum():
            break
        order[[one, two]] = order[[two, one]]
    return order


def _gathered(gram: Tensor, edge: int) -> Tensor:
    """Around the largest channel that is not yet placed, those most like it, `edge` at a time."""
    order: list[int] = []
    left = torch.ones(len(gram), dtype=torch.bool)
    while len(order) < len(gram):
        tile = order[len(order) // edge * edge :]
        likeness = gram[tile].sum(0) if tile else gram.diagonal()
        order.append(int(torch.where(left, likeness, -1.0).argmax()))
        left[order[-1]] = False
    return torch.tensor(order)
