"""A net in a row of a store, as a file."""

import json
import re
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from shared.integer.files import KIND
from shared.lab import Row, Store

_NETS: Final = (".onnx", ".pt2", ".safetensors")
_ID: Final = re.compile("[0-9a-f]{1,64}")


@contextmanager
def net_file(model: str) -> Iterator[Path]:
    """The file that `model` names: its path, or `FOLDER[/ID[/NAME]]` for a net in a row of a store.

    `ID` is the beginning of a row's id, which a folder of one row does not need, and `NAME` one of its artefacts, which
    a row of one net does not need. The file is there while the block runs; errors inside name the model instead of it.

    Raises `FileNotFoundError` where there is neither file nor store, and `ValueError` where a row, or a net in it, has
    to be chosen, with the names of all.
    """
    path = Path(model)
    if path.is_file():
        yield path
        return
    place = next((each for each in (path, *path.parents) if (each / "rows.jsonl").is_file()), path)
    rest = path.relative_to(place).parts
    if not (place / "rows.jsonl").is_file() or (rest and not _ID.fullmatch(rest[0])):
        if path.is_dir():
            raise IsADirectoryError(
                f"{model} is a folder without rows: name a net, or a folder that `qwedge run` has written"
            )
        raise FileNotFoundError(f"{model}: no such file, and no row of a store")
    store = Store(place)
    row = _row(store, rest[0] if rest else "")
    nets = _nets(store, row)
    name = _chosen(f"{place}/{row.id[:12]}", nets, "/".join(rest[1:]))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / name
        for artefact in {name, f"{file.stem}.json"} & set(row.artefacts):  # layers stand beside weights
            (Path(folder) / artefact).write_bytes(store.get(row.artefacts[artefact]))
        try:
            yield file
        except ValueError as error:
            raise ValueError(str(error).replace(str(file), f"{place}/{row.id[:12]}/{name}")) from error


def _row(store: Store, prefix: str) -> Row:
    rows = store.rows()
    if prefix or len(rows) == 1:
        return store.find(prefix)
    ids = ", ".join(f"{row.id[:12]} ({row.experiment})" for row in rows[:8])
    more = f" and {len(rows) - 8} more" if len(rows) > 8 else ""
    raise ValueError(f"{store.folder} has {len(rows)} rows: name one, as {store.folder}/ID, of {ids}{more}")


def _nets(store: Store, row: Row) -> list[str]:
    """Those of its artefacts that are nets."""
    return [
        name
        for name, sha256 in row.artefacts.items()
        if (name.endswith((".onnx", ".pt2")) or (name.endswith(".json") and _is_program(store.get(sha256))))
        or (name.endswith(".safetensors") and f"{Path(name).stem}.json" in row.artefacts)
    ]


def _is_program(data: bytes) -> bool:
    try:
        described = json.loads(data)
    except (ValueError, RecursionError):
        return False
    return isinstance(described, dict) and described.get("kind") == KIND


def _chosen(row: str, nets: Collection[str], name: str) -> str:
    if name in nets:
        return name
    if not nets:
        raise ValueError(f"{row} has no net that can be read: an integer program, {', '.join(_NETS)}")
    if name or len(nets) > 1:
        raise ValueError(f"{row} has the nets {', '.join(nets)}: name one, as {row}/{next(iter(nets))}")
    return next(iter(nets))
