"""Runs an experiment's cells and keeps their rows: what is there is not computed again."""

import sys
from collections.abc import Sequence
from contextlib import closing
from typing import TypeVar

from shared.lab.records.printable import printable
from shared.lab.records.provenance import provenance
from shared.lab.records.settings import Settings, command_line
from shared.lab.records.store import Row, Store
from shared.lab.running.engine import Engine, Job, Local
from shared.lab.running.experiment import Experiment, cell_id
from shared.lab.running.progress import ProgressDisplay

S = TypeVar("S", bound=Settings)


def run(
    experiment: Experiment[S],
    cells: Sequence[S],
    store: Store,
    *,
    engine: Engine | None = None,
    quiet: bool = True,
    invocation: str = "",
) -> list[Row]:
    """The rows of `cells`, in their order; those not yet in `store` are computed and appended as they finish.

    Stopped at any moment, even by kill -9, the same call goes on where it was. `invocation` is how a row's command
    begins, by default `qwedge run NAME`. Raises ValueError if a cell does not ask for itself alone.
    """
    invocation = invocation or f"qwedge run {experiment.name}"
    for cell in cells:
        if list(experiment.cells(cell)) != [cell]:
            raise ValueError(
                f"{experiment.name}.cells must give [cell] for a cell of its own, so that it has a command: {cell!r}"
            )
    jobs = {}
    for cell in cells:
        id = cell_id(experiment, cell)
        jobs[id] = Job(experiment, cell, id, command_line(invocation, cell))
    rows = {row.id: row for row in store.rows(experiment.name) if row.id in jobs}
    missing = [job for job in jobs.values() if job.id not in rows]
    if not quiet:
        print_existing(list(rows.values()), store)
    if not missing:
        return [rows[id] for id in jobs]
    store.require_writable()
    with ProgressDisplay(experiment.name, len(jobs), quiet=quiet) as display:
        display.finish(len(rows))
        # Closed whatever happens, so that an engine ends what it has started.
        with closing((engine or Local()).map(missing, store, display.step)) as finished:
            for row in finished:
                store.append(row)
                rows[row.id] = row
                display.finish()
    return [rows[id] for id in jobs]


def print_existing(rows: Sequence[Row], store: Store) -> None:
    """Say on stderr how many rows are there, and which code they are of where it is not the code here.

    Rows of other code are kept, for `version` says that results are the same; a reader should know.
    """
    if not rows:
        return
    print(f"{len(rows)} of the rows are already in {store.folder}", file=sys.stderr)
    now = provenance("")["commit"]
    if others := {row.provenance.get("commit") for row in rows} - {now}:
        commits = ", ".join(str(commit)[:10] for commit in sorted(map(str, others)))
        line = f"  computed by commit {commits}; the code here is at {str(now)[:10]}"
        print(printable(line), file=sys.stderr)
