"""A net unrolled into adders: each multiplication is hardware of its own, and a sample may enter at every clock."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fpga.design.interface import Design, Part, format_text
from fpga.design.stream import Stream, ends
from fpga.unrolled import adders
from fpga.unrolled.harness import Stage, harness
from shared.integer import AbstractWeighted, Constant, Input, Operation, Program, outputs
from shared.integer.catalogue import require_layers
from shared.integer.format import Format, Integers
from shared.integer.operations import SUM

MOST: Final = 4000
"""Multiply-accumulates that da4ml searches shared terms among in seconds, by default."""

FLOAT32: Final = 24
"""Bits that da4ml keeps of a weight."""


@dataclass(frozen=True)
class Core:
    """A program as one graph of adders. Its inputs and outputs are in the order of the byte streams."""

    program: Program
    logic: Any
    """da4ml's `CombLogic`."""

    def predict(self, integers: Integers) -> NDArray[np.int64]:
        """The output for integers `(B, *shape)`, by da4ml's own interpreter of the graph.

        Raises `ValueError` for sums of more than 32 bits, which it cuts; the Verilog does not.
        """
        wide = [name for name, value in self.program.values.items() if value.format.word > SUM]
        if wide:
            raise ValueError(f"da4ml's interpreter cuts {wide[0]!r} to {SUM} bits: simulate the Verilog instead")
        shape = self.program.values[self.program.outputs[0]].shape
        rows = np.moveaxis(np.asarray(integers, np.float64), 1, -1).reshape(len(integers), -1)
        results = self.logic.predict(np.ascontiguousarray(rows)).astype(np.int64)
        return np.ascontiguousarray(np.moveaxis(results.reshape(len(rows), *shape[1:], shape[0]), -1, 1))


def trace(program: Program, most: int = MOST) -> Core:
    """Every operation of a program on da4ml's symbols.

    Products with constants become shifts and additions, shared where they agree (da4ml, arXiv 2507.04535); a zero
    weight costs nothing. A convolution is unrolled over all its positions.

    Raises `ValueError` for a program that is too large, that has not one input and one output, or whose output does not
    depend on its input, and `ModuleNotFoundError` without da4ml.
    """
    symbols = _symbols(program, most)
    from da4ml.trace import comb_trace

    names = program.inputs[0].name, program.outputs[0]
    inputs, results = ([*np.moveaxis(symbols[name], 0, -1).ravel()] for name in names)
    if all(symbol.low == symbol.high for symbol in results):
        raise ValueError("the output does not depend on the input: there is nothing to build")
    return Core(program, comb_trace(inputs, results, keep_dead_inputs=True))


def cost(program: Program, most: int = MOST) -> dict[str, float]:
    """da4ml's estimate of what each operation costs unrolled, by name, in tables of six inputs.

    The sum is the estimate of the whole program. On an ECP5, whose tables have four inputs, count about twice as many.

    >>> from shared.integer import Linear
    >>> weight = Constant(np.array([[3, 0, -4]]), Format(8, 6))
    >>> cost(Program((Input("x", (3,), Format(8, 0)),), (Linear(("x",), "y", weight),), ("y",)))
    {'y': 17.0}

    Raises as `trace` does, but not for an output that is constant: that costs nothing.
    """
    symbols = _symbols(program, most)
    alive = _reached(symbols[program.outputs[0]], {})
    counted = _reached(symbols[program.inputs[0].name], {})
    tables = {}
    for operation in program.operations:
        new = _reached(symbols[operation.output], counted)
        tables[operation.output] = float(sum(lut for key, lut in new.items() if key in alive))
        counted |= new
    return tables


def unroll(program: Program, clock_mhz: float = 100.0, most: int = MOST) -> Design:
    """A program as a pipeline without multipliers, between the byte streams of a `Design`.

    The pipeline itself takes a sample per clock; `interval` is what the streams allow, a byte per clock. `clock_mhz` is
    the target on an ECP5: a higher one cuts the graph into more stages. Place and route measures what is reached.
    `most` are the multiplications that da4ml may get: its time grows faster than their number.

    Raises as `trace` does.
    """
    from da4ml.trace.pipeline import to_pipeline

    pipeline = to_pipeline(trace(program, most).logic, levels(clock_mhz), verbose=False).solutions
    source, sink = ends(program)
    names = [f"core_{i}" for i in range(len(pipeline))]
    stages = [
        Stage(name, sum(map(_width, logic.inp_qint)), sum(map(_width, logic.out_qint)))
        for name, logic in zip(names, pipeline, strict=True)
    ]
    inputs = _input_bits(pipeline[0].inp_qint, source)
    results = _output_bits(pipeline[-1].out_qint, sink, f"stage_{len(stages) - 1}")
    top = harness(stages, source.bytes, sink.bytes, inputs, results)
    comment = f"// Unrolled: {len(stages)} stages that take a sample per clock, between streams of bytes."
    verilog = "\n".join([comment, top, *_modules(names, pipeline)])
    latency = source.bytes + len(stages) + sink.bytes
    return Design(program, "unrolled", verilog, latency, max(source.bytes, sink.bytes), tuple(_parts(program)))


