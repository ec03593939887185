"""Operators of ONNX on tensors, as torch functions: what stands between the layers of transformers."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn import functional

from shared.integer.attributes import allow, require

Compute = Callable[..., Tensor]
"""Of all operands of a node, in order."""

LEAST: Final = -1e30
"""What fills masked places before a softmax is at most this."""


def tensor_functions(kind: str, fields: dict[str, Any], operands: Sequence[Tensor | None], x: Tensor) -> list[Compute]:
    """The function of each output of a node; `operands` are constants, or `None` where a value is read.

    `x` is the first value for one sample, so that sizes can be fixed: the module takes any batch where the first axis
    is still that of samples. Raises `ValueError` for an operator that is none of these, or reads something else.
    """
    if kind not in _FUNCTIONS:
        raise ValueError(f"operators on tensors are {', '.join(sorted(_FUNCTIONS))}")
    return _FUNCTIONS[kind](fields, operands, x)


def _joint(function: Compute) -> Callable[..., list[Compute]]:
    """Two operands, each a value or a constant; one number stays a number."""

    def functions(fields: dict[str, Any], operands: Sequence[Tensor | None], x: Tensor) -> list[Compute]:
        allow(fields)
        first, second = map(_number, operands)
        if first is not None:
            return [lambda a, b: function(first, b)]
        return [function if second is None else lambda a, b: function(a, second)]

    return functions


def _number(constant: Tensor | None) -> float | None:
    """A constant of one number, and no more axes than a value has."""
    return float(constant.item()) if constant is not None and constant.numel() == 1 else None


def _divide(fields: dict[str, Any], operands: Sequence[Tensor | None], x: Tensor) -> list[Compute]:
    if operands[1] is None:
        raise ValueError("it divides by what depends on an input: divide by constants")
    divisor = _number(operands[1])
    return [(lambda a, b: a / b) if divisor is None else (lambda a, b: a * (1 / divisor))]


def _power(fields: dict[str, Any], operands: Sequence[Tensor | None], x: Tensor) -> list[Compute]:
    if operands[1] is None or _number(operands[1]) != 2:
        raise ValueError("squares are the only powers that are read; export with opset 17, which has layer norms")
    return [lambda value, exponent: value * value]


def _where(fields: dict[str, Any], operands: Sequence[Tensor | None], x: Tensor) -> list[Compute]:
    """A constant mask that fills with about minus infinity."""
    mask, first, second = operands
    if mask is None or (first is None) == (second is None):
        raise ValueError("a mask that is constant is needed, and a number in place of one of the values")
    fill = _number(second if first is None else first)
    if not isinstance(fill, float) or fill > LEAST:
        raise ValueError(f"it fills with {fill}: masks before a softmax, of minus infinity, are read")
    if first is None:
        return [lambda mask, value, number: value.masked_fill(~mask, fill)]
    return [lambda mask, number, value: value.masked_fill(mask, fill)]


def _gather(fields: dict[str, Any], operands: Sequence[Tensor | None], x: Tensor) -> list[Compute]:
    """Rows of a table by the values, or places of a value by constants."""
    source, places = operands
    axis = fields.get("axis", 0)
    if source is not None:
        require({"axis": axis}, axis=0)
        return [lambda table, value: functional.embedding(value.long(), table)]
    if places is None:
        raise ValueError("what it takes and the places depend on inputs: one of them must be constant")
    if places.ndim == 0:
        return [lambda value, place: value.select(axis, int(places))]
    return [lambda value, places: value.index_select(axis, places)]


def _split(fields: dict[str, Any], operands: Sequence[Tensor | None], x: Tensor) -> list[Compute]:
    axis, stated = fields.get("axis", 0), operands[1] if len(operands) > 1 else None
    count, parts = x.shape[axis], fields.get("num_outputs", 0)
    sizes: list[int] = fields.get("split", []) if stated is None else stated.tolist()
    sizes = sizes or [count // parts] * parts
    if sum(sizes) != count:
        raise ValueError(f"parts of {sizes} are not the {count} of axis {axis}")
    return [_narrow(axis, sum(sizes[:k]), size) for k, size in enumerate(sizes)]


def _narrow(axis: int, begin: int, size: int) -> Compute:
    return lambda value, *_: value.narrow(axis, begin, size)


def _slice(fields: dict[str, Any], operands: Sequence[Tensor | None], x: Tensor) -> list[Compute]:
    _, begins, ends, *rest = (None if each is None else each.tolist() for each in operands)
    if begins is None or ends is None:
        raise ValueError("its ends depend on an input: give it constants")
    axes = rest[0] if rest and rest[0] is not None else list(range(len(begins)))
    steps = rest[1] if len(rest) > 1 and rest[1] is not None else [1] * len(begins)
    if min(steps) < 1:
        raise ValueError(f"steps {steps} must be positive")
    cut = [slice(None)] * x.ndim
    for axis, begin, end, step in zip(axes, begins, ends, steps, strict=True):
        cut[axis] = slice(begin, None if end >= x.shape[axis] else end, step)
    return [lambda value, *_: value[tuple(cut)]]


def _reshape(fields: dict[str, Any], operands: Sequence[Tensor | None], x: Tensor) -> list[Compute]:
    """To sizes that are fixed but for the samples."""
    require(fields, allowzero=0)
    if operands[1] is None:
        raise ValueError("its sizes depend on an input: export with fixed shapes")
    sizes = [x.shape[k] if size == 0 else size for k, size in enumerate(operands[1].tolist())]
    shape = tuple(x.reshape(sizes).shape)
    to = (-1, *shape[1:]) if shape[0] == x.shape[0] else shape
    return [lambda value, sizes: value.reshape(to)]


def _expand(fields: dict[str, Any], operands: Sequence[Tensor | None], x: Tensor) -> list[Compute]:
    if operands[1] is None:
        raise ValueError("its sizes depend on an input: export with fixed shapes")
    sizes = operands[1].tolist()
    shape = torch.broadcast_shapes(tuple(x.shape), tuple(max(size, 1) for size in sizes))
    return [lambda value, sizes: value.expand(-1, *shape[1:])]


def _axes(move: Callable[[Tensor, tuple[int, ...]], Tensor]) -> Callable[..., list[Compute]]:
    """Axes are an attribute before opset 13, a constant since."""

    def functions(fields: dict[str, Any], operands: Sequence[Tensor | None], x: Tensor) -> list[Compute]:
        axes = fields.get("axes", operands[1].tolist() if len(operands) > 1 and operands[1] is not None else None)
        if axes is None:
            raise ValueError("name its axes, as constants")
        return [lambda value, *_: move(value, tuple(axes))]

    return functions


def _squeezed(value: Tensor, axes: tuple[int, ...]) -> Tensor:
    return value.squeeze(axes)


def _unsqueezed(value: Tensor, axes: tuple[int, ...]) -> Tensor:
    for axis in sorted(axes):
        value = value.unsqueeze(axis)
    return value


def _mean(fields: dict[str, Any], operands: Sequence[Tensor | None], x: Tensor) -> list[Compute]:
    keep = bool(fields.get("keepdims", 1))
    return _axes(lambda value, axes: value.mean(axes, keepdim=keep))(fields, operands, x)


def _concatenate(fields: dict[str, Any], operands: Sequence[Tensor | None], x: Tensor) -> list[Compute]:
    """Values and constants, which every sample has alike."""
    axis = fields["axis"]

    def joined(*values: Tensor) -> Tensor:
        samples = next(value for value, each in zip(values, operands, strict=True) if each is None).shape[0]
        parts = [
            value if each is None else value.expand(samples, *each.shape[1:])
            for value, each in zip(values, operands, strict=True)
        ]
        return torch.cat(parts, axis)

    return [joined]


def _transpose(fields: dict[str, Any], operands: Sequence[Tensor | None], x: Tensor) -> list[Compute]:
    order = tuple(fields.get("perm", range(x.ndim)[::-1]))
    return [lambda value: value.permute(order)]


def _softmax(fields: dict[str, Any], operands: Sequence[Tensor | None], x: Tensor) -> list[Compute]:
    axis = fields.get("axis", -1)
    return [lambda value: functional.softmax(value, axis)]


def _gelu(fields: dict[str, Any], operands: Sequence[Tensor | None], x: Tensor) -> list[Compute]:
    approximate = fields.get("approximate", b"none").decode()
    return [lambda value: functional.gelu(value, approximate=approximate)]


def _hard_sigmoid(fields: dict[str, Any], operands: Sequence[Tensor | None], x: Tensor) -> list[Compute]:
    alpha, beta = fields.get("alpha", 0.2), fields.get("beta", 0.5)
    if abs(alpha - 1 / 6) < 1e-6 and beta == 0.5:  # as torch has it
        return [functional.hardsigmoid]
    return [lambda value: (value * alpha + beta).clamp(0.0, 1.0)]


def _cast(fields: dict[str, Any], operands: Sequence[Tensor | None], x: Tensor) -> list[Compute]:
    """Between floats and whole numbers, such as words: those of a net that is compiled are floats anyway."""
    if fields["to"] not in _CASTS:
        raise ValueError(f"a cast to type {fields['to']} is not read: use FLOAT, INT32 or INT64")
    return [(lambda value: value.float()) if _CASTS[fields["to"]] else (lambda value: value.long())]


_CASTS: Final = {1: True, 6: False, 7: False}
"""Codes of ONNX's FLOAT, INT32 and INT64, and whether they are of floats."""

_FUNCTIONS: Final[dict[str, Callable[..., list[Compute]]]] = {
    "Add": _joint(torch.add),
    "Cast": _cast,
    "Concat": _concatenate,
    "Div": _divide,
    "Expand": _expand,
    "Gather": _gather,
    "Gelu": _gelu,
    "HardSigmoid": _hard_sigmoid,
    "MatMul": _joint(torch.matmul),
    "Mul": _joint(torch.mul),
    "Neg": lambda fields, operands, x: [torch.neg],
    "Pow": _power,
    "ReduceMean": _mean,
    "Reshape": _reshape,
    "Slice": _slice,
    "Softmax": _softmax,
    "Split": _split,
    "Squeeze": _axes(_squeezed),
    "Sub": _joint(torch.sub),
    "Transpose": _transpose,
    "Unsqueeze": _axes(_unsqueezed),
    "Where": _where,
}

TENSOR_OPERATORS: Final = tuple(sorted(_FUNCTIONS))
