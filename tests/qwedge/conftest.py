"""The toy experiments of tests/lab serve the command line too."""

import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from qwedge.cli import main

# Some verbs need an extra; without it the rest of the command line is still tested.
_NEEDS = {
    "test_noise_cli.py": "qiskit",
    "test_decode_cli.py": "numba",
    "test_synth_cli.py": "da4ml",
    "test_bad_pictures.py": "torch",
}
collect_ignore = [name for name, module in _NEEDS.items() if not find_spec(module)]

sys.path.insert(0, str(Path(__file__).parents[1] / "lab"))


@pytest.fixture
def call(capsys, monkeypatch, tmp_path):
    """Runs `qwedge` here, in an empty folder: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)

    def run(*words):
        try:
            main(words)
            code = 0
        except SystemExit as stop:
            code = stop.code
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run
