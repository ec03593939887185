"""Every block of code in docs/core.md runs as printed, one after the other, and its experiment from a file."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "core.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
LAWS = """
report = compressed.report
assert report.measured <= report.budget == 416
assert report.accuracy_after > report.accuracy_before - 0.05
assert ternary.report.measured <= 0.5 * ternary.report.dense
assert len(ternary.module[0].weight[0].unique()) <= 3
assert int((pruned[0].weight != 0).any(1).sum()) == 16
assert sparse.measured == 3
"""


def run(folder, *words):
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    environment = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *words], cwd=folder, capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_page_runs_from_top_to_bottom(tmp_path):
    (tmp_path / "page.py").write_text("\n".join((*BLOCKS, LAWS)))
    printed = run(tmp_path, "page.py").splitlines()
    [shown] = re.findall(r"prints\n```text\n(.*?)```", PAGE, flags=re.DOTALL)
    head, total = shown.splitlines()[0], shown.splitlines()[4]
    assert printed[0] == head
    assert total in printed


def test_the_readme_shows_the_same_example():
    shown = re.search(r"```python\n.*?```\nprints\n```text\n.*?```", PAGE, flags=re.DOTALL)[0]
    assert shown in (ROOT / "README.md").read_text()


def test_the_experiment_runs_from_a_file(tmp_path):
    [code] = [block for block in BLOCKS if "class Budgets(" in block]
    (tmp_path / "budgets.py").write_text(code)
    words = ("run", "budgets:Budgets", "--set", "seeds=2", "--json", "--quiet")
    rows = json.loads(run(tmp_path, "-m", "qwedge", *words))["rows"]
    assert [row["seed"] for row in rows] == [0, 1]
    assert all(row["result"]["measured"] <= 0.5 * row["result"]["dense"] for row in rows)
