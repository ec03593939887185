"""Runs of tools in one folder that are not repeated: outputs of the same inputs are reused.

A tool on a full disk may cut its output short and report success, so an output counts only when the folder could take
as much again. Outputs are written aside and renamed; the record of a stage, which names the hashes of what went in and
what came out, is written last.
"""

import json
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from fpga import tools
from shared.lab.records.json_log import write_atomic

OUT: Final = "@out"
"""Stands in a stage's arguments for the folder to which it writes."""


@dataclass(frozen=True)
class Stage:
    """One run of a tool: its files, by name, lie in the folder in which it runs."""

    name: str
    tool: str
    arguments: tuple[str, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def run_stages(stages: Sequence[Stage], folder: Path, progress: tools.Progress | None = None) -> dict[str, float]:
    """Runs, side by side, the stages whose outputs are not there already; the seconds that each took when it ran.

    Raises `fpga.tools.ToolError` with the words of a tool that failed, and `OSError` when the disk is full.
    """
    with ExitStack() as stack:
        running = {stage: stack.enter_context(_begun(stage, folder)) for stage in stages if not _record(stage, folder)}
        while running:
            for stage, run in list(running.items()):
                if run.done():
                    _finish(stage, folder, time.monotonic() - run.began)
                    del running[stage]
                elif progress is not None and (line := run.last_line()):
                    progress(f"{stage.name}: {line}")
            for run in running.values():
                run.pause()
    return {stage.name: float(_record(stage, folder)["seconds"]) for stage in stages}


@contextmanager
def _begun(stage: Stage, folder: Path) -> Iterator[tools.Running]:
    """The stage while it runs; what it leaves unfinished is cleared away."""
    aside = _aside(stage, folder)
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()
    arguments = [argument.replace(OUT, aside.name) for argument in stage.arguments]
    try:
        with tools.start(stage.tool, arguments, folder, log=f"{stage.name}.log") as running:
            yield running
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _finish(stage: Stage, folder: Path, seconds: float) -> None:
    """Takes over the outputs of a stage that ended well."""
    aside = _aside(stage, folder)
    for name in stage.outputs:
        if not (aside / name).exists():
            raise OSError(f"{stage.tool} ended without writing {name}; its log is {folder / f'{stage.name}.log'}")
    # One byte more than the largest: a limit that cut it has been reached, and a full disk takes none.
    _need_room(aside, 1 + max((aside / name).stat().st_size for name in stage.outputs))
    for name in stage.outputs:
        os.replace(aside / name, folder / name)
    record = {"inputs": _identity(stage, folder), "outputs": _hashes(stage.outputs, folder), "seconds": seconds}
    write_atomic(_record_path(stage, folder), json.dumps(record, indent=1).encode())


def _need_room(folder: Path, size: int) -> None:
    """Raises `OSError` unless `folder` could take a file of `size` bytes more."""
    path = folder / "room"
    with open(path, "wb") as file:
        try:
            os.posix_fallocate(file.fileno(), 0, size)
        except OSError as error:
            raise OSError(f"{folder.parent} has no room for {size} bytes more: a file may be cut short") from error
    path.unlink()


def _record(stage: Stage, folder: Path) -> dict[str, Any]:
    """The record of a run with these inputs whose outputs are unchanged; empty if there is none."""
    try:
        record = json.loads(_record_path(stage, folder).read_text())
        whole = isinstance(record, dict) and record["inputs"] == _identity(stage, folder)
        return record if whole and record["outputs"] == _hashes(stage.outputs, folder) else {}
    except (OSError, ValueError, KeyError):
        return {}


def _identity(stage: Stage, folder: Path) -> dict[str, Any]:
    """Everything that the outputs depend on, as JSON data."""
    identity = {**asdict(stage), "version": tools.version(stage.tool), "inputs": _hashes(stage.inputs, folder)}
    return dict(json.loads(json.dumps(identity)))


def _hashes(names: Sequence[str], folder: Path) -> dict[str, str]:
    return {name: sha256((folder / name).read_bytes()).hexdigest() for name in names}


def _record_path(stage: Stage, folder: Path) -> Path:
    return folder / f"{stage.name}.stage.json"


def _aside(stage: Stage, folder: Path) -> Path:
    return folder / f".{stage.name}.{os.getpid()}"
