"""Videos converted frame by frame: ffmpeg reads and writes, and frames come and go through pipes."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from shared.core.task import Progress

READ = (".mp4", ".mkv", ".mov", ".avi", ".webm", ".m4v", ".mpg", ".mpeg", ".ts", ".wmv", ".flv", ".y4m")
WRITTEN = (".mp4", ".mkv", ".mov")
_COLOURS = "scale=out_color_matrix=bt709:out_range=limited"
_TAGS = ["-colorspace", "bt709", "-color_range", "tv"]
"""Players guess the matrix of an untagged video from its height, which changes: so it is converted, and said."""
_PATIENCE = 2.0
"""Seconds in which a program that failed has ended."""
_LONGEST = 1000
"""Bytes of a header's line: a stream that has more is none."""

Frame = tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]
"""Luma `(H, W)` and both colour differences at half the size, rounded up."""


@dataclass(frozen=True)
class Stream:
    """The header of a YUV4MPEG2 stream: pixels, and the rest of its words as they are (rate, aspect, kind of 4:2:0)."""

    width: int
    height: int
    words: tuple[str, ...]

    def planes(self) -> tuple[tuple[int, int], ...]:
        """Rows and columns of luma and of the two colour differences."""
        half = (self.height + 1) // 2, (self.width + 1) // 2
        return (self.height, self.width), half, half


@dataclass(frozen=True)
class Video:
    """A video that was written."""

    frames: int
    size: tuple[int, int]
    """Width and height of what was read."""
    notes: tuple[str, ...]
    """What ffmpeg complained of."""


def convert_video(
    source: Path, target: Path, convert: Callable[[Frame], Frame], scale: int = 1, progress: Progress | None = None
) -> Video:
    """Writes `target`, whole or not at all; sound is copied. `convert` makes frames of `scale` times the size.

    Frames are read as 8 bits, 4:2:0, BT.709, at a constant rate, and written as H.264. `progress` gets frames done, and
    0 for all, which nobody knows. Raises `ValueError` without ffmpeg, for a source that it cannot read and where it
    cannot write.
    """
    program = ffmpeg(source)
    # ffmpeg knows a format by its suffix.
    aside = target.with_name(f".{os.getpid()}.{target.name}")
    reading = [program, "-v", "error", "-nostdin", "-i", _named(source), "-map", "0:v:0", "-vf", _COLOURS]
    reading += ["-pix_fmt", "yuv420p", "-f", "yuv4mpegpipe", "pipe:1"]
    writing = [program, "-v", "error", "-f", "yuv4mpegpipe", "-i", "pipe:0", "-i", _named(source)]
    writing += ["-map", "0:v:0", "-map", "1:a?", "-map_metadata", "1", "-c:a", "copy", "-c:v", "libx264", "-crf", "16"]
    writing += ["-pix_fmt", "yuv420p", *_TAGS, "-y", _named(aside)]
    count, notes = 0, list[str]()
    try:
        with _running(reading, f"{source}: ffmpeg cannot read it", notes, stdout=subprocess.PIPE) as frames_in:
            stream = read_header(frames_in, source)
            with _running(writing, f"{target}: ffmpeg cannot write it", notes, stdin=subprocess.PIPE) as frames_out:
                written = replace(stream, width=scale * stream.width, height=scale * stream.height)
                frames_out.write(header(written))
                for frame in read_frames(frames_in, stream, source):
                    write_frame(frames_out, convert(frame), written)
                    count += 1
                    if progress is not None:
                        progress(count, 0, "frames")
        if not count:
            raise ValueError(f"{source}: no frame of video in it")
        os.replace(aside, target)
    finally:
        aside.unlink(missing_ok=True)
    return Video(count, (stream.width, stream.height), tuple(notes))


