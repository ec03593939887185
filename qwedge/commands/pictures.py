"""What verbs that turn pictures into pictures share: which file becomes which, progress, and what is refused."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from shared.core.task import Progress
    from vision.data.picture import Picture

Job = tuple[Path, Path]
"""The file that is read, and the one that is written."""


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


def picture_jobs(source: Path, target: Path, overwrite: bool) -> list[Job]:
    """The files of a picture, or of all pictures of a folder.

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
        check_output(written, overwrite)
    return jobs


def convert(
    jobs: Sequence[Job],
    compute: "Callable[[Picture, Progress], Picture]",
    label: str,
    of_folder: bool,
    quiet: bool,
    scale: int = 1,
) -> tuple[list[Converted], list[str]]:
    """What was written, and the pictures of a folder that could not be; the only picture's error is raised.

    `compute` makes pictures `scale` times as large; what the format of a file cannot hold is refused before.
    """
    from vision.data.picture import check_format, read, write

    results, refused = list[Converted](), list[str]()
    for (source, target), progress in _shown(jobs, label, quiet):
        try:
            picture = read(source)
            check_format(picture, target, scale)
            began = time.perf_counter()
            result = compute(picture, progress)
            seconds = time.perf_counter() - began
            write(result, target)
        except ValueError as error:
            if not of_folder:
                raise
            refused.append(str(error))
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
    if refused:
        total = len(results) + len(refused)
        raise ValueError(f"{len(refused)} of {total} pictures could not be {participle}: {'; '.join(refused)}")


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
