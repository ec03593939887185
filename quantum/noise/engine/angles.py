"""Angles that depend on data: Qiskit expressions of the features `x[k]`, evaluated for all samples at once."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from qiskit.circuit import CircuitError, Parameter, ParameterExpression
from torch import Tensor

_FEATURE = re.compile(r"x\[(\d+)\]")


def feature(parameter: Parameter) -> int:
    """The data column of a parameter named `x[0]`, `x[1]` ...; raises `ValueError` for any other name."""
    match = _FEATURE.fullmatch(parameter.name)
    if match is None:
        raise ValueError(f"parameter {parameter.name!r} is not a feature x[k]: bind it to an angle first")
    return int(match[1])


@dataclass(frozen=True)
class Angles:
    """The angles of one gate as functions of the data: `(samples, features) -> (samples, angles)`, in radians."""

    expressions: tuple[float | ParameterExpression, ...]

    def __call__(self, x: Tensor) -> Tensor:
        return torch.stack([_evaluate(expression, x) for expression in self.expressions], dim=-1)


def symbols(expressions: Sequence[float | ParameterExpression]) -> set[Parameter]:
    """The unbound parameters of the expressions."""
    return {p for e in expressions if isinstance(e, ParameterExpression) for p in e.parameters}


def _evaluate(expression: float | ParameterExpression, x: Tensor) -> Tensor:
    if not isinstance(expression, ParameterExpression) or not expression.parameters:
        return torch.full((len(x),), float(expression), dtype=torch.float64)
    parameters = sorted(expression.parameters, key=feature)
    columns = x[:, [feature(parameter) for parameter in parameters]]
    if (slopes := _slopes(expression, parameters)) is not None:
        offset = float(expression.bind(dict.fromkeys(parameters, 0.0)))
        return offset + columns @ torch.tensor(slopes, dtype=torch.float64)
    rows = [_value(expression, dict(zip(parameters, row, strict=True)), k) for k, row in enumerate(columns.tolist())]
    return torch.tensor(rows, dtype=torch.float64)


def _slopes(expression: ParameterExpression, parameters: Sequence[Parameter]) -> list[float] | None:
    """The slope in each parameter, or None where the expression is not affine, as of the ZZ feature map."""
    try:
        slopes = [expression.gradient(parameter) for parameter in parameters]
    except RuntimeError:  # Qiskit differentiates no sign
        return None
    return None if symbols(slopes) else [float(slope) for slope in slopes]


def _value(expression: ParameterExpression, features: Mapping[Parameter, float], row: int) -> float:
    try:
        return float(expression.bind(features))
    except (TypeError, ArithmeticError, CircuitError) as error:  # complex, infinite
        raise ValueError(f"the angle {expression} has no value for row {row} of the data") from error