def check_video(target: Path, overwrite: bool) -> None:
    """Raises `ValueError` where a video must not or cannot be written to `target`."""
    if target.suffix.lower() not in WRITTEN:
        raise ValueError(f"{target}: videos are written as {', '.join(WRITTEN)}; name one of these")
    if target.exists() and not overwrite:
        raise ValueError(f"{target} exists; name another file, or add --overwrite")


def ffmpeg(source: Path) -> str:
    """The program. Raises `ValueError` where it is not installed."""
    if program := shutil.which("ffmpeg"):
        return program
    raise ValueError(
        f"{source} is a video, and needs the program ffmpeg, which is not installed (Debian: apt install ffmpeg); "
        "or name a folder of its frames"
    )


def header(stream: Stream) -> bytes:
    """The first line of a stream."""
    return " ".join(("YUV4MPEG2", f"W{stream.width}", f"H{stream.height}", *stream.words)).encode() + b"\n"


def read_header(file: IO[bytes], source: Path) -> Stream:
    """Raises `ValueError`, naming `source`, for what is no stream of 8 bits and 4:2:0."""
    kind, *words = file.readline(_LONGEST).decode("ascii", "replace").split()[:20] or [""]
    sides = {word[0]: word[1:] for word in words if word[0] in "WH"}
    colours = next((word for word in words if word[0] == "C"), "C420")
    if kind != "YUV4MPEG2" or not all(sides.get(side, "").isdigit() for side in "WH") or not _is_plain(colours):
        raise ValueError(f"{source}: ffmpeg read no video of 8 bits from it")
    return Stream(int(sides["W"]), int(sides["H"]), tuple(word for word in words if word[0] not in "WH"))


def read_frames(file: IO[bytes], stream: Stream, source: Path) -> Iterator[Frame]:
    """Every frame to the end. Raises `ValueError` for one that is cut short."""
    while line := file.readline(_LONGEST):
        planes = [file.read(rows * columns) for rows, columns in stream.planes()]
        if not line.startswith(b"FRAME") or len(planes[-1]) != stream.planes()[-1][0] * stream.planes()[-1][1]:
            raise ValueError(f"{source}: a frame is cut short")
        luma, first, second = (
            np.frombuffer(data, np.uint8).reshape(shape) for data, shape in zip(planes, stream.planes(), strict=True)
        )
        yield luma, first, second


def write_frame(file: IO[bytes], frame: Frame, stream: Stream) -> None:
    assert tuple(plane.shape for plane in frame) == stream.planes()
    file.write(b"FRAME\n")
    for plane in frame:
        file.write(np.ascontiguousarray(plane).tobytes())


def _is_plain(colours: str) -> bool:
    return colours.startswith("C420") and "p1" not in colours  # C420p10 has words of two bytes


def _named(path: Path) -> str:
    """A file's name that ffmpeg takes for a file's, whatever its first letters are."""
    return f"file:{path}"


@contextmanager
def _running(command: list[str], failed: str, notes: list[str], **pipe: Any) -> Iterator[IO[bytes]]:
    """The pipe of a program, which ends where the block ends. What it complains of is a note.

    Raises `ValueError`, its last line behind `failed`, if it fails. A program whose pipe closes ends by itself, so that
    none is left where this process is killed.
    """
    with tempfile.TemporaryFile() as said, subprocess.Popen(command, stderr=said, **pipe) as process:
        stream = process.stdin or process.stdout
        assert stream is not None
        try:
            yield stream
            stream.close()
            code = process.wait()
        except (BrokenPipeError, ValueError):
            # Where the program failed, that is why; where it waits for more, the error is not its own.
            try:
                code = process.wait(timeout=_PATIENCE)
            except subprocess.TimeoutExpired:
                code = 0
            if not code:
                raise
        finally:
            process.kill()
            with suppress(BrokenPipeError):
                stream.close()
        said.seek(0)
        lines = said.read().decode(errors="replace").strip().splitlines()
        if code:
            raise ValueError(f"{failed}: {lines[-1] if lines else f'exit status {code}'}")
        if lines:
            notes.append(f"ffmpeg: {lines[-1]}")
