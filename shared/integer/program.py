"""The integer program: what a fixed-point net computes, as data that every implementation is compared with."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from shared.integer.format import Format, Integers
from shared.integer.operations import Operation, Value

MOST = 1 << 26
"""Elements of the largest value: what runs it needs some hundred megabytes for each sample then."""


@dataclass(frozen=True)
class Input:
    """A named input: its shape without the batch axis, and its format."""

    name: str
    shape: tuple[int, ...]
    format: Format

    def require(self, integers: Integers) -> None:
        """Raises `TypeError` for other than integers, `ValueError` for a wrong shape or numbers beyond the format."""
        if integers.dtype.kind not in "iu":
            raise TypeError(f"input {self.name!r} needs integers, got {integers.dtype}: use {self.format}.to_integers")
        if integers.ndim < 1 or integers.shape[1:] != self.shape:
            raise ValueError(f"input {self.name!r} needs (batch, *{self.shape}), got {integers.shape}")
        if not self.format.holds(integers):
            limits = f"{self.format.low} to {self.format.high}"
            raise ValueError(f"input {self.name!r} holds {limits}, got {integers.min()} to {integers.max()}")


@dataclass(frozen=True)
class Program:
    """Named values, each written once: inputs, then one per operation, in order. Outputs are values by name.

    Checked when constructed: shapes and formats fit, and every sum fits its accumulator whatever the input. Two
    programs are equal if they compute the same values, step by step, under the same names.

    Raises `ValueError` naming the operation that does not fit.

    >>> import numpy as np
    >>> from shared.integer.operations import Constant, Linear, Requantise
    >>> weight = Constant(np.array([[64, -64]]), Format(8, 6))
    >>> net = Program(
    ...     inputs=(Input("x", (2,), Format(8, 7)),),
    ...     operations=(Linear(("x",), "sum", weight), Requantise(("sum",), "y", Format(8, 6, signed=False))),
    ...     outputs=("y",),
    ... )
    >>> net.values["sum"]
    Value(shape=(1,), format=Format(word=32, fraction=13, signed=True), low=-16320, high=16320)
    """

    inputs: tuple[Input, ...]
    operations: tuple[Operation, ...]
    outputs: tuple[str, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "_values", _infer(self))

    @property
    def values(self) -> Mapping[str, Value]:
        """Shape, format and proven range of every named value, in order."""
        values: Mapping[str, Value] = self._values  # type: ignore[attr-defined]
        return values

    @property
    def live(self) -> tuple[Operation, ...]:
        """The operations that an output depends on, in order."""
        needed, live = set(self.outputs), []
        for operation in reversed(self.operations):
            if operation.output in needed:
                needed.update(operation.inputs)
                live.append(operation)
        return tuple(live[::-1])


def _infer(program: Program) -> dict[str, Value]:
    values: dict[str, Value] = {}
    for input in program.inputs:
        _require_new(values, input.name, "input")
        if not input.shape or min(input.shape) < 1:
            raise ValueError(f"input {input.name!r} needs a shape of positive sizes, got {input.shape}")
        values[input.name] = Value.full(input.shape, input.format)
        _require_small(values[input.name], f"input {input.name!r}")
    for operation in program.operations:
        title = f"{type(operation).__name__} {operation.output!r}"
        _require_new(values, operation.output, type(operation).__name__)
        takes = max(len(operation.inputs), 1) if operation.takes is None else operation.takes
        if len(operation.inputs) != takes:
            raise ValueError(f"{title} takes {takes} inputs, got {operation.inputs}")
        _require_defined(values, operation.inputs, title)
        try:
            values[operation.output] = operation.infer(*(values[name] for name in operation.inputs))
        except ValueError as error:
            raise ValueError(f"{title}: {error}") from None
        _require_small(values[operation.output], title)
    if not program.outputs:
        raise ValueError("a program needs an output")
    _require_defined(values, program.outputs, "the outputs")
    return values


def _require_new(values: Mapping[str, Value], name: str, what: str) -> None:
    # Names become signals, arrays and files elsewhere.
    if not (name.isascii() and name.isidentifier()):
        raise ValueError(f"{what} {name!r}: names are letters, digits and underscores, and do not begin with a digit")
    if name in values:
        raise ValueError(f"{what} {name!r}: the name is taken")


def _require_small(value: Value, what: str) -> None:
    if math.prod(value.shape) > MOST:
        raise ValueError(f"{what} has the shape {value.shape}: more than {MOST:,} elements of one sample cannot be run")


def _require_defined(values: Mapping[str, Value], names: tuple[str, ...], what: str) -> None:
    for name in names:
        if name not in values:
            raise ValueError(f"{what}: no value {name!r} so far; there are {', '.join(values)}")