def levels(clock_mhz: float) -> int:
    """Adders that may follow each other between two registers, for a clock on an ECP5.

    Measured on one net of 17-24-16 with 157 weights of 4 bits (LFE5U-25F, nextpnr 0.11, one seed): 4 in a row reached
    96 MHz, 2 reached 114. Larger nets are slower; the limits here leave about a tenth.

    >>> levels(50), levels(100)
    (4, 2)
    """
    return next((count for count, reached in ((4, 80), (2, 105)) if clock_mhz <= reached), 1)


def _symbols(program: Program, most: int) -> dict[str, adders.Symbols]:
    """Every value of a program in da4ml's symbols, by name."""
    if find_spec("da4ml") is None:
        raise ModuleNotFoundError("unrolling a program needs da4ml: pip install -e '.[fpga]'")
    _check(program, most)
    values, first = program.values, program.inputs[0].name
    symbols = {first: adders.symbols(values[first])}
    for operation in program.operations:
        inputs = [symbols[name] for name in operation.inputs]
        types = [values[name] for name in operation.inputs]
        symbols[operation.output] = adders.trace_operation(operation, types, *inputs)
    return symbols


def _check(program: Program, most: int) -> None:
    require_layers(program, "the layers of unrolled hardware")
    ends(program)
    total = sum(part.macs for part in _parts(program))
    if total > most:
        raise ValueError(
            f"unrolled, the program needs {total} multiply-accumulates at once, {total / most:.1f} times the {most} "
            f"that this generator takes: prune it, fold it (style=folded), or allow unrolled_macs={total}"
        )
    for operation in program.operations:
        if isinstance(operation, AbstractWeighted) and operation.weight.format.word > FLOAT32:
            raise ValueError(f"{operation.output!r} has weights of more than {FLOAT32} bits, which da4ml would round")


def _parts(program: Program) -> Iterator[Part]:
    for operation in program.operations:
        value = program.values[operation.output]
        form = format_text(value)
        macs = _macs(operation, program)
        yield Part(operation.output, type(operation).__name__, form, macs, lanes=0, cycles=1)


def _macs(operation: Operation, program: Program) -> int:
    """Those of weights that are not 0, at positions that are not padding: run on ones, with ones for weights."""
    if not isinstance(operation, AbstractWeighted):
        return 0
    (name,) = operation.inputs
    one = Format(1, 0, signed=False)
    counted = replace(operation, weight=Constant((operation.weight.integers != 0).astype(np.uint8), one), bias=None)
    shape = program.values[name].shape
    count = Program((Input(name, shape, one),), (counted,), (operation.output,))
    return int(outputs(count, np.ones((1, *shape), np.int64))[0].sum())


def _reached(symbols: adders.Symbols, counted: dict[Any, float]) -> dict[Any, float]:
    """The cost of every symbol that `symbols` depend on, themselves included, by identity, without those `counted`."""
    costs: dict[Any, float] = {}
    todo = list(symbols.ravel())
    while todo:
        symbol = todo.pop()
        if symbol.id not in costs and symbol.id not in counted:
            costs[symbol.id] = symbol.cost
            todo += symbol._from
    return costs


def _width(interval: Any) -> int:
    from da4ml.types import minimal_kif

    width: int = sum(minimal_kif(interval))
    return width


def _input_bits(intervals: list[Any], source: Stream) -> list[str]:
    """The bits of `sample` that the pipeline reads: of each element the lowest, as many as it has."""
    widths = [_width(interval) for interval in intervals]
    starts = range(0, 8 * source.bytes, 8 * source.width)
    return [f"sample[{at + n - 1}:{at}]" for at, n in zip(starts, widths, strict=True) if n]


def _output_bits(intervals: list[Any], sink: Stream, register: str) -> list[str]:
    """Each element of the result in whole bytes: zeros below its lowest bit, copies of its sign above the highest."""
    from da4ml.types import minimal_kif

    pieces, at = [], 0
    for interval in intervals:
        signed, _, fraction = minimal_kif(interval)
        n, below = _width(interval), -fraction
        above = 8 * sink.width - n - below
        sign = f"{register}[{at + n - 1}]" if signed else "1'b0"
        pieces += [f"{below}'b0"] if below and n else []
        pieces += [f"{register}[{at + n - 1}:{at}]"] if n else []
        pieces += [f"{{{above}{{{sign}}}}}"] if above else []
        at += n
    return pieces


def _modules(names: list[str], pipeline: tuple[Any, ...]) -> Iterator[str]:
    """The stages, and those of da4ml's own modules that they use."""
    import da4ml
    from da4ml.codegen.rtl.verilog.comb import comb_logic_gen

    texts = [comb_logic_gen(logic, name) for name, logic in zip(names, pipeline, strict=True)]
    yield from texts
    for file in sorted(Path(da4ml.__file__).parent.glob("codegen/rtl/verilog/source/*.v")):
        if any(f" {file.stem} #(" in text for text in texts):
            text = file.read_text(encoding="utf-8").replace("`timescale 1ns / 1ps\n", "")
            yield text.replace("WIDTHTRUNC", "WIDTH")  # Debian's Verilator has not the narrower word
