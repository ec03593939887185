"""The backends of hls4ml: whose tool a project is for, and what it takes to run it."""

from dataclasses import dataclass, field
from typing import Any, Final


@dataclass(frozen=True)
class Backend:
    """A vendor's tool. `steps` make it synthesise, without a simulation of its own."""

    title: str
    """As hls4ml spells it."""
    compiler: str
    """Compiles a project for this machine. hls4ml ships the headers where it is g++; the others come with the tool."""
    tool: str
    steps: dict[str, Any]
    options: dict[str, Any] = field(default_factory=dict)
    divides: bool = False
    """Whether its average pools divide exactly, as `ap_fixed` does; `ac_fixed` keeps fewer bits of a quotient."""
    dense_only: bool = False


BACKENDS: Final[dict[str, Backend]] = {
    "vitis": Backend("Vitis", "g++", "vitis-run", {"csim": False}, divides=True),
    "vivado": Backend("Vivado", "g++", "vivado_hls", {"csim": False}, divides=True),
    "quartus": Backend("Quartus", "g++", "i++", {}),
    "catapult": Backend("Catapult", "g++", "catapult", {"csim": False}),
    "oneapi": Backend("oneAPI", "icpx", "icpx", {"build_type": "report"}),
    "libero": Backend("Libero", "shls", "shls", {}, {"smarthls_path": "$(SHLS_ROOT_DIR)"}, dense_only=True),
}
