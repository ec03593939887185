"""Where the ports of a design meet the package, and the boards on which its serial form runs."""

from dataclasses import dataclass
from typing import Final

from fpga.design.devices import Device, Family


@dataclass(frozen=True)
class Board:
    """A board with a serial converter: its clock, and the balls at which the ports of `fpga.synth.uart` lie."""

    name: str
    clock_hz: int
    balls: dict[str, str]


# ULX3S: its constraint file ulx3s_v20.lpf. HX8K breakout board: Lattice EB85, figures 6 and 7.
BOARDS: Final[dict[Family, Board]] = {
    "ecp5": Board("ULX3S", 25_000_000, {"clk": "G2", "rx": "M1", "tx": "L4", "overrun": "B2"}),
    "ice40": Board("iCE40HX8K-B-EVN", 12_000_000, {"clk": "J3", "rx": "B10", "tx": "B12", "overrun": "B5"}),
}

_IN: Final = ("C1", "C2", "D1", "D2", "E2", "F1", "F2", "G1")
_OUT: Final = ("B5", "B4", "A2", "A1", "C5", "C4", "B3", "C3")
BYTE_BALLS: Final[dict[str, str]] = {
    "clk": "J3",
    "in_valid": "B1",
    "in_ready": "H2",
    "out_valid": "G2",
    "out_ready": "H1",
    **{f"in_byte[{bit}]": ball for bit, ball in enumerate(_IN)},
    **{f"out_byte[{bit}]": ball for bit, ball in enumerate(_OUT)},
}
"""The byte streams on the breakout board: the result on its diodes, the rest on its headers."""


def constraints(device: Device, uart: bool) -> str:
    """The file of constraints for nextpnr: LPF for the ECP5, PCF for the iCE40.

    On an ECP5 the byte streams have no pins of their own: nextpnr chooses them.
    """
    balls = BOARDS[device.family].balls if uart else BYTE_BALLS if device.family == "ice40" else {}
    if device.family == "ice40":
        return "".join(f"set_io {port} {ball}\n" for port, ball in balls.items())
    return "".join(
        f'LOCATE COMP "{port}" SITE "{ball}";\nIOBUF PORT "{port}" IO_TYPE=LVCMOS33;\n' for port, ball in balls.items()
    )
