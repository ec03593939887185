"""The module `top` around a pipeline: bytes shift in, a sample is computed, bytes shift out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fpga.design.interface import TOP


@dataclass(frozen=True)
class Stage:
    """A combinational module with the ports `model_inp` and `model_out`, of so many bits."""

    name: str
    inputs: int
    outputs: int


def harness(
    stages: Sequence[Stage], bytes_in: int, bytes_out: int, inputs: Sequence[str], outputs: Sequence[str]
) -> str:
    """Verilog of `top`: a shift register of bytes, `stages` with a register behind each, a shift register of bytes.

    `inputs` are the bits of the first stage's input as expressions that read `sample`, `outputs` those of the result,
    in whole bytes, that read the last stage's register, `stage_N`; both lowest first. A sample enters the pipeline in
    the clock after its last byte. While a result waits for the bytes of the one before it, the whole pipeline stands
    still, and the next sample waits in front of it.
    """
    last = len(stages) - 1
    declared = [f"    reg [{stage.outputs - 1}:0] stage_{i} = 0;" for i, stage in enumerate(stages)]
    moved = [f"            stage_{i} <= next_{i};" for i in range(len(stages))]
    return _TOP.format(
        top=TOP,
        in_high=8 * bytes_in - 1,
        out_high=8 * bytes_out - 1,
        come_high=bytes_in.bit_length() - 1,
        left_high=bytes_out.bit_length() - 1,
        bytes_in=bytes_in,
        bytes_out=bytes_out,
        last=last,
        registers="\n".join(declared),
        moves="\n".join(moved),
        modules="\n".join(_modules(stages, inputs)),
        result=_joined(outputs),
    )


_TOP = """\
module {top}(
    input clk,
    input in_valid, input [7:0] in_byte, output in_ready,
    output out_valid, output [7:0] out_byte, input out_ready
);
    reg [{in_high}:0] sample = 0;
    reg [{come_high}:0] come = 0; // bytes of the sample that are here
    reg [{out_high}:0] result = 0;
    reg [{left_high}:0] left = 0; // bytes of the result that are still here
    reg [{last}:0] busy = 0; // stages whose register holds a sample
{registers}
    // What all registers wait for is one table of registers, for the sake of the clock.
    reg full = 0, sending = 0, ending = 0; // all bytes have come; some are left; one is left
    wire free = !sending || (ending && out_ready);
    wire move = !busy[{last}] || free;
    assign in_ready = !full || move;
    assign out_valid = sending;
    assign out_byte = result[7:0];
{modules}
    always @(posedge clk) begin
        if (in_valid && in_ready) begin
            sample <= {{in_byte, sample}} >> 8;
            come <= full ? 1 : come + 1;
            full <= (full ? 0 : come) == {bytes_in} - 1;
        end else if (full && move) begin
            come <= 0;
            full <= 0;
        end
        if (busy[{last}] && free) begin
            result <= {result};
            left <= {bytes_out};
            sending <= 1;
            ending <= {bytes_out} == 1;
        end else if (out_valid && out_ready) begin
            result <= result >> 8;
            left <= left - 1;
            sending <= !ending;
            ending <= left == 2;
        end
        if (move) begin
            busy <= {{busy, full}};
{moves}
        end
    end
endmodule
"""


def _modules(stages: Sequence[Stage], inputs: Sequence[str]) -> Iterator[str]:
    source = _joined(inputs)
    for i, stage in enumerate(stages):
        yield f"    wire [{stage.outputs - 1}:0] next_{i};"
        yield f"    {stage.name} compute_{i}(.model_inp({source}), .model_out(next_{i}));"
        source = f"stage_{i}"


def _joined(bits: Sequence[str]) -> str:
    return "{" + ", ".join(reversed(bits)) + "}"
