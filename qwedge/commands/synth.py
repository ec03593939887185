"""The verb `qwedge synth`: a net becomes a bitstream, or a project for a vendor's tool."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from qwedge.commands.execution import as_json_option, assignment, execute, quiet_option, workers_option

if TYPE_CHECKING:
    from shared.lab import Row, Store


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--device", default="ecp5-25k", show_default=True, help="ecp5-25k, ecp5-45k, ecp5-85k or ice40-hx8k.")
@click.option(
    "--flow",
    type=click.Choice(["open", "hls4ml"]),
    default="open",
    show_default=True,
    help="A bitstream by open tools, or a project of hls4ml.",
)
@click.option("--backend", default="vitis", show_default=True, help="Of hls4ml: vitis, vivado, quartus, oneapi ...")
@click.option("--samples", type=click.Path(path_type=Path), metavar="FILE.npy", help="Inputs to calibrate and compare.")
@click.option("--labels", type=click.Path(path_type=Path), metavar="FILE.npy", help="Their classes, for the accuracy.")
@click.option(
    "--style",
    type=click.Choice(["auto", "folded", "unrolled"]),
    default="auto",
    show_default=True,
    help="Multipliers shared over time, or adders for every weight.",
)
@click.option(
    "--clock", "clock_mhz", type=float, default=100.0, show_default=True, metavar="MHZ", help="Clock rate to aim at."
)
@click.option("--latency", type=int, metavar="CLOCKS", help="Most clocks from first byte in to last byte out.")
@click.option("--interval", type=int, metavar="CLOCKS", help="Most clocks from one sample to the next.")
@click.option(
    "--pins",
    type=click.Choice(["bytes", "uart"]),
    default="bytes",
    show_default=True,
    help="Streams of bytes at the pins, or a serial line of 115,200 baud.",
)
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Any setting of `qwedge list synth`.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the samples that are compared.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder of rows, page and files.  [default: build/MODEL]")
@workers_option
@quiet_option
@as_json_option
def synth(
    model: Path,
    device: str,
    flow: str,
    backend: str,
    samples: Path | None,
    labels: Path | None,
    style: str,
    clock_mhz: float,
    latency: int | None,
    interval: int | None,
    pins: str,
    assignments: tuple[str, ...],
    seed: int,
    out: Path | None,
    workers: int,
    quiet: bool,
    as_json: bool,
) -> None:
    """Build a net for an FPGA and check it bit for bit.

    MODEL is an integer program (.json), ONNX, or .safetensors with a spec beside it. Writes the bitstream, its
    Verilog, the net in C, rows.jsonl and index.html to OUT; with --flow hls4ml the project for the vendor's tool.
    What is built already is not built again.

    \b
    Example: qwedge synth net.json --device ecp5-25k --out build/net
             qwedge synth net.onnx --samples inputs.npy --device ecp5-85k --interval 10000
             qwedge synth net.safetensors --flow hls4ml --backend vitis
    """
    chosen = {
        "model": str(model),
        "samples": str(samples or ""),
        "labels": str(labels or ""),
        "device": device,
        "flow": flow,
        "backend": backend,
        "style": style,
        "clock_mhz": clock_mhz,
        "latency": latency,
        "interval": interval,
        "pins": pins,
    }
    words = [*(assignment(key, value) for key, value in chosen.items()), *assignments]
    folder = out or Path("build") / model.stem
    execute("synth", words, seed=seed, out=folder, workers=workers, files=_files, quiet=quiet, as_json=as_json)


def _files(rows: "Sequence[Row]", store: "Store") -> Mapping[str, Sequence[Path]]:
    """The artefacts of the rows under their names; the project of hls4ml unpacked."""
    from fpga.build.vendor import ARCHIVE, unpack

    paths = [path for row in rows for path in store.write_out(row)]
    for path in paths:
        if path.name == ARCHIVE:
            unpack(path)
    return {"files": paths}
