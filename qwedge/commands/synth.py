"""The verb `qwedge synth`: a net becomes a bitstream, or a project for a vendor's tool."""

import json
import sys
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

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
@click.option(
    "--style",
    type=click.Choice(["auto", "folded", "unrolled"]),
    default="auto",
    show_default=True,
    help="Multipliers shared over time, or adders for every weight.",
)
@click.option("--clock", "clock_mhz", type=float, default=100.0, show_default=True, metavar="MHZ", help="To aim at.")
@click.option("--latency", type=int, metavar="CLOCKS", help="Most clocks from first byte in to last byte out.")
@click.option("--interval", type=int, metavar="CLOCKS", help="Most clocks from one sample to the next.")
@click.option("--pins", type=click.Choice(["bytes", "uart"]), default="bytes", show_default=True, help="At the pins.")
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Any setting of `qwedge list synth`.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the samples that are compared.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder of rows, page and files.  [default: build/MODEL]")
@click.option("--quiet", is_flag=True, help="No progress on stderr.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
def synth(
    model: Path,
    device: str,
    flow: str,
    backend: str,
    samples: Path | None,
    style: str,
    clock_mhz: float,
    latency: int | None,
    interval: int | None,
    pins: str,
    assignments: tuple[str, ...],
    seed: int,
    out: Path | None,
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
    from qwedge.catalogue import extra_named, load
    from shared.lab import Store, print_page, read_settings, render, run, write_atomic

    experiment = load("synth")
    store = Store(out or Path("build") / model.stem)
    given = {
        "model": str(model),
        "samples": str(samples or ""),
        "device": device,
        "flow": flow,
        "backend": backend,
        "style": style,
        "clock_mhz": clock_mhz,
        "latency": latency,
        "interval": interval,
        "pins": pins,
    }
    words = [*(f"{key}={'none' if value is None else json.dumps(value)}" for key, value in given.items()), *assignments]
    try:
        with extra_named("synth"):
            settings = read_settings(experiment.settings, None, words, seed)
            rows = run(experiment, experiment.cells(settings), store, quiet=quiet, invocation="qwedge run synth")
            page = experiment.page(rows)
    except KeyboardInterrupt:
        click.echo("qwedge: interrupted; finished stages are kept, the same command goes on", err=True)
        sys.exit(130)
    path = store.folder / "index.html"
    write_atomic(path, render(page, rows, store).encode())
    files = [file for row in rows for file in _files(row, store)]
    if as_json:
        printed = {"page": str(path), "files": list(map(str, files)), "rows": [row.to_json_data() for row in rows]}
        return click.echo(json.dumps(printed, indent=2, ensure_ascii=False))
    print_page(page)
    click.echo(f"page: {path}\nfiles: {', '.join(map(str, files))}", err=True)


def _files(row: "Row", store: "Store") -> list[Path]:
    """The artefacts of a row under their names; the project of hls4ml unpacked."""
    from shared.lab import write_atomic

    found = []
    for name, sha256 in row.artefacts.items():
        write_atomic(store.folder / name, store.get(sha256))
        found.append(store.folder / name)
        if tarfile.is_tarfile(found[-1]):
            with tarfile.open(found[-1]) as archive:
                archive.extractall(store.folder, filter="data")
    return found
