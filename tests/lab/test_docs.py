"""The experiment in docs/lab.md runs as printed."""

import json
import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "lab.md"


def test_the_experiment_of_ones_own_runs(python, tmp_path):
    [code] = re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    [command] = re.findall(r"run `qwedge (run [^`]*)`", PAGE.read_text())
    (tmp_path / "dice.py").write_text(code)
    done = python("-m", "qwedge", *command.split(), "--json", "--quiet")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)["rows"]
    assert [row["seed"] for row in rows] == [0, 1, 2, 3]
    assert all(0 < row["result"]["highest"] < row["result"]["throws"] for row in rows)
    assert (tmp_path / "runs" / "dice" / "index.html").exists()
