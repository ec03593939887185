"""The verb `qwedge upscale`: pictures enlarged by a net, one file or a folder of them."""

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qwedge.catalogue import extra_named
from qwedge.commands.execution import as_json_option, print_json, quiet_option

if TYPE_CHECKING:
    from vision.superres.upscaler import Upscaler


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

    if not source.exists():
        raise FileNotFoundError(f"{source}: no such file or folder")
    upscaler = from_bytes(weights.read_bytes(), str(weights)) if weights else pretrained(int(scale))
    jobs = _jobs(source, target, overwrite)
    results, refused = list[dict[str, Any]](), list[str]()
    for job, progress in _shown(jobs, quiet):
        try:
            results.append(_enlarged(*job, upscaler, tile, progress))
        except ValueError as error:
            if not source.is_dir():
                raise
            refused.append(str(error))  # the other pictures of the folder are enlarged all the same
    if as_json:
        print_json({"scale": upscaler.scale, "pictures": results, "refused": refused})
    else:
        for each in results:
            sizes = " -> ".join("x".join(map(str, each[size])) for size in ("size", "enlarged"))
            click.echo(printable(f"{each['target']}  {sizes}  {each['seconds']:.2f} s"))
    for note in () if quiet else sorted({f"{each['source']}: {note}" for each in results for note in each["notes"]}):
        click.echo(printable(f"qwedge: {note}"), err=True)
    seconds = sum(each["seconds"] for each in results)
    if len(results) > 1 and not quiet:
        click.echo(f"{len(results)} pictures in {seconds:.1f} s, {len(results) / seconds:.2f} a second", err=True)
    if refused:
        raise ValueError(f"{len(refused)} of {len(jobs)} pictures could not be enlarged: {'; '.join(refused)}")


def _jobs(source: Path, target: Path, overwrite: bool) -> list[tuple[Path, Path]]:
    """Which file becomes which; raises `ValueError` before anything is computed where one must not be written."""
    from vision.data.picture import SUFFIXES, check_output

    if not source.is_dir():
        jobs = [(source, target / f"{source.stem}.png" if target.is_dir() else target)]
    else:
        paths = sorted(path for path in source.iterdir() if path.suffix.lower() in SUFFIXES)
        if not paths:
            raise ValueError(f"{source}: no picture in this folder; needs files of {', '.join(SUFFIXES)}")
        if target.exists() and not target.is_dir():
            raise ValueError(f"{target} is a file; pictures of a folder are written into a folder")
        jobs = [(path, target / f"{path.stem}.png") for path in paths]
    first: dict[str, Path] = {}
    for path, written in jobs:
        # Some file systems do not tell capitals apart.
        if (other := first.setdefault(written.name.lower(), path)) != path:
            raise ValueError(f"{other} and {path} would both become {written}; rename one of them")
        check_output(written, overwrite)
    return jobs


def _enlarged(
    path: Path, written: Path, upscaler: "Upscaler", tile: int, progress: Callable[[int, int, str], None]
) -> dict[str, Any]:
    from vision.data.picture import read, write

    picture = read(path)
    began = time.perf_counter()
    enlarged = upscaler(picture, tile, progress)
    seconds = time.perf_counter() - began
    write(enlarged, written)
    return {
        "source": str(path),
        "target": str(written),
        "size": picture.size,
        "enlarged": enlarged.size,
        "seconds": seconds,
        "notes": picture.notes,
    }


def _shown(
    jobs: list[tuple[Path, Path]], quiet: bool
) -> Iterator[tuple[tuple[Path, Path], Callable[[int, int, str], None]]]:
    """Each job with what takes its progress: a bar on stderr for a person, nothing for a file."""
    if quiet or not sys.stderr.isatty():
        for job in jobs:
            yield job, lambda done, total, note: None
        return
    with click.progressbar(length=1000 * len(jobs), label="enlarging", file=sys.stderr) as bar:
        for number, job in enumerate(jobs):

            def progress(done: int, total: int, note: str, number: int = number) -> None:
                bar.update(1000 * number + 1000 * done // total - bar.pos)

            yield job, progress
