"""One input from the field, what comes out of it, and whether that is right."""

import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

SECONDS = 120
"""The longest that one command may take, whatever else the machine does meanwhile."""


class Wrong(Exception):
    """The answer that came out instead of the right one."""


class Case(NamedTuple):
    """`check` takes the folder of its domain and raises `Wrong` with the answer, where that is not the right one."""

    name: str
    right: str
    check: Callable[[Path], None]


class Outcome(NamedTuple):
    """What a command of Qwedge left behind."""

    code: int
    out: str
    err: str


def qwedge(*arguments: str | Path, folder: Path, cpu_s: float = SECONDS) -> Outcome:
    """Run `qwedge ARGUMENTS` in `folder`, as a user would. Raises Wrong where that takes more than `cpu_s`."""
    here = Path(__file__).parents[2]
    command = [sys.executable, "-m", "qwedge", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(here), "COLUMNS": "200"}
    before = _cpu_s_of_ended_processes()
    try:
        ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        raise Wrong(f"no answer after {SECONDS:g} s") from None
    if (taken := _cpu_s_of_ended_processes() - before) > cpu_s:
        raise Wrong(f"the answer took {taken:.0f} s of CPU time")
    return Outcome(ended.returncode, ended.stdout, ended.stderr)


def _cpu_s_of_ended_processes() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def refused(outcome: Outcome, *words: str) -> None:
    """Raise Wrong unless the command ended with exit code 2 and one line on stderr that holds every one of `words`."""
    lines = [line for line in outcome.err.splitlines() if line.strip()]
    if outcome.code != 2 or not lines or any(word not in outcome.err for word in words) or "Traceback" in outcome.err:
        raise Wrong(f"exit code {outcome.code}, {lines[-1] if lines else 'no line'}")


@contextmanager
def expect(right: str) -> Iterator[None]:
    """Turn whatever the block raises into the answer that came out where `right` was expected."""
    try:
        yield
    except Wrong:
        raise
    except Exception as error:
        raise Wrong(f"{type(error).__name__}: {error} (needs: {right})") from error


def answers(cases: Sequence[Case], folder: Path) -> Iterator[tuple[Case, str]]:
    """Every case with what came out wrong, or an empty text where the answer is right."""
    for case in cases:
        wrong = ""
        try:
            with expect(case.right):
                case.check(folder)
        except Wrong as answer:
            wrong = str(answer) or "wrong"
        yield case, wrong
