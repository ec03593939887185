"""A name for the code as it stands, so that what was kept from it is not taken for what it would give now."""

import sys
from collections.abc import Iterator
from functools import cache
from hashlib import sha256
from pathlib import Path

from qwedge.catalogue import ROOTS

_HERE = Path(__file__).resolve().parents[2]


@cache
def code_state() -> str:
    """Changes whenever a file of ours does, a package is installed or removed, or Python is another one."""
    packages = [Path(place) for place in sys.path if Path(place).name in ("site-packages", "dist-packages")]
    files = sorted(f"{path} {path.stat().st_mtime_ns} {path.stat().st_size}" for path in _files())
    state = [sys.version, *(f"{place} {place.stat().st_mtime_ns}" for place in packages if place.is_dir()), *files]
    return sha256("\n".join(state).encode()).hexdigest()[:16]


def package_folders() -> list[Path]:
    """The folders of our top-level packages."""
    return [_HERE / root for root in ROOTS]


def _files() -> Iterator[Path]:
    for folder in package_folders():
        for path in folder.rglob("*.*"):
            if path.suffix != ".pyc" and path.is_file():
                yield path
