"""What the verbs `run`, `noise` and `synth` share: an experiment is run, its page written, its tables printed."""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qwedge.catalogue import extra_named, load
from qwedge.commands.interrupts import exit_code

if TYPE_CHECKING:
    from shared.lab import Engine, Experiment, Page, Row, Store

# What reading a result raises where it is not of the shape that the experiment writes.
_MISREAD = (ArithmeticError, AttributeError, LookupError, TypeError)

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
    experiment = load(name)
    from shared.lab import Processes, Store, print_page, read_settings
    from shared.lab import run as run_cells

    store = Store(out or Path("runs") / experiment.name)
    if workers > 1:
        engine = Processes(workers)
    try:
        with extra_named(name):
            cells = experiment.cells(read_settings(experiment.settings, config, assignments, seed))
            rows = run_cells(experiment, cells, store, engine=engine, quiet=quiet, invocation=f"qwedge run {name}")
            page = page_of(experiment, rows)
            written = files(rows, store) if files else {}
    except KeyboardInterrupt as interrupt:
        kept = len(store.rows(experiment.name))
        click.echo(f"qwedge: interrupted; {kept} rows are safe in {store.folder}, the same command goes on", err=True)
        sys.exit(exit_code(interrupt))
    path = write_page(page, rows, store)
    if as_json:
        named = {kind: list(map(str, paths)) for kind, paths in written.items()}
        return print_json({"page": str(path), **named, "rows": [row.to_json_data() for row in rows]})
    print_page(page)
    click.echo(f"page: {path}", err=True)
    for kind, paths in written.items():
        click.echo(f"{kind}: {', '.join(map(str, paths))}", err=True)


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

    path = store.folder / "index.html"
    write_atomic(path, render(page, rows, store).encode(errors="backslashreplace"))
    return path


def print_json(data: Any) -> None:
    from shared.lab import printable

    click.echo(printable(json.dumps(data, indent=2, ensure_ascii=False)))


def assignment(key: str, value: Any) -> str:
    """`key=value` as `--set` reads it."""
    return f"{key}={'none' if value is None else json.dumps(value)}"
