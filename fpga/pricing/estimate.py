"""What a design will take of a device, before any tool runs: linear in what its hardware is made of.

The constants were fitted to what yosys and nextpnr made of random nets: `python -m benchmarks.estimate_fit`.
Multipliers are exact; block RAMs follow the rule by which yosys chooses between them and tables, about.
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
from fpga.unrolled.generate import cost
from shared.integer import Program, bits

ENDS: Final = "streams"
"""The name under which what stands between the layers and the bytes is listed."""

# Fitted on the ECP5 to 14 folded and 7 unrolled random nets, seed 0. On nets left out in turn the median error in logic
# cells is 2 %, the largest 10 %. `adders` are da4ml's tables, `engine` is what each engine has whatever its size.
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
    """Resources of every engine of a plan, by name; block RAMs are those of the whole."""
    _, made = plan.made
    found = {}
    for engine in made:
        multipliers = blocks(engine) if device.holds.dsp else 0
        found[engine.node.name] = resources(of_engine(engine, plan, device)) + Resources(dsp=multipliers)
    return found | {ENDS: resources(Counter(ends=1)) + Resources(bram=plan.needs(device.family).bram)}


def unrolled(program: Program) -> dict[str, Resources]:
    """Resources of every operation of an unrolled program, by name."""
    found = {name: resources({"adders": lut}) for name, lut in cost(program).items()}
    return found | {ENDS: resources(of_bytes(program))}


def total(parts: Mapping[str, Resources]) -> Resources:
    """The sum of all parts."""
    return sum(parts.values(), Resources())


def of_engine(engine: Engine, plan: Plan, device: Device) -> Counter[str]:
    """What an engine is made of, with names as in `LUT` and `FF`: bits, or tables of memories that are no block RAM."""
    sums, last = bits(engine.values[0]), bits(engine.values[-1])
    found = Counter(engine=1, tail=sum(map(bits, engine.values[:-1])))
    depth = queue_depth(engine.taps, len(engine.node.tail)) if engine.taps is not None else DEPTH
    shallow = [Memory("queue", depth, last, True)] if depth <= SHALLOW else []
    for memory in (*memories((engine,), plan.queues), *shallow):
        if not memory.block_rams(device.family):
            found += of_memory(memory)
    taps = engine.taps
    if taps is None:
        return found + Counter(sums=sums)
    (x,) = engine.inputs
    products = taps.multipliers * (bits(x) + engine.word)
    found += Counter(sums=taps.lanes * sums, address=taps.window.cells.bit_length() + 1, word=taps.width * bits(x))
    found += Counter(products=products, weights=taps.multipliers * engine.word)
    found += Counter(tree=0 if taps.each else products - taps.lanes * (bits(x) + engine.word))
    if not device.holds.dsp:
        found += Counter(multiply=taps.multipliers * bits(x) * engine.word)
    return found


def of_memory(memory: Memory) -> Counter[str]:
    """Tables of a memory: of constants one for 16 of them; else one for 16 x 4 bits, and what chooses between them."""
    rows = -(-memory.depth // 16)
    if not memory.written:
        return Counter(rom=rows * memory.width)
    return Counter(ram=rows * -(-memory.width // 4), choice=(rows - 1) * memory.width)


def of_bytes(program: Program) -> Counter[str]:
    """What holds a whole sample and its whole result, in bits."""
    given, result = (program.values[name] for name in (program.inputs[0].name, program.outputs[0]))
    return Counter(streams=1, held=sum(bits(value) * math.prod(value.shape) for value in (given, result)))


def resources(made_of: Mapping[str, float]) -> Resources:
    """Logic cells and flip-flops of what something is made of."""
    lut, ff = (sum(each.get(name, 0) * count for name, count in made_of.items()) for each in (LUT, FF))
    return Resources(lut=lut, ff=ff)
