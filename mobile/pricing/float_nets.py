"""Random float nets whose calls are measured: chains of every kernel, on images and on tokens."""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from mobile.lowering.calls import Lowered
from mobile.lowering.lower_floats import lower_floats
from shared.importers.graph import TracedGraph

MACS, WEIGHTS = 2**25, 2**20
"""At most, of a layer."""
Step = Callable[[Tensor], Tensor]


class _Chain(nn.Module):
    """Steps one after the other; a layer that a step calls is one of `layers`."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList()
        self.steps: list[Step] = []

    def forward(self, x: Tensor) -> Tensor:
        for step in self.steps:
            x = step(x)
        return x

    def put(self, layer: nn.Module) -> None:
        self.layers.append(layer)
        self.steps.append(layer)

    def beside(self, *layers: nn.Module) -> None:
        """Layers whose result is added to what they read."""
        body = nn.Sequential(*layers)
        self.layers.append(body)
        self.steps.append(lambda x: body(x) + x)


def random_float_net(rng: np.random.Generator) -> Lowered:
    """A chain of about a dozen layers of random width: from images to classes or to more pixels, or on tokens."""
    torch.manual_seed(int(rng.integers(2**31)))
    kind = rng.choice(["classifier", "classifier", "enlarging", "tokens"])
    chain = _Chain()
    example = _tokens(chain, rng) if kind == "tokens" else _images(chain, rng, kind == "enlarging")
    return lower_floats(TracedGraph.of(chain.eval(), example))


def _images(chain: _Chain, rng: np.random.Generator, enlarges: bool) -> Tensor:
    size = int(rng.choice([48, 64, 96, 128, 160] if enlarges else [4, 7, 8, 14, 16, 28, 32, 40, 56, 64, 96]))
    channels = int(rng.choice([1, 3]) if enlarges else rng.choice([3, 8, 16, 24, 32, 64, 128]))
    shape, side = (channels, size, size), size
    for _ in range(6 if enlarges else 10):
        step = rng.integers(9)
        stride = 2 if not enlarges and side >= 14 and rng.random() < 0.25 else 1
        if step <= 3:
            kernel = int(rng.choice([1, 3, 3, 5] if enlarges else [1, 1, 3]))
            pixels = (-(-side // stride)) ** 2
            wide = _width(rng, channels * kernel**2, pixels, 64 if enlarges else 512)
            chain.put(_sparse(rng, nn.Conv2d(channels, wide, kernel, stride, kernel // 2)))
            channels, side = wide, -(-side // stride)
            chain.put(_activation(rng, channels))
        elif step == 4:
            kernel = int(rng.choice([3, 3, 5]))
            chain.put(nn.Conv2d(channels, channels, kernel, stride, kernel // 2, groups=channels))
            side = -(-side // stride)
        elif step == 5 and side >= 4:
            window = int(rng.integers(2, 4))
            pool = (nn.AvgPool2d, nn.MaxPool2d)[rng.integers(2)]
            chain.put(pool(window, 1, 1) if enlarges else pool(window, 2))
            side = side + 3 - window if enlarges else (side - window) // 2 + 1
        elif step == 6:
            chain.beside(nn.Conv2d(channels, channels, 1), nn.BatchNorm2d(channels))
        elif enlarges and step == 8:
            side += 1
            mode = str(rng.choice(["bilinear", "bicubic"]))
            chain.steps.append(partial(functional.interpolate, size=(side, side), mode=mode))
        elif step == 7 and channels <= 128:
            chain.steps.append(lambda x: torch.cat([x, x], 1))
            channels *= 2
        else:
            chain.beside(nn.AdaptiveAvgPool2d(1), nn.Conv2d(channels, channels, 1), _activation(rng, channels))
    if enlarges:
        scale = int(rng.integers(2, 4))
        chain.put(nn.Conv2d(channels, 3 * scale**2, 3, padding=1))
        chain.put(nn.PixelShuffle(scale))
        chain.steps.append(partial(functional.interpolate, scale_factor=2))
    else:
        chain.put(nn.AdaptiveAvgPool2d(1))
        chain.put(nn.Flatten())
        chain.put(nn.Linear(channels, int(rng.choice([10, 100, 1000]))))
    return torch.zeros(1, *shape)


def _width(rng: np.random.Generator, inputs: int, pixels: int, most: int) -> int:
    """A random width, of at least 8, whose layer has at most `MACS` and `WEIGHTS`."""
    most = min(MACS // (inputs * pixels), WEIGHTS // inputs, most)
    return int(np.exp(rng.uniform(np.log(8), np.log(max(most, 9)))))


def _activation(rng: np.random.Generator, channels: int) -> nn.Module:
    """Clamps are free behind a layer, so that the others are more frequent here than in real nets."""
    every = (
        nn.ReLU(),
        nn.Hardswish(),
        nn.Hardsigmoid(),
        nn.SiLU(),
        nn.Sigmoid(),
        nn.GELU(),
        nn.GELU("tanh"),
        nn.Tanh(),
        nn.LeakyReLU(),
        nn.PReLU(channels),
        nn.Sequential(nn.Hardswish(), nn.ReLU()),
    )
    return every[rng.integers(len(every))]


def _sparse(rng: np.random.Generator, layer: nn.Conv2d) -> nn.Conv2d:
    """A layer of which a random share of the 16x1 blocks is kept."""
    blocks = torch.from_numpy(
        rng.random((-(-layer.out_channels // 16), layer.in_channels)) < rng.choice([1, 1, 0.4, 0.15])
    )
    blocks[0, 0] = True
    layer.weight.data *= blocks.repeat_interleave(16, 0)[: layer.out_channels, :, None, None]
    return layer


class _Attention(nn.Module):
    """Of every token, or of the first `asking`, as in a decoder with a cache."""

    def __init__(self, width: int, heads: int, asking: int | None = None) -> None:
        super().__init__()
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.heads, self.asking = heads, asking

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).transpose(1, 3).unbind(2)
        scores = q[:, :, : self.asking] @ k.transpose(-2, -1) * 0.1
        y: Tensor = self.out((scores.softmax(-1) @ v).transpose(1, 2).flatten(2))
        return y


def _tokens(chain: _Chain, rng: np.random.Generator) -> Tensor:
    count, heads = int(rng.choice([16, 32, 49, 64, 98, 128, 197])), int(rng.choice([2, 4, 8]))
    width = heads * int(rng.choice([8, 16, 24, 32, 64]))
    chain.put(nn.Embedding(100, width))
    for _ in range(2):
        chain.beside(nn.LayerNorm(width), _Attention(width, heads))
        wide = int(rng.choice([2, 4])) * width
        chain.beside(nn.LayerNorm(width), nn.Linear(width, wide), _activation(rng, count), nn.Linear(wide, width))
    if rng.random() < 0.5:
        chain.put(_Attention(width, heads, asking=1))
    chain.steps.append(lambda x: x.mean(1))
    chain.put(nn.Linear(width, 10))
    return torch.zeros(1, count, dtype=torch.int64)
