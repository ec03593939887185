"""Where a row came from: code, versions, machine, command."""

import importlib.metadata
import json
import os
import platform
import socket
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

_DISTRIBUTION = "qwedge"


def provenance(command: str) -> dict[str, Any]:
    """The state of code and machine now, as JSON data, with the shell command that makes the row."""
    commit, dirty = _code()
    return {
        "command": command,
        "commit": commit,
        "dirty": dirty,
        "versions": _versions(),
        "python": platform.python_version(),
        "host": socket.gethostname(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cpu": _cpu(),
        "threads": _threads(),
        "device": _device(),
    }


@cache
def _code() -> tuple[str | None, bool | None]:
    """The commit this code stands at and whether it was changed since; (None, None) where neither can be determined."""
    here = Path(__file__).parents[3]
    if (here / ".git").exists():
        return _git(here)
    origin = _installed_from()
    if origin is None or not (origin / ".git").exists():
        return None, None
    commit, dirty = _git(origin)
    return commit, dirty or not _is_copy(here, origin)


def _git(folder: Path) -> tuple[str | None, bool | None]:
    def ask(*words: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(folder), *words], capture_output=True, text=True, check=True, timeout=20
        )
        return done.stdout.strip()

    try:
        return ask("rev-parse", "HEAD"), bool(ask("status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.SubprocessError):
        return None, None


def _installed_from() -> Path | None:
    """The folder `pip install FOLDER` took this code from (PEP 610)."""
    try:
        origin = importlib.metadata.distribution(_DISTRIBUTION).read_text("direct_url.json")
    except importlib.metadata.PackageNotFoundError:
        return None
    url = urlparse(json.loads(origin)["url"]) if origin else None
    return Path(unquote(url.path)) if url is not None and url.scheme == "file" else None


def _is_copy(installed: Path, origin: Path) -> bool:
    """True if each installed source file of ours is the one that now stands in `origin`."""
    files = importlib.metadata.files(_DISTRIBUTION) or []
    sources = [installed / str(file) for file in files if file.suffix == ".py"]
    twins = [origin / source.relative_to(installed) for source in sources]
    return all(
        twin.exists() and twin.read_bytes() == file.read_bytes() for twin, file in zip(twins, sources, strict=True)
    )


def _versions() -> dict[str, str]:
    """Versions of every distribution loaded in this process: what ran, not what is installed."""
    loaded = {name for module in list(sys.modules) if (name := module.partition(".")[0])}
    names = {name for module in loaded for name in _distributions().get(module, ())} | {_DISTRIBUTION}
    return {name: version for name in sorted(names) if (version := _version(name))}


@cache
def _distributions() -> dict[str, list[str]]:
    return dict(importlib.metadata.packages_distributions())


@cache
def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


@cache
def _cpu() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{models[0]} ({os.cpu_count()} cores)" if models else f"{platform.machine()} ({os.cpu_count()} cores)"


def _device() -> str:
    """What tensors were computed on: a GPU's name once torch has started it in this process, else `cpu`."""
    cuda = sys.modules["torch"].cuda if "torch" in sys.modules else None
    return str(cuda.get_device_name()) if cuda is not None and cuda.is_initialized() else "cpu"


def _threads() -> int:
    """Threads a numerical kernel may use: torch's own count once it is loaded."""
    if "torch" in sys.modules:
        return int(sys.modules["torch"].get_num_threads())
    return len(os.sched_getaffinity(0))
