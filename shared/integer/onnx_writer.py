"""The nodes and constants of an ONNX model while an integer program is written to it."""

from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shared.integer.format import Format
from shared.integer.operations import Constant, Value

EXACT: Final = 2**24
"""float32 counts to here."""
NARROW: Final = 8
"""Bits that QuantizeLinear writes in the first versions of ONNX that have it."""


class OnnxWriter:
    """Nodes and constants. The tensor of a value's name holds it as real numbers; names with a dot are in between.

    Real numbers are of float32, which holds every value to 2**24 exactly; wider ones are of float64.
    """

    def __init__(self, values: dict[str, Value]) -> None:
        self.values = values
        self.nodes: list[tuple[str, list[str], str, dict[str, Any]]] = []
        self.constants: dict[str, NDArray[Any]] = {}

    def node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append((kind, inputs, output, attributes))
        return output

    def constant(self, name: str, array: ArrayLike) -> str:
        self.constants[name] = np.asarray(array, order="C")
        return name

    def is_wide(self, name: str) -> bool:
        """Whether a value may pass 2**24, so that its tensor is of float64."""
        value = self.values[name]
        return max(-value.low, value.high) > EXACT

    def alike(self, names: list[str], output: str) -> list[str]:
        """The tensors of values, of the type of the value `output`; those of narrow sums may be widened for it."""
        if not self.is_wide(output):
            return names
        return [
            name if self.is_wide(name) else self.node("Cast", [name], f"{output}.wide{place}", to=11)
            for place, name in enumerate(names)
        ]

    def quantise(self, source: str, name: str, format: Format, wide: bool = False) -> None:
        """The numbers of a tensor in a format, ties to even; `wide` for a tensor of float64."""
        if format.word > NARROW or wide:
            self.round(source, name, format, np.float64 if wide else np.float32)
            return
        if format.word < NARROW:  # QuantizeLinear saturates at 8 bits
            ends = format.from_integers(np.array([format.low, format.high])).astype(np.float32)
            low, high = self.constant(f"{name}.low", ends[0]), self.constant(f"{name}.high", ends[1])
            source = self.node("Clip", [source, low, high], f"{name}.clipped")
        scale = self.constant(f"{name}.scale", np.float32(format.step))
        zero = self.constant(f"{name}.zero", np.zeros((), format.dtype))
        integers = self.node("QuantizeLinear", [source, scale, zero], f"{name}.integers")
        self.node("DequantizeLinear", [integers, scale, zero], name)

    def round(self, source: str, name: str, format: Format, kind: type) -> None:
        """As `quantise`, for formats and numbers that QuantizeLinear does not take."""
        if format.high > EXACT:
            raise ValueError(f"ONNX export: {name!r} has {format.word} bits, at most 24")
        steps = self.node("Mul", [source, self.constant(f"{name}.steps", kind(1 / format.step))], f"{name}.scaled")
        rounded = self.node("Round", [steps], f"{name}.rounded")
        ends = [
            self.constant(f"{name}.{side}", kind(end)) for side, end in (("low", format.low), ("high", format.high))
        ]
        limited = self.node("Clip", [rounded, *ends], f"{name}.limited")
        step = self.constant(f"{name}.step", kind(format.step))
        if kind is np.float32:
            self.node("Mul", [limited, step], name)
            return
        self.node("Cast", [self.node("Mul", [limited, step], f"{name}.real")], name, to=1)

    def dequantised(self, name: str, constant: Constant) -> str:
        """The real numbers of a constant."""
        integers = constant.integers if constant.format.word <= NARROW else constant.integers.astype(np.int32)
        stored = self.constant(f"{name}.integers", integers)
        scale = self.constant(f"{name}.scale", np.float32(constant.format.step))
        return self.node("DequantizeLinear", [stored, scale], name)

    def integers(self, source: str, output: str) -> str:
        """The integers of a value, of int64."""
        kind = np.float64 if self.is_wide(source) else np.float32
        steps = self.constant(f"{output}.steps", kind(1 / self.values[source].format.step))
        return self.node("Cast", [self.node("Mul", [source, steps], f"{output}.scaled")], f"{output}.counts", to=7)

    def real(self, integers: str, output: str) -> None:
        """The value of a name from its integers."""
        kind, code = (np.float64, 11) if self.is_wide(output) else (np.float32, 1)
        step = self.constant(f"{output}.step", kind(self.values[output].format.step))
        self.node("Mul", [self.node("Cast", [integers], f"{output}.cast", to=code), step], output)

    def shaped(self, source: str, output: str, shape: tuple[int, ...]) -> str:
        """A tensor with a shape behind its samples."""
        return self.node("Reshape", [source, self.constant(f"{output}.shape", np.array([0, *shape], np.int64))], output)

    def gathered(self, source: str, output: str, places: ArrayLike, axis: int) -> str:
        """The places of an axis, the samples being axis 0."""
        taken = self.constant(f"{output}.places", np.asarray(places, np.int64))
        return self.node("Gather", [source, taken], output, axis=axis)
