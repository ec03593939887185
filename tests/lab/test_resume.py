"""Law of resuming: killed at any moment and run again, the rows equal those of a run that was never stopped."""

import json
import signal
import time

import pytest
from lab_toys import Coin, CoinSettings

from shared.lab import Store, run


def what_matters(rows):
    return [(row.id, row.settings, row.result, row.artefacts) for row in rows]


def uninterrupted(folder, **settings):
    coin = Coin()
    return run(coin, coin.cells(CoinSettings(**settings)), Store(folder))


def wait_for_lines(path, count, process):
    deadline = time.monotonic() + 60
    while not path.exists() or path.read_bytes().count(b"\n") < count:
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_killed_between_cells(start, python, tmp_path):
    words = ("run", "lab_toys:Coin", "--set", "seeds=5", "--set", "pause_s=0.05", "--set", "steps=3", "--out", "out")
    process = start(*words)
    wait_for_lines(tmp_path / "out" / "rows.jsonl", 2, process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = (tmp_path / "out" / "rows.jsonl").read_bytes()
    assert 2 <= kept.count(b"\n") < 5

    done = python("-m", "qwedge", *words, "--quiet")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "rows.jsonl").read_bytes().startswith(kept[: kept.rfind(b"\n") + 1])
    rows = Store(tmp_path / "out").rows()
    assert what_matters(rows) == what_matters(uninterrupted(tmp_path / "whole", seeds=5, pause_s=0.05, steps=3))


def test_killed_inside_a_cell_goes_on_from_its_checkpoint(start, python, tmp_path):
    words = ("run", "lab_toys:Coin", "--set", "pause_s=0.1", "--set", "steps=8", "--seed", "3", "--out", "out")
    process = start(*words)
    [cell] = Coin().cells(CoinSettings(pause_s=0.1, steps=8, seed=3))
    steps = tmp_path / "out" / "steps"
    while not list(steps.glob("*.jsonl")):
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)
    [path] = steps.glob("*.jsonl")
    wait_for_lines(path, 3, process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert Store(tmp_path / "out").rows() == []
    finished = path.read_bytes().count(b"\n")

    done = python("-m", "qwedge", *words, "--quiet", "--json")
    assert done.returncode == 0, done.stderr
    [row] = json.loads(done.stdout)["rows"]
    assert row["provenance"]["resumed_steps"] == finished >= 3
    [expected] = uninterrupted(tmp_path / "whole", pause_s=0.1, steps=8, seed=3)
    assert what_matters(Store(tmp_path / "out").rows()) == what_matters([expected])
    assert cell.seed == row["seed"]
    assert list(steps.iterdir()) == []


def test_two_runs_at_once_double_nothing(start, tmp_path):
    words = ("run", "lab_toys:Coin", "--set", "seeds=4", "--set", "pause_s=0.02", "--out", "out", "--quiet")
    processes = [start(*words), start(*words)]
    for process in processes:
        process.communicate(timeout=60)
        assert process.returncode == 0
    rows = sorted(Store(tmp_path / "out").rows(), key=lambda row: row.seed)
    assert what_matters(rows) == what_matters(uninterrupted(tmp_path / "whole", seeds=4, pause_s=0.02))


def test_interrupted_says_how_to_go_on(start, tmp_path):
    words = ("run", "lab_toys:Coin", "--set", "seeds=50", "--set", "pause_s=0.05", "--out", "out", "--quiet")
    # A shell's background job ignores Ctrl-C and its children inherit that; a caught signal they get by default.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = start(*words)
    signal.signal(signal.SIGINT, before)
    wait_for_lines(tmp_path / "out" / "rows.jsonl", 1, process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    kept = len(Store(tmp_path / "out").rows())
    assert process.returncode == 130
    assert out == ""
    assert err == f"qwedge: interrupted; {kept} rows are safe in out, the same command goes on\n"


def test_running_again_computes_and_adds_nothing(tmp_path):
    class Counted(Coin):
        runs = 0

        def run(self, cell, context):
            Counted.runs += 1
            return super().run(cell, context)

    experiment, store = Counted(), Store(tmp_path)
    cells = experiment.cells(CoinSettings(seeds=3))
    first = run(experiment, cells, store)
    before = (tmp_path / "rows.jsonl").read_bytes()
    assert run(experiment, [*reversed(cells), cells[0]], store) == list(reversed(first))
    assert Counted.runs == 3
    assert (tmp_path / "rows.jsonl").read_bytes() == before


def test_another_version_is_another_result(tmp_path):
    class Newer(Coin):
        version = 2

    cells, store = [CoinSettings()], Store(tmp_path)
    old, new = run(Coin(), cells, store), run(Newer(), cells, store)
    assert old[0].id != new[0].id
    assert len(store.rows("coin")) == 2


def test_a_failing_cell_keeps_the_finished_ones(tmp_path):
    cells = [CoinSettings(), CoinSettings(name="bent"), CoinSettings(seed=2)]
    with pytest.raises(ValueError, match="name=bent: this coin cannot be thrown"):
        run(Coin(), cells, Store(tmp_path))
    assert [row.seed for row in Store(tmp_path).rows()] == [0]


def test_a_cell_must_have_a_command_of_its_own(tmp_path):
    class Endless(Coin):
        def cells(self, settings):
            return [settings.model_copy(update={"seed": settings.seed + 1})]

    with pytest.raises(ValueError, match=r"coin\.cells must give \[cell\] for a cell"):
        run(Endless(), [CoinSettings()], Store(tmp_path))
    assert not (tmp_path / "rows.jsonl").exists()
