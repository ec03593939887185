"""The margins of folded plans: queues deeper than what waits, credits that no result outruns, sign bits of products."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("amaranth", reason="needs Amaranth: pip install 'qwedge[fpga]'")

from fpga.folded import Plan
from fpga.folded.graph.engines import Fold, engines
from fpga.folded.planning import plan as planning
from fpga.folded.planning.timing import Timing
from fpga.folded.rtl import gather, join
from fpga.folded.rtl.fifo import Credits
from shared.integer import Add, Constant, Input, Linear, Program, Requantise
from shared.integer.format import Format

S8 = Format(8, 5)


def fork():
    """A sum of a stream and of what a layer makes of it."""
    steps = (
        Linear(("x",), "a", Constant(np.eye(4, dtype=int), S8)),
        Requantise(("a",), "b", S8),
        Add(("x", "b"), "y"),
    )
    return Program((Input("x", (4,), S8),), steps, ("y",))


@pytest.mark.parametrize("waiting", [0, 2, 3, 13, 14, 15, 30, 31, 62, 63, 64, 1000])
def test_a_queue_is_a_power_of_two_with_room_beyond_what_waits(waiting, monkeypatch):
    """One place more than elements wait, and one for the element that leaves as the next arrives."""
    monkeypatch.setattr(planning, "timing", lambda *_: Timing(1, 1, {("y", 0): waiting, ("y", 1): waiting}))
    queues = Plan(fork(), {}).queues
    expected = next(1 << n for n in range(4, 20) if 1 << n >= waiting + 2)
    assert queues == {("y", 0): expected} | ({("y", 1): expected} if waiting > planning.PASSING else {})


@pytest.mark.parametrize(("signed", "word", "blocks"), [(True, 18, 1), (True, 19, 2), (False, 17, 1), (False, 18, 2)])
def test_a_multiplier_needs_a_sign_bit_for_natural_numbers(signed, word, blocks):
    weight = Constant(np.ones((2, 3), int), Format(18, 0))
    program = Program((Input("x", (3,), Format(word, 0, signed)),), (Linear(("x",), "y", weight),), ("y",))
    assert Plan(program, {}).needs("ecp5").dsp == blocks
    wider = replace(program.operations[0], weight=Constant(weight.integers, Format(19, 0)))
    assert Plan(replace(program, operations=(wider,)), {}).needs("ecp5").dsp == 2 * blocks


@pytest.mark.parametrize(("depth", "taken"), [(16, 1), (5, 2), (8, 4), (8, 8), (7, 3)])
def test_credits_count_the_free_places(depth, taken):
    """Against a count in Python: `room` only if all that are taken at once are free, whatever comes back meanwhile."""
    from amaranth.sim import Simulator

    credits, rng, outcomes = Credits(depth, taken), np.random.default_rng(depth), set()

    async def bench(ctx):
        free = depth
        for clock in range(400):
            assert bool(ctx.get(credits.room)) == (free >= taken), clock
            take = free >= taken and rng.random() < (0.9 if clock % 100 < 50 else 0.2)
            give = free < depth and rng.random() < 0.5
            outcomes.add((free >= taken, take, give))
            ctx.set(credits.take, take)
            ctx.set(credits.give, give)
            await ctx.tick()
            free += give - taken * take

    simulator = Simulator(credits)
    simulator.add_clock(1e-8)
    simulator.add_testbench(bench)
    simulator.run()
    assert {(True, True, True), (False, False, True)} <= outcomes or depth == taken


@pytest.mark.parametrize("fold", [Fold(1), Fold(4), Fold(2, 3), Fold(12)])
def test_the_queue_behind_an_engine_holds_two_groups_and_what_is_between(fold):
    """A group that leaves, one that is computed, and a credit's way back; no engine then waits for its own queue."""
    weight = Constant(np.ones((12, 6), int), S8)
    program = Program((Input("x", (6,), S8),), (Linear(("x",), "y", weight),), ("y",))
    (engine,) = engines(program, {"y": fold})[1]
    depth = gather.queue_depth(engine.taps, len(engine.node.tail))
    assert depth & (depth - 1) == 0
    assert depth >= 2 * fold.lanes + gather.stages(engine.taps, 0) + 4
    assert depth < 2 * (2 * fold.lanes + gather.stages(engine.taps, 0) + 4)
    assert 2 + join.stages(4) <= join.DEPTH


def test_a_plan_is_as_fast_as_its_slowest_engine():
    """Queues and credits never hold a design up: its interval is the clocks of an engine, or of the streams."""
    rng = np.random.default_rng(0)
    weight = Constant(rng.integers(-128, 128, (12, 6)), S8)
    for lanes in (1, 2, 4, 12):
        program = Program((Input("x", (6,), S8),), (Linear(("x",), "a", weight), Requantise(("a",), "y", S8)), ("y",))
        plan = Plan(program, {"a": Fold(lanes)})
        assert plan.interval == max(plan.parts[0].cycles, 12)
