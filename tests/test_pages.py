"""Every page, from stored rows: it begins with a verdict, and nothing overflows, overlaps or breaks."""

import importlib
import re
import sys
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import NamedTuple, get_args

import pytest

from shared.lab import KeyFigures, Page, Store, Table, Text, print_page, render
from shared.lab.pages import plot

ROOT = Path(__file__).parents[1]


def _benchmark(name):
    """`benchmarks.NAME` of this checkout: others install a package of that name too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT)
        for each in [each for each in sys.modules if each.partition(".")[0] == "benchmarks"]:
            patch.delitem(sys.modules, each)
        return importlib.import_module(f"benchmarks.{name}")


PAGES = _benchmark("pages")
BROWSER = _benchmark("browser")
NAMES = get_args(PAGES.Name)


class Shown(NamedTuple):
    """A page as a browser gets it, and the Matplotlib figures it was drawn from."""

    page: Page
    html: str
    drawings: list


@pytest.fixture(scope="module")
def shown():
    """Every page by name, rendered once."""

    @cache
    def call(name):
        drawings = []
        draw = plot.draw

        def recorded(*arguments):
            drawings.extend(panels := draw(*arguments))
            return panels

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(plot, "draw", recorded)
            experiment, rows = PAGES.rows_of(name, few=True)
            page = experiment.page(rows)
        return Shown(page, render(page, rows, Store(ROOT)), drawings)

    return call


@pytest.mark.parametrize("name", NAMES)
def test_a_page_begins_with_a_verdict_and_every_drawing_has_a_title(shown, name):
    page, html, _ = shown(name)
    words = "".join(map(str, page.verdict.parts)).strip()
    assert len(words.split()) >= 8
    assert words.endswith(".")
    body = html[html.index("<h1>") :]
    assert re.match(r'<h1>[^<]*</h1>\s*<p class="lead">', body)
    assert len(re.findall(r"<svg[^>]*>\s*<title>[^<]+</title>", html)) == html.count("<svg ")


@pytest.mark.parametrize("name", NAMES)
def test_a_tile_of_a_comparison_names_what_it_is_against(shown, name):
    for block in shown(name).page.blocks:
        if isinstance(block, KeyFigures):
            for label, _ in block.figures:
                assert not re.match(r"^(fewer|less|more|below|above|faster)\b(?!.*\b(than|that of|those of)\b)", label)


@pytest.mark.parametrize("width", [60, 80, 200])
@pytest.mark.parametrize("name", NAMES)
def test_the_terminal_breaks_no_word(shown, name, width, monkeypatch, capsys):
    page = shown(name).page
    monkeypatch.setenv("COLUMNS", str(width))
    print_page(page)
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= width
    texts = [page.title, page.summary, *page.verdict.parts]
    for block in page.blocks:
        match block:
            case KeyFigures(figures):
                texts += [part for figure in figures for part in figure]
            case Text(parts):
                texts.append("".join(map(str, parts)))
            case Table():
                texts += [*block.columns, block.note, *(cell for line in block.lines for cell in line)]
    words = {word for text in texts for word in str(text).split() if len(word) <= width - 20}
    shown_words = set(out.split()) | {word.rstrip(":") for word in out.split()}
    missing = {word for word in words - shown_words if word.strip("().,;[]:") not in out}
    assert missing == set()


@pytest.mark.parametrize("name", NAMES)
def test_no_text_of_a_drawing_overlaps_or_leaves_it(shown, name):
    """Without a browser, by Matplotlib's own extents; its font is as wide as those of browsers, or wider."""
    for drawing in shown(name).drawings:
        drawing.draw_without_rendering()
        texts = list(_texts(drawing))
        for text, box in texts:
            assert drawing.bbox.x0 - 1 <= box.x0 <= box.x1 <= drawing.bbox.x1 + 1, text
            assert drawing.bbox.y0 - 1 <= box.y0 <= box.y1 <= drawing.bbox.y1 + 1, text
        for (one, a), (other, b) in combinations(texts, 2):
            assert not (_shared(a, b, "x") > 1 and _shared(a, b, "y") > 1), (one, other)
        [axes] = drawing.axes
        for legend in drawing.legends:
            assert not legend.get_window_extent().overlaps(axes.get_tightbbox())


def _texts(drawing):
    """What is written in a drawing, with its extents; tick labels outside the limits are not drawn."""
    [axes] = drawing.axes
    ticks = [
        label
        for axis in (axes.xaxis, axes.yaxis)
        for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks())
        for label in (tick.label1,)
        if _within(axis, tick)
    ]
    others = [axes.xaxis.label, axes.yaxis.label, axes.title, *(t for it in drawing.legends for t in it.get_texts())]
    for text in [*ticks, *others]:
        if text.get_visible() and text.get_text():
            yield text.get_text(), text.get_window_extent()


def _within(axis, tick):
    low, high = sorted(axis.get_view_interval())
    return low <= tick.get_loc() <= high


def _shared(a, b, axis):
    (low, high), (start, end) = (sorted((getattr(it, f"{axis}0"), getattr(it, f"{axis}1"))) for it in (a, b))
    return min(high, end) - max(low, start)


@pytest.mark.skipif(BROWSER.chromium() is None, reason=BROWSER.MISSING)
def test_in_a_browser_nothing_overflows_or_overlaps(shown):
    faults = BROWSER.layout_faults({name: shown(name).html for name in NAMES}, PAGES.WIDTHS)
    assert {view: of for view, of in faults.items() if of} == {}
    assert len(faults) == len(NAMES) * len(PAGES.WIDTHS)


FAULTY = {
    "overlaps": '<p>one sentence</p><p style="margin-top:-25px">another sentence</p>',
    "overlaps in a drawing": "<svg width=90 height=40><text x=5 y=20>abc</text><text x=9 y=21>def</text></svg>",
    "leaves its drawing": "<svg width=90 height=40><text x=70 y=20>too long for it</text></svg>",
    "is wider than the window": '<div style="white-space:nowrap">' + "a line that never ends " * 40 + "</div>",
    "must be scrolled to": f'<div style="overflow-x:auto"><pre>{"wide " * 300}</pre></div>',
}


@pytest.mark.skipif(BROWSER.chromium() is None, reason=BROWSER.MISSING)
def test_a_browser_sees_what_overflows_or_overlaps():
    faults = BROWSER.layout_faults({name: f"<!doctype html><body>{body}" for name, body in FAULTY.items()}, (390,))
    assert {name: bool(of) for (name, _), of in faults.items()} == dict.fromkeys(FAULTY, True)
    assert BROWSER.layout_faults({"fine": "<!doctype html><p>One.<p>Another."}, (390,)) == {("fine", 390): []}


def test_without_chromium_the_measurement_says_what_is_missing(monkeypatch):
    monkeypatch.setattr(BROWSER.shutil, "which", lambda name: None)
    with pytest.raises(RuntimeError, match=r"^needs Chromium to measure pages: apt-get install chromium, or tox -e"):
        BROWSER.layout_faults({}, (390,))
