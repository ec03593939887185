"""A small transformer on patches of raw samples."""

import torch
from torch import Tensor, nn

PATCH, HOP = 32, 16
"""Samples of a patch, and from one to the next."""


class PatchTransformer(nn.Module):
    """Patches as tokens, a learnt place for each, three encoder layers of two heads, their mean, a linear layer."""

    def __init__(self, classes: int, samples: int, width: int = 32) -> None:
        super().__init__()
        self.patches = nn.Conv1d(2, width, PATCH, HOP, PATCH // 2)
        self.places = nn.Parameter(0.02 * torch.randn(1, samples // HOP + 1, width))
        layer = nn.TransformerEncoderLayer(width, 2, 2 * width, 0.0, batch_first=True, norm_first=True)
        self.layers = nn.TransformerEncoder(layer, 3, nn.LayerNorm(width), enable_nested_tensor=False)
        self.head = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits `(B, classes)` of `(B, 2, samples)`."""
        tokens = self.patches(x).transpose(1, 2)
        return torch.as_tensor(self.head(self.layers(tokens + self.places[:, : tokens.shape[1]]).mean(1)))
