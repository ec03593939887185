"""Progress on stderr: bars for a person, a plain line every few seconds for a log, nothing if asked."""

import sys
import time
from typing import Any, TextIO

from shared.lab.pages.terminal import plain
from shared.lab.records.printable import printable

_SECONDS_BETWEEN_LINES = 5.0


class ProgressDisplay:
    """Shows `finished` cells out of `cells` and how far the current one is; use it as a context manager."""

    def __init__(self, title: str, cells: int, *, quiet: bool = False, stream: TextIO | None = None) -> None:
        self._title, self._cells, self._quiet = title, cells, quiet
        self._stream = stream or sys.stderr
        self._finished = 0
        self._began = self._said = time.monotonic()
        self._bars: Any = None

    def __enter__(self) -> "ProgressDisplay":
        if not self._quiet and self._stream.isatty():
            self._bars = _bars(self._stream)
            self._all = self._bars.add_task(self._title, total=self._cells)
            self._one = self._bars.add_task("", total=None, visible=False)
            self._bars.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._bars is not None:
            self._bars.stop()

    def step(self, done: int, total: int, note: str = "") -> None:
        """`done` of `total` parts of the current cell are finished."""
        if self._bars is not None:
            self._bars.update(self._one, completed=done, total=total, description=f"  {plain(note)}", visible=True)
        else:
            self._say(f"{done}/{total} {note}".rstrip())

    def finish(self, cells: int = 1) -> None:
        """`cells` more cells are done."""
        self._finished += cells
        if self._bars is not None:
            self._bars.update(self._all, completed=self._finished)
            self._bars.update(self._one, visible=False)
        else:
            self._say("", now=self._finished == self._cells)

    def _say(self, what: str, now: bool = False) -> None:
        clock = time.monotonic()
        if self._quiet or (not now and clock - self._said < _SECONDS_BETWEEN_LINES):
            return
        self._said = clock
        where = f"{self._title}: {self._finished} of {self._cells} cells"
        line = f"{where}{', ' + what if what else ''} ({clock - self._began:.0f} s)"
        print(printable(line), file=self._stream, flush=True)


def _bars(stream: TextIO) -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description}"), BarColumn(bar_width=30), MofNCompleteColumn(), TimeElapsedColumn())
    return Bars(*columns, console=Console(file=stream), refresh_per_second=5, transient=True)
