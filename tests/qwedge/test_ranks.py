"""Processes of torchrun share the cells of one command, and one of them shows all rows."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from qwedge.commands.ranks import compute_share
from shared.lab import Store, run

DICE = '''
from shared.lab import Experiment, Page, Seeded, Text


class Dice(Experiment[Seeded]):
    """Throw a die."""

    name = "dice"
    version = 1

    def run(self, cell, context):
        return {"side": int(context.rng.integers(6))}

    def page(self, rows):
        return Page("A die", f"{len(rows)} throws", ())
'''


@pytest.fixture
def dice(tmp_path, monkeypatch):
    (tmp_path / "dice_of_ranks.py").write_text(DICE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    import dice_of_ranks

    return dice_of_ranks.Dice()


def test_every_process_computes_other_cells_and_the_first_has_all_rows(dice, tmp_path, monkeypatch):
    cells = dice.cells(dice.settings(seeds=5))
    monkeypatch.setenv("WORLD_SIZE", "2")
    rows = []
    for rank in (1, 0):
        monkeypatch.setenv("RANK", str(rank))
        if rank:
            with pytest.raises(SystemExit) as ended:
                compute_share(dice, cells, Store(tmp_path), quiet=True, invocation="qwedge run")
            assert ended.value.code == 0
        else:
            compute_share(dice, cells, Store(tmp_path), quiet=True, invocation="qwedge run")
        rows.append([row.seed for row in Store(tmp_path).rows("dice")])
    assert rows == [[1, 3], [1, 3, 0, 2, 4]]
    assert [row.seed for row in run(dice, cells, Store(tmp_path))] == [0, 1, 2, 3, 4]


@pytest.mark.slow
def test_a_command_runs_under_torchrun_unchanged(dice, tmp_path):
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m"]
    command = ["qwedge", "run", "dice_of_ranks:Dice", "--set", "seeds=4", "--quiet", "--json"]
    for _ in range(2):  # the second time from the rows
        done = subprocess.run(
            [sys.executable, *torchrun, *command], check=True, timeout=300, capture_output=True, text=True
        )
        assert [row["seed"] for row in json.loads(done.stdout)["rows"]] == [0, 1, 2, 3]
    assert len(Path("runs/dice/rows.jsonl").read_text().splitlines()) == 4
