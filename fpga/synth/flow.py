"""The flow: yosys maps a design to cells, nextpnr places and routes them, a packer makes the bitstream."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from fpga import tools
from fpga.design.devices import Device, Resources
from fpga.design.interface import TOP, Design
from fpga.synth.pins import BOARDS, constraints
from fpga.synth.stages import OUT, Stage, run_stages
from fpga.synth.uart import BOARD, serial
from shared.lab.records.json_log import write_atomic

Pins = Literal["bytes", "uart"]

# What nextpnr calls the kinds of `Resources`; it counts no flip-flops of the iCE40, which are part of a logic cell.
_KINDS: Final = {
    "ecp5": {"lut": "TRELLIS_COMB", "ff": "TRELLIS_FF", "dsp": "MULT18X18D", "bram": "DP16KD"},
    "ice40": {"lut": "ICESTORM_LC", "bram": "ICESTORM_RAM"},
}
_WORDS: Final = {"lut": "logic cells", "ff": "flip-flops", "dsp": "multipliers", "bram": "block RAMs"}
_PACKERS: Final = {"ecp5": ("ecppack", "ecpunpack", "config", "bit"), "ice40": ("icepack", "iceunpack", "asc", "bin")}
_SPEED: Final = "6"
"""The slowest grade of the ECP5, and the one on its boards."""


@dataclass(frozen=True)
class Mapped:
    """A design as cells of a device, not yet placed."""

    device: Device
    folder: Path
    pins: Pins
    cells: Mapping[str, int]
    """How often yosys used each kind of cell."""
    used: Resources
    available: Resources
    seconds: Mapping[str, float]
    """By stage, when it ran."""
    versions: Mapping[str, str]

    @property
    def netlist(self) -> Path:
        """Verilog of the cells, for simulation."""
        return self.folder / "netlist.v"


@dataclass(frozen=True)
class Built(Mapped):
    """A design placed, routed and packed."""

    frequency_mhz: float
    """The target clock."""
    fmax_mhz: Mapping[int, float]
    """The clock that each tried seed reached."""
    seed: int
    """The first seed that reached `frequency_mhz`, else the fastest."""

    @property
    def bitstream(self) -> Path:
        """The file that configures the device."""
        return self.folder / f"{TOP}.{_PACKERS[self.device.family][3]}"

    @property
    def meets(self) -> bool:
        """Whether the bitstream runs at the target clock."""
        return self.fmax_mhz[self.seed] >= self.frequency_mhz


def map_design(
    design: Design, device: Device, folder: Path, *, pins: Pins = "bytes", progress: tools.Progress | None = None
) -> Mapped:
    """Maps a design to the cells of `device`, in seconds instead of minutes: exact resources, no timing.

    Works in a subfolder of `folder` named after the device, and runs only the stages whose outputs are missing. With
    `pins="uart"` the design stands behind a serial line (`fpga.synth.uart`) at the pins of a board. Raises
    `fpga.tools.ToolError` if yosys rejects the Verilog. It does not check that the design fits; `build` does.
    """
    place = folder / (device.name if pins == "bytes" else f"{device.name}-{pins}")
    verilog = serial(design.verilog, BOARDS[device.family].clock_hz) if pins == "uart" else design.verilog
    _write(place / "design.v", verilog)
    _write(place / f"pins.{_suffix(device)}", constraints(device, uart=pins == "uart"))
    top = BOARD if pins == "uart" else TOP
    seconds: dict[str, float] = {}
    for stage in (_synthesis(device, top), _packing(device)):
        seconds |= run_stages([stage], place, progress)
    cells = json.loads((place / "cells.json").read_text())["design"]["num_cells_by_type"]
    used, available = _resources(device, place / "packed.json", cells)
    versions = {tool: tools.version(tool) for tool in ("yosys", f"nextpnr-{device.family}")}
    return Mapped(device, place, pins, cells, used, available, seconds, versions)


def build(
    design: Design,
    device: Device,
    folder: Path,
    *,
    frequency_mhz: float = 100.0,
    seeds: Sequence[int] = (1, 2, 3),
    pins: Pins = "bytes",
    parallel: int = 1,
    progress: tools.Progress | None = None,
) -> Built:
    """Builds the bitstream of a design; as `map_design`, and then place, route and pack.

    Seeds are tried in their order, `parallel` at a time, until one reaches `frequency_mhz`; if none does, the
    fastest is taken. The bitstream is unpacked and packed again, and must be the same, byte by byte.

    Raises `ValueError` if the design is too large for the device, with the numbers.
    """
    if not seeds or parallel < 1 or frequency_mhz <= 0:
        raise ValueError(
            f"seeds={tuple(seeds)}, parallel={parallel}, frequency_mhz={frequency_mhz}: needs a seed, and "
            "positive numbers"
        )
    cells = map_design(design, device, folder, pins=pins, progress=progress)
    _need_fit(cells)
    fmax: dict[int, float] = {}
    seconds = dict(cells.seconds)
    for start in range(0, len(seeds), parallel):
        some = seeds[start : start + parallel]
        seconds |= _place(cells, [_routing(device, seed, frequency_mhz) for seed in some], progress)
        fmax |= {seed: _fmax(cells.folder / f"seed{seed}.json") for seed in some}
        if max(fmax.values()) >= frequency_mhz:
            break
    best = next((seed for seed, reached in fmax.items() if reached >= frequency_mhz), max(fmax, key=fmax.__getitem__))
    seconds |= _pack(device, best, cells.folder, progress)
    return Built(
        device=device,
        folder=cells.folder,
        pins=pins,
        cells=cells.cells,
        used=cells.used,
        available=cells.available,
        seconds=seconds,
        versions=cells.versions,
        frequency_mhz=frequency_mhz,
        fmax_mhz=fmax,
        seed=best,
    )


def _synthesis(device: Device, top: str) -> Stage:
    script = (
        f"read_verilog -sv -defer design.v; synth_{device.family} -top {top} -json {OUT}/netlist.json; "
        f"tee -q -o {OUT}/cells.json stat -json; write_verilog -noattr {OUT}/netlist.v"
    )
    return Stage("synthesis", "yosys", ("-p", script), ("design.v",), ("netlist.json", "netlist.v", "cells.json"))


def _nextpnr(device: Device, name: str, arguments: Iterable[str], outputs: Iterable[str]) -> Stage:
    """A run of nextpnr on the netlist, with a report among its outputs."""
    pins = f"pins.{_suffix(device)}"
    family = {
        "ecp5": ("--speed", _SPEED, "--lpf", pins, "--lpf-allow-unconstrained"),
        "ice40": ("--pcf", pins),
    }[device.family]
    common = (f"--{device.size}", "--package", device.package, "--json", "netlist.json", "--timing-allow-fail")
    report = ("--report", f"{OUT}/{name}.json")
    every = (*common, *family, *report, *arguments)
    return Stage(name, f"nextpnr-{device.family}", every, ("netlist.json", pins), (f"{name}.json", *outputs))


def _packing(device: Device) -> Stage:
    """Packs cells into those of the device, without placing them: enough to count them."""
    return _nextpnr(device, "packed", ["--no-place", "--no-route"], [])


def _routing(device: Device, seed: int, frequency_mhz: float) -> Stage:
    suffix = _PACKERS[device.family][2]
    option = {"ecp5": "--textcfg", "ice40": "--asc"}[device.family]
    placed = f"seed{seed}.{suffix}"
    arguments = ["--seed", str(seed), "--freq", f"{frequency_mhz:g}", option, f"{OUT}/{placed}"]
    return _nextpnr(device, f"seed{seed}", arguments, [placed])


def _place(cells: Mapped, stages: Sequence[Stage], progress: tools.Progress | None) -> dict[str, float]:
    """Runs nextpnr; a design that cannot be placed is a `ValueError`, not a failure of the tool."""
    try:
        return run_stages(stages, cells.folder, progress)
    except tools.ToolError as error:
        if "place" in str(error).lower():
            raise ValueError(f"{_total(cells)} do not fit into {cells.device.name}: {error}") from error
        raise


def _pack(device: Device, seed: int, folder: Path, progress: tools.Progress | None) -> dict[str, float]:
    """Makes the bitstream and checks that it says what was routed."""
    pack, unpack, text, binary = _PACKERS[device.family]
    stages = (
        _packer(device, "bitstream", pack, f"seed{seed}.{text}", f"{TOP}.{binary}"),
        _packer(device, "unpacked", unpack, f"{TOP}.{binary}", f"unpacked.{text}"),
        _packer(device, "repacked", pack, f"unpacked.{text}", f"repacked.{binary}"),
    )
    seconds: dict[str, float] = {}
    for stage in stages:
        seconds |= run_stages([stage], folder, progress)
    if (folder / f"{TOP}.{binary}").read_bytes() != (folder / f"repacked.{binary}").read_bytes():
        raise RuntimeError(f"{folder / f'{TOP}.{binary}'} differs from what {unpack} and {pack} make of it")
    return seconds


def _packer(device: Device, name: str, tool: str, source: str, target: str) -> Stage:
    if device.family == "ice40":
        return Stage(name, tool, (source, f"{OUT}/{target}"), (source,), (target,))
    to = "--textcfg" if tool == "ecpunpack" else "--bit"
    return Stage(name, tool, ("--input", source, to, f"{OUT}/{target}"), (source,), (target,))


def _resources(device: Device, report: Path, cells: Mapping[str, int]) -> tuple[Resources, Resources]:
    """The used and the available resources in a report of nextpnr."""
    counts = json.loads(report.read_text())["utilization"]
    kinds = _KINDS[device.family]
    used = {kind: counts[name]["used"] for kind, name in kinds.items()}
    available = {kind: counts[name]["available"] for kind, name in kinds.items()}
    if device.family == "ice40":
        used["ff"] = sum(count for kind, count in cells.items() if kind.startswith("SB_DFF"))
        available["ff"] = available["lut"]
    return Resources(**used), Resources(**available)


def _fmax(report: Path) -> float:
    """In MHz, of the slowest clock."""
    return float(min(clock["achieved"] for clock in json.loads(report.read_text())["fmax"].values()))


def _need_fit(cells: Mapped) -> None:
    lacking = cells.used.deficit(cells.available)
    words = [
        f"{getattr(cells.used, kind)} {word} of {getattr(cells.available, kind)} ({excess} too many)"
        for kind, word in _WORDS.items()
        if (excess := getattr(lacking, kind))
    ]
    if words:
        raise ValueError(
            f"{cells.device.name} is too small: the design needs {', '.join(words)}; take a larger device or share "
            "multipliers (a higher reuse factor)"
        )


def _total(cells: Mapped) -> str:
    return ", ".join(f"{getattr(cells.used, kind)} {word}" for kind, word in _WORDS.items())


def _suffix(device: Device) -> str:
    return {"ecp5": "lpf", "ice40": "pcf"}[device.family]


def _write(path: Path, text: str) -> None:
    """Writes a file if its text changed: an unchanged file keeps its time stamp."""
    if not path.exists() or path.read_text() != text:
        write_atomic(path, text.encode())
