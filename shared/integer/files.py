"""Integer programs as JSON: every integer in plain text, nothing that can run."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from shared.integer.catalogue import OPERATIONS
from shared.integer.format import Format
from shared.integer.operations import Constant, Operation
from shared.integer.program import Input, Program

KIND = "qwedge integer program"
VERSION = 1

_KINDS = {kind.__name__: kind for kind in OPERATIONS}


def save(program: Program, path: str | Path) -> None:
    """Writes a program as JSON, aside first and then renamed, so that a file of that name is always whole."""
    path = Path(path)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with aside.open("w", encoding="utf-8") as file:
            file.write(to_json(program))
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def load(path: str | Path) -> Program:
    """Reads what `save` wrote, and checks it as every new program is checked.

    Raises `OSError` if the file cannot be read and `ValueError`, naming the file, if it holds no valid program.
    """
    text = Path(path).read_bytes()
    try:
        return from_json(text.decode("utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def to_json(program: Program) -> str:
    """The program as JSON, one line per input and operation.

    >>> print(to_json(Program((Input("x", (2,), Format(8, 7)),), (), ("x",))))
    {"kind": "qwedge integer program", "version": 1, "outputs": ["x"],
    "inputs": [
    {"name": "x", "shape": [2], "format": {"word": 8, "fraction": 7, "signed": true}}
    ],
    "operations": [
    <BLANKLINE>
    ]}
    """
    head = json.dumps({"kind": KIND, "version": VERSION, "outputs": program.outputs})
    inputs = ",\n".join(json.dumps(_plain(vars(input))) for input in program.inputs)
    steps = ",\n".join(json.dumps({"kind": type(step).__name__} | _plain(vars(step))) for step in program.operations)
    return f'{head[:-1]},\n"inputs": [\n{inputs}\n],\n"operations": [\n{steps}\n]}}'


def from_json(text: str) -> Program:
    """The program that `to_json` wrote.

    Raises `ValueError` saying what is wrong.
    """
    data = json.loads(text)
    if not isinstance(data, dict) or data.get("kind") != KIND:
        kind = data.get("kind") if isinstance(data, dict) else None
        raise ValueError(f'this is not a {KIND}: its "kind" is {kind!r}')
    if data.get("version") != VERSION:
        raise ValueError(f"a {KIND} of version {data.get('version')!r}, but version {VERSION} is read here")
    try:
        inputs = tuple(Input(**_rich(entry)) for entry in data["inputs"])
        return Program(inputs, tuple(_operation(entry) for entry in data["operations"]), tuple(data["outputs"]))
    except KeyError as error:
        raise ValueError(f"the entry {error} is missing") from error
    except (TypeError, AttributeError, OverflowError) as error:
        raise ValueError(str(error)) from error


def _operation(entry: dict[str, Any]) -> Operation:
    entry = dict(entry)
    kind = entry.pop("kind")
    if kind not in _KINDS:
        raise ValueError(f"no operation {kind!r}; there are {', '.join(_KINDS)}")
    return _KINDS[kind](**_rich(entry))


def _plain(value: Any) -> Any:
    if isinstance(value, Constant):
        integers = value.integers
        return {"format": _plain(value.format), "shape": integers.shape, "integers": integers.ravel().tolist()}
    if isinstance(value, Format):
        return dict(vars(value))
    if isinstance(value, dict):
        return {name: _plain(entry) for name, entry in value.items()}
    return value


def _rich(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(map(_rich, value))
    if not isinstance(value, dict):
        return value
    if value.keys() == {"format", "shape", "integers"}:
        return Constant(np.array(value["integers"]).reshape(value["shape"]), _rich(value["format"]))
    if value.keys() == {"word", "fraction", "signed"}:
        if not all(type(number) is int for number in (value["word"], value["fraction"])):
            raise ValueError(f"a format needs whole numbers, got {value}")
        return Format(value["word"], value["fraction"], bool(value["signed"]))
    return {name: _rich(entry) for name, entry in value.items()}
