"""The verb `qwedge classify`: which waveform a recording of a radar holds."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qwedge.catalogue import extra_named

if TYPE_CHECKING:
    from wireless.radar.recordings import Answer

# Repeated here so that `--help` imports no reader and no net; a test compares both lists.
FORMATS = ("cs8", "cu8", "cs16", "cf32", "wav", "sigmf")
NETS = ("iq", "iq-10k", "bank")
SHOWN = 3


@click.command()
@click.argument("recording", type=click.Path(path_type=Path))
@click.option("--format", "form", metavar=f"[{'|'.join(FORMATS)}]", help="Kind of file.  [default: by its name]")
@click.option("--channel", type=click.IntRange(0), metavar="N", help="Which channel of a file of several, from 0 on.")
@click.option("--shift", type=float, default=0.0, metavar="CYCLES", help="Added to all frequencies, per sample.")
@click.option("--net", type=click.Choice(NETS), help=f"Which net that ships.  [default: {NETS[0]}]")
@click.option("--weights", type=click.Path(path_type=Path), metavar="FILE", help="A net of your own, instead.")
@click.option("--quiet", is_flag=True, help="No warnings on stderr.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with the probabilities of all classes.")
def classify(
    recording: Path,
    form: str | None,
    channel: int | None,
    shift: float,
    net: str | None,
    weights: Path | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Name the waveform of a radar pulse in a recording.

    RECORDING holds complex samples: cs8, cu8, cs16 or cf32 (I, Q, I, Q, ...), WAV, SigMF, or a NumPy array (.npy) that
    is complex (N,) or real with I and Q. Every window of 1024 samples is named, each half a window after the one
    before. The net that ships was trained for twelve classes of pulses whose carrier is at 1/6 to 1/5 cycles per
    sample and that last 280 to 1024 samples; it answers one of these in any case.

    \b
    Example: qwedge classify pulse.cs16
             qwedge classify pulse.npy --shift 0.18 --json
             qwedge classify pulse.sigmf-meta --weights mine.safetensors
    """
    from shared.lab.records.printable import printable

    with extra_named("radar"):
        from wireless.radar.nets.classifier import Classifier
        from wireless.radar.nets.pretrained import pretrained
        from wireless.radar.recordings import classify as answers_of
        from wireless.radar.recordings import read

    if net and weights:
        raise ValueError(f"--net {net} and --weights {weights} are two nets: give one")
    classifier = Classifier.from_bytes(weights.read_bytes(), str(weights)) if weights else pretrained(net or NETS[0])
    samples, warnings = read(recording, form, channel)
    answers, notes = answers_of(samples, classifier, shift)
    if not quiet:
        for warning in (*warnings, *(f"{recording}: {note}" for note in notes)):
            click.echo(printable(f"qwedge: {warning}"), err=True)
    if as_json:
        data = {"file": str(recording), "samples": len(samples), "net": classifier.name, "window": classifier.samples}
        return click.echo(
            json.dumps({**data, "warnings": [*warnings, *notes], "answers": _to_json_data(answers)}, indent=2)
        )
    _print(answers)


def _to_json_data(answers: "list[Answer]") -> list[dict[str, Any]]:
    return [
        {"start": answer.start, "class": answer.name, "probabilities": dict(answer.probabilities)} for answer in answers
    ]


def _print(answers: "list[Answer]") -> None:
    """A line for each window: its first sample, and the likeliest classes."""
    click.echo("sample    likeliest classes")
    for answer in answers:
        likeliest = list(answer.probabilities.items())[:SHOWN]
        click.echo(f"{answer.start:<9} " + ", ".join(f"{name} {share:.1%}" for name, share in likeliest))
