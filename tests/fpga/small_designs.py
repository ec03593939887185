"""Verilog between two byte streams, small enough to know by heart."""

PORTS = """input clk, input in_valid, input [7:0] in_byte, output in_ready,
    output out_valid, output [7:0] out_byte, input out_ready"""


def sums(terms: int) -> str:
    """Takes `terms` bytes and gives their sum, modulo 256, from the clock after the last."""
    return f"""module top({PORTS});
    reg [7:0] sum = 0, taken = 0;
    reg full = 0;
    assign in_ready = !full, out_valid = full, out_byte = sum;
    always @(posedge clk) begin
        if (in_valid && in_ready) begin
            sum <= taken == 0 ? in_byte : sum + in_byte;
            taken <= taken == {terms - 1} ? 0 : taken + 1;
            full <= taken == {terms - 1};
        end
        if (out_valid && out_ready) full <= 0;
    end
endmodule
"""


def between(inputs: int, outputs: int, clocks: int) -> str:
    """`top` around `module core(input clk, go, input [..] x, output [..] y)`.

    It collects `inputs` bytes as `x`, the first one lowest, raises `go` for one clock, waits `clocks` of them and gives
    `y` as `outputs` bytes.
    """
    return f"""module top({PORTS});
    reg [{8 * inputs - 1}:0] x = 0;
    reg [{8 * outputs - 1}:0] rest = 0;
    wire [{8 * outputs - 1}:0] y;
    reg [15:0] taken = 0, wait_ = 0, left = 0;
    reg go = 0;
    core core(.clk(clk), .go(go), .x(x), .y(y));
    assign in_ready = wait_ == 0 && left == 0, out_valid = left != 0, out_byte = rest[7:0];
    always @(posedge clk) begin
        go <= 0;
        if (in_valid && in_ready) begin
            x <= {{in_byte, x}} >> 8;
            taken <= taken == {inputs - 1} ? 0 : taken + 1;
            if (taken == {inputs - 1}) begin go <= 1; wait_ <= {clocks + 1}; end
        end
        if (wait_ != 0) wait_ <= wait_ - 1;
        if (wait_ == 1) begin rest <= y; left <= {outputs}; end
        if (out_valid && out_ready) begin rest <= rest >> 8; left <= left - 1; end
    end
endmodule
"""
