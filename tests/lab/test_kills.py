"""A few kills of `python -m benchmarks.kills`, whose full form kills three hundred times."""

import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("processes", [1, 2])
def test_killed_at_random_moments_nothing_is_lost_doubled_torn_or_left_running(tmp_path, monkeypatch, processes):
    monkeypatch.syspath_prepend(Path(__file__).parents[2])
    for name in [name for name in sys.modules if name.partition(".")[0] == "benchmarks"]:
        monkeypatch.delitem(sys.modules, name)  # others install a package of that name too
    from benchmarks.kills import Kills, KillsSettings, counted
    from shared.lab import Store, run

    [row] = run(Kills(), [KillsSettings(processes=processes, kills=2)], Store(tmp_path))
    assert counted(row) == [row.result["kills"], 0, 0, 0, 0]
    assert row.result["kills"] >= 2
