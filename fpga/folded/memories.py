"""How many block RAMs the memories of a folded design take, about: yosys makes small ones of tables."""

from collections.abc import Mapping

from fpga.folded.engines import Engine
from fpga.folded.fifo import SHALLOW
from fpga.folded.gather import queue_depth
from fpga.folded.lower import Graph
from shared.integer import bits

# Depth and width that a block RAM of the ECP5 (DP16KD, Lattice FPGA-TN-02204) can be set to.
SHAPES = ((512, 36), (1024, 18), (2048, 9), (4096, 4), (8192, 2), (16384, 1))

SMALL = 4096
"""Bits up to which a memory is made of tables, as yosys decides for most shapes."""


def block_rams(depth: int, width: int) -> int:
    """Block RAMs of one memory.

    >>> block_rams(512, 64), block_rams(51, 64), block_rams(3000, 8)
    (2, 0, 2)
    """
    if depth * width <= SMALL:
        return 0
    return min(-(-depth // d) * -(-width // w) for d, w in SHAPES)


def memories(graph: Graph, engines: tuple[Engine, ...], queues: Mapping[tuple[str, int], int]) -> dict[str, int]:
    """Block RAMs by memory: frames, weights, programs and biases of the engines, and deep queues."""
    found: dict[str, int] = {}
    for engine in engines:
        name, taps, out = engine.node.name, engine.taps, bits(engine.values[-1])
        for i, x in enumerate(engine.inputs):
            depth = queues.get((name, i), 0)
            found[f"{name} queue {i}"] = block_rams(depth, bits(x)) if depth > SHALLOW else 0
        if taps is None:
            continue
        cells, count, depth = taps.window.cells, len(taps.weights), queue_depth(taps, len(engine.node.tail))
        found[f"{name} frame"] = block_rams(cells, taps.width * bits(engine.inputs[0]))
        found[f"{name} program"] = block_rams(count, cells.bit_length() + 2)
        found[f"{name} weights"] = block_rams(count, taps.multipliers * engine.word)
        found[f"{name} biases"] = block_rams(0 if taps.bias is None else len(taps.bias), bits(engine.values[0]))
        found[f"{name} queue"] = block_rams(depth, out) if depth > SHALLOW else 0
    return {name: count for name, count in found.items() if count}
