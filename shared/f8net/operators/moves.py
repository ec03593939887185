"""What passes numbers on: transpositions, reshapes, slices, concatenation, dropout."""

from typing import Any

from torch import Tensor

from shared.f8net import token_steps as steps
from shared.f8net.builder import Builder
from shared.f8net.placed import Placed
from shared.f8net.steps import Flatten, Pass
from shared.importers.graph import TracedNode


def move(builder: Builder, node: TracedNode) -> None:
    """What only moves numbers: torch moves their places."""
    cuts = node.plain_name == "long" and builder.input.fraction > 0
    builder.refuse(node, cuts, "numbers that are not whole", "leave the rounding to the host")
    source = builder.placed[node.inputs[0]]
    step = (source[0] if isinstance(source, tuple) else source).step  # the parts of a tensor lie in one value
    result = builder.evaluator.run(node.call)
    if isinstance(result, tuple | list):
        builder.placed[node.name] = tuple(Placed(step, part.long()) for part in result)
    else:
        builder.placed[node.name] = Placed(step, result.long())


def pass_on(builder: Builder, node: TracedNode) -> None:
    """What changes nothing."""
    builder.placed[node.name] = builder.placed[node.inputs[0]]


def dropout(builder: Builder, node: TracedNode) -> None:
    """A step of its own, because training needs it."""
    layer = node.layer
    assert layer is not None
    whole = builder.whole(builder.value(node, node.inputs[0]))
    builder.ties.tie(node.name, whole.step)
    builder.emit_like(node.name, whole.step, lambda: Pass(layer), builder.values[whole.step].shape)
    builder.placed[node.name] = Placed(node.name, whole.index)


def flatten(builder: Builder, node: TracedNode) -> None:
    """A whole value as a vector."""
    builder.passing(node, Flatten(), builder.plain(node.inputs[0]))


def concatenate(builder: Builder, node: TracedNode) -> None:
    """Tensors one behind the other along any axis, constants too."""
    listed: Any = node.call.args[0] if node.call.args else node.call.kwargs["tensors"]
    axis = builder.evaluator.constant(node.argument(1, "dim", 0)) % (len(node.shape) + 1)
    builder.refuse(node, axis == 0, "the batch as its axis", "join another axis")
    parts: list[Placed | Tensor] = []
    for each in listed if isinstance(listed, tuple | list) else [listed]:
        if each.name in builder.placed:
            value = builder.placed[each.name]
            parts += value if isinstance(value, tuple) else [value]
        else:
            parts.append(builder.evaluator.operand(each))
    reals = [each for each in parts if isinstance(each, Placed)]
    builder.refuse(node, not reals, "constants alone", "compute it beforehand")
    in_lines = not any(builder.is_plain_placed(each) for each in reals)
    names = []
    for place, each in enumerate(parts):
        index = each.index[0] if isinstance(each, Placed) else each[0]
        wanted = index.movedim(-1, 0) if in_lines else index
        if isinstance(each, Placed):
            names.append(builder.arranged(each.step, wanted))
        else:
            names.append(builder.constant(f"{node.name}_constant{place}", wanted.float(), reals[0].step))
    for name in names:
        agree = builder.ties.tie(name, names[0])
        builder.refuse(node, not agree, "parts whose scales differ", "put a convolution of kernel 1 before one of them")
    builder.ties.tie(node.name, names[0])
    last = len(node.shape)
    own = (0 if axis == last else axis) if in_lines else axis - 1
    shape = (node.shape[-1], *node.shape[:-1]) if in_lines else node.shape
    signed = any(builder.values[name].signed for name in names)
    builder.emit(node.name, tuple(names), lambda: steps.Concatenate(own), shape, signed)
    make = Placed.lines(node.name, shape[0], shape[1:]) if in_lines else Placed.plain(node.name, shape)
    builder.placed[node.name] = make
