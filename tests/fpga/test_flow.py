"""Which design a wish leads to, what a row says of it, and what a page shows of the row."""

import numpy as np
import pytest

from fpga.build.example import example
from fpga.build.flow import Wish, draw, suited, verified
from fpga.build.page import page
from fpga.build.verify import Step
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
    assert suited(TINY, ecp5, Wish()) == "unrolled"
    assert suited(wide(), ecp5, Wish()) == "folded"
    assert suited(TINY, ecp5, Wish(interval=100)) == "folded"


def test_a_limit_on_the_clocks_holds():
    assert draw(wide(), device("ecp5-85k"), Wish(interval=200)).design.interval <= 200
    with pytest.raises(ValueError, match=r"latency=5 clocks: unrolled it takes \d+, to move bytes in and out"):
        draw(TINY, device("ecp5-25k"), Wish("unrolled", latency=5))


@pytest.mark.synth
@pytest.mark.slow
def test_a_bitstream_is_compared_at_every_step(tmp_path):
    store = Store(tmp_path)
    context = Context(store, "0" * 64, 0, lambda done, total, note: None)
    wrong = Step("off by one", lambda x: outputs(TINY, x)[0] + 1, 10)
    result = verified(TINY, device("ice40-hx8k"), Wish(clock_mhz=40), context, compared=100, csim=False, before=[wrong])
    outcomes = {rung["name"]: rung["outcome"] for rung in result["ladder"]}
    assert outcomes.pop("off by one") == "FAILED"
    assert outcomes.pop("bitstream simulation") in ("passed", "not run")
    assert set(outcomes.values()) == {"passed"}
    assert set(context.artefacts) == {"top.bin", "top.v", "program.json", "net.h"}
    made = {"started": "2026-11-25T12:00:00+00:00", "commit": "", "cpu": "any"}
    row = Row("0" * 64, "synth", 1, {}, 0, {"net": "example", **result}, context.artefacts, made)
    shown = render(page([row]), [row], store)
    assert "off by one" in shown
    assert "ice40-hx8k" in shown
