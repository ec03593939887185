"""A design behind a serial line, so that it runs on a board: 8 data bits, no parity, 1 stop bit, no flow control."""

from typing import Final

from fpga.design.interface import TOP

BOARD: Final = "board"
"""The module around `top`."""

BAUD: Final = 115_200


def serial(verilog: str, clock_hz: int, baud: int = BAUD) -> str:
    """`verilog` with a module `board` around it: ports `clk`, `rx`, `tx` and `overrun`.

    A received byte waits in one register until the design takes it. `overrun` rises, and stays, when the next one comes
    first; a host that waits for the result of a sample before it sends another keeps clear of that, as long as the
    design takes a byte in less than the ten bits that the next one needs. Raises `ValueError` if a bit would be fewer
    than eight clocks long: its middle would be missed by too much.
    """
    divider = round(clock_hz / baud)
    if divider < 8:
        raise ValueError(f"{baud} baud is too fast for a clock of {clock_hz} Hz: needs {8 * baud} Hz or more")
    return f"{verilog}\n{_TEMPLATE.format(board=BOARD, top=TOP, divider=divider, width=divider.bit_length() + 1)}"


_TEMPLATE: Final = """\
module {board}(input clk, input rx, output tx, output reg overrun);
    wire in_ready, out_valid;
    wire [7:0] out_byte;

    // Receiver: from the falling edge of the start bit half a bit, then a whole one nine times.
    reg [2:0] line = 3'b111;
    reg [{width}-1:0] until_sample = 0;
    reg [3:0] to_receive = 0;
    reg [7:0] incoming = 0, held = 0;
    reg full = 0;
    initial overrun = 0;
    always @(posedge clk) begin
        line <= {{line[1:0], rx}};
        if (full && in_ready) full <= 0;
        if (to_receive == 0) begin
            if (line[2] && !line[1]) begin
                to_receive <= 10;
                until_sample <= {divider} / 2 - 1;
            end
        end else if (until_sample != 0) begin
            until_sample <= until_sample - 1;
        end else begin
            until_sample <= {divider} - 1;
            to_receive <= to_receive == 10 && line[1] ? 0 : to_receive - 1;
            incoming <= {{line[1], incoming[7:1]}};
            // The tenth bit is the stop bit; what lacks one is no byte.
            if (to_receive == 1 && line[1]) begin
                held <= incoming;
                full <= 1;
                if (full && !in_ready) overrun <= 1;
            end
        end
    end

    // Transmitter: start bit, eight data bits with the lowest first, stop bit.
    reg [{width}-1:0] until_shift = 0;
    reg [3:0] to_send = 0;
    reg [8:0] outgoing = 9'h1ff;
    wire idle = to_send == 0;
    assign tx = outgoing[0];
    always @(posedge clk) begin
        if (idle) begin
            if (out_valid) begin
                outgoing <= {{out_byte, 1'b0}};
                to_send <= 10;
                until_shift <= {divider} - 1;
            end
        end else if (until_shift != 0) begin
            until_shift <= until_shift - 1;
        end else begin
            until_shift <= {divider} - 1;
            outgoing <= {{1'b1, outgoing[8:1]}};
            to_send <= to_send - 1;
        end
    end

    {top} {top}(
        .clk(clk), .in_valid(full), .in_byte(held), .in_ready(in_ready),
        .out_valid(out_valid), .out_byte(out_byte), .out_ready(idle)
    );
endmodule
"""
