"""Which design meets its constraints, what its row holds, and what the page shows of the row."""

import numpy as np
import pytest

from fpga.build.example import example
from fpga.build.flow import DesignConstraints, build_and_verify, choose_style, generate_design
from fpga.build.page import page
from fpga.build.verify import Check
from fpga.design.devices import device
from shared.integer import Constant, Input, Linear, Program, outputs
from shared.integer.format import Format
from shared.lab import Context, Row, Store, render

TINY = example(np.random.default_rng(0))


def wide(out=40, taken=32):
    weight = Constant(np.random.default_rng(1).integers(-128, 128, (out, taken)), Format(8, 4))
    return Program((Input("x", (taken,), Format(8, 4)),), (Linear(("x",), "y", weight),), ("y",))


def test_small_nets_are_unrolled_and_others_share_multipliers():
    ecp5 = device("ecp5-25k")
    assert choose_style(TINY, ecp5, DesignConstraints()) == "unrolled"
    assert choose_style(wide(), ecp5, DesignConstraints()) == "folded"
    assert choose_style(TINY, ecp5, DesignConstraints(interval=100)) == "folded"


def test_a_limit_on_the_clocks_holds():
    assert generate_design(wide(), device("ecp5-85k"), DesignConstraints(interval=200)).design.interval <= 200
    with pytest.raises(ValueError, match=r"latency=5 clocks: unrolled it takes \d+ clocks to move bytes in and out"):
        generate_design(TINY, device("ecp5-25k"), DesignConstraints("unrolled", latency=5))


@pytest.mark.synth
@pytest.mark.slow
def test_a_bitstream_is_compared_at_every_step(tmp_path):
    store = Store(tmp_path)
    context = Context(store, "0" * 64, 0, lambda done, total, note: None)
    wrong = Check("off by one", lambda x: outputs(TINY, x)[0] + 1, 10)
    result = build_and_verify(
        TINY,
        device("ice40-hx8k"),
        DesignConstraints(clock_mhz=40),
        context,
        compared=100,
        csim=False,
        preceding=[wrong],
    )
    outcomes = {check["name"]: check["outcome"] for check in result["ladder"]}
    assert outcomes.pop("off by one") == "FAILED"
    assert outcomes.pop("bitstream simulation") in ("passed", "not run")
    assert set(outcomes.values()) == {"passed"}
    assert set(context.artefacts) == {"top.bin", "top.v", "program.json", "net.h"}
    provenance = {"started": "2026-11-25T12:00:00+00:00", "commit": "", "cpu": "any"}
    row = Row("0" * 64, "synth", 1, {}, 0, {"net": "example", **result}, context.artefacts, provenance)
    shown = render(page([row]), [row], store)
    assert "off by one" in shown
    assert "ice40-hx8k" in shown
