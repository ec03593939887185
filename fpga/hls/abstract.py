"""What every project of hls4ml can do, wherever it came from: compile, build, read reports."""

import contextlib
import shutil
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any, Self

from fpga.hls.backends import Backend
from fpga.hls.reports import read_reports

TOP = "qwedge"
"""The top function of every project."""


@dataclass(frozen=True)
class AbstractProject:
    """A written project: its folder, its backend, and hls4ml's `ModelGraph`."""

    folder: Path
    backend: Backend
    graph: Any = field(repr=False)

    def compile(self) -> Self:
        """Compiles the project's C++ for this machine, for `predict`. Ten seconds or more. Returns itself.

        Raises `OSError` without the backend's compiler, or if it fails.
        """
        self.require(self.backend.compiler, "compile()")
        with quiet(f"{self.folder} does not compile"):
            self.graph.compile()
        return self

    def build(self) -> dict[str, Any]:
        """Synthesises the project with the vendor's tool and returns what `reports` reads.

        Raises `OSError` if the tool is not on PATH, or fails.
        """
        self.require(self.backend.tool, "build()")
        with quiet(f"{self.backend.tool} failed on {self.folder}"):
            self.graph.build(**self.backend.steps)
        return self.reports()

    def reports(self) -> dict[str, Any]:
        """The vendor's reports as plain numbers, see `read_reports`."""
        return read_reports(self.folder, self.backend.title.lower())

    def require(self, tool: str, verb: str) -> None:
        """Raises `OSError` if a tool that `verb` needs is not on PATH."""
        if shutil.which(tool) is None:
            raise OSError(
                f"{verb} of a {self.backend.title} project needs {tool!r} on PATH: install it, or take {self.folder} "
                "to a machine that has it"
            )

    def require_compiled(self) -> None:
        """Raises `ValueError` before the first `compile` or `check`."""
        if self.graph._top_function_lib is None:
            raise ValueError("this project is not compiled: call compile() or check(samples) first")


@contextlib.contextmanager
def quiet(what: str) -> Iterator[None]:
    """Silences hls4ml, and keeps what it prints for the error, an `OSError` of one line."""
    said = StringIO()
    try:
        with contextlib.redirect_stdout(said), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of settings that its own passes override
            yield
    except Exception as error:  # hls4ml raises nothing narrower
        lines = [line for line in f"{said.getvalue()}\n{error}".splitlines() if line.strip()]
        first = next((line for line in lines if "error" in line.lower()), lines[-1] if lines else type(error).__name__)
        raise OSError(f"{what}: {first.strip()}") from error
