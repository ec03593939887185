"""A compiled net as a Python callable: a library that is opened, or a program that is run."""

import ctypes
import math
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mobile.kernels import INSTRUCTION_SETS, architecture
from shared.integer.format import Integers
from shared.integer.operations import Value
from shared.integer.program import Program


class Computes(Protocol):
    """What computes a net: a library of this machine, or a program, perhaps of another."""

    @property
    def instructions(self) -> str:
        """The instruction set in use; the best that there is unless `use` chose another."""

    def use(self, instructions: str) -> None:
        """Raises `ValueError` where there are no such instructions."""

    def available(self) -> tuple[str, ...]:
        """The instruction sets that there are."""

    def use_threads(self, count: int) -> int:
        """How many threads compute from now on: `count`, or as many as the system gives."""

    def run(self, inputs: Sequence[NDArray[Any]], outputs: Sequence[NDArray[Any]]) -> None:
        """Computes `outputs` `(batch, ...)` for `inputs`, one sample after the other; both are contiguous."""


class Library:
    """A library of `mobile.codegen`, opened. It has one arena: calls are not to overlap."""

    def __init__(self, library: str | Path) -> None:
        # A copy of its own: the system hands out the first library again for a path that it has loaded once.
        with tempfile.TemporaryDirectory() as folder:
            own = shutil.copy(library, Path(folder) / "net.so")
            self._library = ctypes.CDLL(str(own))
        self._library.net_run.restype = None
        self._library.net_instructions.restype = ctypes.c_char_p
        self._library.net_use.argtypes = [ctypes.c_char_p]

    @property
    def instructions(self) -> str:
        name: bytes = self._library.net_instructions()
        return name.decode()

    def use(self, instructions: str) -> None:
        if not self._library.net_use(instructions.encode()):
            raise ValueError(f"this machine cannot run {instructions!r}: it has {', '.join(self.available())}")

    def available(self) -> tuple[str, ...]:
        used = self.instructions
        names = tuple(name for name in INSTRUCTION_SETS[architecture()] if self._library.net_use(name.encode()))
        self._library.net_use(used.encode())
        return names

    def use_threads(self, count: int) -> int:
        threads: int = self._library.net_threads(count)
        return threads

    def run(self, inputs: Sequence[NDArray[Any]], outputs: Sequence[NDArray[Any]]) -> None:
        for row in range(len(inputs[0])):
            each = (ctypes.c_void_p(array[row : row + 1].ctypes.data) for array in (*inputs, *outputs))
            self._library.net_run(*each)


class AbstractCompiledNet:
    """A net whose numbers are computed elsewhere."""

    def __init__(self, library: str | Path | Computes) -> None:
        self.computes: Computes = Library(library) if isinstance(library, str | Path) else library

    @property
    def instructions(self) -> str:
        """The instruction set in use; of those that the machine has, the best unless `use` chose another."""
        return self.computes.instructions

    def use(self, instructions: str) -> None:
        """Raises `ValueError` if the machine has no such instructions."""
        self.computes.use(instructions)

    def available(self) -> tuple[str, ...]:
        """The instruction sets that the machine has."""
        return self.computes.available()

    def use_threads(self, count: int) -> int:
        """How many threads compute from now on: `count`, or as many as the system gives; results do not change."""
        return self.computes.use_threads(count)

    def run(self, inputs: Sequence[NDArray[Any]], outputs: Sequence[NDArray[Any]]) -> None:
        """Computes `outputs` `(batch, ...)` for `inputs` as they are: nothing is checked."""
        self.computes.run(inputs, outputs)


class CompiledNet(AbstractCompiledNet):
    """`net(x)` is `shared.integer.outputs(program, x)`, computed by a library or a program."""

    def __init__(self, library: str | Path | Computes, program: Program) -> None:
        super().__init__(library)
        self.program = program

    def __call__(self, *inputs: Integers) -> tuple[NDArray[np.int64], ...]:
        """The outputs `(batch, *shape)` for a batch of each input, one sample after the other.

        Raises as `shared.integer.run`.
        """
        if len(inputs) != len(self.program.inputs):
            raise ValueError(f"the net has {len(self.program.inputs)} inputs, got {len(inputs)}")
        arrays = []
        for input, integers in zip(self.program.inputs, inputs, strict=True):
            input.require(integers)
            arrays.append(np.ascontiguousarray(integers, _dtype(input.format.word, input.format.dtype)))
        batch = len(arrays[0])
        if any(len(array) != batch for array in arrays):
            raise ValueError("the inputs differ in batch size")
        outputs = [np.empty((batch, math.prod(v.shape)), _dtype(v.format.word, v.format.dtype)) for v in self._values()]
        self.run(arrays, outputs)
        return tuple(
            array.astype(np.int64).reshape(batch, *v.shape) for array, v in zip(outputs, self._values(), strict=True)
        )

    def _values(self) -> list[Value]:
        return [self.program.values[name] for name in self.program.outputs]


class CompiledFloatNet(AbstractCompiledNet):
    """`net(x)` is what a net of floats computes, as float32, by a library or a program.

    `inputs` and `outputs` are shapes without a batch.
    """

    def __init__(
        self, library: str | Path | Computes, inputs: Sequence[tuple[int, ...]], outputs: Sequence[tuple[int, ...]]
    ) -> None:
        super().__init__(library)
        self.inputs, self.outputs = tuple(inputs), tuple(outputs)

    def __call__(self, *inputs: NDArray[Any]) -> tuple[NDArray[np.float32], ...]:
        """The outputs `(batch, *shape)` for a batch of each input.

        Raises `ValueError` for other shapes.
        """
        shapes = [np.shape(each)[1:] for each in inputs]
        if shapes != list(self.inputs) or len({len(each) for each in inputs}) != 1:
            raise ValueError(f"the net needs batches of {list(self.inputs)}, got arrays of {[*map(np.shape, inputs)]}")
        arrays = [np.ascontiguousarray(each, np.float32) for each in inputs]
        outputs = [np.empty((len(arrays[0]), *shape), np.float32) for shape in self.outputs]
        self.run(arrays, outputs)
        return tuple(outputs)


def _dtype(word: int, narrow: np.dtype[Any]) -> np.dtype[Any]:
    """Of a value outside the arena: 8 bits, or the 32 of sums."""
    return narrow if word <= 8 else np.dtype(np.int32)
