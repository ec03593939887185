"""Angles that are no sum of columns: products, quotients, powers and functions of features, as plain data.

The ZZ feature map turns by `2 (pi - x0) (pi - x1)`, for example, and encoders of unbounded data by `arctan(x0)`.
"""

import operator
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, reduce
from types import MappingProxyType
from typing import Any, Final, TypeAlias

OPERATORS: Final = MappingProxyType(
    {"+": operator.add, "*": operator.mul, "/": operator.truediv, "**": operator.pow},
)
FUNCTIONS: Final = ("sin", "cos", "tan", "arcsin", "arccos", "arctan", "exp", "log", "abs", "sign")
"""Named as in NumPy, torch and Qiskit."""

Term: TypeAlias = "Formula | float"


@dataclass(frozen=True)
class Formula:
    """`operation` of `operands`: a column `x` of that index, an operator, or one of `FUNCTIONS`.

    Formulas are written with Python's operators and NumPy's functions, and equal formulas are equal data.

    >>> import math
    >>> angle = 2 * (math.pi - column(0)) * (math.pi - column(1))
    >>> angle.columns, round(angle.of([1.0, 2.0].__getitem__), 3)
    ((0, 1), 4.89)
    """

    operation: str
    operands: tuple["Formula | float", ...]

    def __post_init__(self) -> None:
        if self.operation not in ("x", *OPERATORS, *FUNCTIONS):
            raise ValueError(
                f"{self.operation!r} is not an operation of a formula: use + - * / ** or {', '.join(FUNCTIONS)}"
            )

    @cached_property
    def columns(self) -> tuple[int, ...]:
        """The data columns that the formula reads, in order."""
        if self.operation == "x":
            return (int(self.operands[0]),)  # type: ignore[arg-type]  # a column holds its number alone
        read = (operand.columns for operand in self.operands if isinstance(operand, Formula))
        return tuple(sorted({column for columns in read for column in columns}))

    def of(self, column: Callable[[int], Any], function: Callable[[str, Any], Any] | None = None) -> Any:
        """The value where `column(k)` is column k: a number, an array, or a symbol of another framework.

        `function(name, value)` applies a function; by default it is a method of `value`, as in torch and Qiskit.
        """
        if self.operation == "x":
            return column(self.columns[0])
        values = [each.of(column, function) if isinstance(each, Formula) else each for each in self.operands]
        if self.operation in OPERATORS:
            return reduce(OPERATORS[self.operation], values)
        return (function or _method)(self.operation, values[0])

    def __str__(self) -> str:
        if self.operation == "x":
            return f"x{self.columns[0]}"
        words = [str(operand) for operand in self.operands]
        if self.operation in OPERATORS:
            return f"({f' {self.operation} '.join(words)})"
        return f"{self.operation}({words[0]})"

    @cached_property
    def functions(self) -> tuple[str, ...]:
        """The names of the functions that the formula uses, in the order of the alphabet."""
        inside = {name for each in self.operands if isinstance(each, Formula) for name in each.functions}
        return tuple(sorted(inside | ({self.operation} & set(FUNCTIONS))))

    def __add__(self, other: Term) -> "Formula":
        return Formula("+", (self, _term(other)))

    def __radd__(self, other: Term) -> "Formula":
        return Formula("+", (_term(other), self))

    def __sub__(self, other: Term) -> "Formula":
        return self + -1 * other

    def __rsub__(self, other: Term) -> "Formula":
        return other + -self

    def __neg__(self) -> "Formula":
        return -1 * self

    def __mul__(self, other: Term) -> "Formula":
        return Formula("*", (self, _term(other)))

    def __rmul__(self, other: Term) -> "Formula":
        return Formula("*", (_term(other), self))

    def __truediv__(self, other: Term) -> "Formula":
        return Formula("/", (self, _term(other)))

    def __rtruediv__(self, other: Term) -> "Formula":
        return Formula("/", (_term(other), self))

    def __pow__(self, other: Term) -> "Formula":
        return Formula("**", (self, _term(other)))

    def __rpow__(self, other: Term) -> "Formula":
        return Formula("**", (_term(other), self))

    def __abs__(self) -> "Formula":
        return Formula("abs", (self,))

    def __getattr__(self, name: str) -> Callable[[], "Formula"]:
        """`formula.sin()` and the like, which NumPy calls for `np.sin(formula)`."""
        if name not in FUNCTIONS:
            raise AttributeError(f"a formula has no function {name!r}: it may use {', '.join(FUNCTIONS)}")
        return lambda: Formula(name, (self,))


def column(k: int) -> Formula:
    """Column `k` of the data, to be computed with."""
    return Formula("x", (k,))


def _term(value: Any) -> Term:
    return value if isinstance(value, Formula) else float(value)


def _method(name: str, value: Any) -> Any:
    return getattr(value, name)() if name != "abs" else abs(value)
