"""What every benchmark promises: `--quick` ends in figures, of however few rows."""

import importlib
import json
import sys
from pathlib import Path

import pytest

from shared.lab import Row

ROOT = Path(__file__).parents[1]
STORED = sorted((ROOT / "benchmarks" / "results").glob("*.json"))


@pytest.fixture
def benchmark(monkeypatch):
    """Imports `benchmarks.NAME` of this checkout: others install a package of that name too."""
    monkeypatch.syspath_prepend(ROOT)
    for name in [name for name in sys.modules if name.partition(".")[0] == "benchmarks"]:
        monkeypatch.delitem(sys.modules, name)

    def load(name: str):
        try:
            return importlib.import_module(f"benchmarks.{name}")
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] == "benchmarks":
                raise
            pytest.skip(f"benchmarks.{name} needs {error.name}, which no extra here has installed")

    return load


@pytest.mark.parametrize("path", STORED, ids=lambda path: path.stem)
def test_one_row_is_enough_for_figures(benchmark, path):
    """A quick run has one seed, and no interval over seeds: the first stored row of each part stands for it."""
    figures = benchmark(path.stem).figures
    rows = [Row(**row) for row in json.loads(path.read_text())["rows"]]
    parts = {row.settings.get("part", "") + row.settings.get("problem", ""): row for row in reversed(rows)}
    for row in parts.values():
        measured = figures([row])
        assert any(it.value is not None for it in measured.values())
        for it in measured.values():
            assert (it.low is None) == (it.high is None)
            assert it.low is None or it.low <= it.value <= it.high


@pytest.mark.parametrize("path", STORED, ids=lambda path: path.stem)
def test_the_stored_figures_follow_from_the_stored_rows(benchmark, path):
    stored = json.loads(path.read_text())
    rows = [Row(**row) for row in stored["rows"]]
    again = {name: it._asdict() for name, it in benchmark(path.stem).figures(rows).items()}
    assert json.loads(json.dumps(again)) == stored["figures"]
