"""An append-only file of JSON objects, one a line, that survives kill -9 and a second writer."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from shared.lab.records.identity import canonical


class JsonLog:
    """Records in `path`, each identified by its field `key`; nothing exists on disk before the first append.

    A record is on disk when `append` returns (fsync). A last line without its newline is what a killed writer
    leaves behind: `read` ignores it and the next `append` cuts it off.
    """

    def __init__(self, path: Path, key: str) -> None:
        self.path, self.key = path, key
        self._records: dict[str, dict[str, Any]] = {}
        self._end = 0
        self._last = b""

    def read(self) -> list[dict[str, Any]]:
        """All whole records, in the order they were appended; raises ValueError for a line that is not one."""
        if self.path.exists():
            with open(self.path, "rb") as file:
                self._catch_up(file)
        return list(self._records.values())

    def append(self, record: dict[str, Any]) -> bool:
        """Add `record` unless one with its key is there; True if it was added."""
        # Canonical JSON has no newline inside, so a newline always ends a whole record.
        line = canonical(record).encode() + b"\n"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with open(self.path, "a+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            self._catch_up(file)
            file.truncate(self._end)
            if record[self.key] in self._records:
                return False
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
            _sync_folder(self.path.parent)
            self._catch_up(file)
        return True

    def _catch_up(self, file: BinaryIO) -> None:
        """Read what was appended, here or by another process, since the last look."""
        # Another file may stand here by now, of any length: the old one was removed, and a slower writer began again.
        file.seek(self._end - len(self._last))
        if file.read(len(self._last)) != self._last:
            self._records, self._end, self._last = {}, 0, b""
            file.seek(0)
        unread = file.read()
        whole = unread[: unread.rfind(b"\n") + 1]
        lines = whole.splitlines(keepends=True)
        for line in lines:
            record = self._parse(line)
            self._records.setdefault(record[self.key], record)
        self._end += len(whole)
        self._last = lines[-1] if lines else self._last

    def _parse(self, line: bytes) -> dict[str, Any]:
        try:
            record = json.loads(line, parse_constant=_refuse)
        except (ValueError, RecursionError):
            record = None
        if not isinstance(record, dict) or not isinstance(record.get(self.key), str | int):
            shown = line[:40].decode(errors="replace")
            raise ValueError(
                f"{self.path} has a line that is not a record with `{self.key}`: {shown!r}; restore or delete that line"
            )
        return record


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def write_atomic(path: Path, data: bytes) -> None:
    """Write `data` to `path` so that a reader or a crash sees the old file or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    with _removed_on_failure(aside, path):
        with open(aside, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    _sync_folder(path.parent)


@contextmanager
def _removed_on_failure(aside: Path, path: Path) -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        aside.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(path)  # a full disk names no file
        raise


def _sync_folder(folder: Path) -> None:
    """Make a new or renamed entry of `folder` survive a power cut (fsync of the file alone does not)."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
