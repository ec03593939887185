"""Weights that stay zero while the rest is trained."""

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize


def keep_zeros(layer: nn.Module, keep: Tensor) -> None:
    """Holds `layer.weight` at zero where `keep` is False. `F8Net` takes the weights so masked.

    Raises `ValueError` unless `keep` has the weight's shape.

    >>> layer = nn.Linear(2, 1)
    >>> keep_zeros(layer, torch.tensor([[True, False]]))
    >>> (layer.weight != 0).tolist()
    [[True, False]]
    """
    assert isinstance(layer.weight, Tensor)
    shape = tuple(layer.weight.shape)
    if tuple(keep.shape) != shape:
        raise ValueError(
            f"a mask of shape {tuple(keep.shape)} for a weight of shape {shape}: give a bool for each weight"
        )
    parametrize.register_parametrization(layer, "weight", _Mask(keep))


class _Mask(nn.Module):
    def __init__(self, keep: Tensor) -> None:
        super().__init__()
        self.keep: Tensor
        self.register_buffer("keep", keep.to(torch.get_default_dtype()))

    def forward(self, weight: Tensor) -> Tensor:
        return weight * self.keep
