"""The numbers of an integer program in as few bytes as a standard coder takes."""

import lzma
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.integer.format import Format
from shared.integer.operations import Constant, Operation
from shared.integer.program import Program

_CODER = [{"id": lzma.FILTER_LZMA1, "lc": 0, "lp": 0, "pb": 0, "preset": 9}]
"""LZMA without a container, and one adaptive model for all bytes: a weight tells nothing about the next."""


def pack(program: Program) -> bytes:
    """Weights, biases and binary points, entropy coded: what differs between two programs of the same layers and words.

    Binary points and the bytes that each constant needs come first, then the lowest byte of every number, constants of
    few bits before wider ones, then the second bytes and so on: LZMA codes each by how often it occurred lately, so
    that a weight of 4 bits takes about three and a half, and a zero among many less than one.

    >>> from shared.integer import Input, Linear
    >>> weight = Constant(np.arange(1000).reshape(10, 100) % 16 - 8, Format(4, 3))
    >>> program = Program((Input("x", (100,), Format(8, 7)),), (Linear(("x",), "y", weight),), ("y",))
    >>> unpack(pack(program), program) == program
    True
    """
    constants = list(_constants(program))
    widths = [_width(constant.integers) for constant in constants]
    points = [format.fraction.to_bytes(1, signed=True) for format in _formats(program)]
    planes = [
        np.ascontiguousarray(constants[index].integers.astype("<i8").reshape(-1, 1).view(np.uint8)[:, plane]).tobytes()
        for plane, index in _order(constants, widths)
    ]
    return lzma.compress(b"".join([*points, bytes(widths), *planes]), lzma.FORMAT_RAW, filters=_CODER)


def unpack(data: bytes, program: Program) -> Program:
    """`program` with the numbers that `pack` wrote of one with the same layers and words.

    Raises `ValueError` for bytes that are not of such a program.
    """
    try:
        plain = np.frombuffer(lzma.decompress(data, lzma.FORMAT_RAW, filters=_CODER), np.uint8)
    except (lzma.LZMAError, EOFError) as error:
        raise ValueError(f"{len(data)} bytes are no packed program: {error}") from None
    constants, formats = list(_constants(program)), list(_formats(program))
    points, widths = np.split(plain[: len(formats) + len(constants)], [len(formats)])
    needed = int(sum(constant.integers.size * int(width) for constant, width in zip(constants, widths, strict=False)))
    if len(widths) < len(constants) or len(plain) != len(points) + len(widths) + needed:
        raise ValueError(f"the packed program has {len(plain)} bytes of numbers, which those layers do not have")
    naturals = [np.zeros(constant.integers.size, np.int64) for constant in constants]
    at = len(points) + len(widths)
    for plane, index in _order(constants, widths.tolist()):
        naturals[index] += plain[at : at + len(naturals[index])].astype(np.int64) << 8 * plane
        at += len(naturals[index])
    fractions, numbers = iter(points.view(np.int8).tolist()), iter(zip(naturals, widths.tolist(), strict=True))

    def constant(like: Constant) -> Constant:
        natural, width = next(numbers)
        signed = natural - (natural >> 8 * width - 1 << 8 * width)
        return Constant(signed.reshape(like.integers.shape), replace(like.format, fraction=next(fractions)))

    def operation(like: Operation) -> Operation:
        fields: dict[str, Any] = {}
        for name, field in vars(like).items():
            if isinstance(field, Constant):
                fields[name] = constant(field)
            elif isinstance(field, Format):
                fields[name] = replace(field, fraction=next(fractions))
        return replace(like, **fields)

    return replace(program, operations=tuple(map(operation, program.operations)))


def _constants(program: Program) -> Iterator[Constant]:
    """Every one, in the order of the operations."""
    for operation in program.operations:
        yield from operation.constants


def _formats(program: Program) -> Iterator[Format]:
    """Those of `_constants` and of what is requantised, in the order of the operations."""
    for operation in program.operations:
        for field in vars(operation).values():
            if isinstance(field, Constant):
                yield field.format
            elif isinstance(field, Format):
                yield field


def _width(integers: NDArray[np.signedinteger]) -> int:
    """The fewest bytes whose two's complement holds all of them."""
    top = max(-int(integers.min()) - 1, int(integers.max()), 0)
    return top.bit_length() // 8 + 1


def _order(constants: Sequence[Constant], widths: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Planes of bytes, and in each the constants that have it, those of few bits first."""
    narrow_first = sorted(range(len(constants)), key=lambda index: constants[index].format.word)
    for plane in range(max(widths, default=0)):
        yield from ((plane, index) for index in narrow_first if widths[index] > plane)
