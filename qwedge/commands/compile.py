"""The verb `qwedge compile`: a net becomes a C library that computes the same integers."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from qwedge.commands.execution import as_json_option, assignment, execute, quiet_option

if TYPE_CHECKING:
    from shared.lab import Row, Store


@click.command("compile")
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--samples", type=click.Path(path_type=Path), metavar="FILE.npy", help="Inputs to calibrate and compare.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["auto", "dense", "2x4", "1x4"]),
    default="auto",
    show_default=True,
    help="Blocks of weights; auto: for each layer the fastest on this machine.",
)
@click.option(
    "--numbers",
    type=click.Choice(["int8", "float32"]),
    default="int8",
    show_default=True,
    help="Integers, or the floats of the file.",
)
@click.option(
    "--target",
    type=click.Choice(["host", "arm64"]),
    default="host",
    show_default=True,
    help="arm64: programs and a library for 64-bit Arm too, checked in qemu-aarch64 where it is installed.",
)
@click.option(
    "--export",
    type=click.Choice(["none", "onnx", "litert"]),
    default="none",
    show_default=True,
    help="onnx: net.onnx too, integers in the QDQ form; litert: net.tflite of floats. Compared in their runtimes.",
)
@click.option(
    "--threads", type=click.IntRange(1, 64), default=1, show_default=True, help="Threads that compute together."
)
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Any setting of `qwedge list compile`.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the samples that are compared.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="Folder of library, rows and page.  [default: build/MODEL]"
)
@quiet_option
@as_json_option
def compile_(
    model: Path,
    samples: Path | None,
    form: str,
    numbers: str,
    target: str,
    threads: int,
    export: str,
    assignments: tuple[str, ...],
    seed: int,
    out: Path | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Compile a net to a C library and check it.

    Integers are compared bit for bit, floats to 1e-5 of the largest output. MODEL is an integer program (.json), ONNX,
    a file of torch.export (.pt2), .safetensors with a spec beside it, or a row of a store that holds one of these
    (FOLDER[/ID[/NAME]]). Writes net.c, net.h, the kernels, a benchmark, a CMakeLists.txt, net.so for Python, rows.jsonl
    and index.html to OUT. A page says for each layer which format its weights have and why, and what it takes. Needs
    gcc or clang, or `pip install ziglang`.

    \b
    Example: qwedge compile net.json --out lib
             qwedge compile net.onnx --samples inputs.npy --format 2x4 --json
             qwedge compile net.onnx --numbers float32 --target arm64
             qwedge compile net.json --export onnx
             qwedge compile net.onnx --numbers float32 --export litert
    """
    chosen = {"model": str(model), "samples": str(samples or ""), "format": form, "numbers": numbers}
    chosen |= {"target": target, "threads": str(threads), "export": export}
    words = [*(assignment(key, value) for key, value in chosen.items()), *assignments]
    folder = out or Path("build") / model.stem
    execute("compile", words, seed=seed, out=folder, files=_files, quiet=quiet, as_json=as_json)


def _files(rows: "Sequence[Row]", store: "Store") -> Mapping[str, Sequence[Path]]:
    return {"files": [path for row in rows for path in store.write_out(row)]}
