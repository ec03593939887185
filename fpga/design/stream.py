"""Values of an integer program as bytes: how a sample goes into a design, and how its result comes out."""

import math
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from shared.integer import Program, Value, bits
from shared.integer.format import Integers


@dataclass(frozen=True)
class Stream:
    """Elements one after the other, channels fastest; each in whole bytes, the lowest first, sign-extended.

    A value `(C, H, W)` streams as it is read by a convolution: all channels of a position, then the next position.
    `shape` is the program's, channels first; `word` is the width that an element needs.

    >>> Stream((2, 3), 12, True).bytes
    12
    """

    shape: tuple[int, ...]
    word: int
    signed: bool

    @classmethod
    def of(cls, value: Value) -> Self:
        """In the fewest bits that hold all that the value can reach."""
        return cls(value.shape, bits(value), value.low < 0)

    @property
    def elements(self) -> int:
        """Elements of one sample."""
        return math.prod(self.shape)

    @property
    def width(self) -> int:
        """Bytes of one element."""
        return -(-self.word // 8)

    @property
    def bytes(self) -> int:
        """Bytes of one sample."""
        return self.elements * self.width

    def pack(self, integers: Integers) -> NDArray[np.uint8]:
        """Integers `(B, *shape)` as bytes `(B, bytes)`.

        >>> Stream((2, 2), 9, True).pack(np.array([[[1, 2], [-1, -256]]])).tolist()
        [[1, 0, 255, 255, 2, 0, 0, 255]]
        """
        rows = np.moveaxis(np.asarray(integers, np.int64), 1, -1).reshape(len(integers), -1)
        every = rows.astype("<i8").view(np.uint8).reshape(len(rows), self.elements, 8)
        return np.ascontiguousarray(every[..., : self.width]).reshape(len(rows), self.bytes)

    def unpack(self, data: NDArray[Any]) -> NDArray[np.int64]:
        """Undoes `pack`: bytes `(B, bytes)` as integers `(B, *shape)`."""
        every = np.asarray(data, np.int64).reshape(len(data), self.elements, self.width)
        values = (every << 8 * np.arange(self.width)).sum(-1)
        if self.signed:
            values -= (values >> (8 * self.width - 1)) << (8 * self.width)
        last_first = values.reshape(len(data), *self.shape[1:], self.shape[0])
        return np.ascontiguousarray(np.moveaxis(last_first, -1, 1))


def ends(program: Program) -> tuple[Stream, Stream]:
    """How samples go into a design of `program`, and how results come out.

    Raises `ValueError` unless it has one input and one output.
    """
    if len(program.inputs) != 1 or len(program.outputs) != 1:
        counts = f"{len(program.inputs)} inputs and {len(program.outputs)} outputs"
        raise ValueError(f"a design has one input and one output, the program has {counts}")
    values = program.values
    return Stream.of(values[program.inputs[0].name]), Stream.of(values[program.outputs[0]])
