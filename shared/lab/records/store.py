"""The rows of an experiment on disk: append-only, resumable, with artefacts named by their content."""

import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from shared.lab.records.identity import hash_bytes
from shared.lab.records.json_log import JsonLog, write_atomic

# Letters, digits and marks that mean nothing to a file system: no folder, no hidden file, short enough for all of them.
_FILE_NAME: Final = re.compile(r"\w[\w .,+=@()-]{0,127}")
_OWN: Final = ("rows.jsonl", "index.html", "artefacts", "steps")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_FIELDS: Final = {
    **dict.fromkeys(("id", "experiment"), str),
    **dict.fromkeys(("version", "seed"), int),
    **dict.fromkeys(("settings", "result", "artefacts", "provenance"), dict),
}
# What every page reads of a provenance.
_ORIGIN: Final = {"command": str, "started": str, "cpu": str, "commit": (str, type(None)), "wall_s": (int, float)}


@dataclass(frozen=True)
class Row:
    """One finished cell: its settings, its result, and where and how it was computed.

    `id` is the SHA-256 of experiment, version, settings and data; `result` holds raw counts and numbers, never
    rates or intervals; `artefacts` maps a file name to the SHA-256 of its bytes.
    """

    id: str
    experiment: str
    version: int
    settings: dict[str, Any]
    seed: int
    result: dict[str, Any]
    artefacts: dict[str, str] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)

    @property
    def command(self) -> str:
        """The shell command that makes this row."""
        return str(self.provenance.get("command", ""))

    def to_json_data(self) -> dict[str, Any]:
        """The row as the JSON object that stands in `rows.jsonl`."""
        return asdict(self)

    @classmethod
    def from_json_data(cls, data: Mapping[str, Any]) -> Self:
        """The row of `to_json_data`, whoever wrote it; raises ValueError for what is not a whole row.

        An artefact whose name is more than the name of a file is refused: verbs write artefacts out under their names.
        """
        try:
            _check("", data, _FIELDS)
            _check("provenance.", data["provenance"], _ORIGIN)
            row = cls(**data)
            for name, sha256 in row.artefacts.items():
                check_artefact(name, sha256)
        except (TypeError, ValueError) as error:
            raise ValueError(f"row {str(data.get('id'))[:12]} is not a row: {error}") from None
        return row


def check_artefact(name: str, sha256: str) -> None:
    """Raise ValueError unless `name` is a plain file name and `sha256` a hash."""
    if not _FILE_NAME.fullmatch(name):
        raise ValueError(f"the artefact {name!r} needs a plain file name: letters, digits and marks, without a folder")
    if not (isinstance(sha256, str) and _SHA256.fullmatch(sha256)):
        raise ValueError(f"the artefact {name!r} needs a SHA-256 and has {str(sha256)[:80]!r}")


def _checked(path: Path, sha256: str) -> bytes:
    data = path.read_bytes()
    if hash_bytes(data) != sha256:
        raise ValueError(f"{path} is not what was stored: its SHA-256 is {hash_bytes(data)}")
    return data


def _check(place: str, data: Mapping[str, Any], kinds: Mapping[str, Any]) -> None:
    for name, kind in kinds.items():
        if name not in data:
            raise ValueError(f"`{place}{name}` is missing")
        if not isinstance(data[name], kind) or isinstance(data[name], bool):
            raise ValueError(f"`{place}{name}` is {str(data[name])[:40]!r}")


