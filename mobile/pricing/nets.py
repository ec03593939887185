"""Random nets whose layers are measured: chains of every kernel, as they follow each other in real nets."""

import numpy as np

from shared.integer import (
    Add,
    AveragePool,
    Constant,
    Conv2d,
    Flatten,
    Input,
    Linear,
    MaxPool,
    Operation,
    PixelShuffle,
    Program,
    Requantise,
    Resample,
)
from shared.integer.format import Format

S8, U8 = Format(8, 7), Format(8, 0, signed=False)
MACS = 2**25
"""At most, of a layer."""


class _Chain:
    def __init__(self, rng: np.random.Generator, channels: int, size: int) -> None:
        self.rng, self.shape, self.last = rng, (channels, size, size), "x"
        self.operations: list[Operation] = []

    def put(self, operation: Operation, shape: tuple[int, ...]) -> None:
        """An operation, whose result is rounded to bytes."""
        name = f"{operation.output}_r"
        self.operations += [operation, Requantise((operation.output,), name, U8)]
        self.last, self.shape = name, shape  # type: ignore[assignment]

    def name(self) -> str:
        return f"v{len(self.operations)}"

    def weight(self, *shape: int) -> Constant:
        """Integers as trained layers have them, with a random share of the blocks of 2 x 4 or 1 x 4."""
        rows = int(self.rng.integers(1, 3))
        blocks = self.rng.random((-(-shape[0] // rows), -(-shape[1] // 4))) < self.rng.choice([1.0, 0.5, 0.25, 0.12])
        blocks[0, 0] = True
        mask = np.repeat(np.repeat(blocks, rows, 0), 4, 1)[: shape[0], : shape[1]]
        mask = mask.reshape(*mask.shape, *(1,) * (len(shape) - 2))
        normal = np.rint(self.rng.normal(0, self.rng.choice([16, 32, 40, 64]), shape)).clip(-127, 127).astype(int)
        return Constant(normal * mask, S8)

    def convolve(self, kernel: int, stride: int) -> None:
        channels, size, _ = self.shape
        out = -(-size // stride)
        most = min(MACS // (channels * kernel**2 * out**2), 512)
        outputs = int(np.exp(self.rng.uniform(np.log(8), np.log(max(most, 9)))))
        weight = self.weight(outputs, channels, kernel, kernel)
        pad = kernel // 2
        layer = Conv2d((self.last,), self.name(), weight, None, (stride, stride), (pad, pad))
        self.put(layer, (outputs, out, out))

    def depthwise(self, stride: int) -> None:
        channels, size, _ = self.shape
        out, kernel = -(-size // stride), int(self.rng.choice([3, 3, 5]))
        weight = Constant(self.rng.integers(-64, 64, (channels, 1, kernel, kernel)), S8)
        pad = kernel // 2
        layer = Conv2d((self.last,), self.name(), weight, None, (stride, stride), (pad, pad), channels)
        self.put(layer, (channels, out, out))

    def shortcut(self) -> None:
        """A convolution beside which its input passes by; the sum is of bytes, or of the sums themselves."""
        channels, source = self.shape[0], self.last
        kernel = int(self.rng.choice([1, 3])) if channels <= 64 else 1
        weight, pad = self.weight(channels, channels, kernel, kernel), kernel // 2
        layer = Conv2d((source,), self.name(), weight, None, (1, 1), (pad, pad))
        if self.rng.random() < 0.5:
            self.put(layer, self.shape)
            self.put(Add((source, self.last), self.name()), self.shape)
            return
        self.operations.append(layer)
        self.put(Add((source, layer.output), self.name()), self.shape)
        if self.rng.random() < 0.5:  # the sum is read as it is, too, and so rounded by a call of its own
            total = self.operations[-2].output
            again = Conv2d((self.last,), self.name(), self.weight(channels, channels, 1, 1))
            self.operations.append(again)
            self.put(Add((total, again.output), self.name()), self.shape)

    def pool(self) -> None:
        channels, size, _ = self.shape
        kind, window = (AveragePool, MaxPool)[self.rng.integers(2)], int(self.rng.integers(2, 4))
        pool = kind((self.last,), self.name(), (window, window), (2, 2))
        self.put(pool, (channels, *((size - window) // 2 + 1,) * 2))

    def enlarge(self) -> None:
        """Channels as squares of pixels, of bytes or of the sums themselves, to which the image may be added."""
        channels, size, _ = self.shape
        source, factor = self.last, int(self.rng.choice([2, 2, 3, 4]))
        weight = self.weight(factor**2 * int(self.rng.integers(1, 9)), channels, 1, 1)
        layer = Conv2d((self.last,), self.name(), weight)
        outputs = len(weight.integers)
        if self.rng.random() < 0.25:
            self.put(layer, (outputs, size, size))
        else:
            self.operations.append(layer)
            self.last = layer.output
        squares, shape = PixelShuffle((self.last,), self.name(), factor), (outputs // factor**2, *(factor * size,) * 2)
        if self.rng.random() < 0.5:
            self.put(squares, shape)
            return
        self.operations.append(squares)
        self.last = source
        image = Conv2d((source,), self.name(), self.weight(shape[0], channels, 1, 1))
        self.put(image, (shape[0], size, size))
        places = Constant(np.arange(factor * size)[:, None] // factor, Format(16, 0))
        ones = Constant(np.ones((factor * size, 1), int), Format(8, 0))
        self.operations.append(Resample((self.last,), self.name(), places, ones, places, ones))
        self.put(Add((squares.output, self.operations[-1].output), self.name()), shape)

    def classify(self) -> None:
        channels, size, _ = self.shape
        self.put(AveragePool((self.last,), self.name(), (size, size), (size, size)), (channels, 1, 1))
        self.operations.append(Flatten((self.last,), self.name()))
        self.last = self.operations[-1].output
        outputs = int(self.rng.choice([10, 100, 400, 1000]))
        self.operations.append(Linear((self.last,), self.name(), self.weight(outputs, channels)))
        self.last = self.operations[-1].output


def random_net(rng: np.random.Generator) -> Program:
    """A chain of about a dozen layers of random width, from 14 to 64 pixels a side down to a classifier."""
    size, channels = int(rng.choice([14, 16, 28, 32, 40, 48, 56, 64])), int(rng.choice([3, 16, 24, 32, 64]))
    chain = _Chain(rng, channels, size)
    if size <= 32:
        chain.enlarge()
    for _ in range(10):
        stride = 2 if chain.shape[1] >= 14 and rng.random() < 0.25 else 1
        step = rng.integers(6)
        if step == 0 and stride == 2:
            chain.pool()
        elif step <= 1:
            chain.convolve(3, stride)
        elif step == 2:
            chain.depthwise(stride)
        elif step == 3 and chain.shape[0] ** 2 * chain.shape[1] ** 2 <= MACS:
            chain.shortcut()
        else:
            chain.convolve(1, 1)
    chain.classify()
    return Program((Input("x", (channels, size, size), U8),), tuple(chain.operations), (chain.last,))
