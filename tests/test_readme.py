"""What the README and the docs say was measured is what the stored results say."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def _benchmark_readme():
    # By path: a package called `benchmarks` may be installed by others.
    spec = importlib.util.spec_from_file_location("readme_figures", ROOT / "benchmarks" / "readme.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


FIGURES = _benchmark_readme()


@pytest.mark.parametrize("page", FIGURES.PAGES, ids=lambda page: page.name)
def test_the_figures_are_those_of_the_stored_results(page):
    text = page.read_text()
    assert FIGURES.filled(text) == text
    assert text.count("<!-- figures") == len(FIGURES.FIGURES.findall(text)) >= 1


@pytest.mark.parametrize("page", FIGURES.PAGES, ids=lambda page: page.name)
def test_a_typed_number_is_found(page):
    text = page.read_text()
    typed = text.replace("| yes |", "| **no** |", 1)
    assert typed != text
    assert FIGURES.filled(typed) == text
