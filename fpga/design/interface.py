"""A net as hardware: one Verilog module between two byte streams, the same for every generator."""

from dataclasses import dataclass
from typing import Literal

from fpga.design.stream import Stream, ends
from shared.importers.formats import short
from shared.integer import Program, Value, bits
from shared.integer.format import Format

TOP = "top"


@dataclass(frozen=True)
class Part:
    """The hardware of one operation of a program, for prices and reports."""

    name: str
    kind: str
    """The operation's type, such as `Conv1d`."""
    format: str
    """What it emits: `u8.5` is unsigned, 8 bits, 5 of them behind the point."""
    macs: int
    """Multiply-accumulates per sample that are carried out, without those of pruned weights."""
    lanes: int
    """Multipliers that work in parallel; 0 without any."""
    cycles: int
    """Clocks per sample for which it is busy."""


def format_text(value: Value) -> str:
    """The format of the fewest bits that hold a value, as text: `u8.5`."""
    return short(Format(bits(value), value.format.fraction, signed=value.low < 0))


@dataclass(frozen=True)
class Design:
    """Synthesisable Verilog of a program.

    The module `top` has the ports `clk`, `in_valid`, `in_byte[7:0]`, `in_ready`, `out_valid`, `out_byte[7:0]`,
    `out_ready`. A byte moves at a rising edge where valid and ready are both 1; valid does not wait for ready. Samples
    follow each other without gaps in the order of `fpga.design.stream.Stream`. There is no reset: registers have
    initial values.
    """

    program: Program
    kind: Literal["folded", "unrolled"]
    verilog: str
    latency: int
    """Clocks from the first byte of a sample to the last of its result, if it meets an idle design."""
    interval: int
    """Clocks between samples that come as fast as they can (initiation interval)."""
    parts: tuple[Part, ...]

    @property
    def source(self) -> Stream:
        """How samples go in."""
        return ends(self.program)[0]

    @property
    def sink(self) -> Stream:
        """How results come out."""
        return ends(self.program)[1]
