"""The verb `qwedge decode`: the Wi-Fi frames in a recording from a radio."""

import json
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qwedge.catalogue import extra_named

if TYPE_CHECKING:
    from wireless.ofdm.recordings.files import Recording
    from wireless.ofdm.recordings.frames import Frame

_SECONDS_BETWEEN_LINES = 2.0
_TRIED = 2_000_000
"""Samples in which a hint is searched."""
_COLUMNS = ("time ms", "format", "rate", "bytes", "SNR dB", "CFO kHz", "type", "to", "from", "FCS")
_RIGHT = {"time ms", "bytes", "SNR dB", "CFO kHz"}

# Repeated here so that `--help` imports no receiver; a test compares them with its blocks.
FORMATS = ("cs8", "cu8", "cs16", "cf32", "wav", "sigmf")
ESTIMATORS = ("ls", "dft", "lmmse-robust", "neural", "neural-5k", "dense")
DEMAPPERS = ("hard", "max-log", "exact", "neural")
DECODERS = ("hard-viterbi", "soft-viterbi", "neural")


@click.command()
@click.argument("capture", type=click.Path(path_type=Path))
@click.option("--format", "form", metavar=f"[{'|'.join(FORMATS)}]", help="Kind of file.  [default: by its name]")
@click.option("--rate", type=float, metavar="HZ", help="Samples per second.  [default: the file's, or the width]")
@click.option("--channel", type=click.IntRange(0), metavar="N", help="Which channel of a file of several, from 0 on.")
@click.option("--width", type=float, default=20e6, metavar="HZ", help="Width of the channel: 20e6, 10e6 or 5e6.")
@click.option("--centre", type=float, default=0.0, metavar="HZ", help="Its centre, relative to the recording's.")
@click.option("--swap-iq", is_flag=True, help="Exchange I and Q.")
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
    channel: int | None,
    width: float,
    centre: float,
    swap_iq: bool,
    estimator: str,
    demapper: str,
    decoder: str,
    passes: int,
    quiet: bool,
    as_json: bool,
) -> None:
    """Decode the Wi-Fi frames in a recording.

    CAPTURE holds complex samples I, Q, I, Q, ...: cs8 or cu8 (signed or unsigned bytes), cs16 (16-bit little-endian
    integers), cf32 (32-bit floats), WAV, or SigMF. A channel of 20, 10 or 5 MHz is cut out of a wider recording. IEEE
    802.11 a/g and HT of one stream are decoded, 6 to 54 Mb/s and MCS 0 to 7. Prints for each frame its time, rate,
    length, signal-to-noise ratio, carrier offset, addresses, and whether its frame check sequence is right, or why
    decoding stopped.

    \b
    Example: qwedge decode capture.dat --format cs16 --rate 20e6
             qwedge decode capture.sigmf --json
             qwedge decode wide.cs16 --rate 40e6 --centre 10e6
             qwedge decode capture.cf32 --estimator neural --demapper neural
    """
    from shared.lab.records.printable import printable

    with extra_named("ofdm"):
        from wireless.ofdm.catalogue import receiver
        from wireless.ofdm.recordings.files import read
        from wireless.ofdm.recordings.frames import frames

    recording = read(capture, form, rate, channel=channel, width=width, centre=centre, swap_iq=swap_iq)
    if not quiet:
        for warning in recording.warnings:
            click.echo(printable(f"qwedge: {warning}"), err=True)
    decoded = frames(recording.samples, receiver(estimator, demapper, decoder, passes), width)
    received = list(decoded if quiet else _with_progress(decoded, len(recording.samples)))
    if not quiet and not any(frame.fcs_ok for frame in received):
        hint = _hint(capture, form, recording, centre)
        if hint:
            click.echo(printable(f"qwedge: {hint}"), err=True)
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


def _hint(capture: Path, form: str | None, recording: "Recording", centre: float) -> str:
    """What else to try with a recording in which no frame is right."""
    from wireless.ofdm.recordings.files import read
    from wireless.ofdm.recordings.frames import decode as frames_of

    def right(samples: Any) -> int:
        return sum(frame.fcs_ok for frame in frames_of(samples[:_TRIED], width_hz=recording.width))

    if (count := right(recording.samples.conj())) > 0:
        return f"with I and Q exchanged {count} frames are right: --swap-iq"
    if form in ("cs16", None) and capture.suffix in ("", ".cs16", ".sc16", ".dat", ".bin", ".raw", ".iq"):
        for other in ("cs8", "cu8"):
            with suppress(ValueError):
                count = right(read(capture, other, recording.rate, width=recording.width, centre=centre).samples)
                if count:
                    return f"read as {other}, {count} frames are right: --format {other}"
    if recording.rate >= 2 * recording.width and not centre:
        return "only the channel in the centre of the recording was searched: --centre HZ picks another"
    return ""


def _to_json_data(capture: Path, recording: "Recording", received: "list[Frame]") -> dict[str, Any]:
    return {
        "file": str(capture),
        "rate_hz": recording.rate,
        "samples": len(recording.samples),
        "width_hz": recording.width,
        "warnings": list(recording.warnings),
        "frames": [_frame(frame) for frame in received],
    }


def _frame(frame: "Frame") -> dict[str, Any]:
    """JSON data of a frame; `start` and `stop` count samples at the width of the channel."""
    return {
        "start": frame.start,
        "stop": frame.stop,
        "time_s": frame.time_s,
        "format": frame.format or None,
        "rate": frame.rate_name or None,
        "mbps": None if frame.mbps is None else round(frame.mbps, 1),
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
    from shared.lab.records.printable import printable

    lines = [line for frame in received for line in _lines(frame)]
    widths = [max(len(line[k]) for line in (_COLUMNS, *lines)) for k in range(len(_COLUMNS))]
    for line in (_COLUMNS, *lines):
        entries = (
            entry.rjust(width) if name in _RIGHT else entry.ljust(width)
            for name, entry, width in zip(_COLUMNS, line, widths, strict=True)
        )
        click.echo(printable("  ".join(entries).rstrip()))


def _lines(frame: "Frame") -> Iterator[tuple[str, ...]]:
    length = "" if frame.length is None else str(frame.length)
    measured = (f"{frame.snr_db:.1f}", f"{frame.cfo_hz / 1e3:.1f}")
    front = (f"{frame.time_s * 1e3:.4f}", frame.format, frame.rate_name, length, *measured)
    if not frame.mpdus:
        yield (*front, "", "", "", frame.error)
    for index, mpdu in enumerate(frame.mpdus):
        kind = ("", "", "")
        if mpdu.header:
            kind = (mpdu.header.type, mpdu.header.receiver or "", mpdu.header.transmitter or "")
        yield (*(front if index == 0 else [""] * len(front)), *kind, "ok" if mpdu.fcs_ok else "wrong")
