"""The resources of a design, estimated before any tool runs: linear in the features of its hardware.

The constants are fitted to what yosys and nextpnr use for random nets: `python -m benchmarks.estimate_fit`.
Multipliers are exact; block RAMs approximate the rule by which yosys chooses between them and tables.
"""

import math
from collections import Counter
from collections.abc import Mapping
from typing import Final

from fpga.design.devices import Device, Resources
from fpga.folded.graph.engines import Engine
from fpga.folded.planning.memories import Memory, memories
from fpga.folded.planning.plan import Plan, blocks
from fpga.folded.rtl.fifo import SHALLOW
from fpga.folded.rtl.gather import queue_depth
from fpga.folded.rtl.join import DEPTH
from fpga.unrolled.generate import MOST, cost
from shared.integer import Program, bits

ENDS: Final = "streams"
"""The name of the part between the byte streams and the layers."""

# Fitted on the ECP5 to 14 folded and 7 unrolled random nets, seed 0. In leave-one-out validation the median error in
# logic cells is 2 %, the largest 10 %. `adders` are da4ml's tables, `engine` is the constant part of each engine.
LUT: Final[Mapping[str, float]] = {
    "adders": 1.742,
    "engine": 185.8,
    "held": 0.955,
    "ram": 4.807,
    "rom": 1.285,
    "sums": 2.235,
    "tree": 0.027,
    "word": 4.134,
}
FF: Final[Mapping[str, float]] = {
    "adders": 0.707,
    "choice": 0.271,
    "ends": 29.29,
    "engine": 68.58,
    "held": 2.244,
    "rom": 0.43,
    "sums": 1.922,
    "weights": 4.769,
    "word": 2.569,
}


def folded(plan: Plan, device: Device) -> dict[str, Resources]:
    """Resources of every engine of a plan, by name; all block RAMs are counted in the part `ENDS`."""
    parts = {}
    for engine in plan.graph_and_engines[1]:
        multipliers = blocks(engine) if device.capacity.dsp else 0
        parts[engine.node.name] = resources(engine_features(engine, plan, device)) + Resources(dsp=multipliers)
    return parts | {ENDS: resources(Counter(ends=1)) + Resources(bram=plan.needs(device.family).bram)}


def unrolled(program: Program, most: int = MOST) -> dict[str, Resources]:
    """Resources of every operation of an unrolled program of `most` multiplications, by name."""
    parts = {name: resources({"adders": lut}) for name, lut in cost(program, most).items()}
    return parts | {ENDS: resources(stream_features(program))}


def total(parts: Mapping[str, Resources]) -> Resources:
    """The sum of all parts."""
    return sum(parts.values(), Resources())


def engine_features(engine: Engine, plan: Plan, device: Device) -> Counter[str]:
    """The features of an engine, named as in `LUT` and `FF`: bits, or tables of memories that are not block RAM."""
    sums, last = bits(engine.values[0]), bits(engine.values[-1])
    features = Counter(engine=1, tail=sum(map(bits, engine.values[:-1])))
    depth = queue_depth(engine.taps, len(engine.node.tail)) if engine.taps is not None else DEPTH
    shallow = [Memory("queue", depth, last, True)] if depth <= SHALLOW else []
    for memory in (*memories((engine,), plan.queues), *shallow):
        if not memory.block_rams(device.family):
            features += memory_features(memory)
    taps = engine.taps
    if taps is None:
        return features + Counter(sums=sums)
    (x,) = engine.inputs
    products = taps.multipliers * (bits(x) + engine.word)
    features += Counter(sums=taps.lanes * sums, address=taps.window.cells.bit_length() + 1, word=taps.width * bits(x))
    features += Counter(products=products, weights=taps.multipliers * engine.word)
    features += Counter(tree=0 if taps.elementwise else products - taps.lanes * (bits(x) + engine.word))
    if not device.capacity.dsp:
        features += Counter(multiply=taps.multipliers * bits(x) * engine.word)
    return features


def memory_features(memory: Memory) -> Counter[str]:
    """Tables of a memory: of a ROM one for 16 bits; else one for 16 x 4 bits, and the multiplexers between them."""
    rows = -(-memory.depth // 16)
    if not memory.written:
        return Counter(rom=rows * memory.width)
    return Counter(ram=rows * -(-memory.width // 4), choice=(rows - 1) * memory.width)


def stream_features(program: Program) -> Counter[str]:
    """The registers that hold a whole sample and its whole result, in bits."""
    ends = (program.values[name] for name in (program.inputs[0].name, program.outputs[0]))
    return Counter(streams=1, held=sum(bits(value) * math.prod(value.shape) for value in ends))


def resources(features: Mapping[str, float]) -> Resources:
    """Logic cells and flip-flops of hardware with these features."""
    lut, ff = (sum(constants.get(name, 0) * count for name, count in features.items()) for constants in (LUT, FF))
    return Resources(lut=lut, ff=ff)
