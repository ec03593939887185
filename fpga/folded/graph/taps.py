"""The words that a gather engine reads for each position of its window, and the weights it multiplies them by."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fpga.folded.graph.lower import Node
from fpga.folded.graph.window import Window
from shared.integer import Linear, Operation, Value
from shared.integer.geometry import plane
from shared.integer.operations import AbstractConvolution, AbstractPool, AbstractWeighted, MaxPool

Combine = Literal["multiply", "add", "max"]


@dataclass(frozen=True, eq=False)
class Taps:
    """The program of a gather engine: groups of taps, one sum per lane and group, for every position.

    A tap reads one memory word of `width` neighbouring channels. If `elementwise`, lane `j` takes element `j` of it;
    else every lane takes all of them. Then the weights of a tap are `(lanes,)`, or `(lanes, width)`.
    """

    window: Window
    width: int
    lanes: int
    elementwise: bool
    combine: Combine
    offsets: tuple[tuple[int, ...], ...]
    """Of each group, rising: a cell is written before the next, so the last tap is the last to wait."""
    weights: NDArray[np.int64]
    """One row per tap, group after group; no columns if nothing is multiplied."""
    bias: NDArray[np.int64] | None
    """One per output channel, or per output element of a reordering."""

    @property
    def counts(self) -> NDArray[np.int64]:
        """Taps per group."""
        return np.array([len(group) for group in self.offsets])

    @property
    def positions(self) -> int:
        """Positions of the window in a frame."""
        return self.window.rows * self.window.columns

    @property
    def groups(self) -> int:
        """Lane groups per position."""
        return len(self.offsets)

    @property
    def clocks(self) -> int:
        """Clocks per frame: a tap each, but never fewer than the lanes that a group must hand on one by one."""
        return int(np.maximum(self.counts, self.lanes).sum()) * self.positions

    @property
    def multipliers(self) -> int:
        """Multiplications per clock."""
        return self.weights.shape[1] if self.combine == "multiply" else 0


def taps(node: Node, x: Value, lanes: int, width: int) -> Taps:
    """The taps of a weighted operation, a pool or a reordering that reads value `x`.

    Taps whose weights are all zero are left out; a group of nothing but zeros keeps one, since its bias is emitted.
    """
    operation = node.operation
    if isinstance(operation, AbstractPool):
        return _pool(operation, x, lanes)
    if isinstance(operation, Linear):
        weight = operation.weight.integers[:, inverse(node)]
        return _dense(Window(weight.shape[1] // width), operation, weight, lanes, width)
    if isinstance(operation, AbstractConvolution):
        return _convolution(operation, x, lanes, width)
    assert node.order is not None
    offsets = tuple((int(n),) for n in node.order)
    nothing = np.zeros((len(offsets), 0), np.int64)
    return Taps(Window(len(offsets)), 1, 1, True, "max", offsets, nothing, None)


def inverse(node: Node) -> NDArray[np.int64]:
    """The order in which the elements of the value come in the stream that a node reads."""
    assert node.order is not None
    return np.argsort(node.order)


def channelwise(operation: Operation) -> bool:
    """Whether each output channel reads one input channel of its own: a pool, a depthwise convolution.

    Then the lanes are as many channels as are read at a time.
    """
    depthwise = isinstance(operation, AbstractConvolution) and operation.weight.integers.shape[:2] == (
        operation.groups,
        1,
    )
    return depthwise or isinstance(operation, AbstractPool)


def _convolution(operation: AbstractConvolution, x: Value, lanes: int, width: int) -> Taps:
    kernel, stride = plane(operation.kernel, 1), plane(operation.stride, 1)
    size, padding = plane(x.shape[1:], 1), plane(operation.padding, 0)
    weight = operation.weight.integers
    width = lanes if channelwise(operation) else width
    window = Window(x.shape[0] // width, size, kernel, stride, padding)
    if channelwise(operation):
        blocks = weight.reshape(-1, width, kernel[0] * kernel[1]).swapaxes(1, 2)  # (blocks, places, width)
        groups = [_kept(block, _places(window, i, 1)) for i, block in enumerate(blocks)]
        return _program(window, width, width, True, groups, operation)
    return _dense(window, operation, weight.reshape(*weight.shape[:2], -1).swapaxes(1, 2), lanes, width)


def _dense(window: Window, operation: AbstractWeighted, weight: NDArray[np.integer], lanes: int, width: int) -> Taps:
    """`weight` is `(out, in)` or, of a convolution, `(out, places, in / groups)`."""
    out, inner = weight.shape[0], weight.shape[-1]
    per_group = out // getattr(operation, "groups", 1)
    # (lane groups, lanes, places * words, width) -> (lane groups, taps, lanes * width)
    blocks = weight.reshape(out // lanes, lanes, -1, width).swapaxes(1, 2).reshape(out // lanes, -1, lanes * width)
    words = inner // width
    groups = [_kept(b, _places(window, i * lanes // per_group * words, words)) for i, b in enumerate(blocks)]
    return _program(window, width, lanes, False, groups, operation)


def _places(window: Window, first: int, words: int) -> NDArray[np.int64]:
    """The offsets of `words` words from `first` at every place of the window, rising."""
    (rows, columns), n = window.kernel, range(first, first + words)
    return np.array([window.offset(i, j, w) for i in range(rows) for j in range(columns) for w in n])


def _kept(weights: NDArray[np.integer], offsets: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    kept: NDArray[np.bool_] = np.any(weights, axis=1)
    kept[0] |= not kept.any()
    return offsets[kept], weights[kept].astype(np.int64)


def _program(
    window: Window,
    width: int,
    lanes: int,
    elementwise: bool,
    groups: list[tuple[NDArray[np.int64], NDArray[np.int64]]],
    operation: AbstractWeighted,
) -> Taps:
    offsets = tuple(tuple(offset.tolist()) for offset, _ in groups)
    weights = np.concatenate([weight for _, weight in groups])
    bias = operation.bias.integers.astype(np.int64) if operation.bias else None
    bias = bias if bias is None or bias.any() else None
    return Taps(window, width, lanes, elementwise, "multiply", offsets, weights, bias)


def _pool(operation: AbstractPool, x: Value, width: int) -> Taps:
    window = Window(x.shape[0] // width, plane(x.shape[1:], 1), plane(operation.size, 1), plane(operation.stride, 1))
    offsets = tuple(tuple(_places(window, i, 1).tolist()) for i in range(window.words))
    nothing = np.zeros((sum(map(len, offsets)), 0), np.int64)
    return Taps(window, width, width, True, "max" if isinstance(operation, MaxPool) else "add", offsets, nothing, None)
