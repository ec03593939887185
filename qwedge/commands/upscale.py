"""The verb `qwedge upscale`: pictures enlarged by a net, one file or a folder of them, and videos."""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from qwedge.catalogue import extra_named
from qwedge.commands.execution import as_json_option, print_json, quiet_option
from qwedge.commands.pictures import conclude, convert, picture_jobs

if TYPE_CHECKING:
    from vision.superres.upscaler import Upscaler


@click.command()
@click.argument("source", type=click.Path(path_type=Path))
@click.argument("target", type=click.Path(path_type=Path))
@click.option("--scale", type=click.Choice(["2", "4"]), default="2", show_default=True, help="How many times larger.")
@click.option("--weights", type=click.Path(path_type=Path), metavar="FILE", help="A net of your own (.safetensors).")
@click.option(
    "--numbers",
    type=click.Choice(["float32", "int8"]),
    default="float32",
    show_default=True,
    help="int8: the net as a compiled library of 8-bit integers; needs a C compiler.",
)
@click.option("--overwrite", is_flag=True, help="Replace what exists.")
@click.option(
    "--tile", type=click.IntRange(16), default=256, show_default=True, help="Side of the parts computed at once."
)
@quiet_option
@as_json_option
def upscale(
    source: Path,
    target: Path,
    scale: str,
    weights: Path | None,
    numbers: str,
    overwrite: bool,
    tile: int,
    quiet: bool,
    as_json: bool,
) -> None:
    """Enlarge pictures and videos by a small net.

    SOURCE is a picture of any size (PNG, JPEG, WebP, BMP, TIFF; 8 bits, or 16 of grey), TARGET the file to write. If
    SOURCE is a folder, each picture in it is written into folder TARGET as PNG under its own name. Transparency, EXIF
    and colour profile are kept, and the picture is turned upright. A video (MP4, MKV, MOV, WebM and others) needs
    ffmpeg, and is written as MP4, MKV or MOV with its sound. Nothing is overwritten unless asked.

    \b
    Example: qwedge upscale in.png out.png
             qwedge upscale photo.jpg photo-x4.webp --scale 4
             qwedge upscale frames/ enlarged/ --json
             qwedge upscale clip.mp4 large.mp4 --numbers int8
             qwedge upscale in.png out.png --weights runs/superres/net.safetensors
    """
    from shared.lab.records.printable import printable

    with extra_named("superres"):
        from vision.superres.pretrained import pretrained
        from vision.superres.upscaler import from_bytes
        from vision.superres.video import READ

    is_video = source.suffix.lower() in READ and not source.is_dir()
    jobs = [] if is_video else picture_jobs(source, target, overwrite)
    upscaler = from_bytes(weights.read_bytes(), str(weights)) if weights else pretrained(int(scale))
    if numbers == "int8":
        with extra_named("superres_int8"):
            from qwedge.experiments.integer_luma import in_integers

        upscaler = in_integers(upscaler)
    if is_video:
        _video(source, target, upscaler, overwrite, tile, quiet, as_json)
        return
    results, refused = convert(
        jobs, lambda picture, progress: upscaler(picture, tile, progress), "enlarging", source.is_dir(), quiet
    )
    if as_json:
        pictures = [
            {
                "source": str(each.source),
                "target": str(each.target),
                "size": each.size,
                "enlarged": each.written,
                "seconds": each.seconds,
                "notes": each.notes,
            }
            for each in results
        ]
        print_json({"scale": upscaler.scale, "pictures": pictures, "refused": refused})
    else:
        for each in results:
            sizes = " -> ".join("x".join(map(str, size)) for size in (each.size, each.written))
            click.echo(printable(f"{each.target}  {sizes}  {each.seconds:.2f} s"))
    conclude(results, refused, "enlarged", quiet)


def _video(
    source: Path, target: Path, upscaler: "Upscaler", overwrite: bool, tile: int, quiet: bool, as_json: bool
) -> None:
    from shared.lab.records.printable import printable
    from vision.superres.video import check_video, enlarge_video

    if not source.exists():
        raise FileNotFoundError(f"{source}: no such file or folder")
    check_video(target, overwrite)
    began = time.perf_counter()
    video = enlarge_video(source, target, upscaler, tile, None if quiet else _counted())
    seconds = time.perf_counter() - began
    if not quiet and sys.stderr.isatty():
        click.echo(err=True)  # behind the line of progress
    for note in () if quiet else video.notes:
        click.echo(printable(f"qwedge: {source}: {note}"), err=True)
    large = [upscaler.scale * side for side in video.size]
    about = {"frames": video.frames, "size": video.size, "enlarged": large, "seconds": seconds, "notes": video.notes}
    if as_json:
        print_json({"scale": upscaler.scale, "source": str(source), "target": str(target), **about})
    else:
        sizes = " -> ".join("x".join(map(str, size)) for size in (video.size, large))
        rate = f"{video.frames} frames in {seconds:.1f} s, {video.frames / seconds:.2f} a second"
        click.echo(printable(f"{target}  {sizes}  {rate}"))


def _counted() -> Callable[[int, int, str], None]:
    """A line on stderr for a person, ten times a second at most: frames so far, and how many a second."""
    began = shown = time.perf_counter()

    def progress(done: int, total: int, note: str) -> None:
        nonlocal shown
        now = time.perf_counter()
        if sys.stderr.isatty() and now - shown > 0.1:
            shown = now
            click.echo(f"\renlarging: {done} {note}, {done / (now - began):.2f} a second", nl=False, err=True)

    return progress
