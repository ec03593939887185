"""Requantise in hardware: shift, round half to even, saturate, all by constants. As `shared.integer.format`."""

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Module, Mux, Shape, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from fpga.folded.rtl.frame import shape_of
from shared.integer import Value, bits


class Requantiser(wiring.Component):
    """Some `Requantise` and `Clip` steps on each element, `STAGES` clocks per step; never waits.

    `values` are what goes in and what each step gives.
    """

    STAGES = 2

    def __init__(self, values: Sequence[Value]) -> None:
        self.values = values
        super().__init__(
            {
                "in_valid": In(1),
                "in_payload": In(wire(values[0])),
                "valid": Out(1),
                "payload": Out(wire(values[-1])),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        valid, payload = self.in_valid, self.in_payload
        for x, y in zip(self.values[:-1], self.values[1:], strict=True):
            rounded = _rounded(m, payload, x.format.fraction - y.format.fraction)
            ends = (
                (y.low, y.high) if x.format == y.format else (y.format.low, y.format.high)
            )  # a `Clip`, else its format
            payload = _saturated(m, rounded, *ends, wire(y))
            for _ in range(self.STAGES):
                later = Signal()
                m.d.sync += later.eq(valid)
                valid = later
        m.d.comb += [self.valid.eq(valid), self.payload.eq(payload)]
        return m


def wire(value: Value) -> Shape:
    """The type of a value's elements on a wire: as few bits as hold all it can reach."""
    return shape_of(bits(value), value.low < 0)


def _rounded(m: Module, x: Any, drop: int) -> Signal:
    """`x / 2**drop` to the nearest integer, ties to even."""
    if drop <= 0:
        shifted = x << -drop
    else:
        half = (x >> (drop - 1))[0]
        below = x[: min(drop - 1, len(x))].any() if drop > 1 else 0
        kept = x >> drop
        shifted = kept + (half & (below | kept[0]))
    rounded = Signal(shifted.shape())
    m.d.sync += rounded.eq(shifted)
    return rounded


def _saturated(m: Module, x: Signal, low: int, high: int, shape: Shape) -> Signal:
    y = Signal(shape)
    m.d.sync += y.eq(Mux(x > high, high, Mux(x < low, low, x)))
    return y
