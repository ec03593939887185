"""Estimates follow what a design is made of, and are near what the tools make of it."""

import numpy as np
import pytest

from fpga.design.devices import device
from fpga.folded import Fold, Plan, generate
from fpga.pricing.estimate import ENDS, folded, total, unrolled
from fpga.synth import map_design
from fpga.unrolled.generate import unroll
from shared.integer import Constant, Input, Linear, Program, Requantise
from shared.integer.format import Format

ECP5 = device("ecp5-25k")


def net(sparse=0.0, word=8, seed=0):
    """Layers of 16, 24 and 8 units."""
    rng, form = np.random.default_rng(seed), Format(word, 4)

    def weights(*shape):
        return Constant(rng.integers(form.low, form.high + 1, shape) * (rng.random(shape) >= sparse), form)

    steps = (
        Linear(("x",), "a", weights(24, 16)),
        Requantise(("a",), "b", Format(word, 3, signed=False)),
        Linear(("b",), "y", weights(8, 24)),
    )
    return Program((Input("x", (16,), form),), steps, ("y",))


def planned(lanes, **kind):
    return Plan(net(**kind), {"a": Fold(lanes), "y": Fold(4)})


@pytest.mark.parametrize("kind", ["lut", "ff", "dsp"])
def test_more_lanes_take_more(kind):
    sizes = [getattr(total(folded(planned(lanes), ECP5)), kind) for lanes in (1, 2, 4, 8, 24)]
    assert sizes == sorted(set(sizes))


def test_multipliers_and_block_rams_are_those_of_the_plan():
    plan = planned(8)
    actual, needs = total(folded(plan, ECP5)), plan.needs("ecp5")
    assert (actual.dsp, actual.bram) == (needs.dsp, needs.bram) == (12, 0)


def test_every_part_is_listed():
    assert folded(planned(2), ECP5).keys() == {"a", "y", ENDS}
    assert unrolled(net(0.5)).keys() == {"a", "b", "y", ENDS}


def test_pruned_weights_and_narrow_words_save_adders():
    sizes = [total(unrolled(net(sparse, word))).lut for sparse, word in ((0.9, 4), (0.5, 4), (0.5, 8), (0.0, 8))]
    assert sizes == sorted(set(sizes))


@pytest.mark.synth
@pytest.mark.slow
@pytest.mark.parametrize("style", ["folded", "unrolled"])
def test_the_tools_agree(style, tmp_path):
    program, plan = net(0.7), planned(6, sparse=0.7)
    design, guess = (
        (generate(program, plan), folded(plan, ECP5)) if style == "folded" else (unroll(program), unrolled(program))
    )
    actual = map_design(design, ECP5, tmp_path)
    assert total(guess).lut == pytest.approx(actual.used.lut, rel=0.2)
    assert total(guess).dsp == actual.used.dsp
