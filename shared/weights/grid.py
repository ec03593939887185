"""What each weight may become: a number of a few bits on its layer's grid, of which zero is the cheapest."""

from collections.abc import Sequence

from torch import Tensor, nn

from shared.core.menus import FixedPoint, Product


def fraction(values: Tensor, word: int) -> int:
    """The binary point at which signed numbers of `word` bits are nearest to `values`, in squared distance.

    Tried from the coarsest that clips nothing to three bits finer. A tensor of zeros, such as a pruned row, has 0.

    >>> import torch
    >>> fraction(torch.tensor([0.5, -0.25]), word=4), fraction(torch.zeros(3), word=4)
    (2, 0)
    """
    if not values.any():
        return 0
    return min(range(-8, 16), key=lambda f: (float((_rounded(values, word, f) - values).square().sum()), f))


def _rounded(values: Tensor, word: int, fraction: int) -> Tensor:
    lowest = -(2 ** (word - 1))
    return (values * 2.0**fraction).round().clamp(lowest, -lowest - 1) / 2.0**fraction


def weight_grid(net: nn.Module, word: int) -> Product:
    """Signed fixed point for every parameter of `net`, one binary point for each tensor."""
    return grid_of([p.detach() for p in net.parameters()], word)


def grid_of(tensors: Sequence[Tensor], word: int) -> Product:
    """As `weight_grid`, for tensors in the order of the point."""
    return Product([FixedPoint(word, fraction(p, word)) for p in tensors], [p.numel() for p in tensors])
