"""The numbers of an integer program in as few bytes as a standard coder takes."""

import lzma
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from shared.integer.format import Format
from shared.integer.operations import AbstractWeighted, Constant, Operation, Requantise
from shared.integer.program import Program

_CODER = [{"id": lzma.FILTER_LZMA1, "lc": 0, "lp": 0, "pb": 0, "preset": 9}]
"""LZMA without a container, and one adaptive model for all bytes: a weight tells nothing about the next."""


def pack(program: Program) -> bytes:
    """Weights, biases and binary points, entropy coded: what differs between two programs of the same layers and words.

    A number takes whole bytes, the low ones of a constant first, before LZMA codes each byte by how often it occurs: a
    weight of 4 bits takes about three bits then, and a zero among many less than one.

    >>> from shared.integer import Input, Linear
    >>> weight = Constant(np.arange(1000).reshape(10, 100) % 16 - 8, Format(4, 3))
    >>> program = Program((Input("x", (100,), Format(8, 7)),), (Linear(("x",), "y", weight),), ("y",))
    >>> unpack(pack(program), program) == program
    True
    """
    parts: list[bytes] = []
    for operation in program.operations:
        if isinstance(operation, Requantise):
            parts.append(_point(operation.format))
        for constant in _constants(operation):
            little = constant.integers.astype("<i8").reshape(-1, 1).view(np.uint8)[:, : _width(constant.format)]
            parts += [_point(constant.format), little.T.tobytes()]
    return lzma.compress(b"".join(parts), lzma.FORMAT_RAW, filters=_CODER)


def unpack(data: bytes, program: Program) -> Program:
    """`program` with the numbers that `pack` wrote of one with the same layers and words.

    Raises `ValueError` for bytes that are not of such a program.
    """
    try:
        plain = lzma.decompress(data, lzma.FORMAT_RAW, filters=_CODER)
    except (lzma.LZMAError, EOFError) as error:
        raise ValueError(f"{len(data)} bytes are no packed program: {error}") from None
    needed = sum(map(_size, program.operations))
    if len(plain) != needed:
        raise ValueError(f"the packed program has {len(plain)} bytes of numbers: one of these layers has {needed}")
    read = _Reader(plain)
    return replace(program, operations=tuple(map(read.operation, program.operations)))


def _constants(operation: Operation) -> list[Constant]:
    if not isinstance(operation, AbstractWeighted):
        return []
    return [operation.weight] if operation.bias is None else [operation.weight, operation.bias]


def _size(operation: Operation) -> int:
    """Bytes before they are coded."""
    numbers = sum(1 + constant.integers.size * _width(constant.format) for constant in _constants(operation))
    return numbers + isinstance(operation, Requantise)


def _width(format: Format) -> int:
    return -(-format.word // 8)


def _point(format: Format) -> bytes:
    return format.fraction.to_bytes(1, signed=True)


class _Reader:
    """Operations with other numbers, one after the other."""

    def __init__(self, plain: bytes) -> None:
        self.plain: NDArray[np.uint8] = np.frombuffer(plain, np.uint8)
        self.at = 0

    def operation(self, like: Operation) -> Operation:
        if isinstance(like, Requantise):
            return replace(like, format=self.format(like.format))
        if isinstance(like, AbstractWeighted):
            weight = self.constant(like.weight)
            return replace(like, weight=weight, bias=None if like.bias is None else self.constant(like.bias))
        return like

    def constant(self, like: Constant) -> Constant:
        format, width, size = self.format(like.format), _width(like.format), like.integers.size
        planes = self.take(size * width).reshape(width, size).astype(np.int64)
        natural = (planes << 8 * np.arange(width)[:, None]).sum(0)
        signed = natural - ((natural >> 8 * width - 1) << 8 * width) * like.format.signed
        return Constant(signed.reshape(like.integers.shape), format)

    def format(self, like: Format) -> Format:
        return replace(like, fraction=int(self.take(1).view(np.int8)[0]))

    def take(self, count: int) -> NDArray[np.uint8]:
        self.at += count
        return self.plain[self.at - count : self.at]
