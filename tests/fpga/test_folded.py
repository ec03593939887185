"""Folded designs equal their integer program bit for bit, and take exactly the clocks that were predicted."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

pytest.importorskip("amaranth", reason="needs Amaranth: pip install -e '.[fpga]'")

from folded_bench import run_rtl
from folded_programs import draw, folding, samples
from integer_programs import PROGRAMS

from fpga.folded import Fold, Plan, utilisation
from fpga.folded.planning.timing import timing
from shared.integer import Add, Constant, Conv1d, Conv2d, Flatten, Input, Linear, MaxPool, Program, Requantise, outputs
from shared.integer.format import Format

S8, U8 = Format(8, 5), Format(8, 3, signed=False)


def dense(rng, sizes, prune=None):
    """Layers with a ReLU between them; `prune` changes each weight in place."""
    operations, x, fraction = [], "x", 5
    for n, (taken, given) in enumerate(pairwise(sizes)):
        weight = rng.integers(-128, 128, (given, taken))
        if prune is not None:
            prune(weight)
        bias = Constant(rng.integers(-4096, 4096, given), Format(32, fraction + 5))
        operations += [Linear((x,), f"sum{n}", Constant(weight, S8), bias), Requantise((f"sum{n}",), f"y{n}", U8)]
        x, fraction = f"y{n}", 3
    return Program((Input("x", (sizes[0],), S8),), tuple(operations), (x,))


def agrees(plan, x, rng=None):
    done = run_rtl(plan, x, rng)
    assert np.array_equal(done.results, outputs(plan.program, x)[0])
    return done


@pytest.mark.parametrize("seed", range(14))
def test_any_program_with_any_folding_is_bit_exact_and_on_time(seed: int) -> None:
    rng = np.random.default_rng(seed)
    program = draw(rng, 1 + seed % 5)
    plan = folding(rng, program)
    x = samples(program, 5, rng)
    done = agrees(plan, x)
    assert done.last[0] - done.first[0] == plan.latency
    assert done.last[-1] - done.last[-2] == plan.interval
    agrees(plan, x[:2], rng)  # stalls change the clocks and nothing else


def test_what_has_no_engine_is_named_with_the_way_out() -> None:
    program = replace(PROGRAMS["enlarged"](), outputs=("y",))
    with pytest.raises(ValueError, match="PixelShuffle 'c' has no folded engine: build it unrolled, or leave it"):
        folding(np.random.default_rng(0), program)


@pytest.mark.parametrize(
    ("name", "output"), [("dense", "y"), ("line", "y"), ("image", "y"), ("image", "e"), ("clipped", "y")]
)
def test_the_programs_of_all_implementations(name: str, output: str) -> None:
    rng = np.random.default_rng(0)
    program = replace(PROGRAMS[name](), outputs=(output,))
    plan = folding(rng, program)
    done = agrees(plan, samples(program, 4, rng))
    assert (done.last[0] - done.first[0], done.last[-1] - done.last[-2]) == (plan.latency, plan.interval)


def test_the_programs_above_use_every_operation() -> None:
    used = {
        type(op).__name__ for seed in range(14) for op in draw(np.random.default_rng(seed), 1 + seed % 5).operations
    }
    assert used >= {"Linear", "Conv1d", "Conv2d", "MaxPool", "AveragePool", "Add", "Flatten", "Requantise"}


def residual(rng):
    """A convolution beside a shortcut, whose sum is read twice and is the output too."""
    weight = Constant(rng.integers(-128, 128, (4, 4, 3)), S8)
    steps = (
        Conv1d(("x",), "a", weight, None, padding=(1,)),
        Requantise(("a",), "b", U8),
        Conv1d(("b",), "c", weight, None, padding=(1,)),
        Requantise(("c",), "d", S8),
        Add(("x", "d"), "e"),
        Requantise(("e",), "f", S8),
        Add(("e", "f"), "y"),
    )
    return Program((Input("x", (4, 12), S8),), steps, ("y",))


def test_a_shortcut_queues_as_deep_as_it_must_and_never_holds_anything_up() -> None:
    rng = np.random.default_rng(1)
    plan = Plan(residual(rng), {"a": Fold(4, 2), "c": Fold(4, 4)})
    graph, engines = plan.graph_and_engines
    endless = timing(graph, engines, dict.fromkeys(plan.queues))
    assert (endless.latency, endless.interval) == (plan.latency, plan.interval)
    assert all(endless.waiting[queue] <= depth for queue, depth in plan.queues.items())
    x = samples(plan.program, 6, rng)
    assert np.diff(agrees(plan, x).last)[-1] == plan.interval
    agrees(plan, x[:3], rng)


def downsampling(rng):
    """A residual block as in a ResNet where the image shrinks: two convolutions beside one of a single pixel."""

    def kernel(*shape):
        return Constant(rng.integers(-128, 128, shape), S8)

    steps = (
        Conv2d(("x",), "a", kernel(4, 3, 3, 3), None, stride=(2, 2), padding=(1, 1)),
        Requantise(("a",), "b", U8),
        Conv2d(("b",), "c", kernel(4, 4, 3, 3), None, padding=(1, 1)),
        Conv2d(("x",), "s", kernel(4, 3, 1, 1), None, stride=(2, 2)),
        Requantise(("c",), "d", S8),
        Requantise(("s",), "t", S8),
        Add(("d", "t"), "e"),
        Requantise(("e",), "y", U8),
    )
    return Program((Input("x", (3, 10, 10), S8),), steps, ("y",))


def test_a_branch_that_is_ahead_waits_in_a_queue() -> None:
    """Nothing forks in front of the sum: without a queue there, the branch of one pixel would stop the other."""
    rng = np.random.default_rng(5)
    plan = Plan(downsampling(rng), {"a": Fold(4, 3), "c": Fold(4, 1)})
    assert list(plan.queues) == [("e", 1)]
    graph, engines = plan.graph_and_engines
    with pytest.raises(AssertionError, match="does not settle"):
        timing(graph, engines, {})
    done = agrees(plan, samples(plan.program, 5, rng))
    assert (done.last[0] - done.first[0], done.last[-1] - done.last[-2]) == (plan.latency, plan.interval)


@pytest.mark.parametrize("word", [8, 12])
def test_no_result_begins_before_its_sample(word: int) -> None:
    """The first position of the window lies in the padding, so the hardware could give its sum at any time."""
    rng = np.random.default_rng(6)
    weight = Constant(rng.integers(-128, 128, (2, 3, 1)), S8)
    steps = (Conv1d(("x",), "a", weight, None, stride=(2,), padding=(2,)), Requantise(("a",), "y", Format(word, 5)))
    program = Program((Input("x", (3, 4), Format(word, 5)),), steps, ("y",))
    plan = Plan(program, {"a": Fold(2, 3)})
    assert plan.output_gated
    done = agrees(plan, samples(program, 4, rng))
    assert (done.last[0] - done.first[0], done.last[-1] - done.last[-2]) == (plan.latency, plan.interval)
    apart = run_rtl(plan, samples(program, 3, rng), pause=200)
    assert (apart.began > apart.first).all()
    ahead = run_rtl(Held(program, plan.folds), samples(program, 3, rng), pause=200)
    assert not (ahead.began > ahead.first).all()


class Held(Plan):
    """A plan that holds nothing back."""

    output_gated = False


def test_a_flattened_value_at_the_output_is_put_in_order() -> None:
    rng = np.random.default_rng(2)
    program = Program(
        (Input("x", (3, 4), S8),),
        (MaxPool(("x",), "m", (2,)), Flatten(("m",), "f"), Requantise(("f",), "y", U8)),
        ("y",),
    )
    agrees(Plan(program, {}), samples(program, 4, rng))


@pytest.mark.parametrize("word", [2, 5, 16])
def test_word_lengths(word: int) -> None:
    rng = np.random.default_rng(word)
    form = Format(word, 2)
    weight = Constant(rng.integers(form.low, form.high + 1, (6, 20)), form)
    program = Program((Input("x", (20,), form),), (Linear(("x",), "y", weight),), ("y",))
    agrees(Plan(program, {"y": Fold(2, 5)}), samples(program, 4, rng))


def test_wide_sums_of_wide_words() -> None:
    rng = np.random.default_rng(0)
    wide = Format(40, 3)
    shifted = (Requantise(("x",), "a", Format(50, 12)), Add(("a", "x"), "b"), Requantise(("b",), "y", Format(45, 6)))
    program = Program((Input("x", (4,), wide),), shifted, ("y",))
    agrees(Plan(program, {}), samples(program, 8, rng))


def test_pruned_blocks_cost_no_clocks() -> None:
    def prune(weight):
        weight[:4, 3:] = 0  # of the first four outputs only three inputs stay
        weight[4:8] = 0  # of the next four only the bias

    rng = np.random.default_rng(0)
    full, pruned = (Plan(dense(np.random.default_rng(3), (20, 12), p), {"sum0": Fold(2)}) for p in (None, prune))
    assert (full.interval, pruned.interval) == (6 * 20, 2 * 3 + 2 * 2 + 2 * 20)  # two lanes drain in two clocks
    done = agrees(pruned, samples(pruned.program, 4, rng))
    assert np.diff(done.last)[-1] == pruned.interval
    assert pruned.parts[0].macs == (2 * 3 + 2 * 20) * 2


def test_a_wrong_bit_of_a_weight_is_seen() -> None:
    rng = np.random.default_rng(4)
    program = dense(rng, (6, 4))
    program = replace(program, operations=program.operations[:1], outputs=("sum0",))
    (operation,) = program.operations
    wrong = operation.weight.integers.copy()
    wrong[2, 5] ^= 1
    other = replace(program, operations=(replace(operation, weight=Constant(wrong, S8)),))
    x = samples(program, 4, rng)
    differ = run_rtl(Plan(other, {}), x).results != outputs(program, x)[0]
    assert differ[:, 2].any()
    assert not differ[:, [0, 1, 3]].any()


def test_an_idle_design_is_at_most_three_clocks_sooner_than_one_just_switched_on() -> None:
    rng = np.random.default_rng(5)
    plan = Plan(dense(rng, (17, 24, 16)), {"sum0": Fold(8), "sum1": Fold(8)})
    done = run_rtl(plan, samples(plan.program, 4, rng), pause=500)
    latencies = done.last - done.first
    assert latencies[0] == plan.latency <= 400
    assert set(latencies[1:]) <= {plan.latency - n for n in range(4)}


def test_utilisation_is_that_of_the_simulated_clocks() -> None:
    rng = np.random.default_rng(6)
    plan = Plan(dense(rng, (24, 24, 24)), {"sum0": Fold(6), "sum1": Fold(6)})
    done = run_rtl(plan, samples(plan.program, 5, rng))
    interval = int(np.diff(done.last)[-1])
    first, second, net = utilisation(plan)
    assert first.interval == second.interval == 24 * 24 / (6 * interval)
    assert net.busy == net.interval == 1.0


def test_values_may_be_called_as_parts_of_the_circuit() -> None:
    one = Constant(np.eye(3, dtype=int), Format(2, 0))
    names = ("from_bytes", "to_bytes", "in_turn", "sum_queue0", "sum_queue1")
    steps = []
    for source, name in zip(("x", "r0", "r1", "x", "r3"), names, strict=True):
        steps += [Linear((source,), name, one), Requantise((name,), f"r{len(steps) // 2}", S8)]
    program = Program((Input("x", (3,), S8),), (*steps, Add(("r2", "r4"), "sum")), ("sum",))
    agrees(Plan(program, {}), samples(program, 3, np.random.default_rng(0)))
