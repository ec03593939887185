"""However a command is stopped: it says so, its exit code is the signal's, and no tool of its own stays."""

import os
import signal
import sys
import time
from pathlib import Path

import pytest

BUSY = """
import sys, time
from pathlib import Path
from lab_toys import Coin
from shared.lab.running import guard

class Tooled(Coin):
    name = "tooled"

    def run(self, cell, context):
        command = [sys.executable, "tool.py", str(cell.seed)]
        with open("log", "wb") as log, guard.start(command, Path.cwd(), log) as tool:
            tool.wait()
        return {}
"""
# A tool that has a child of its own, as a compiler has.
TOOL = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(100)"])
name = f"pids-{sys.argv[1]}"
open("." + name, "w").write(f"{os.getpid()} {child.pid}"); os.rename("." + name, name)
time.sleep(100)
"""


def lives(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize(
    ("number", "workers"),
    [(signal.SIGTERM, 1), (signal.SIGKILL, 1), (signal.SIGKILL, 2), (signal.SIGHUP, 2)],
    ids=lambda it: str(getattr(it, "name", it)),
)
def test_a_stopped_command_leaves_no_tool_behind(start, tmp_path, number, workers):
    (tmp_path / "mine.py").write_text(BUSY)
    (tmp_path / "tool.py").write_text(TOOL)
    process = start("run", "mine:Tooled", "--set", "seeds=2", "--workers", str(workers), "--out", "out", "--quiet")
    until = time.monotonic() + 100
    while len(pids := [path.read_text() for path in tmp_path.glob("pids-*")]) < workers:
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < until
        time.sleep(0.05)
    tools = [int(pid) for text in pids for pid in text.split()]
    assert all(map(lives, tools))
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    if number == signal.SIGKILL:
        assert process.returncode == -number
    else:
        assert process.returncode == 128 + number
        assert err == "qwedge: interrupted; 0 rows are safe in out, the same command goes on\n"
    while any(map(lives, tools)) and time.monotonic() < until:
        time.sleep(0.05)
    left = [pid for pid in tools if lives(pid)]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert left == []


def test_the_end_of_a_file_is_not_ctrl_c(call, monkeypatch):
    def ends(self, cell, context):
        raise EOFError("No data left in file")

    monkeypatch.setattr("lab_toys.Coin.run", ends)
    code, out, err = call("run", "lab_toys:Coin")
    assert (code, out, err) == (2, "", "qwedge: a file ends before its contents do: No data left in file\n")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (RecursionError, "the input is nested too deeply"),
        (MemoryError, "does not fit into memory"),
        (OverflowError, "a number in the input is too large"),
    ],
)
def test_what_no_reader_refuses_is_still_one_line(call, monkeypatch, error, words):
    def fails(self, cell, context):
        raise error

    monkeypatch.setattr("lab_toys.Coin.run", fails)
    code, out, err = call("run", "lab_toys:Coin")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert words in err
    with pytest.raises(error):
        call("--debug", "run", "lab_toys:Coin")


def test_interrupted_outside_an_experiment(call, monkeypatch):
    def stopped(*words):
        raise KeyboardInterrupt

    monkeypatch.setattr("qwedge.cli.described", stopped)
    assert call("list", "compvqc") == (130, "", "qwedge: interrupted\n")


def test_the_signals_of_the_caller_come_back(call):
    call("list")
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    assert sys.exc_info() == (None, None, None)
