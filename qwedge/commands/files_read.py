"""Which files a piece of code reads."""

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from sysconfig import get_path
from typing import Any, Final

from qwedge.commands.code_state import package_folders

_READING: Final = ("open", "os.listdir", "os.scandir")
_watching: list[set[str]] = []


@contextmanager
def files_read() -> Iterator[set[str]]:
    """Collects the absolute paths of the files and folders that Python opens or lists while the block runs.

    Without those of imports and of the system's own state. By an audit hook (PEP 578): what compiled code opens by
    itself is not noticed.
    """
    _hook()
    paths: set[str] = set()
    _watching.append(paths)
    try:
        yield paths
    finally:
        _watching.remove(paths)


def stamp(path: str | Path) -> list[int] | None:
    """What changes when `path` is written, replaced or, for a folder, loses or gains an entry; None where it is not."""
    with suppress(OSError, ValueError):
        state = os.stat(path)
        if stat.S_ISREG(state.st_mode) or stat.S_ISDIR(state.st_mode):
            return [state.st_mtime_ns, state.st_size, state.st_ino]
    return None


@cache
def _hook() -> None:
    sys.addaudithook(_notice)


def _notice(event: str, arguments: tuple[Any, ...]) -> None:
    # The hook sees every event of the process and can never be taken off.
    if _watching and event in _READING and isinstance(arguments[0], str | bytes | os.PathLike):
        for paths in _watching:
            path = os.path.abspath(os.fsdecode(arguments[0]))
            if not path.startswith(_code_and_system()) and path not in map(os.path.abspath, sys.path):
                paths.add(path)


@cache
def _code_and_system() -> tuple[str, ...]:
    places = {get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    return (*(f"{place}/" for place in {*places, *map(str, package_folders())}), "/proc/", "/sys/", "/dev/")
