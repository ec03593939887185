"""Predicts which memories of a folded design yosys maps to block RAM, and to how many."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from fpga.design.devices import Family
from fpga.folded.graph.engines import Engine
from fpga.folded.graph.taps import Taps
from fpga.folded.rtl.fifo import SHALLOW
from fpga.folded.rtl.gather import queue_depth
from shared.integer import bits

# Depth and width that one block RAM can be set to: DP16KD (Lattice FPGA-TN-02204), SB_RAM40_4K (FPGA-TN-02002).
SHAPES: Mapping[Family, tuple[tuple[int, int], ...]] = {
    "ecp5": ((512, 36), (1024, 18), (2048, 9), (4096, 4), (8192, 2), (16384, 1)),
    "ice40": ((256, 16), (512, 8), (1024, 4), (2048, 2)),
}


@dataclass(frozen=True)
class Memory:
    """A memory that is read a clock after its address; `written` ones are RAM, the others ROM."""

    name: str
    depth: int
    width: int
    written: bool

    def block_rams(self, family: Family) -> int:
        """Block RAMs, or 0 if yosys 0.70 maps it to tables.

        Its `memory_libmap` takes the cheapest: a block RAM costs 128, 16 bits of a ROM in tables cost 1, and 16 cells
        of 4 bits in distributed RAM, which the ECP5 alone has, cost 6 (determined by experiment, and held by a test).

        >>> Memory("weights", 512, 64, False).block_rams("ecp5"), Memory("frame", 64, 18, True).block_rams("ecp5")
        (2, 0)
        """
        if not self.written:  # words that lie one behind the other may share a row of a block RAM
            count = min(-(-(-(-self.depth // d) * self.width) // w) for d, w in SHAPES[family])
            return count if self.depth * self.width > 128 * 16 * count else 0
        count = min(-(-self.depth // d) * -(-self.width // w) for d, w in SHAPES[family])
        if family == "ecp5" and 6 * -(-self.depth // 16) * -(-self.width // 4) <= 128 * count:
            return 0
        return count


def memories(engines: tuple[Engine, ...], queues: Mapping[tuple[str, int], int]) -> Iterator[Memory]:
    """Frames, weights, programs and biases of the engines, and queues that are not shallow."""
    for engine in engines:
        name = engine.node.name
        for i, x in enumerate(engine.inputs):
            if queues.get((name, i), 0) > SHALLOW:
                yield Memory(f"{name} queue {i}", queues[name, i], bits(x), True)
        if engine.taps is not None:
            yield from _gathering(engine, engine.taps)


def _gathering(engine: Engine, taps: Taps) -> Iterator[Memory]:
    name, count, depth = engine.node.name, len(taps.weights), queue_depth(taps, len(engine.node.tail))
    offset = max(group[-1] for group in taps.offsets).bit_length()
    yield Memory(f"{name} frame", taps.window.cells, taps.width * bits(engine.inputs[0]), True)
    yield Memory(f"{name} program", count, offset + 2, False)
    if taps.multipliers:
        yield Memory(f"{name} weights", count, taps.multipliers * engine.word, False)
    if taps.bias is not None:
        yield Memory(f"{name} biases", len(taps.bias), bits(engine.values[0]), False)
    if depth > SHALLOW:
        yield Memory(f"{name} queue", depth, bits(engine.values[-1]), True)
