"""What makes two computations the same: SHA-256 over canonical JSON of everything that affects the result."""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

JSON: TypeAlias = bool | int | float | str | Sequence["JSON"] | Mapping[str, "JSON"] | None


def to_json_data(value: object, at: str = "value") -> Any:
    """`value` as JSON data: tuples become lists; NumPy and torch scalars and arrays become numbers and lists.

    `at` names the value in errors. Raises ValueError for what JSON cannot hold exactly: NaN, infinities, other objects.

    >>> to_json_data({"accuracy": (1, 0.5)})
    {'accuracy': [1, 0.5]}
    """
    match value:
        case None | bool():
            return value
        case str():
            return str(value)
        case int():
            return int(value)
        case float():
            if not math.isfinite(value):
                raise ValueError(f"{at}={value}: rows hold finite numbers; write None for a missing one")
            return float(value)
        case Mapping():
            if odd := [key for key in value if not isinstance(key, str)]:
                raise ValueError(f"{at} has the key {odd[0]!r}: rows hold JSON objects, whose keys are strings")
            return {str(key): to_json_data(entry, f"{at}.{key}") for key, entry in value.items()}
        case list() | tuple():
            return [to_json_data(entry, f"{at}[{index}]") for index, entry in enumerate(value)]
    tolist = getattr(value, "tolist", None)
    if not callable(tolist):
        raise ValueError(
            f"{at} is a {type(value).__name__}: rows hold numbers, strings, lists and objects; "
            "hand anything else to context.artefact as bytes"
        )
    return to_json_data(tolist(), at)


def canonical(value: JSON) -> str:
    """The one spelling of `value`: sorted keys, no spaces, shortest numbers that read back equal.

    >>> canonical({"b": 1.0, "a": [True, None]})
    '{"a":[true,null],"b":1.0}'
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False)


def fingerprint(name: str, version: int, settings: Mapping[str, JSON], data: Mapping[str, str]) -> str:
    """SHA-256 of one cell: experiment name and version, settings with the seed, and the hashes of its data files."""
    identity: JSON = {"experiment": name, "version": version, "settings": settings, "data": data}
    return hash_bytes(canonical(identity).encode())


def hash_bytes(data: bytes) -> str:
    """SHA-256 in hexadecimal, as `sha256sum` prints it."""
    return hashlib.sha256(data).hexdigest()


def hash_file(path: str | Path) -> str:
    """SHA-256 of a file's bytes; for `Experiment.data`, so that a changed file is a different computation."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
