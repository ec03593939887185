"""The mapper finds the smallest design that is fast enough, or the fastest that fits, and says what is in the way."""

import subprocess
import sys
from dataclasses import replace
from itertools import pairwise, product
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("amaranth", reason="needs Amaranth: pip install -e '.[fpga]'")

from folded_nets import estimator, radar
from folded_programs import draw

from fpga.design.devices import device
from fpga.folded import Fold, Plan, generate, plan, utilisation
from fpga.folded.graph.engines import engines
from fpga.folded.planning.choices import choices, foldings
from shared.integer import Constant, Input, Linear, Program, Requantise
from shared.integer.format import Format

ROOT = Path(__file__).parents[2]
SMALL, LARGE, NO_MULTIPLIERS = device("ecp5-25k"), device("ecp5-85k"), device("ice40-hx8k")


def test_the_estimator_meets_400_clocks_on_the_smallest_device() -> None:
    actual = plan(estimator(), SMALL, latency=400)
    assert actual.latency <= 400
    assert actual.needs("ecp5").dsp <= SMALL.capacity.dsp
    assert Plan(estimator(), {}).latency > 400


def test_the_radar_network_meets_10_000_samples_per_second_at_90_mhz() -> None:
    actual = plan(radar(), LARGE, interval=9000)
    assert actual.interval <= 9000
    assert actual.needs("ecp5").dsp <= LARGE.capacity.dsp
    assert utilisation(actual)[-1].interval >= 0.85


def test_the_smallest_within_an_interval_is_the_smallest_of_all() -> None:
    program = estimator()
    gathering = [engine for engine in engines(program, {})[1] if engine.taps is not None]
    folds = product(*map(foldings, gathering))
    every = [Plan(program, dict(zip(("sum_a", "sum_y"), fold, strict=True))) for fold in folds]
    for interval in (60, 100, 130, 250):
        best = min(p.needs("ecp5").dsp for p in every if p.interval <= interval)
        actual = plan(program, LARGE, interval=interval)
        assert (actual.needs("ecp5").dsp, actual.interval <= interval) == (best, True)
    fits = [p for p in every if p.needs("ecp5").dsp <= SMALL.capacity.dsp]
    assert plan(program, SMALL).interval == min(p.interval for p in fits)


@pytest.mark.parametrize("block_rams", [17, 20, 22])
def test_the_fastest_that_fits_is_found_where_block_rams_are_few(block_rams: int) -> None:
    """A faster folding may need fewer of them than a slower one."""
    few = replace(LARGE, capacity=replace(LARGE.capacity, bram=block_rams))
    actual = plan(radar(), few)
    assert actual.needs("ecp5").bram <= block_rams
    faster = [plan(radar(), LARGE, interval=n) for n in (6144, 7680, 10752, 12288, 15360) if n < actual.interval]
    assert all(other.needs("ecp5").bram > block_rams for other in faster)


def test_a_net_is_refused_only_if_no_folding_fits() -> None:
    """Lanes share a program, so that one lane per layer needs the most block RAMs of all."""
    rng = np.random.default_rng(0)
    wide = Format(16, 8)
    weights = [Constant(rng.integers(-999, 1000, shape), wide) for shape in ((48, 64), (16, 48))]
    steps = (
        Linear(("x",), "a", weights[0]),
        Requantise(("a",), "h", wide),
        Linear(("h",), "b", weights[1]),
        Requantise(("b",), "y", wide),
    )
    program = Program((Input("x", (64,), wide),), steps, ("y",))
    layers = [(e.node.name, choices(e)) for e in engines(program, {})[1]]
    every = [
        Plan(program, {name: choice.fold for (name, _), choice in zip(layers, pair, strict=True)})
        for pair in product(*(options[:5] for _, options in layers))
    ]
    outcomes = set()
    for block_rams in (5, 7, 8, 10):
        few = replace(SMALL, capacity=replace(SMALL.capacity, bram=block_rams, dsp=12))
        fits = [
            p
            for p in every
            if not p.needs("ecp5").deficit(few.capacity).bram + p.needs("ecp5").deficit(few.capacity).dsp
        ]
        outcomes.add(bool(fits))
        for interval in (None, 10**6):
            if fits:
                actual = plan(program, few, interval=interval)
                assert (actual.needs("ecp5").bram <= block_rams, actual.needs("ecp5").dsp <= 12) == (True, True)
            else:
                with pytest.raises(ValueError, match=r"^(ecp5-25k lacks|interval=1000000 .*) \d+ block RAMs"):
                    plan(program, few, interval=interval)
    assert outcomes == {True, False}
    assert Plan(program, {}).needs("ecp5").bram > min(p.needs("ecp5").bram for p in every)


