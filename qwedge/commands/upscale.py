"""The verb `qwedge upscale`: pictures enlarged by a net, one file or a folder of them."""

from pathlib import Path

import click

from qwedge.catalogue import extra_named
from qwedge.commands.execution import as_json_option, print_json, quiet_option
from qwedge.commands.pictures import conclude, convert, picture_jobs


@click.command()
@click.argument("source", type=click.Path(path_type=Path))
@click.argument("target", type=click.Path(path_type=Path))
@click.option("--scale", type=click.Choice(["2", "4"]), default="2", show_default=True, help="How many times larger.")
@click.option("--weights", type=click.Path(path_type=Path), metavar="FILE", help="A net of your own (.safetensors).")
@click.option("--overwrite", is_flag=True, help="Replace pictures that exist.")
@click.option(
    "--tile", type=click.IntRange(16), default=256, show_default=True, help="Side of the parts computed at once."
)
@quiet_option
@as_json_option
def upscale(
    source: Path, target: Path, scale: str, weights: Path | None, overwrite: bool, tile: int, quiet: bool, as_json: bool
) -> None:
    """Enlarge pictures by a small net.

    SOURCE is a picture of any size (PNG, JPEG, WebP, BMP, TIFF; 8 bits, or 16 of grey), TARGET the file to write. If
    SOURCE is a folder, each picture in it is written into folder TARGET as PNG under its own name. Transparency, EXIF
    and colour profile are kept, and the picture is turned upright. Nothing is overwritten unless asked.

    \b
    Example: qwedge upscale in.png out.png
             qwedge upscale photo.jpg photo-x4.webp --scale 4
             qwedge upscale frames/ enlarged/ --json
             qwedge upscale in.png out.png --weights runs/superres/net.safetensors
    """
    from shared.lab.records.printable import printable

    with extra_named("superres"):
        from vision.superres.pretrained import pretrained
        from vision.superres.upscaler import from_bytes

    jobs = picture_jobs(source, target, overwrite)
    upscaler = from_bytes(weights.read_bytes(), str(weights)) if weights else pretrained(int(scale))
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
