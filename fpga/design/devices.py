"""The FPGAs that the open flow builds for: their capacity, and the names that their tools give them."""

from dataclasses import dataclass
from typing import Final, Literal

Family = Literal["ecp5", "ice40"]


@dataclass(frozen=True)
class Resources:
    """Logic cells of one 4-input table each, flip-flops, 18x18 multipliers and block RAMs."""

    lut: float = 0
    ff: float = 0
    dsp: float = 0
    bram: float = 0

    def __add__(self, other: "Resources") -> "Resources":
        return Resources(self.lut + other.lut, self.ff + other.ff, self.dsp + other.dsp, self.bram + other.bram)

    def deficit(self, available: "Resources") -> "Resources":
        """How much of each kind is missing from `available`; 0 where it fits.

        >>> Resources(lut=30, dsp=5).deficit(Resources(lut=24, dsp=28))
        Resources(lut=6, ff=0, dsp=0, bram=0)
        """
        return Resources(
            max(self.lut - available.lut, 0),
            max(self.ff - available.ff, 0),
            max(self.dsp - available.dsp, 0),
            max(self.bram - available.bram, 0),
        )


@dataclass(frozen=True)
class Device:
    """A part in its package. `size` is nextpnr's option for it."""

    name: str
    part: str
    family: Family
    size: str
    package: str
    capacity: Resources
    bram_bits: int


# Lattice FPGA-DS-02012 (ECP5) and FPGA-DS-02029 (iCE40 HX); the counts are those that nextpnr reports as available.
DEVICES: Final[dict[str, Device]] = {
    device.name: device
    for device in (
        Device("ecp5-25k", "LFE5U-25F", "ecp5", "25k", "CABGA381", Resources(24288, 24288, 28, 56), 18432),
        Device("ecp5-45k", "LFE5U-45F", "ecp5", "45k", "CABGA381", Resources(43848, 43848, 72, 108), 18432),
        Device("ecp5-85k", "LFE5U-85F", "ecp5", "85k", "CABGA381", Resources(83640, 83640, 156, 208), 18432),
        Device("ice40-hx8k", "iCE40HX8K", "ice40", "hx8k", "ct256", Resources(7680, 7680, 0, 32), 4096),
    )
}


def device(name: str) -> Device:
    """The device of a name. Raises `ValueError` with all names for an unknown one.

    >>> device("ecp5-25k").capacity.dsp
    28
    """
    if name not in DEVICES:
        raise ValueError(f"device {name!r} is unknown: it must be one of {', '.join(DEVICES)}")
    return DEVICES[name]