@pytest.mark.slow
def test_a_dense_layer_of_512_by_128_fits_at_every_interval() -> None:
    weight = Constant(np.random.default_rng(0).integers(-127, 128, (128, 512)), Format(8, 7))
    steps = (Linear(("x",), "h", weight), Requantise(("h",), "y", Format(8, 4)))
    program = Program((Input("x", (512,), Format(8, 4)),), steps, ("y",))
    for interval in (None, 70000, 20000, 4096):
        actual = plan(program, SMALL, interval=interval)
        assert actual.interval <= (interval or 4096)
        assert not actual.needs("ecp5").deficit(SMALL.capacity).bram
    with pytest.raises(ValueError, match=r"^interval=3000 clocks .* 4 multipliers too many; .* interval=4096 "):
        plan(program, SMALL, interval=3000)


def test_choices_are_larger_and_faster_one_after_the_other() -> None:
    for seed in range(20):
        for engine in engines(draw(np.random.default_rng(seed)), {})[1]:
            if engine.taps is not None:
                actual = choices(engine)
                assert actual[0].size == 1
                for a, b in pairwise(actual):
                    assert a.size < b.size
                    assert a.clocks > b.clocks


def test_reuse_is_the_products_of_one_multiplier() -> None:
    actual = plan(estimator(), SMALL, reuse={"sum_a": 51, "sum_y": 48})
    assert [part.lanes for part in actual.parts] == [17 * 24 // 51, 24 * 16 // 48]
    with pytest.raises(ValueError, match=r"^reuse of 'sum_a': 50 is none of 1, 2, 3, 4, 6, "):
        plan(estimator(), SMALL, reuse={"sum_a": 50})
    with pytest.raises(ValueError, match=r"^reuse of 'a': no such layer; there are sum_a, sum_y$"):
        plan(estimator(), SMALL, reuse={"a": 51})


def test_what_cannot_be_met_is_said_with_the_way_out() -> None:
    with pytest.raises(
        ValueError, match=r"^interval=10 clocks cannot be met: .* 24 elements of 'a' move one per clock"
    ):
        plan(estimator(), SMALL, interval=10)
    fits = plan(estimator(), SMALL)
    with pytest.raises(ValueError, match=rf"^interval=25 clocks .* multipliers too many; .* interval={fits.interval} "):
        plan(estimator(), SMALL, interval=25)
    wide = Constant(np.ones((70, 600), int), Format(16, 0))
    steps, x = [], "x"
    for n in range(3):
        steps += [Linear((x,), f"s{n}", wide), Requantise((f"s{n}",), f"y{n}", Format(16, 0))]
        steps += [Linear((f"y{n}",), f"t{n}", Constant(wide.integers.T, wide.format))]
        steps += [Requantise((f"t{n}",), f"z{n}", Format(16, 0))]
        x = f"z{n}"
    huge = Program((Input("x", (600,), Format(16, 0)),), tuple(steps), (x,))
    with pytest.raises(ValueError, match=r"^ecp5-25k lacks \d+ block RAMs even for one lane per layer: compress"):
        plan(huge, SMALL)


def test_without_amaranth_the_way_to_install_it_is_said() -> None:
    code = "import sys; sys.modules['amaranth'] = None; import fpga.folded"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stderr.splitlines()[-1] == "ModuleNotFoundError: folded RTL needs Amaranth: pip install -e '.[fpga]'"


def test_without_multiplier_blocks_tables_are_the_limit() -> None:
    actual = plan(estimator(), NO_MULTIPLIERS)
    assert 0 < actual.needs("ice40").lut <= NO_MULTIPLIERS.capacity.lut / 2


def test_folds_must_divide_their_layer() -> None:
    with pytest.raises(
        ValueError, match=r"^fold of 'sum_a': Fold\(lanes=5, width=1\) does not divide it: lanes \[1, 2"
    ):
        Plan(estimator(), {"sum_a": Fold(5)})
    with pytest.raises(ValueError, match=r"^fold of 'b': no such layer; there are sum_a, sum_y$"):
        Plan(estimator(), {"b": Fold(5)})


def test_a_design_has_the_parts_and_clocks_of_its_plan() -> None:
    program = estimator()
    actual = Plan(program, {"sum_a": Fold(8), "sum_y": Fold(8)})
    design = generate(program, actual)
    assert (design.kind, design.latency, design.interval) == ("folded", actual.latency, actual.interval)
    assert [(p.name, p.kind, p.format, p.macs, p.lanes, p.cycles) for p in design.parts] == [
        ("sum_a", "Linear", "u8.3", 408, 8, 51),
        ("sum_y", "Linear", "u8.3", 384, 8, 48),
    ]
    with pytest.raises(ValueError, match=r"^the plan is for another program: plan this one$"):
        generate(radar(), actual)
