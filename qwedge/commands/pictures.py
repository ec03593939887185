"""What verbs that turn pictures into pictures share: which file becomes which, progress, and what is refused."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from qwedge.commands.interrupts import exit_code

if TYPE_CHECKING:
    from shared.core.task import Progress
    from vision.data.picture import Picture

Job = tuple[Path, Path]
"""The file that is read, and the one that is written."""

overwrite_option = click.option("--overwrite", is_flag=True, help="Replace what exists.")
resume_option = click.option("--resume", is_flag=True, help="Leave what exists, and do what is left of a folder.")


@dataclass(frozen=True)
class Converted:
    """A picture that was written."""

    source: Path
    target: Path
    size: tuple[int, int]
    """Width and height of what was read."""
    written: tuple[int, int]
    """Those of what was written."""
    seconds: float
    """Of computing, without reading and writing."""
    notes: tuple[str, ...]


def picture_jobs(source: Path, target: Path, overwrite: bool, resume: bool = False) -> list[Job]:
    """The files of a picture, or of all pictures of a folder; to `resume`, those that are not written yet.

    Raises `FileNotFoundError` for a source that does not exist, and `ValueError`, before anything is computed, where a
    file must not be written.
    """
    from vision.data.picture import SUFFIXES, check_output
    from vision.data.picture_folder import picture_files

    if not source.exists():
        raise FileNotFoundError(f"{source}: no such file or folder")
    if not source.is_dir():
        jobs = [(source, target / f"{source.stem}.png" if target.is_dir() else target)]
    else:
        paths = picture_files(source)
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
        if source.is_dir() and written.exists() and not (overwrite or resume):
            raise ValueError(
                f"{written} exists; name another folder, or add --resume to leave what exists, or --overwrite"
            )
        check_output(written, overwrite or resume)
    return [job for job in jobs if not (resume and job[1].exists())]


def check_resume(source: Path, overwrite: bool, resume: bool) -> None:
    """Raises `ValueError` for what is no folder, and where what exists is to be replaced and to be left."""
    if resume and overwrite:
        raise ValueError("--overwrite replaces what exists, and --resume leaves it; take one of them")
    if resume and source.exists() and not source.is_dir():
        raise ValueError(f"--resume goes on with a folder of pictures, and {source} is one file; leave the option out")


def convert(
    jobs: Sequence[Job],
    compute: "Callable[[Picture, Progress], Picture]",
    label: str,
    of_folder: bool,
    quiet: bool,
    scale: int = 1,
) -> tuple[list[Converted], list[str]]:
    """What was written, and the pictures of a folder that could not be; the only picture's error is raised.

    `compute` makes pictures `scale` times as large; what the format of a file cannot hold is refused before. Stopped in
    a folder, it says how many pictures are written, and how to go on, and exits.
    """
    from vision.data.picture import check_format, read, write

    results, refused = list[Converted](), list[str]()
    for (source, target), progress in _shown(jobs, label, quiet):
        try:
            picture = _read(source) if of_folder else read(source)
            check_format(picture, target, scale)
            began = time.perf_counter()
            result = compute(picture, progress)
            seconds = time.perf_counter() - began
            write(result, target)
        except ValueError as error:
            if not of_folder:
                raise
            refused.append(str(error))
        except KeyboardInterrupt as interrupt:
            if not of_folder:
                raise
            way = f"pictures written: {len(results)} of {len(jobs)}, the same command with --resume goes on"
            click.echo(f"qwedge: interrupted; {way}", err=True)
            sys.exit(exit_code(interrupt))
        else:
            results.append(Converted(source, target, picture.size, result.size, seconds, result.notes))
    return results, refused


def conclude(results: Sequence[Converted], refused: Sequence[str], participle: str, quiet: bool) -> None:
    """Says on stderr what was changed in reading, and how fast it went; raises `ValueError` for what was refused."""
    from shared.lab.records.printable import printable

    if not quiet:
        for note in sorted({f"{each.source}: {note}" for each in results for note in each.notes}):
            click.echo(printable(f"qwedge: {note}"), err=True)
        seconds = sum(each.seconds for each in results)
        if len(results) > 1:
            click.echo(f"{len(results)} pictures in {seconds:.1f} s, {len(results) / seconds:.2f} a second", err=True)
        elif not (results or refused):
            click.echo("qwedge: every picture is written already", err=True)
    if refused:
        total = len(results) + len(refused)
        raise ValueError(f"{len(refused)} of {total} pictures could not be {participle}: {'; '.join(refused)}")


def _read(source: Path) -> "Picture":
    """Raises `ValueError` for a file that the system does not give too, as one of many stops no others."""
    from vision.data.picture import read

    try:
        return read(source)
    except OSError as error:
        raise ValueError(f"{source}: {error.strerror or error}") from None


def _shown(jobs: Sequence[Job], label: str, quiet: bool) -> "Iterator[tuple[Job, Progress]]":
    """Each job with what takes its progress: a bar on stderr for a person, nothing for a file."""
    if quiet or not sys.stderr.isatty():
        for job in jobs:
            yield job, lambda done, total, note: None
        return
    with click.progressbar(length=1000 * len(jobs), label=label, file=sys.stderr) as bar:
        for number, job in enumerate(jobs):

            def progress(done: int, total: int, note: str, number: int = number) -> None:
                bar.update(1000 * number + 1000 * done // total - bar.pos)

            yield job, progress
