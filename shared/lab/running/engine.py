"""Where cells are computed: in this process, or spread over a Ray cluster."""

import importlib
import json
import socket
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from shared.lab.records.identity import to_json_data
from shared.lab.records.provenance import provenance
from shared.lab.records.settings import Settings
from shared.lab.records.store import Row, Store
from shared.lab.running.context import Context, Progress
from shared.lab.running.experiment import Experiment


@dataclass(frozen=True)
class Job:
    """One cell to compute: the experiment, its settings, the id of its row and the command that makes it."""

    experiment: Experiment[Any]
    cell: Settings
    id: str
    command: str


class Engine(Protocol):
    """Computes jobs, each independent of the others, and yields the rows as they are finished, in any order."""

    def map(self, jobs: Sequence[Job], store: Store, progress: Progress) -> Iterator[Row]: ...


class Local:
    """Computes in this process, one cell after the other."""

    def map(self, jobs: Sequence[Job], store: Store, progress: Progress) -> Iterator[Row]:
        for job in jobs:
            yield compute(job, store, progress)


@dataclass(frozen=True)
class Ray:
    """Spreads cells over the Ray cluster at `address`, or over a local one started for this run.

    The package and the experiment's module must be importable on the nodes, from where they are here or installed.
    Rows and artefacts come back to this machine; steps of a cell survive a kill where the nodes see the store's folder.
    """

    address: str = ""

    def map(self, jobs: Sequence[Job], store: Store, progress: Progress) -> Iterator[Row]:
        ray = _import_ray()
        with _connected(ray, self.address):
            store.folder.mkdir(parents=True, exist_ok=True)
            try:
                yield from self._map(ray, jobs, store)
            finally:
                with suppress(OSError):  # a folder that holds nothing was made above, for nothing
                    store.folder.rmdir()

    def _map(self, ray: Any, jobs: Sequence[Job], store: Store) -> Iterator[Row]:
        remote = ray.remote(num_cpus=1)(_compute_elsewhere)
        waiting = [remote.remote(*_packed(job), str(store.folder.resolve()), sys.path) for job in jobs]
        while waiting:
            [done], waiting = ray.wait(waiting, num_returns=1)
            row, artefacts = _get(ray, done)
            for data in artefacts:
                store.put(data)
            yield Row(**json.loads(row))


def compute(job: Job, store: Store, progress: Progress) -> Row:
    """The row of one job: runs the experiment on the cell and measures wall and CPU time (s) around it."""
    context = Context(store, job.id, job.cell.seed, progress)
    started, wall, cpu = datetime.now(UTC), time.perf_counter(), time.process_time()
    result = to_json_data(job.experiment.run(job.cell, context), "result")
    spent = {
        "started": started.isoformat(timespec="seconds"),
        "wall_s": time.perf_counter() - wall,
        "cpu_s": time.process_time() - cpu,
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
    """An instance of the experiment class at `module:Class`. Raises ValueError for anything else that is there."""
    module, _, name = reference.partition(":")
    kind = getattr(importlib.import_module(module), name)
    if not (isinstance(kind, type) and issubclass(kind, Experiment)):
        raise ValueError(f"{reference} is not a subclass of shared.lab.Experiment")
    if missing := sorted(kind.__abstractmethods__):
        raise ValueError(f"{reference} does not define {' and '.join(missing)}, which every experiment needs")
    experiment: Experiment[Any] = kind()
    return experiment


def _packed(job: Job) -> tuple[str, str, str, str]:
    kind = type(job.experiment)
    return f"{kind.__module__}:{kind.__qualname__}", json.dumps(job.cell.to_json_data()), job.id, job.command


def _compute_elsewhere(
    reference: str, settings: str, id: str, command: str, folder: str, path: list[str]
) -> tuple[str, list[bytes]]:
    """Runs on a node: the row as JSON text and its artefacts' bytes; `path` is where the caller finds modules."""
    sys.path += [place for place in path if place not in sys.path]
    experiment = load_experiment(reference)
    job = Job(experiment, experiment.settings.model_validate(json.loads(settings)), id, command)
    with tempfile.TemporaryDirectory() as scratch:
        store = Store(folder if Path(folder).is_dir() else scratch)
        row = compute(job, store, lambda done, total, note: None)
        return json.dumps(row.to_json_data()), [store.get(sha256) for sha256 in row.artefacts.values()]


def _get(ray: Any, reference: Any) -> tuple[str, list[bytes]]:
    try:
        row, artefacts = ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        # A bad setting must read the same on every engine: the cell's own error, not Ray's wrapping.
        raise (error.cause or error) from None
    return row, artefacts


@contextmanager
def _connected(ray: Any, address: str) -> Iterator[None]:
    try:
        _check_answers(address)
        ray.init(address=address or "local", log_to_driver=False, configure_logging=False, include_dashboard=False)
    except OSError as error:
        raise ValueError(f"--address {address}: no Ray cluster answers there: {error}") from None
    try:
        yield
    finally:
        ray.shutdown()


def _check_answers(address: str) -> None:
    """Raise OSError at once where nothing listens: Ray itself would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if port.isdecimal():
        socket.create_connection((host, int(port)), timeout=5).close()


def _import_ray() -> Any:
    try:
        import ray
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("`--engine ray` needs ray: pip install 'qwedge[ray]'", name=error.name) from None
    return ray
