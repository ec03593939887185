"""ATen operators on tensors as what torch calls them, for any number of samples: what stands between layers."""

import operator
from collections.abc import Callable, Mapping
from typing import Any, Final

import torch
from torch import Tensor, fx
from torch.nn import functional

Compute = Callable[..., Any]


def is_size(node: fx.Node) -> bool:
    """Whether a node is the number of samples, where the export leaves it open."""
    return "val" in node.meta and isinstance(node.meta["val"], torch.SymInt)


def function_of(node: fx.Node, constants: Mapping[str, Tensor]) -> tuple[Compute, list[fx.Node]]:
    """What a node computes, as a function of tensors, and the nodes whose results those are, in order.

    `constants` are by the names of nodes; they depend on no input, and every sample has them alike. Raises `ValueError`
    for an operator that is none of `FUNCTIONS`.
    """
    taken = node.target is operator.getitem
    call = node.args[0] if taken else node
    assert isinstance(call, fx.Node)
    name = str(getattr(call.target, "_schema", call).name).removeprefix("aten::").removesuffix("_")
    if name not in FUNCTIONS:
        raise ValueError("this operator is not supported")
    operands: list[fx.Node] = []

    def placed(each: fx.Node) -> Any:
        if is_size(each):
            return -1  # of a reshape or an expansion
        operands.append(each)
        return _Operand(len(operands) - 1)

    args: Any
    args, kwargs = fx.node.map_arg((call.args, call.kwargs), placed)
    if name in _RESHAPES and isinstance(call.meta["val"], Tensor):
        args = (args[0], *_sizes(name, call))
    compute = FUNCTIONS[name]

    def function(*values: Any) -> Any:
        def value(each: Any) -> Any:
            return values[each.place] if isinstance(each, _Operand) else each

        filled: Any
        filled, named = fx.node.map_aggregate((args, kwargs), value)
        if name == "cat":
            filled = ([_of_all(each, values, operands, constants) for each in filled[0]], *filled[1:])
        result = compute(*filled, **named)
        return result[node.args[1]] if taken else result

    return function, operands


class _Operand:
    """The place of a tensor among the arguments."""

    def __init__(self, place: int) -> None:
        self.place = place


_RESHAPES: Final = ("view", "reshape", "_unsafe_view", "flatten", "expand")


def _sizes(name: str, call: fx.Node) -> tuple[Any, ...]:
    """The sizes of the result, fixed but for the samples."""
    source, result = call.all_input_nodes[0].meta["val"].shape, call.meta["val"].shape
    keeps = isinstance(result[0], torch.SymInt) or result[0] == source[0]
    if name == "flatten" and not keeps:
        return tuple(call.args[1:])
    return ((-1 if keeps else result[0], *result[1:]),)


def _of_all(value: Any, values: Any, operands: list[fx.Node], constants: Mapping[str, Tensor]) -> Any:
    """What is joined, a constant for each sample."""
    place = next(k for k, each in enumerate(values) if each is value)
    if operands[place].name not in constants:
        return value
    first = next(each for each, node in zip(values, operands, strict=True) if node.name not in constants)
    return value.expand(first.shape[0], *constants[operands[place].name].shape[1:])


def _method(name: str) -> Compute:
    return lambda x, *args, **kwargs: getattr(x, name)(*args, **kwargs)


def _sliced(x: Any, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1) -> Any:
    if dim < 0:
        raise ValueError("it counts axes from behind: state the axis from the front")
    end = None if end is not None and end > 1 << 40 else end
    return x if (start or 0) == 0 and end is None and step == 1 else x[(*[slice(None)] * dim, slice(start, end, step))]


def _resized(mode: str) -> Compute:
    def resized(x: Any, size: Any, *rest: Any) -> Any:
        *aligned, factors = rest if rest else (None,)
        factor = None if size is not None or factors is None else _alike(factors)
        size = None if factor is not None or size is None else tuple(size)
        corners = bool(aligned and aligned[0]) or None
        return functional.interpolate(x, size=size, scale_factor=factor, mode=mode, align_corners=corners)

    return resized


def _alike(factors: Any) -> Any:
    """One number for all axes, where they have one."""
    return factors[0] if len(set(factors)) == 1 else tuple(factors)


def _cast(x: Any, *args: Any, **kwargs: Any) -> Any:
    kind = next((each for each in (*args, *kwargs.values()) if isinstance(each, torch.dtype)), torch.float32)
    return x.float() if kind.is_floating_point else x.long()


_FUNCTIONAL: Final = (
    *("gelu", "silu", "hardswish", "hardsigmoid", "relu6", "leaky_relu", "elu", "mish", "softplus", "pad"),
    *("pixel_shuffle", "pixel_unshuffle", "scaled_dot_product_attention"),
)
_METHODS: Final = (
    *("neg", "matmul", "bmm", "softmax", "mean", "masked_fill", "clamp", "tanh", "sigmoid", "transpose", "permute"),
    *("unsqueeze", "squeeze", "select", "chunk", "split", "unbind", "unflatten", "expand", "movedim", "flip", "roll"),
    *("repeat", "narrow", "index_select"),
)
FUNCTIONS: Final[Mapping[str, Compute]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": operator.truediv,
    "cat": torch.cat,
    "slice": _sliced,
    "split_with_sizes": _method("split"),
    "reshape": _method("reshape"),
    "view": _method("reshape"),
    "_unsafe_view": _method("reshape"),
    "flatten": lambda x, sizes=1, *rest: x.flatten(sizes, *rest) if isinstance(sizes, int) else x.reshape(sizes),
    "index": lambda x, places: x[tuple(slice(None) if each is None else each for each in places)],
    "to": _cast,
    "_to_copy": _cast,
    "upsample_nearest2d": _resized("nearest"),
    "upsample_bilinear2d": _resized("bilinear"),
    "upsample_bicubic2d": _resized("bicubic"),
    "hardtanh": functional.hardtanh,
    "relu": functional.relu,
    "linear": functional.linear,
    **{name: getattr(functional, name) for name in _FUNCTIONAL},
    **{name: _method(name) for name in _METHODS},
}
"""By the names of operators, without a library's and without the mark of those that compute in place."""
