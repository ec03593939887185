"""What the README says was measured is what the stored results say."""

import importlib.util
from pathlib import Path

ROOT = Path(__file__).parents[2]


def _benchmark_readme():
    # By path: a package called `benchmarks` may be installed by others.
    spec = importlib.util.spec_from_file_location("readme_figures", ROOT / "benchmarks" / "readme.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_figures_are_those_of_the_stored_results():
    text = (ROOT / "README.md").read_text()
    assert _benchmark_readme().filled(text) == text


def test_a_typed_number_is_found():
    text = (ROOT / "README.md").read_text()
    assert _benchmark_readme().filled(text.replace("| >= 4 |", "| >= 3 |")) == text
