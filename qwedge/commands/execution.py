"""What the verbs `run`, `noise` and `synth` share: an experiment is run, its page written, its tables printed."""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from qwedge.catalogue import extra_named, load
from qwedge.commands.answers import Answer, Question, keep, named_files, recall
from qwedge.commands.files_read import files_read
from qwedge.commands.interrupts import exit_code
from qwedge.commands.ranks import compute_share, rank_and_count

if TYPE_CHECKING:
    from shared.lab import Engine, Experiment, Page, Row, Store

# What reading a result raises where it is not of the shape that the experiment writes.
_MISREAD = (ArithmeticError, AttributeError, LookupError, TypeError)

PAGE: Final = "index.html"

Files = Callable[[Sequence["Row"], "Store"], Mapping[str, Sequence[Path]]]
"""Writes files that a verb gives beside the page, and names them by kind."""

as_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
quiet_option = click.option("--quiet", is_flag=True, help="No progress on stderr.")
workers_option = click.option(
    "--workers",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Cells computed at once, each in a process of its own.",
)


def execute(
    name: str,
    assignments: Sequence[str],
    *,
    config: Path | None = None,
    seed: int | None = None,
    out: Path | None = None,
    engine: "Engine | None" = None,
    workers: int = 1,
    files: Files | None = None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Run experiment `name` with these settings, write OUT/index.html, and print its tables, or JSON.

    Exits with 130 when interrupted, 143 by SIGTERM: finished rows are in OUT, and the same command goes on.
    """
    from shared.lab import Store
    from shared.lab.running.runner import print_existing

    store = Store(out or Path("runs") / (load(name).name if ":" in name else name))
    question = Question(name, assignments, config, seed, store.folder)
    answer = recall(question, store)
    if answer is not None and rank_and_count()[0]:
        return  # the first process shows it
    if answer is None:
        answer = _worked_out(question, store, engine, workers, files, quiet)
    elif not quiet:
        print_existing(answer.rows, store)
    page = str(store.folder / PAGE)
    if as_json:
        named = {kind: list(map(str, paths)) for kind, paths in answer.written.items()}
        return print_json({"page": page, **named, "rows": [row.to_json_data() for row in answer.rows]})
    from shared.lab import print_page

    print_page(answer.page)
    click.echo(f"page: {page}", err=True)
    for kind, paths in answer.written.items():
        click.echo(f"{kind}: {', '.join(map(str, paths))}", err=True)


def _worked_out(
    question: Question, store: "Store", engine: "Engine | None", workers: int, files: Files | None, quiet: bool
) -> Answer:
    """The answer, after its missing rows are computed; page and files are written, and the answer is kept."""
    name = question.name
    experiment = load(name)
    from shared.lab import Processes, cell_id, read_settings
    from shared.lab import run as run_cells

    if workers > 1:
        engine = Processes(workers)
    try:
        with extra_named(name):
            with files_read() as read:
                settings = read_settings(experiment.settings, question.config, question.assignments, question.seed)
                cells = experiment.cells(settings)
                for cell in cells:
                    cell_id(experiment, cell)
            if rank_and_count()[1] > 1:
                compute_share(experiment, cells, store, quiet=quiet, invocation=f"qwedge run {name}")
            rows = run_cells(experiment, cells, store, engine=engine, quiet=quiet, invocation=f"qwedge run {name}")
            page = page_of(experiment, rows)
            written = files(rows, store) if files else {}
    except KeyboardInterrupt as interrupt:
        kept = len(store.rows(experiment.name))
        click.echo(f"qwedge: interrupted; {kept} rows are safe in {store.folder}, the same command goes on", err=True)
        sys.exit(exit_code(interrupt))
    answer = Answer(page, rows, written)
    keep(question, answer, read | named_files(cells), write_page(page, rows, store))
    return answer


def page_of(experiment: "Experiment[Any]", rows: "Sequence[Row]") -> "Page":
    """The page of stored rows; raises ValueError with the row where one is not what the experiment writes."""
    try:
        return experiment.page(rows)
    except _MISREAD as error:
        alone = (row for row in rows if not _makes_a_page(experiment, row))
        culprit = next(alone, rows[0])
        raise ValueError(
            f"row {culprit.id[:12]} is not a row of {experiment.name} version {experiment.version}: "
            f"{type(error).__name__}: {error}; restore or delete its line, or see --debug"
        ) from error


def _makes_a_page(experiment: "Experiment[Any]", row: "Row") -> bool:
    try:
        experiment.page([row])
    except _MISREAD:
        return False
    return True


def write_page(page: "Page", rows: "Sequence[Row]", store: "Store") -> Path:
    """Write `page` as HTML into the store's folder; its path."""
    from shared.lab import render, write_atomic

    path = store.folder / PAGE
    write_atomic(path, render(page, rows, store).encode(errors="backslashreplace"))
    return path


def print_json(data: Any) -> None:
    from shared.lab import printable

    click.echo(printable(json.dumps(data, indent=2, ensure_ascii=False)))


def assignment(key: str, value: Any) -> str:
    """`key=value` as `--set` reads it."""
    return f"{key}={'none' if value is None else json.dumps(value)}"
