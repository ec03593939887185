"""The engine that spreads cells over a Ray cluster."""

import json
import socket
import sys
import tempfile
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.lab.records.os_errors import os_error_text
from shared.lab.records.store import Row, Store
from shared.lab.running.context import Progress
from shared.lab.running.engine import Job, compute


@dataclass(frozen=True)
class Ray:
    """Spreads cells over the Ray cluster at `address`, or over a local one started for this run.

    The package and the experiment's module must be importable on the nodes, from where they are here or installed.
    Rows and artefacts come back to this machine; steps of a cell survive a kill where the nodes see the store's folder.
    """

    address: str = ""

    def map(self, jobs: Sequence[Job], store: Store, progress: Progress) -> Generator[Row, None, None]:
        ray = _import_ray()
        with _connected(ray, self.address):
            store.folder.mkdir(parents=True, exist_ok=True)
            try:
                yield from self._map(ray, jobs, store)
            finally:
                with suppress(OSError):  # a folder that holds nothing was created above in vain
                    store.folder.rmdir()

    def _map(self, ray: Any, jobs: Sequence[Job], store: Store) -> Iterator[Row]:
        remote = ray.remote(num_cpus=1)(_compute_on_node)
        waiting = [remote.remote(job.to_json(), str(store.folder.resolve()), sys.path) for job in jobs]
        while waiting:
            [done], waiting = ray.wait(waiting, num_returns=1)
            row, artefacts = _get(ray, done)
            for data in artefacts:
                store.put(data)
            yield Row.from_json_data(json.loads(row))


def _compute_on_node(job: str, folder: str, path: list[str]) -> tuple[str, list[bytes]]:
    """The row as JSON text and its artefacts' bytes; `path` is where the caller finds modules."""
    sys.path += [place for place in path if place not in sys.path]
    with tempfile.TemporaryDirectory() as scratch:
        store = Store(folder if Path(folder).is_dir() else scratch)
        row = compute(Job.from_json(job), store, lambda done, total, note: None)
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
        raise ValueError(f"--address {address}: no Ray cluster answers there: {os_error_text(error)}") from None
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
        raise ModuleNotFoundError("`--engine ray` needs ray: pip install -e '.[ray]'", name=error.name) from None
    return ray
