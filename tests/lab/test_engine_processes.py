"""Law of the engine of worker processes: the rows of the serial one, its errors, and no process left behind."""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest
from lab_toys import Coin, CoinSettings

from shared.lab import Local, Processes, Store, run


def what_matters(rows):
    return [(row.id, row.settings, row.result, row.artefacts, row.command) for row in rows]


def status(pid: int) -> list[str]:
    """The fields of /proc/PID/stat behind the name: state, parent, ..."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def children(pid: int) -> set[int]:
    """The worker processes of a process."""
    workers = set()
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(FileNotFoundError, ProcessLookupError):  # one that ended meanwhile
            if status(int(folder.name))[1] == str(pid) and b"spawn_main" in (folder / "cmdline").read_bytes():
                workers.add(int(folder.name))
    return workers


def alive(pid: int) -> bool:
    try:
        return status(pid)[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until(true, process=None):
    deadline = time.monotonic() + 100
    while not true():
        assert process is None or process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_rows_and_artefacts_equal_those_of_the_serial_engine(tmp_path):
    coin = Coin()
    cells = coin.cells(CoinSettings(seeds=3, pause_s=0.1))
    here, there = Store(tmp_path / "local"), Store(tmp_path / "processes")
    rows = run(coin, cells, there, engine=Processes(2))
    assert what_matters(rows) == what_matters(run(coin, cells, here, engine=Local()))
    assert all(there.get(sha256) == here.get(sha256) for row in rows for sha256 in row.artefacts.values())
    assert list((tmp_path / "processes" / "steps").iterdir()) == []
    assert run(coin, cells, there, engine=Processes(2)) == rows
    assert children(os.getpid()) == set()


def test_a_bad_setting_reads_the_same_and_finished_rows_stay(tmp_path):
    cells = [CoinSettings(), CoinSettings(name="bent", seed=1), CoinSettings(seed=2)]
    with pytest.raises(ValueError, match=r"^name=bent: this coin cannot be thrown; use a flat one$"):
        run(Coin(), cells, Store(tmp_path), engine=Processes(1))
    assert [row.seed for row in Store(tmp_path).rows()] == [0]
    assert children(os.getpid()) == set()


def test_a_bug_keeps_the_workers_traceback_and_a_dead_worker_is_named(tmp_path):
    with pytest.raises(RuntimeError, match=r"(?s)^in a worker process:.*KeyError: 'no such side'"):
        run(Coin(), [CoinSettings(name="bug")], Store(tmp_path), engine=Processes(1))
    with pytest.raises(OSError, match=r"^a worker process ended with exit code 9 in the middle of a cell: if memory"):
        run(Coin(), [CoinSettings(name="exit")], Store(tmp_path), engine=Processes(1))


def test_fewer_than_one_worker_are_refused():
    with pytest.raises(ValueError, match=r"^workers=0: needs at least 1$"):
        Processes(0)


@pytest.fixture
def two_workers(start, tmp_path):
    """A run of many cells on two workers that has finished some: the process, its workers."""
    # A shell's background job ignores Ctrl-C and its children inherit that; a caught signal they get by default.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    words = ("--set", "seeds=200", "--set", "pause_s=0.2", "--workers", "2", "--out", "out", "--quiet")
    process = start("run", "lab_toys:Coin", *words)
    signal.signal(signal.SIGINT, before)
    rows = tmp_path / "out" / "rows.jsonl"
    wait_until(lambda: rows.exists() and rows.read_bytes().count(b"\n") >= 2, process)
    workers = children(process.pid)
    assert len(workers) == 2
    return process, workers


def test_interrupted_rows_are_safe_and_no_worker_stays(two_workers, tmp_path):
    process, workers = two_workers
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    kept = len(Store(tmp_path / "out").rows())
    assert err == f"qwedge: interrupted; {kept} rows are safe in out, the same command goes on\n"
    assert not any(map(alive, workers))


def test_killed_no_worker_stays(two_workers):
    process, workers = two_workers
    process.kill()
    process.wait()
    wait_until(lambda: not any(map(alive, workers)))


def test_progress_of_both_workers_is_shown(tmp_path):
    notes = []
    cells = Coin().cells(CoinSettings(seeds=2, pause_s=0.4))
    jobs_done = list(Processes(2).map(_jobs(cells), Store(tmp_path), lambda *note: notes.append(note)))
    assert len(jobs_done) == 2
    assert any(total == 8 and "; " in text for _, total, text in notes)


def _jobs(cells):
    from shared.lab.running.engine import Job

    return [Job(Coin(), cell, str(cell.seed), "") for cell in cells]


SCRIPT = """
from lab_toys import Coin, CoinSettings
from shared.lab import Processes, Store, run

if __name__ == "__main__":
    print(len(run(Coin(), Coin().cells(CoinSettings(seeds=2)), Store("out"), engine=Processes(2))))
"""


def test_a_script_of_the_users_own_may_use_it(python, tmp_path):
    (tmp_path / "mine.py").write_text(SCRIPT)
    done = python("mine.py")
    assert (done.returncode, done.stdout) == (0, "2\n"), done.stderr
