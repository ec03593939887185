"""A file of `torch.export.save` (`.pt2`), of which nothing is unpickled and no text is evaluated."""

import io
import json
import logging
import re
import zipfile
from pathlib import Path, PurePosixPath
from typing import Any, Final

import torch
from torch.export import ExportedProgram

_PICKLES: Final = (".pt", ".pkl", ".bin")
_SYMBOL: Final = re.compile(r"Symbol\('[a-z]\d*'(, \w+=(True|False))*\)|[a-z]\d*")
"""A size that is left open, as torch writes it."""


def load_exported(path: str | Path) -> ExportedProgram:
    """The exported net in a file, without its example and its guards.

    torch would unpickle examples, constants that are objects, and weights of older files, and evaluate guards and
    expressions of sizes: examples and guards are left out, the others are refused. Raises `OSError` if the file cannot
    be read and `ValueError` if it is no such archive.
    """
    data = Path(path).read_bytes()
    try:
        archive = _checked(data)
    except (zipfile.BadZipFile, KeyError, UnicodeDecodeError, RecursionError, NotImplementedError, EOFError) as error:
        raise ValueError(f"incomplete or corrupt archive of torch.export: {error}") from error
    logger = logging.getLogger("torch.export")
    level, logger.disabled = logger.disabled, True  # its notes are about how torch itself came to write the file
    try:
        return torch.export.load(io.BytesIO(archive))
    except Exception as error:  # torch raises types of its own
        line = next(iter(str(error).splitlines()), type(error).__name__)
        raise ValueError(f"this version of torch cannot read the exported net: {line}") from error
    finally:
        logger.disabled = level


def _checked(data: bytes) -> bytes:
    """The archive with nothing in it that torch would unpickle or evaluate."""
    rewritten = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as read, zipfile.ZipFile(rewritten, "w", zipfile.ZIP_STORED) as write:
        names = [PurePosixPath(name) for name in read.namelist()]
        if not any(name.match("*/models/*.json") for name in names):
            raise ValueError("it is no archive of torch.export.save")
        for name in names:
            content = b"" if "sample_inputs" in name.parts else read.read(str(name))
            if content and (name.suffix in _PICKLES or name.name.startswith(("custom_obj", "opaque_obj"))):
                raise ValueError(f"it holds a pickle, {name.name!r}, which may be code: save it by today's torch")
            if name.suffix == ".json":
                described = json.loads(content)
                _require_plain(described, name.name)
                content = json.dumps(
                    {**described, "guards_code": []} if "guards_code" in described else described
                ).encode()
            write.writestr(str(name), content)
    return rewritten.getvalue()


def _require_plain(data: Any, name: str) -> None:
    """Raises `ValueError` for a payload that is a pickle, or a size that is more than the name of one."""
    if isinstance(data, dict):
        if data.get("use_pickle"):
            raise ValueError(f"{name} names a pickle, {data.get('path_name')!r}, which may be code: it is not read")
        text = data.get("expr_str")
        if text is not None and not _SYMBOL.fullmatch(str(text)):
            raise ValueError(f"{name} has the size {str(text)[:40]!r}: only that of the batch can be left open")
    for each in data.values() if isinstance(data, dict) else data if isinstance(data, list) else ():
        _require_plain(each, name)
