"""The verbs `qwedge profile` and `qwedge latency`: what every kernel call of a net takes, measured or predicted."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from qwedge.commands.execution import as_json_option, assignment, execute, quiet_option


def _options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The argument and the options that both verbs have."""
    for option in (
        as_json_option,
        quiet_option,
        click.option("--out", type=click.Path(path_type=Path), help="Folder of rows and page.  [default: build/MODEL]"),
        click.option(
            "--format",
            "form",
            type=click.Choice(["auto", "dense", "2x4", "1x4"]),
            default="auto",
            show_default=True,
            help="Blocks of weights; auto: for each layer the fastest on this machine.",
        ),
        click.option(
            "--numbers",
            type=click.Choice(["int8", "float32"]),
            default="int8",
            show_default=True,
            help="Integers of 8 bits, or the floats of the file as they are.",
        ),
        click.option("--samples", type=click.Path(path_type=Path), metavar="FILE.npy", help="Inputs to calibrate."),
        click.argument("model", type=click.Path(path_type=Path)),
    ):
        command = option(command)
    return command


@click.command()
@_options
@click.option("--rounds", type=click.IntRange(1), default=31, show_default=True, help="Times every call is measured.")
@click.option(
    "--threads", type=click.IntRange(1, 64), default=1, show_default=True, help="Threads that compute together."
)
def profile(
    model: Path,
    samples: Path | None,
    numbers: str,
    form: str,
    rounds: int,
    threads: int,
    out: Path | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Measure every kernel call of a net, beside its prediction.

    MODEL is an integer program (.json), ONNX, a file of torch.export (.pt2), .safetensors with a spec beside it, or a
    row of a store that holds one of these (FOLDER[/ID[/NAME]]). Nothing but rows.jsonl and
    index.html is written to OUT; a profile that is there is shown again. The first time, kernels are calibrated on
    this machine for about a minute. Needs a C compiler.

    \b
    Example: qwedge profile net.json
             qwedge profile net.onnx --samples inputs.npy --format 2x4 --json
    """
    _execute(model, samples, numbers, form, rounds, out, quiet, as_json, threads)


@click.command()
@_options
def latency(
    model: Path, samples: Path | None, numbers: str, form: str, out: Path | None, quiet: bool, as_json: bool
) -> None:
    """Predict how long a net takes on this machine.

    The net is neither compiled nor run. MODEL is an integer program (.json), ONNX, a file of torch.export (.pt2),
    .safetensors with a spec beside it, or a row of a store that holds one of these (FOLDER[/ID[/NAME]]). The first
    time, kernels are calibrated on this machine for about a minute, which needs a C compiler.

    \b
    Example: qwedge latency net.json
             qwedge latency net.onnx --samples inputs.npy --format dense --json
             qwedge latency net.onnx --numbers float32
    """
    _execute(model, samples, numbers, form, 0, out, quiet, as_json)


def _execute(
    model: Path,
    samples: Path | None,
    numbers: str,
    form: str,
    rounds: int,
    out: Path | None,
    quiet: bool,
    as_json: bool,
    threads: int = 1,
) -> None:
    chosen: dict[str, Any] = {"model": str(model), "samples": str(samples or ""), "format": form, "rounds": rounds}
    chosen |= {"numbers": numbers, "threads": threads}
    words = [assignment(key, value) for key, value in chosen.items()]
    execute("profile", words, seed=0, out=out or Path("build") / model.stem, quiet=quiet, as_json=as_json)