class Store:
    """A folder with `rows.jsonl`, `artefacts/` and, while a cell runs, `steps/`; created at the first write."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._rows = JsonLog(self.folder / "rows.jsonl", key="id")

    @classmethod
    def existing(cls, folder: str | Path) -> "Store":
        """The store in `folder`; raises FileNotFoundError where no row was ever written."""
        store = cls(folder)
        if not store.exists():
            raise FileNotFoundError(f"{folder} has no rows.jsonl; name a folder that `qwedge run --out` has written")
        return store

    def exists(self) -> bool:
        """Whether a row was ever written."""
        return self._rows.path.exists()

    def require_writable(self) -> None:
        """Raise OSError where no row could be kept, so that nothing is computed in vain; writes nothing."""
        place = next(place for place in (self.folder, *self.folder.absolute().parents) if os.path.lexists(place))
        if not place.is_dir():
            raise NotADirectoryError(f"{place}: not a directory, and rows are to be kept there")
        if not os.access(place, os.W_OK | os.X_OK):
            raise PermissionError(f"{place}: cannot be written, and rows are to be kept there")

    def rows(self, experiment: str | None = None) -> list[Row]:
        """All rows in the order they were finished, or those of one experiment.

        Raises ValueError for a line that is not a row.
        """
        rows = [self._row(record) for record in self._rows.read()]
        return [row for row in rows if experiment in (None, row.experiment)]

    def find(self, prefix: str) -> Row:
        """The row whose id begins with `prefix`; raises ValueError unless exactly one does."""
        rows = self.rows()
        matching = [row for row in rows if row.id.startswith(prefix)]
        if len(matching) != 1:
            count = f"{len(matching)} of the {len(rows)} rows in {self.folder}"
            raise ValueError(f"{count} have an id beginning with {prefix}; needs one")
        return matching[0]

    def append(self, row: Row) -> bool:
        """Add `row` for good and drop the steps kept for resuming it; False if a row of this id was there."""
        added = self._rows.append(row.to_json_data())
        self._steps_path(row.id).unlink(missing_ok=True)
        shutil.rmtree(self._step_files(row.id), ignore_errors=True)
        return added

    def put(self, data: bytes) -> str:
        """Keep `data` under its SHA-256, which is returned."""
        sha256 = hash_bytes(data)
        if not (path := self.artefact_path(sha256)).exists():
            write_atomic(path, data)
        return sha256

    def get(self, sha256: str) -> bytes:
        """The bytes kept under `sha256`; raises FileNotFoundError without them, ValueError if they changed on disk."""
        return _checked(self.artefact_path(sha256), sha256)

    def artefact_path(self, sha256: str) -> Path:
        """Where the bytes with this hash lie."""
        return self.folder / "artefacts" / sha256[:2] / sha256

    def write_out(self, row: Row) -> list[Path]:
        """The artefacts of `row` as files of the folder, under their names.

        Raises ValueError for a name that is more than a file's, or that the store needs itself.
        """
        for name, sha256 in row.artefacts.items():
            check_artefact(name, sha256)
            if name in _OWN:
                raise ValueError(f"row {row.id[:12]} has an artefact {name!r}, a name that the store needs itself")
        paths = {self.folder / name: sha256 for name, sha256 in row.artefacts.items()}
        for path, sha256 in paths.items():
            write_atomic(path, self.get(sha256))
        return list(paths)

    def steps(self, id: str) -> JsonLog:
        """Finished steps of the unfinished cell `id`."""
        return JsonLog(self._steps_path(id), key="key")

    def put_step(self, id: str, data: bytes) -> str:
        """Keep `data` under its SHA-256, which is returned, until the cell `id` is finished."""
        sha256 = hash_bytes(data)
        write_atomic(self._step_files(id) / sha256, data)
        return sha256

    def get_step(self, id: str, sha256: str) -> bytes:
        """What `put_step` has kept; raises FileNotFoundError without it, ValueError if it changed on disk."""
        return _checked(self._step_files(id) / sha256, sha256)

    def _step_files(self, id: str) -> Path:
        return self.folder / "steps" / id

    def _steps_path(self, id: str) -> Path:
        return self.folder / "steps" / f"{id}.jsonl"

    def _row(self, record: dict[str, Any]) -> Row:
        try:
            return Row.from_json_data(record)
        except ValueError as error:
            raise ValueError(f"{self._rows.path}: {error}; restore or delete that line") from None
