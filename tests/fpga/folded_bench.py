"""Runs folded designs in Amaranth's own simulator, clock by clock."""

from dataclasses import dataclass

import numpy as np

from fpga.design.stream import ends
from fpga.folded.rtl.circuit import Circuit

HANG = 3000  # clocks without a byte


@dataclass
class Run:
    """Results `(B, *shape)`, and the clocks of each sample's first byte in, first byte out and last byte out."""

    results: np.ndarray
    first: np.ndarray
    began: np.ndarray
    last: np.ndarray


def run_rtl(plan, samples, stalls=None, pause=0):
    """Samples through the hardware of a plan, back to back or with a `pause` of clocks in front of each but the first.

    `stalls` is a generator that pauses both ends at random.
    """
    from amaranth.sim import Simulator

    source, sink = ends(plan.program)
    data = source.pack(samples).ravel().tolist()
    due = len(samples) * sink.bytes
    circuit = Circuit(*plan.graph_and_engines, plan.queues, plan.output_gated)
    result, taken, given = [], [], []

    async def bench(ctx):
        clock = moved = start = 0
        while len(result) < due:
            assert clock - moved < HANG, f"nothing moves after {len(taken)} bytes in and {len(result)} out"
            offers = start <= clock and len(taken) < len(data) and (stalls is None or stalls.random() < 0.6)
            takes = stalls is None or stalls.random() < 0.6
            ctx.set(circuit.input.valid, offers)
            ctx.set(circuit.input.payload, data[min(len(taken), len(data) - 1)])
            ctx.set(circuit.output.ready, takes)
            if offers and ctx.get(circuit.input.ready):
                taken.append(clock)
                moved = clock
                start = clock + (pause if len(taken) % source.bytes == 0 else 0)
            if takes and ctx.get(circuit.output.valid):
                result.append(ctx.get(circuit.output.payload))
                given.append(clock)
                moved = clock
            await ctx.tick()
            clock += 1

    simulator = Simulator(circuit)
    simulator.add_clock(1e-8)
    simulator.add_testbench(bench)
    simulator.run()
    results = sink.unpack(np.array(result, np.uint8).reshape(len(samples), -1))
    clocks_in, clocks_out = np.array(taken), np.array(given)
    return Run(results, clocks_in[:: source.bytes], clocks_out[:: sink.bytes], clocks_out[sink.bytes - 1 :: sink.bytes])
