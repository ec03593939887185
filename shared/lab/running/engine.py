"""What an engine computes: cells, each a job of its own, here in this process one after the other."""

import importlib
import json
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from shared.lab.records.identity import to_json_data
from shared.lab.records.provenance import provenance
from shared.lab.records.settings import Settings
from shared.lab.records.store import Row, Store
from shared.lab.running.context import Context, Progress
from shared.lab.running.experiment import Experiment
from shared.lab.running.threads import one_thread


@dataclass(frozen=True)
class Job:
    """One cell to compute: the experiment, its settings, the id of its row and the command that makes it."""

    experiment: Experiment[Any]
    cell: Settings
    id: str
    command: str

    def to_json(self) -> str:
        """The job as text for another process, which finds the experiment by its module and class."""
        kind = type(self.experiment)
        reference = f"{kind.__module__}:{kind.__qualname__}"
        return json.dumps([reference, self.cell.to_json_data(), self.id, self.command])

    @staticmethod
    def from_json(text: str) -> "Job":
        """The job of `to_json`, where the experiment's module can be imported."""
        reference, settings, id, command = json.loads(text)
        experiment = load_experiment(reference)
        return Job(experiment, experiment.settings.model_validate(settings), id, command)


class Engine(Protocol):
    """Computes jobs, each independent of the others, and yields the rows as they are finished, in any order."""

    def map(self, jobs: Sequence[Job], store: Store, progress: Progress) -> Generator[Row, None, None]: ...


class Local:
    """Computes in this process, one cell after the other."""

    def map(self, jobs: Sequence[Job], store: Store, progress: Progress) -> Generator[Row, None, None]:
        for job in jobs:
            yield compute(job, store, progress)


def compute(job: Job, store: Store, progress: Progress) -> Row:
    """The row of one job: runs the experiment on one thread and measures wall and CPU time (s) around it.

    The times of attempts that were stopped are added, up to the last step that each of them finished.
    """
    one_thread()
    context = Context(store, job.id, job.cell.seed, progress)
    started = datetime.now(UTC)
    try:
        result = to_json_data(job.experiment.run(job.cell, context), "result")
    except FileNotFoundError:
        # Another process may have finished the cell meanwhile, and dropped its steps from under this one.
        if rows := [row for row in store.rows() if row.id == job.id]:
            return rows[0]
        raise
    wall_s, cpu_s = context.spent
    spent = {
        "started": started.isoformat(timespec="seconds"),
        "wall_s": wall_s,
        "cpu_s": cpu_s,
        "resumed_steps": context.resumed,
    }
    return Row(
        id=job.id,
        experiment=job.experiment.name,
        version=job.experiment.version,
        settings=job.cell.to_json_data(),
        seed=job.cell.seed,
        result=result,
        artefacts=context.artefacts,
        provenance={**provenance(job.command), **spent},
    )


def load_experiment(reference: str) -> Experiment[Any]:
    """The experiment whose class, or whose instance, stands at `module:Name`; nothing else there is called.

    Raises ValueError for anything else, ImportError where there is no such module.
    """
    module, _, name = reference.partition(":")
    kind = getattr(importlib.import_module(module), name)
    if isinstance(kind, Experiment):
        return kind
    if not (isinstance(kind, type) and issubclass(kind, Experiment)):
        raise ValueError(f"{reference} is not a subclass of shared.lab.Experiment")
    attributes = [name for name in ("name", "settings", "version") if not hasattr(kind, name)]
    if missing := [*attributes, *sorted(kind.__abstractmethods__)]:
        raise ValueError(f"{reference} does not define {' and '.join(missing)}, which every experiment needs")
    experiment: Experiment[Any] = kind()
    return experiment
