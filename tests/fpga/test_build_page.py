"""The page of a synthesised net says whether it fits, is fast enough and agrees, also where it is not or does not."""

import pytest

from fpga.build.page import page
from shared.lab import Row

PROVENANCE = {"command": "qwedge synth", "started": "2026-01-01", "commit": None, "cpu": "a processor"}


def row(mhz=80.0, outcomes=("passed", "passed"), seed=0, lut=800, **more) -> Row:
    """A net of one layer on a small device, with these checks."""
    used, free = {"lut": lut, "ff": 200, "dsp": 0, "bram": 0}, {"lut": 7680, "ff": 7680, "dsp": 0, "bram": 32}
    part = {"name": "layer", "kind": "Linear", "format": "s8.3", "macs": 9, "lanes": 0, "cycles": 1, "lut": 99.0}
    built = {
        "device": "ice40-hx8k",
        "used": used,
        "available": free,
        "frequency_mhz": 50.0,
        "fmax_mhz": {"1": mhz},
        "seed": 1,
        "seconds": {"synthesis": 4.0},
        "versions": {"yosys": "0.70"},
    }
    result = {
        "net": "tiny",
        "built": built,
        "estimate": used,
        "program": [{"name": "layer", "multiplier": [4, 4]}],
        "design": {"kind": "unrolled", "latency": 15, "interval": 8, "parts": [part]},
        "ladder": [
            {"name": f"check {k}", "outcome": it, "samples": 100, "mismatches": 0, "seconds": 1.0, "note": ""}
            for k, it in enumerate(outcomes)
        ],
    }
    return Row(f"id{seed}", "synth", 1, {"seed": seed}, seed, result | more, {}, PROVENANCE)


def verdict(*rows: Row) -> str:
    return "".join(map(str, page(rows).verdict.parts)).strip()


def test_what_fits_is_fast_and_agrees_is_said_so():
    assert verdict(row()) == (
        "tiny takes 10.4% of the logic cells of ice40-hx8k, its fullest resource. It reaches 80.0 MHz of 50 MHz "
        "required. All 2 checks agree with the integer program, on 200 samples."
    )


AGREEMENT = {"warning": "It agrees poorly.", "samples": 1, "correlation": 0.1, "saturated": 0.0, "same_decision": None}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"mhz": 41.5}, "It misses its clock: 41.5 MHz of 50 MHz required."),
        (
            {"outcomes": ("passed", "FAILED", "not run")},
            "1 of 3 checks passed; check 1 (FAILED), check 2 (not run) did",
        ),
        ({"agreement": AGREEMENT}, "It agrees poorly."),
    ],
)
def test_what_is_missed_is_said(change, says):
    assert says in verdict(row(**change))


def test_of_several_rows_of_a_net_the_worst_counts():
    text = verdict(row(mhz=80.0, lut=700), row(mhz=60.0, lut=900, seed=1))
    assert "tiny takes 11.7% of the logic cells of ice40-hx8k, its fullest resource (the worst of 2)." in text
    assert "It reaches 60.0 MHz of 50 MHz required (the worst of 2). All 4 checks agree" in text
