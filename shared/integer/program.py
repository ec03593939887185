"""The integer program: what a fixed-point net computes, as data that every implementation is compared with."""

from collections.abc import Mapping
from dataclasses import dataclass

from shared.integer.format import Format
from shared.integer.operations import Operation, Value


@dataclass(frozen=True)
class Input:
    """A named input: its shape without the batch axis, and its format."""

    name: str
    shape: tuple[int, ...]
    format: Format


@dataclass(frozen=True)
class Program:
    """Named values, each written once: inputs, then one per operation, in order. Outputs are values by name.

    Checked when made: shapes and formats fit, every sum fits its accumulator whatever the input. Two programs are equal
    if they compute alike step by step under the same names.

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


def _infer(program: Program) -> dict[str, Value]:
    values: dict[str, Value] = {}
    for given in program.inputs:
        _fresh(values, given.name, "input")
        if not given.shape or min(given.shape) < 1:
            raise ValueError(f"input {given.name!r} needs a shape of positive sizes, got {given.shape}")
        values[given.name] = Value.full(given.shape, given.format)
    for operation in program.operations:
        title = f"{type(operation).__name__} {operation.output!r}"
        _fresh(values, operation.output, type(operation).__name__)
        if len(operation.inputs) != operation.takes:
            raise ValueError(f"{title} takes {operation.takes} inputs, got {operation.inputs}")
        _known(values, operation.inputs, title)
        try:
            values[operation.output] = operation.infer(*(values[name] for name in operation.inputs))
        except ValueError as error:
            raise ValueError(f"{title}: {error}") from None
    if not program.outputs:
        raise ValueError("a program needs an output")
    _known(values, program.outputs, "the outputs")
    return values


def _fresh(values: Mapping[str, Value], name: str, what: str) -> None:
    # Names become signals, arrays and files elsewhere.
    if not (name.isascii() and name.isidentifier()):
        raise ValueError(f"{what} {name!r}: names are letters, digits and underscores, and do not begin with a digit")
    if name in values:
        raise ValueError(f"{what} {name!r}: the name is taken")


def _known(values: Mapping[str, Value], names: tuple[str, ...], what: str) -> None:
    for name in names:
        if name not in values:
            raise ValueError(f"{what}: no value {name!r} so far; there are {', '.join(values)}")
