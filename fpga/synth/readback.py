"""A built design as Verilog again, between the same byte streams, so that `fpga.simulation.simulate` can run it."""

import re
from typing import Final

from fpga import tools
from fpga.design.interface import TOP
from fpga.synth.flow import Built, Mapped

CHIP: Final = "chip"
_INPUTS: Final = ("clk", "in_valid", "out_ready", *(f"in_byte[{bit}]" for bit in range(8)))
_OUTPUTS: Final = ("in_ready", "out_valid", *(f"out_byte[{bit}]" for bit in range(8)))


def netlist_verilog(cells: Mapped) -> str:
    """The cells that yosys chose; simulate them with `cells=device.family`."""
    return cells.netlist.read_text()


def bitstream_verilog(built: Built) -> str:
    """What the bits of an iCE40's bitstream do, behind the pins: the strongest check that open tools offer.

    Raises `ValueError` for another family, whose bits no open tool turns into logic again, and `FileNotFoundError` if
    IceStorm's `icebox_vlog` is not installed.
    """
    if built.device.family != "ice40":
        raise ValueError(f"{built.device.name}: only bitstreams of the iCE40 can be read back as logic")
    if built.pins != "bytes":
        raise ValueError(f"a bitstream with pins={built.pins!r} has no byte streams: build it with pins='bytes'")
    words = ["-s", "-n", CHIP, "-p", "pins.pcf", "-d", built.device.package, "unpacked.asc"]
    chip = tools.run("icebox_vlog", words, built.folder, log="readback.v")
    ports = set(re.findall(r"(?:input|output) (\S+)", chip[: chip.index(");")].replace("\\", "").replace(",", " ")))
    # A port that the logic does not depend on, or a constant one, may have been optimised away.
    joined = [f".\\{port} ({port})" for port in (*_INPUTS, *_OUTPUTS) if port in ports]
    lost = [f"    assign {port} = 0;\n" for port in _OUTPUTS if port not in ports]
    return f"{chip}\n{_TOP}    {CHIP} {CHIP}({', '.join(joined)});\n{''.join(lost)}endmodule\n"


_TOP: Final = f"""\
module {TOP}(
    input clk, in_valid, out_ready, input [7:0] in_byte, output in_ready, out_valid, output [7:0] out_byte
);
"""
