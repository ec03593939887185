"""What the README and the docs say was measured is what the stored results say."""

import importlib.util
import re
import tomllib
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


CHOSEN = "<!-- figures: {}: python -m benchmarks.readme -->\n<!-- end of figures -->"


@pytest.mark.parametrize("page", FIGURES.PAGES, ids=lambda page: page.name)
def test_the_figures_are_those_of_the_stored_results(page):
    text = page.read_text()
    assert FIGURES.filled(text) == text
    assert text.count("<!-- figures") == len(FIGURES.FIGURES.findall(text)) >= 1


@pytest.mark.parametrize("page", FIGURES.PAGES, ids=lambda page: page.name)
def test_a_typed_number_is_found(page):
    text = page.read_text()
    table = FIGURES.FIGURES.search(text)
    start = text.index("|---|", table.start())
    number = start + re.search(r"(?<= )\d", text[start:]).start()  # a value, not a digit within a name
    typed = f"{text[:number]}9{text[number:]}"
    assert typed != text
    assert FIGURES.filled(typed) == text


def test_a_page_may_choose_figures_which_are_then_in_words():
    page = FIGURES.filled(CHOSEN.format("f8net.f8net_multiplier_bits\n     compvqc.twoq_ratio_digits4"))
    head, line, first, second = page.splitlines()[2:6]
    assert (head, line) == tuple(FIGURES.HEAD.splitlines())
    assert first.startswith("| Widest operand of any multiplication in the integer program | <= 8 | 8 bits |")
    assert second.endswith(" x | 6.74 to 12.5 | yes | `python -m benchmarks.compvqc` |")
    assert FIGURES.filled(page) == page


def test_a_page_may_set_each_result_beside_the_one_that_limits_it():
    page = FIGURES.filled(CHOSEN.format("compvqc.twoq_vs_train_small/compvqc.twoq_vs_train_small_seismic"))
    head, line, pair = page.splitlines()[1:4]
    assert (head, line) == tuple(FIGURES.HEAD_OF_PAIRS.splitlines())
    ours, measured, limit, other = (cell.strip() for cell in pair.strip("|").split("|"))
    assert "line ansatz" in ours
    assert "seismic ansatz" in limit
    assert (measured, other) == ("0.8 of tasks and targets", "0.4 of tasks and targets")
    assert FIGURES.filled(page) == page


@pytest.mark.parametrize(
    ("reference", "error"),
    [
        ("compvqc.depth", r"^compvqc\.depth: benchmarks/results/compvqc\.json has depth_ratio_digits4, "),
        ("radio.ber", r"^radio: no radio\.json in benchmarks/results; store it with --json$"),
        ("ofdm.ood_ratio_awgn", r"^ofdm\.ood_ratio_awgn: benchmarks/figures\.toml has no words for it; add a line"),
    ],
)
def test_a_figure_that_is_not_there_is_refused(reference, error):
    with pytest.raises(ValueError, match=error):
        FIGURES.filled(CHOSEN.format(reference))


def test_every_goal_has_words_and_all_words_a_figure():
    words = tomllib.loads(FIGURES.WORDS.read_text())
    benchmarks = {path.stem: FIGURES.stored(path.stem) for path in FIGURES.RESULTS.glob("*.json")}
    assert words.keys() == benchmarks.keys()
    for name, figures in benchmarks.items():
        assert words[name].keys() <= figures.keys()
        assert {key for key, it in figures.items() if it.goal} <= words[name].keys()
        assert len(set(words[name].values())) == len(words[name])


@pytest.mark.parametrize("path", sorted(FIGURES.RESULTS.glob("*.json")), ids=lambda path: path.stem)
def test_every_benchmark_has_all_its_figures_on_a_page(path):
    assert any(f"<!-- figures of {path.stem}:" in page.read_text() for page in FIGURES.PAGES)
