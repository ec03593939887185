"""Pruning and quantization of a trained block as one search: few bits a weight, and zero the cheapest of them."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from shared.core.admm import ADMM
from shared.core.menus import FixedPoint, Product
from shared.core.task import Progress
from shared.training.loop import Schedule
from shared.weights.bytes import PackedBytes
from shared.weights.grid import weight_grid
from shared.weights.task import ParameterTask

HEADER = 1
"""Bytes before each tensor: its binary point."""

SOLVER = ADMM(rho=1e-3, growth=1.15, steps=25, fine_tune=0)
TUNING = Schedule(steps=1500, rate=1e-3, floor=1e-5)


@dataclass(frozen=True, eq=False)
class PackedNet:
    """A network on its grid, and the bytes that hold it."""

    z: Tensor
    """`(parameters, 1)`."""
    menu: Product
    price: PackedBytes
    packed: bytes
    loss: float
    dense_loss: float
    status: str

    @property
    def sparsity(self) -> float:
        """The share of the weights, biases apart, that are zero."""
        weights = torch.cat([self.z[start:end] for start, end in self.price.sparse])
        return float((weights == 0).double().mean())


def compress_to_bytes(
    task: ParameterTask,
    budget: int,
    word: int = 4,
    solver: ADMM = SOLVER,
    tuning: Schedule = TUNING,
    progress: Progress | None = None,
) -> PackedNet:
    """The network of `task` in at most `budget` bytes, header, bitmap and biases included.

    ADMM finds which weights stay and where on the grid (`menus.weight_grid`, `prices.PackedBytes`); the pattern of
    zeros is then kept while the rest is trained through the rounding, and the better of the two is returned.

    Raises ValueError if the header, the bitmaps and the biases alone exceed `budget`.
    """
    menu, price = weight_grid(task.net, word), packed_price(task.net, word)
    headers = HEADER * len(menu.parts)
    solution = solver.solve(task, on=menu, price=price, budget=budget - headers, x=task.x, progress=progress)
    kept = solution.z != 0
    tuned = task.fit_on(lambda x: rounded(x, menu) * kept, torch.where(kept, solution.x, solution.z), tuning)
    z, loss = min(((solution.z, solution.loss), (tuned, task.loss(tuned))), key=lambda pair: pair[1])
    return PackedNet(z, menu, price, pack(z, menu, task.net), loss, task.loss(task.x), solution.status)


def packed_price(net: nn.Module, word: int) -> PackedBytes:
    """What `prunable` names has a bitmap; the rest is there in full."""
    ranges, start = [], 0
    for p, is_prunable in zip(net.parameters(), prunable(net), strict=True):
        if is_prunable:
            ranges.append((start, start + p.numel()))
        start += p.numel()
    return PackedBytes(word, tuple(ranges))


def prunable(net: nn.Module) -> list[bool]:
    """For each parameter of `net` whether its zeros are worth a bitmap: those of layers' weights, not of biases."""
    return [name.endswith("weight") for name, _ in net.named_parameters()]


def dense_bytes(net: nn.Module, word: int) -> int:
    """Bytes of all parameters at `word` bits without a bitmap, with a binary point for each tensor."""
    return -(-sum(p.numel() for p in net.parameters()) * word // 8) + HEADER * len(list(net.parameters()))


def rounded(x: Tensor, menu: Product) -> Tensor:
    """The nearest point of a product of grids, `(parameters, 1)`; `menu.project` without a price, but fast."""
    parts = []
    for part, rows in zip(menu.parts, torch.split(x, list(menu.blocks)), strict=True):
        assert isinstance(part, FixedPoint)
        top = 2 ** (part.word - 1)
        parts.append((rows * 2.0**part.fraction).round().clamp(-top, top - 1) / 2.0**part.fraction)
    return torch.cat(parts)


def pack(z: Tensor, menu: Product, net: nn.Module) -> bytes:
    """The network as bytes: for each tensor its binary point, for weights a bitmap, then the numbers, bit by bit.

    Every tensor's bits are followed by those of the next; only the end is filled up to a whole byte.
    """
    bits: list[np.ndarray] = []
    points = bytearray()
    for part, rows, is_prunable in zip(menu.parts, torch.split(z, list(menu.blocks)), prunable(net), strict=True):
        assert isinstance(part, FixedPoint)
        points += int(part.fraction).to_bytes(1, signed=True)
        steps = torch.round(rows[:, 0] * 2.0**part.fraction).long().numpy()
        if is_prunable:
            bits.append((steps != 0).astype(np.uint8))
            steps = steps[steps != 0]
        places = np.arange(part.word - 1, -1, -1)
        bits.append((((steps % 2**part.word)[:, None] >> places) & 1).astype(np.uint8).ravel())
    return bytes(points) + np.packbits(np.concatenate(bits)).tobytes()


def unpack(packed: bytes, word: int, net: nn.Module) -> Tensor:
    """Undoes `pack` for a network of the same shape: `(parameters, 1)`. Raises ValueError if it does not fit."""
    shapes = list(net.parameters())
    points = np.frombuffer(packed[: len(shapes)], np.int8)
    read = _Bits(np.unpackbits(np.frombuffer(packed[len(shapes) :], np.uint8)))
    parts = []
    for p, is_prunable, point in zip(shapes, prunable(net), points, strict=True):
        there = read.take(p.numel()) > 0 if is_prunable else np.ones(p.numel(), bool)
        codes = read.take(int(there.sum()) * word).reshape(-1, word) @ (1 << np.arange(word - 1, -1, -1))
        steps = np.zeros(p.numel())
        steps[there] = np.where(codes >= 2 ** (word - 1), codes - 2**word, codes)
        parts.append(torch.from_numpy(steps / 2.0 ** int(point)).float())
    if read.left >= 8:
        raise ValueError(f"{len(packed)} bytes do not fit the network: {read.left} bits are left over")
    return torch.cat(parts)[:, None]


@dataclass
class _Bits:
    bits: np.ndarray
    at: int = 0

    @property
    def left(self) -> int:
        return len(self.bits) - self.at

    def take(self, count: int) -> np.ndarray:
        if count > self.left:
            raise ValueError(f"the packed network has {len(self.bits)} bits; {count - self.left} more are needed")
        self.at += count
        return self.bits[self.at - count : self.at].astype(np.int64)
