"""What verbs that turn videos into videos share: what is refused, progress, and how fast it went."""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from vision.data.video import Frame


def is_video(source: Path) -> bool:
    """Whether a file is one for ffmpeg, by its suffix."""
    from vision.data.video import READ

    return source.suffix.lower() in READ and not source.is_dir()


def convert_video_file(
    source: Path,
    target: Path,
    convert: "Callable[[Frame], Frame]",
    label: str,
    *,
    scale: int = 1,
    overwrite: bool,
    quiet: bool,
) -> dict[str, Any]:
    """Writes the video of the frames that `convert` makes, says how fast it went, and returns that as JSON.

    Raises `FileNotFoundError` for a source that does not exist, and `ValueError` for one that cannot be read, and where
    a file must not be written.
    """
    from shared.lab.records.printable import printable
    from vision.data.video import check_video, convert_video

    if not source.exists():
        raise FileNotFoundError(f"{source}: no such file or folder")
    check_video(target, overwrite)
    began = time.perf_counter()
    video = convert_video(source, target, convert, scale, None if quiet else _counted(label))
    seconds = time.perf_counter() - began
    if not quiet and sys.stderr.isatty():
        click.echo(err=True)  # behind the line of progress
    for note in () if quiet else video.notes:
        click.echo(printable(f"qwedge: {source}: {note}"), err=True)
    about = {"source": str(source), "target": str(target), "frames": video.frames, "size": video.size}
    return about | {"seconds": seconds, "fps": video.frames / seconds, "notes": video.notes}


def video_line(about: dict[str, Any], size: str) -> str:
    """For a person: the file, sizes, frames and their rate."""
    rate = f"{about['frames']} frames in {about['seconds']:.1f} s, {about['fps']:.2f} a second"
    return f"{about['target']}  {size}  {rate}"


def _counted(label: str) -> Callable[[int, int, str], None]:
    """A line on stderr for a person, ten times a second at most: frames so far, and how many a second."""
    began = shown = time.perf_counter()

    def progress(done: int, total: int, note: str) -> None:
        nonlocal shown
        now = time.perf_counter()
        if sys.stderr.isatty() and now - shown > 0.1:
            shown = now
            click.echo(f"\r{label}: {done} {note}, {done / (now - began):.2f} a second", nl=False, err=True)

    return progress
