"""Progress goes to its stream, seldom, and not at all when asked."""

import io

import pytest

from shared.lab.running import progress
from shared.lab.running.progress import ProgressDisplay


def test_a_log_gets_few_lines(monkeypatch):
    clock = iter(range(10_000))
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock) * 0.1)
    stream = io.StringIO()
    with ProgressDisplay("coin", 2, stream=stream) as shown:
        for _ in range(2):
            for step in range(100):
                shown.step(step, 100, "throwing")
            shown.finish()
    lines = stream.getvalue().splitlines()
    assert 3 <= len(lines) <= 6
    assert lines[0].startswith("coin: 0 of 2 cells, ")
    assert "/100 throwing (" in lines[0]
    assert lines[-1].startswith("coin: 2 of 2 cells (")


def test_quiet_is_silent():
    stream = io.StringIO()
    with ProgressDisplay("coin", 1, quiet=True, stream=stream) as shown:
        shown.step(1, 1)
        shown.finish()
    assert stream.getvalue() == ""


def test_a_person_gets_bars(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    with ProgressDisplay("coin", 2, stream=stream) as shown:
        shown.step(3, 10, "throwing")
    assert "coin" in stream.getvalue()
    assert "throwing" in stream.getvalue()


def test_a_failure_leaves_the_terminal_usable():
    with pytest.raises(RuntimeError), ProgressDisplay("coin", 1, stream=io.StringIO()):
        raise RuntimeError
