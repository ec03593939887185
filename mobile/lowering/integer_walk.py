"""The walk over an integer program: values in the arena, and where a result is rounded. Operations use it."""

from collections import Counter

from mobile.lowering.calls import SIGNED_ZERO, UNCHANGED, Call, Rounding, View, rounding, rounds_up
from shared.integer import operations
from shared.integer.geometry import plane
from shared.integer.program import Program


class IntegerWalk:
    """The values so far, and where they lie; an operation appends its calls and states its result."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.calls: list[Call] = []
        reads = Counter(name for operation in program.live for name in operation.inputs)
        self.reads = reads + Counter(program.outputs)
        self.readers = {name: operation for operation in program.live for name in operation.inputs}
        self.views: dict[str, View] = {}
        self.rounded: set[str] = set()

    def view(self, name: str, pitch: int = 0) -> View:
        """The value `name` in the arena; rows follow each other directly if no pitch is stated."""
        value = self.program.values[name]
        if not (value.low >= -(2**31) and value.high < 2**31):
            raise ValueError(f"{name!r} may reach {value.low} to {value.high}, beyond 32 bits: use narrower words")
        rows, columns = image(value.shape[1:])
        zero = SIGNED_ZERO if value.format.signed else 0
        sums = value.format.word > 8
        return View(name, value.shape[0], rows, columns, pitch or columns, 0 if sums else zero, sums)

    def chain(self, name: str) -> tuple[str, Rounding]:
        """The value that `name` becomes by rounding and clipping alone, and how."""
        to, rounds = UNCHANGED, True
        while self.reads[name] == 1 and name in self.readers:
            reader = self.readers[name]
            if isinstance(reader, operations.Requantise) and rounds:
                to = rounding(self.program.values[name].format.fraction, reader.format)
            elif isinstance(reader, operations.Clip):
                to = to.clipped(reader.low, reader.high)
            else:
                break
            name, rounds = reader.output, False
        return name, to

    def ends(self, name: str, pitch: int = 0, vectors: bool = False) -> tuple[View, Rounding]:
        """Where a result goes: rounded at once, unless the kernels' `vectors` give bytes of 32-bit steps only."""
        self.view(name)  # refuses sums beyond 32 bits, rounded or not
        end, to = self.chain(name)
        if vectors and (to.wide or not self.fits_rounded(name, end, to)):
            end, to = name, UNCHANGED
        self.round_on_the_way(name, end)
        self.views[end] = self.view(end, pitch)
        return self.views[end], to.clipped(-(2**31), 2**31 - 1)

    def fits_rounded(self, name: str, end: str, to: Rounding) -> bool:
        """Whether the sums with what rounds them have 32 bits, and their result 8."""
        sums, result = self.program.values[name], self.view(end)
        more = rounds_up(to, result.zero)
        return not result.sums and sums.low >= -(2**31) and sums.high + more < 2**31

    def round_on_the_way(self, name: str, end: str) -> None:
        """Notes the values between the two as computed."""
        while name != end:
            name = self.readers[name].output
            self.rounded.add(name)


def image(sizes: tuple[int, ...]) -> tuple[int, int]:
    """Rows and columns: a vector is one pixel, a line an image of one row."""
    return plane((1, *sizes), 1)
