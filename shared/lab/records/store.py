"""The rows of an experiment on disk: append-only, resumable, with artefacts named by their content."""

import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from shared.lab.records.identity import hash_bytes
from shared.lab.records.json_log import JsonLog, write_atomic


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
        data = self.artefact_path(sha256).read_bytes()
        if hash_bytes(data) != sha256:
            raise ValueError(f"{self.artefact_path(sha256)} is not what was stored: its SHA-256 is {hash_bytes(data)}")
        return data

    def artefact_path(self, sha256: str) -> Path:
        """Where the bytes with this hash lie."""
        return self.folder / "artefacts" / sha256[:2] / sha256

    def steps(self, id: str) -> JsonLog:
        """Finished steps of the unfinished cell `id`."""
        return JsonLog(self._steps_path(id), key="key")

    def put_step(self, id: str, data: bytes) -> str:
        """Keep `data` under its SHA-256, which is returned, until the cell `id` is finished."""
        sha256 = hash_bytes(data)
        write_atomic(self._step_files(id) / sha256, data)
        return sha256

    def get_step(self, id: str, sha256: str) -> bytes:
        """What `put_step` has kept; raises FileNotFoundError without it."""
        return (self._step_files(id) / sha256).read_bytes()

    def _step_files(self, id: str) -> Path:
        return self.folder / "steps" / id

    def _steps_path(self, id: str) -> Path:
        return self.folder / "steps" / f"{id}.jsonl"

    def _row(self, record: dict[str, Any]) -> Row:
        try:
            return Row(**record)
        except TypeError as error:
            raise ValueError(f"{self._rows.path}: row {str(record['id'])[:12]} is not a row: {error}") from None
