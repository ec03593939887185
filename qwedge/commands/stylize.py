"""The verb `qwedge stylize`: pictures in a style by a net, one file or a folder of them."""

from pathlib import Path

import click

from qwedge.catalogue import extra_named
from qwedge.commands.execution import as_json_option, print_json, quiet_option
from qwedge.commands.pictures import conclude, convert, picture_jobs


@click.command()
@click.argument("source", type=click.Path(path_type=Path))
@click.argument("target", type=click.Path(path_type=Path))
@click.option("--weights", type=click.Path(path_type=Path), metavar="FILE", help="A net of your own (.safetensors).")
@click.option("--overwrite", is_flag=True, help="Replace pictures that exist.")
@click.option(
    "--tile", type=click.IntRange(16), default=512, show_default=True, help="Side of the parts computed at once."
)
@quiet_option
@as_json_option
def stylize(
    source: Path, target: Path, weights: Path | None, overwrite: bool, tile: int, quiet: bool, as_json: bool
) -> None:
    """Give pictures a style by a small net: smooth regions between dark outlines, or what a net of yours has learned.

    SOURCE is a picture of any size (PNG, JPEG, WebP, BMP, TIFF; 8 bits, or 16 of grey), TARGET the file to write. If
    SOURCE is a folder, such as the frames of a clip, each picture in it is written into folder TARGET as PNG under its
    own name; equal frames stay equal. Transparency, EXIF and colour profile are kept, and the picture is turned
    upright. Nothing is overwritten unless asked.

    \b
    Example: qwedge stylize in.jpg out.jpg
             qwedge stylize frames/ styled/ --json
             qwedge stylize in.png out.png --weights runs/stylize/net.safetensors
    """
    from shared.lab.records.printable import printable

    with extra_named("stylize"):
        from vision.stylize.pretrained import pretrained
        from vision.stylize.stylizer import from_bytes

    jobs = picture_jobs(source, target, overwrite)
    stylizer = from_bytes(weights.read_bytes(), str(weights)) if weights else pretrained()
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
