"""From a design to a bitstream with open tools: yosys, nextpnr and the packers of Project Trellis and IceStorm."""

from fpga.synth.flow import Built, Mapped, build, map_design
from fpga.synth.readback import bitstream_verilog, netlist_verilog

__all__ = ["Built", "Mapped", "bitstream_verilog", "build", "map_design", "netlist_verilog"]
