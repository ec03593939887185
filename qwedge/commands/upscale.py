"""The verb `qwedge upscale`: pictures enlarged by a net, one file or a folder of them, and videos."""

from functools import partial
from pathlib import Path

import click

from qwedge.catalogue import extra_named
from qwedge.commands.execution import as_json_option, print_json, quiet_option
from qwedge.commands.pictures import (
    check_resume,
    conclude,
    convert,
    overwrite_option,
    picture_jobs,
    resume_option,
)
from qwedge.commands.videos import convert_video_file, is_video, video_line


@click.command()
@click.argument("source", type=click.Path(path_type=Path))
@click.argument("target", type=click.Path(path_type=Path))
@click.option(
    "--scale", type=click.Choice(["2", "4"]), help="How many times larger.  [default: 2, or that of the weights]"
)
@click.option("--weights", type=click.Path(path_type=Path), metavar="FILE", help="A net of your own (.safetensors).")
@click.option(
    "--numbers",
    type=click.Choice(["float32", "int8"]),
    default="float32",
    show_default=True,
    help="int8: the net as a compiled library of 8-bit integers; needs a C compiler.",
)
@overwrite_option
@resume_option
@click.option(
    "--tile", type=click.IntRange(16), default=256, show_default=True, help="Side of the parts computed at once."
)
@quiet_option
@as_json_option
def upscale(
    source: Path,
    target: Path,
    scale: str | None,
    weights: Path | None,
    numbers: str,
    overwrite: bool,
    resume: bool,
    tile: int,
    quiet: bool,
    as_json: bool,
) -> None:
    """Enlarge pictures and videos by a small net.

    SOURCE is a picture of any size (PNG, JPEG, WebP, BMP, TIFF; 8 bits, or 16 of grey), TARGET the file to write. If
    SOURCE is a folder, each picture in it is written into folder TARGET as PNG under its own name. Transparency, EXIF
    and colour profile are kept, and the picture is turned upright. A video (MP4, MKV, MOV, WebM and others) needs
    ffmpeg, and is written as MP4, MKV or MOV with its sound. Nothing is overwritten unless asked; --resume goes on
    with a folder that was stopped.

    \b
    Example: qwedge upscale in.png out.png
             qwedge upscale photo.jpg photo-x4.webp --scale 4
             qwedge upscale frames/ enlarged/ --json
             qwedge upscale clip.mp4 large.mp4 --numbers int8
             qwedge upscale in.png out.png --weights runs/superres/net.safetensors
    """
    from shared.lab.records.printable import printable

    check_resume(source, overwrite, resume)
    with extra_named("superres"):
        from vision.superres.frames import enlarged_frame
        from vision.superres.pretrained import pretrained
        from vision.superres.upscaler import from_bytes

        moves = is_video(source)
    jobs = [] if moves else picture_jobs(source, target, overwrite, resume)
    upscaler = from_bytes(weights.read_bytes(), str(weights)) if weights else pretrained(int(scale or 2))
    if scale and upscaler.scale != int(scale):
        raise ValueError(f"--scale {scale}: the net in {weights} enlarges {upscaler.scale} times; leave the option out")
    if numbers == "int8":
        with extra_named("superres_int8"):
            from qwedge.experiments.integer_luma import in_integers

        upscaler = in_integers(upscaler)
    if moves:
        enlarge = partial(enlarged_frame, upscaler=upscaler, tile=tile)
        about = convert_video_file(
            source, target, enlarge, "enlarging", scale=upscaler.scale, overwrite=overwrite, quiet=quiet
        )
        large = [upscaler.scale * side for side in about["size"]]
        if as_json:
            print_json({"scale": upscaler.scale, "enlarged": large, **about})
        else:
            sizes = " -> ".join("x".join(map(str, size)) for size in (about["size"], large))
            click.echo(printable(video_line(about, sizes)))
        return
    results, refused = convert(
        jobs,
        lambda picture, progress: upscaler(picture, tile, progress),
        "enlarging",
        source.is_dir(),
        quiet,
        upscaler.scale,
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
