"""Another package with one of our names is named in one line, before anything of it is imported."""

import subprocess
import sys
from pathlib import Path

import pytest

from qwedge.catalogue import ROOTS
from qwedge.shadowing import refuse_shadows

ROOT = Path(__file__).parents[2]


def qwedge(folder, *words):
    """`python -m qwedge` with `folder` before our own, as a user's working folder is."""
    path = [str(folder), str(ROOT)]
    code = f"import sys; sys.path[:0] = {path}; from qwedge.cli import main; main({list(words)})"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=folder, check=False)


def test_our_own_packages_are_not_refused():
    refuse_shadows(ROOTS)


@pytest.mark.parametrize("name", sorted(set(ROOTS) - {"qwedge"}))
def test_a_package_with_one_of_our_names_is_refused(tmp_path, name):
    decoy = tmp_path / name / "__init__.py"
    decoy.parent.mkdir()
    decoy.write_text("raise SystemExit('the decoy was imported')")
    done = qwedge(tmp_path, "list")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"qwedge: another package `{name}` at {decoy.parent} hides Qwedge's own at {ROOT / name}: "
        "run from another folder, take that one off PYTHONPATH, or uninstall it\n"
    )


def test_the_working_folder_is_checked_before_an_experiment_of_ones_own_is_loaded(tmp_path):
    (tmp_path / "wireless.py").write_text("")
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from qwedge.cli import main; main(['run', 'mine:Mine'])"
    # -P: the working folder is not on the path, as for the installed command.
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 2
    assert f"another package `wireless` at {tmp_path / 'wireless.py'} hides" in done.stderr


def test_a_module_of_one_file_is_refused_too(tmp_path):
    (tmp_path / "vision.py").write_text("")
    assert f"another package `vision` at {tmp_path / 'vision.py'} hides" in qwedge(tmp_path, "list").stderr


def test_a_folder_that_is_no_package_hides_nothing(tmp_path):
    (tmp_path / "shared").mkdir()
    assert qwedge(tmp_path, "list").returncode == 0
