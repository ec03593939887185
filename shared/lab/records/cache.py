"""Where Qwedge keeps what can be computed again: level tables, decoded images, compiled simulators."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """`$QWEDGE_CACHE`, else `~/.cache/qwedge`; absolute. It may be deleted at any time, and may not exist yet."""
    return Path(os.environ.get("QWEDGE_CACHE") or Path.home() / ".cache" / "qwedge").absolute()
