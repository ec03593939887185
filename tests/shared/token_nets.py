"""Small nets of attention and of activations beside ReLU, for the laws of several tests."""

import torch
from torch import nn
from torch.nn import functional

from shared.integer.format import Format

IMAGE, WORDS = Format(8, 5), Format(16, 0, signed=False)


class Images(nn.Module):
    """A vision transformer: patches and a class token, attention as products and as one function."""

    def __init__(self, width=16, heads=2):
        super().__init__()
        self.heads, self.patches = heads, nn.Conv2d(3, width, 4, 4)
        self.token, self.places = nn.Parameter(torch.randn(1, 1, width)), nn.Parameter(torch.randn(1, 10, width) / 2)
        self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))
        self.again, self.norm, self.head = nn.Linear(width, 3 * width), nn.LayerNorm(width), nn.Linear(width, 5)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.places
        batch, count, width = x.shape
        q, k, v = self.qkv(self.first(x)).reshape(batch, count, 3, self.heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
        scores = (q * (width // self.heads) ** -0.5) @ k.transpose(-2, -1)
        x = x + self.out((scores.softmax(-1) @ v).transpose(1, 2).reshape(batch, count, width))
        x = x + self.mlp(self.second(x))
        q, k, v = self.again(x).unflatten(-1, (3, self.heads, -1)).movedim(2, 0).transpose(2, 3)
        x = x + functional.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2)
        return self.head(self.norm(x)[:, 0] + x.mean(1))


class Sentences(nn.Module):
    """A transformer of words whose norms stand behind its sums."""

    def __init__(self, width=16, count=12):
        super().__init__()
        self.words, self.places = nn.Embedding(100, width), nn.Embedding(count, width)
        self.norm, self.qkv, self.out = nn.LayerNorm(width), nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.behind, self.head = nn.LayerNorm(width), nn.Linear(width, 2)
        mask = torch.zeros(count, count)
        mask[:, -2:] = -1e9
        self.mask = nn.Parameter(mask, requires_grad=False)

    def forward(self, x):
        x = self.norm(self.words(x) + self.places.weight)
        q, k, v = self.qkv(x).chunk(3, -1)
        x = self.behind(x + self.out((q @ k.transpose(-2, -1) / 4 + self.mask).softmax(-1) @ v))
        return self.head(torch.tanh(x[:, 0]))


class Gates(nn.Module):
    """Gates of channels, activations as tables, joined channels, images enlarged in three ways."""

    def __init__(self):
        super().__init__()
        self.first, self.pool = nn.Conv2d(3, 8, 3, 2, 1), nn.AdaptiveAvgPool2d(1)
        self.squeeze, self.gate = nn.Conv2d(8, 4, 1), nn.Conv2d(4, 8, 1)
        self.slopes, self.mix, self.last = nn.PReLU(8), nn.Conv2d(16, 6, 1), nn.Conv2d(6, 2, 3, padding=1)
        self.smooth = nn.AvgPool2d(3, 1, 1, count_include_pad=False)
        nn.init.uniform_(self.slopes.weight, 0.1, 0.5)

    def forward(self, x):
        y = functional.hardswish(self.first(x))
        y = y * functional.hardsigmoid(self.gate(functional.leaky_relu(self.squeeze(self.pool(y)), 0.1)))
        y = functional.relu6(self.mix(torch.cat([self.slopes(y), y], 1)))
        y = functional.interpolate(functional.interpolate(y, scale_factor=2.0, mode="bilinear"), size=(9, 15))
        return self.last((self.smooth(y) - y) * 0.5 + y)


def settled(net, x):
    """In evaluation, its batch norms having counted `x`: formats are set from normalised values."""
    for module in net.train().modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        net(x)
    return net.eval()


def images(count=8, size=12):
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(0)).clamp(-4, 3.9)


def words(count=8):
    return torch.randint(100, (count, 12), generator=torch.Generator().manual_seed(0))


NETS = {
    "images": (Images, images(), IMAGE),
    "sentences": (Sentences, words(), WORDS),
    "gates": (Gates, images(), IMAGE),
}
