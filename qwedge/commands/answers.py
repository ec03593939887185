"""What a run has answered, kept so that asking the same again loads no framework.

An answer holds while nothing that it depends on has changed: the question, our code and the packages, the files that
tell its cells apart, the rows, and the files that it has written.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from qwedge.commands.code_state import code_state
from qwedge.commands.files_read import stamp

if TYPE_CHECKING:
    from shared.lab import Page, Row, Settings, Store


class Answer(NamedTuple):
    """What a verb prints: the page without its drawings, its rows, and the files beside the page by kind."""

    page: "Page"
    rows: "Sequence[Row]"
    written: Mapping[str, Sequence[Path]]


@dataclass(frozen=True)
class Question:
    """The words of a command that runs an experiment."""

    name: str
    assignments: Sequence[str]
    config: Path | None
    seed: int | None
    folder: Path

    @property
    def watched(self) -> bool:
        """Whether the experiment is one of ours; what a user's own depends on is not known."""
        return ":" not in self.name

    def path(self) -> Path:
        """Where the answer is kept."""
        from shared.lab import cache_folder, canonical, hash_bytes

        config = self.config.read_text() if self.config else None
        words = [self.name, list(self.assignments), config, self.seed]
        variables = {name: value for name, value in os.environ.items() if name.startswith("QWEDGE_")}
        places = [str(self.folder.absolute()), str(Path.cwd())]
        about = canonical([words, variables, places])
        return cache_folder() / "answers" / f"{hash_bytes(about.encode())[:32]}.json"


def recall(question: Question, store: "Store") -> Answer | None:
    """The answer to `question` if one was kept and still holds."""
    from shared.lab.pages.printed import printed_page

    if not question.watched:
        return None
    # Whatever is wrong with the file, the store or the configuration: working the answer out will say it.
    with suppress(OSError, ValueError, LookupError, TypeError, AttributeError):
        kept = json.loads(question.path().read_bytes())
        rows_by_id = {row.id: row for row in store.rows()}
        rows = [rows_by_id[id] for id in kept["ids"]]
        unchanged = all(stamp(path) == state for path, state in kept["files"].items())
        if unchanged and kept["code"] == code_state() and kept["rows"] == _hash(rows):
            written = {kind: list(map(Path, paths)) for kind, paths in kept["written"].items()}
            return Answer(printed_page(kept["page"]), rows, written)
    return None


def keep(question: Question, answer: Answer, read: Iterable[str], page: Path) -> None:
    """Keep `answer`, which depends on the files `read` and is written at `page`."""
    from shared.lab import write_atomic
    from shared.lab.pages.printed import printed_data

    if not question.watched:
        return
    files = {*read, str(page), *(str(path) for paths in answer.written.values() for path in paths)}
    # Without a cache, or with an infinity on the page, it only takes longer.
    with suppress(OSError, ValueError):
        data = {
            "code": code_state(),
            "files": {path: stamp(path) for path in sorted(files)},
            "ids": [row.id for row in answer.rows],
            "rows": _hash(answer.rows),
            "written": {kind: list(map(str, paths)) for kind, paths in answer.written.items()},
            "page": printed_data(answer.page),
        }
        write_atomic(question.path(), json.dumps(data).encode())


def named_files(cells: "Iterable[Settings]") -> set[str]:
    """Every text of the settings as a path, whether there is such a file or may come to be; a net's spec beside it."""
    texts = {text for cell in cells for text in _texts(cell.to_json_data()) if text and "\0" not in text}
    return texts | {str(Path(text).with_suffix(".json")) for text in texts if Path(text).name}


def _texts(data: Any) -> Iterator[str]:
    match data:
        case str():
            yield data
        case list():
            for entry in data:
                yield from _texts(entry)
        case dict():
            yield from _texts(list(data.values()))


def _hash(rows: "Sequence[Row]") -> str:
    from shared.lab import canonical, hash_bytes

    return hash_bytes(canonical([row.to_json_data() for row in rows]).encode())
