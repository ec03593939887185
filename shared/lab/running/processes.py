"""The engine that spreads cells over worker processes of this machine."""

import json
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any, Final

from shared.lab.records.os_errors import os_error_text
from shared.lab.records.store import Row, Store
from shared.lab.running.context import Progress
from shared.lab.running.engine import Job, compute

# A fork would copy the threads' locks of NumPy, torch and numba in whatever state they are.
_SPAWN: Final = multiprocessing.get_context("spawn")
_SECONDS_BETWEEN_NOTES: Final = 0.2
_SECONDS_TO_END: Final = 5.0

# What the command line shows in one line; from a worker it must read as it does here.
_SHOWN: Final = (ValueError, ModuleNotFoundError, OSError)


@dataclass(frozen=True)
class Processes:
    """Computes as many cells at once as there are `workers`, each in a process of its own; rows equal those of `Local`.

    The experiment's module must be importable, and a script that uses this engine needs the usual
    `if __name__ == "__main__":`. Jobs and rows travel as JSON text; artefacts and steps are written where they belong
    by the worker itself.
    """

    workers: int

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise ValueError(f"workers={self.workers}: needs at least 1")

    def map(self, jobs: Sequence[Job], store: Store, progress: Progress) -> Generator[Row, None, None]:
        waiting = list(reversed(jobs))
        workers = _started(min(self.workers, len(jobs)), str(store.folder.absolute()))
        try:
            for worker in workers:
                worker.begin(waiting.pop())
            while busy := [worker for worker in workers if worker.job is not None]:
                for connection in wait([worker.connection for worker in busy]):
                    worker = next(worker for worker in busy if worker.connection is connection)
                    row = worker.receive()
                    if row is None:
                        progress(*_joined([worker.note for worker in busy if worker.note]))
                        continue
                    if waiting:
                        worker.begin(waiting.pop())
                    yield row
        finally:
            _end(workers)


@dataclass
class _Worker:
    """A process, the pipe to it, the job it computes, and the last note on its progress."""

    process: SpawnProcess
    connection: Connection
    job: Job | None = None
    note: list[Any] = field(default_factory=list)

    def begin(self, job: Job) -> None:
        self.job, self.note = job, []
        with suppress(BrokenPipeError):  # `receive` says how the process ended
            self.connection.send_bytes(job.to_json().encode())

    def receive(self) -> Row | None:
        """The finished row, or None for a note; raises the cell's own error."""
        try:
            kind, data = json.loads(self.connection.recv_bytes())
        except (EOFError, ConnectionResetError):
            self.process.join(_SECONDS_TO_END)
            raise ChildProcessError(
                f"a worker process ended with exit code {self.process.exitcode} in the middle of a cell: if memory is "
                "short, use fewer workers; finished rows are safe, the same command goes on"
            ) from None
        if kind == "note":
            self.note = data
            return None
        if kind == "error":
            raise _error(**data)
        self.job = None
        return Row.from_json_data(data)


def _started(count: int, folder: str) -> list[_Worker]:
    workers = []
    with _interrupts_ignored():
        for _ in range(count):
            here, there = _SPAWN.Pipe()
            process = _SPAWN.Process(target=_serve, args=(there, folder), daemon=True)
            process.start()
            there.close()
            workers.append(_Worker(process, here))
    return workers


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """Children inherit that Ctrl-C, which a terminal sends to all of them, is left to this process."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _joined(notes: Sequence[Sequence[Any]]) -> tuple[int, int, str]:
    """The progress of all workers as one: parts added up, and each worker's own note."""
    done, total = (sum(note[k] for note in notes) for k in (0, 1))
    return done, total, "; ".join(f"{note} {part}/{parts}" for part, parts, note in notes)


def _end(workers: Sequence[_Worker]) -> None:
    """End all workers, busy or not: a finished step of a cell is on disk, so nothing is lost."""
    for worker in workers:
        worker.process.terminate()
    deadline = time.monotonic() + _SECONDS_TO_END
    for worker in workers:
        worker.process.join(max(deadline - time.monotonic(), 0))
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()
        worker.connection.close()


def _error(kind: str, message: str, name: str | None, trace: str) -> Exception:
    if kind == "ModuleNotFoundError":
        return ModuleNotFoundError(message, name=name)
    shown = {"ValueError": ValueError, "OSError": OSError}
    return shown[kind](message) if kind in shown else RuntimeError(f"in a worker process:\n{trace}")


def _serve(connection: Connection, folder: str) -> None:
    """A worker: computes one job after the other until the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # An exception, unlike the signal's default, lets a cell end the tools that it has started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    threading.Thread(target=_end_with_parent, daemon=True).start()

    def send(kind: str, data: Any) -> None:
        with suppress(BrokenPipeError):  # the other process was killed, and `_end_with_parent` will end this one
            connection.send_bytes(json.dumps([kind, data]).encode())

    while True:
        try:
            job = connection.recv_bytes().decode()
        except (EOFError, OSError):
            return
        try:
            row = compute(Job.from_json(job), Store(folder), _seldom(lambda *note: send("note", note)))
        except Exception as error:  # noqa: BLE001 - whatever it is, the other process must raise it
            shown = next((kind.__name__ for kind in _SHOWN if isinstance(error, kind)), "")
            name = getattr(error, "name", None)
            message = os_error_text(error) if isinstance(error, OSError) else str(error)
            send("error", {"kind": shown, "message": message, "name": name, "trace": traceback.format_exc()})
        else:
            send("row", row.to_json_data())


def _end_with_parent() -> None:
    """A worker whose parent was killed ends as well, with the tools that its cell has started."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_SECONDS_TO_END)
    os._exit(1)


def _seldom(show: Callable[[int, int, str], None]) -> Progress:
    """`show` at most every fifth of a second: progress must stay cheap enough for an inner loop."""
    last = 0.0

    def note(done: int, total: int, note: str) -> None:
        nonlocal last
        if time.monotonic() - last >= _SECONDS_BETWEEN_NOTES:
            last = time.monotonic()
            show(done, total, note)

    return note
