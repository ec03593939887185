"""The verb `qwedge decode`: the Wi-Fi frames in a recording from a radio."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qwedge.catalogue import extra_named

if TYPE_CHECKING:
    from wireless.ofdm.recordings.files import Recording
    from wireless.ofdm.recordings.frames import Frame

_SECONDS_BETWEEN_LINES = 2.0
_COLUMNS = ("time ms", "format", "rate", "bytes", "SNR dB", "CFO kHz", "type", "to", "from", "FCS")
_RIGHT = {"time ms", "bytes", "SNR dB", "CFO kHz"}

# Repeated here so that `--help` imports no receiver; a test compares them with its blocks.
ESTIMATORS = ("ls", "dft", "lmmse-robust", "neural", "neural-5k", "dense")
DEMAPPERS = ("hard", "max-log", "exact", "neural")
DECODERS = ("hard-viterbi", "soft-viterbi", "neural")


@click.command()
@click.argument("capture", type=click.Path(path_type=Path))
@click.option("--format", "form", metavar="[cs16|cf32|sigmf]", help="Kind of file.  [default: by the file's name]")
@click.option("--rate", type=float, metavar="HZ", help="Samples per second, from 20e6 on.  [default: 20e6, or SigMF's]")
@click.option("--estimator", default="ls", show_default=True, help=f"For DATA symbols: {', '.join(ESTIMATORS)}.")
@click.option("--demapper", default="max-log", show_default=True, help=f"For DATA symbols: {', '.join(DEMAPPERS)}.")
@click.option("--decoder", default="soft-viterbi", show_default=True, help=f"For DATA symbols: {', '.join(DECODERS)}.")
@click.option(
    "--passes",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Channel estimates from decided symbols.",
)
@click.option("--quiet", is_flag=True, help="Neither progress nor warnings on stderr.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with the bytes of each frame, instead of a table.")
def decode(
    capture: Path,
    form: str | None,
    rate: float | None,
    estimator: str,
    demapper: str,
    decoder: str,
    passes: int,
    quiet: bool,
    as_json: bool,
) -> None:
    """Decode the Wi-Fi frames in a recording.

    CAPTURE holds complex samples of one 20 MHz channel: cs16 (16-bit integers I, Q, I, Q, ..., little-endian), cf32
    (32-bit floats), or SigMF. IEEE 802.11 a/g and HT of one stream are decoded, 6 to 54 Mb/s and MCS 0 to 7. Prints
    for each frame its time, rate, length, signal-to-noise ratio, carrier offset, addresses, and whether its frame
    check sequence is right, or why decoding stopped.

    \b
    Example: qwedge decode capture.dat --format cs16 --rate 20e6
             qwedge decode capture.sigmf-meta --json
             qwedge decode capture.cf32 --estimator neural --demapper neural
    """
    with extra_named("ofdm"):
        from wireless.ofdm.catalogue import receiver
        from wireless.ofdm.recordings.files import read
        from wireless.ofdm.recordings.frames import frames

    recording = read(capture, form, rate)
    if not quiet:
        for warning in recording.warnings:
            click.echo(f"qwedge: {warning}", err=True)
    decoded = frames(recording.samples, receiver(estimator, demapper, decoder, passes))
    received = list(decoded if quiet else _with_progress(decoded, len(recording.samples)))
    if as_json:
        return click.echo(json.dumps(_to_json_data(capture, recording, received), indent=2))
    _print(received)
    if not quiet:
        right = sum(frame.fcs_ok for frame in received)
        summary = f"{len(received)} frames, {right} with a valid FCS" if received else "no frame"
        click.echo(f"{capture}: {summary} in {len(recording.samples)} samples", err=True)


def _with_progress(decoded: "Iterator[Frame]", samples: int) -> "Iterator[Frame]":
    """The frames, with a line on stderr every few seconds."""
    last = time.monotonic()
    for count, frame in enumerate(decoded, 1):
        if time.monotonic() - last > _SECONDS_BETWEEN_LINES:
            last = time.monotonic()
            click.echo(f"decode: {count} frames, {frame.start / samples:.0%} of the recording", err=True)
        yield frame


def _to_json_data(capture: Path, recording: "Recording", received: "list[Frame]") -> dict[str, Any]:
    return {
        "file": str(capture),
        "rate_hz": recording.rate,
        "samples": len(recording.samples),
        "warnings": list(recording.warnings),
        "frames": [_frame(frame) for frame in received],
    }


def _frame(frame: "Frame") -> dict[str, Any]:
    """JSON data of a frame; `start` and `stop` count samples at 20 MHz."""
    return {
        "start": frame.start,
        "stop": frame.stop,
        "time_s": frame.time_s,
        "format": frame.format or None,
        "rate": frame.rate.name if frame.rate else None,
        "mbps": round(frame.rate.mbps, 1) if frame.rate else None,
        "length": frame.length,
        "snr_db": round(frame.snr_db, 2),
        "cfo_hz": round(frame.cfo_hz, 1),
        "fcs_ok": frame.fcs_ok,
        "error": frame.error or None,
        "mpdus": [
            {"length": len(mpdu.data), "fcs_ok": mpdu.fcs_ok, **(mpdu.header._asdict() if mpdu.header else {})}
            for mpdu in frame.mpdus
        ],
        "psdu": frame.psdu.hex(),
    }


def _print(received: "list[Frame]") -> None:
    """A table as wide as its entries: one line per frame, and one for every further part of an aggregate."""
    lines = [line for frame in received for line in _lines(frame)]
    widths = [max(len(line[k]) for line in (_COLUMNS, *lines)) for k in range(len(_COLUMNS))]
    for line in (_COLUMNS, *lines):
        entries = (
            entry.rjust(width) if name in _RIGHT else entry.ljust(width)
            for name, entry, width in zip(_COLUMNS, line, widths, strict=True)
        )
        click.echo("  ".join(entries).rstrip())


def _lines(frame: "Frame") -> Iterator[tuple[str, ...]]:
    rate = frame.rate.name if frame.rate else ""
    length = "" if frame.length is None else str(frame.length)
    measured = (f"{frame.snr_db:.1f}", f"{frame.cfo_hz / 1e3:.1f}")
    front = (f"{frame.time_s * 1e3:.4f}", frame.format, rate, length, *measured)
    if not frame.mpdus:
        yield (*front, "", "", "", frame.error)
    for index, mpdu in enumerate(frame.mpdus):
        kind = ("", "", "")
        if mpdu.header:
            kind = (mpdu.header.type, mpdu.header.receiver or "", mpdu.header.transmitter or "")
        yield (*(front if index == 0 else [""] * len(front)), *kind, "ok" if mpdu.fcs_ok else "wrong")
