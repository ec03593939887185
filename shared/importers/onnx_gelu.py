"""GELU as exporters spell it before opset 20: `x / sqrt(2)`, its error function, plus 1, times x, times a half."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import onnx

CLOSE = 1e-3
"""Half-precision exports round the square root of two."""


def join_gelus(nodes: "Sequence[onnx.NodeProto]", arrays: Mapping[str, NDArray[np.generic]]) -> "list[onnx.NodeProto]":
    """The nodes with one Gelu in place of each such chain; a chain of which more is read stays as it is. Needs onnx."""
    from onnx import helper

    writers = {name: node for node in nodes for name in node.output}
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in nodes:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    replaced: dict[int, onnx.NodeProto | None] = {}
    for erf in (node for node in nodes if node.op_type == "Erf"):
        scaled = writers.get(erf.input[0])
        plus = _sole(readers, erf.output[0], "Add")
        if scaled is None or plus is None or scaled.op_type not in ("Div", "Mul"):
            continue
        root = _constant(scaled, arrays)
        is_root = root is not None and abs((root if scaled.op_type == "Div" else 1 / root) - math.sqrt(2)) < CLOSE
        [x, *_] = [name for name in scaled.input if name not in arrays]
        chain = [scaled, erf, plus]
        halves = 0
        end = plus
        while (times := _sole(readers, end.output[0], "Mul")) is not None and halves < 2:
            other = next((name for name in times.input if name != end.output[0]), "")
            half = writers.get(other)
            if _constant(times, arrays) != 0.5 and other != x:
                if half is None or half.op_type != "Mul" or _constant(half, arrays) != 0.5 or x not in half.input:
                    break
                chain, halves = [*chain, half], halves + 1
            chain, halves, end = [*chain, times], halves + 1, times
        if is_root and _constant(plus, arrays) == 1 and halves == 2:
            replaced |= {id(node): None for node in chain}
            replaced[id(end)] = helper.make_node("Gelu", [x], [end.output[0]], name=end.name)
    kept = [replaced.get(id(node), node) for node in nodes]
    return [node for node in kept if node is not None]


def _sole(readers: "Mapping[str, list[onnx.NodeProto]]", name: str, kind: str) -> "onnx.NodeProto | None":
    """The node that alone reads a tensor, if it is of a kind."""
    those = readers.get(name, [])
    return those[0] if len(those) == 1 and those[0].op_type == kind else None


def _constant(node: "onnx.NodeProto", arrays: Mapping[str, NDArray[np.generic]]) -> float | None:
    """The one constant number that a node reads, if there is one."""
    numbers = [arrays[name] for name in node.input if name in arrays and arrays[name].size == 1]
    return float(numbers[0].item()) if len(numbers) == 1 else None
