"""The verb `qwedge stylize`: pictures in a style by a net, one file or a folder of them, and videos."""

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
@click.option("--weights", type=click.Path(path_type=Path), metavar="FILE", help="A net of your own (.safetensors).")
@overwrite_option
@resume_option
@click.option(
    "--tile", type=click.IntRange(16), default=512, show_default=True, help="Side of the parts computed at once."
)
@quiet_option
@as_json_option
def stylize(
    source: Path,
    target: Path,
    weights: Path | None,
    overwrite: bool,
    resume: bool,
    tile: int,
    quiet: bool,
    as_json: bool,
) -> None:
    """Give pictures and videos a style by a small net.

    The style of the net that ships is smooth regions between dark outlines; --weights names a net of your own. SOURCE
    is a picture of any size (PNG, JPEG, WebP, BMP, TIFF; 8 bits, or 16 of grey), TARGET the file to write. If SOURCE is
    a folder, such as the frames of a clip, each picture in it is written into folder TARGET as PNG under its own name;
    equal frames stay equal. Transparency, EXIF and colour profile are kept, and the picture is turned upright. A video
    (MP4, MKV, MOV, WebM and others) needs ffmpeg, and is written as MP4, MKV or MOV with its sound. Nothing is
    overwritten unless asked; --resume goes on with a folder that was stopped.

    \b
    Example: qwedge stylize in.jpg out.jpg
             qwedge stylize frames/ styled/ --json
             qwedge stylize clip.mp4 styled.mp4
             qwedge stylize in.png out.png --weights runs/stylize/net.safetensors
    """
    from shared.lab.records.printable import printable

    check_resume(source, overwrite, resume)
    with extra_named("stylize"):
        from vision.stylize.frames import styled_frame
        from vision.stylize.pretrained import pretrained
        from vision.stylize.stylizer import from_bytes

        moves = is_video(source)
    jobs = [] if moves else picture_jobs(source, target, overwrite, resume)
    stylizer = from_bytes(weights.read_bytes(), str(weights)) if weights else pretrained()
    if moves:
        style = partial(styled_frame, stylizer=stylizer, tile=tile)
        about = convert_video_file(source, target, style, "styling", overwrite=overwrite, quiet=quiet)
        if as_json:
            print_json(about)
        else:
            click.echo(printable(video_line(about, "x".join(map(str, about["size"])))))
        return
    results, refused = convert(
        jobs, lambda picture, progress: stylizer(picture, tile, progress), "styling", source.is_dir(), quiet
    )
    if as_json:
        pictures = [
            {
                "source": str(each.source),
                "target": str(each.target),
                "size": each.size,
                "seconds": each.seconds,
                "notes": each.notes,
            }
            for each in results
        ]
        print_json({"pictures": pictures, "refused": refused})
    else:
        for each in results:
            click.echo(printable(f"{each.target}  {'x'.join(map(str, each.size))}  {each.seconds:.2f} s"))
    conclude(results, refused, "styled", quiet)
