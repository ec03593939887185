"""Laws of the page: it stands alone, its links lead somewhere, and its numbers lead to rows and commands."""

import base64
import json
import re
from html.parser import HTMLParser

import pytest
from lab_toys import Coin, CoinSettings

from shared.lab import Download, Page, Row, Store, Table, Text, cite, plot, render, run
from shared.lab.pages.plot import draw


class Reader(HTMLParser):
    """Collects ids, attributes and text of a page; void and unclosed elements are told apart."""

    VOID = frozenset({"meta", "link", "br", "img", "input", "hr", "path", "use", "rect"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags, self.open, self.scripts, self._script = [], [], {}, ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.append((tag, attrs))
        if tag not in self.VOID:
            self.open.append(tag)
        self._script = attrs.get("id", "") if tag == "script" else ""

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag
        self._script = ""

    def handle_data(self, data):
        if self._script:
            self.scripts[self._script] = self.scripts.get(self._script, "") + data

    def attributes(self, name):
        return [attrs[name] for _, attrs in self.tags if name in attrs]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    store, coin = Store(tmp_path_factory.mktemp("coin")), Coin()
    rows = run(coin, coin.cells(CoinSettings(seeds=3, name='<b>&"penny"</script>')), store)
    text = render(coin.page(rows), rows, store)
    return store, rows, text, Reader(text)


def test_the_page_needs_no_network(made):
    *_, text, page = made
    loaded = [*page.attributes("src"), *page.attributes("href"), *page.attributes("xlink:href")]
    assert [each for each in loaded if not each.startswith(("#", "data:"))] == []
    assert not re.search(r"@import|url\((?!#)", text)
    assert {tag for tag, _ in page.tags} & {"link", "iframe", "img", "object"} == set()


def test_every_link_leads_to_one_place(made):
    page = made[-1]
    ids = page.attributes("id")
    assert len(ids) == len(set(ids))
    targets = [each[1:] for name in ("href", "xlink:href") for each in page.attributes(name) if each.startswith("#")]
    targets += re.findall(r"url\(#([^)]+)\)", made[2])
    assert set(targets) <= set(ids)
    assert targets


def test_each_number_links_to_its_row_and_names_its_command(made):
    _, rows, _, page = made
    links = [attrs for tag, attrs in page.tags if tag == "a" and attrs.get("class") == "n"]
    assert len(links) == 1 + 2 + 3 * 3 + 1
    commands = {f"#row-{row.id[:12]}": row.command for row in rows}
    for link in links:
        assert link["title"] == commands.get(link["href"], "derived from 3 rows")
    assert {link["href"] for link in links} == {*commands, "#rows-1"}


def test_rows_are_embedded_as_they_are(made):
    _, rows, _, page = made
    assert [Row(**each) for each in json.loads(page.scripts["data"])] == rows


def test_downloads_are_the_artefacts(made):
    store, rows, _, page = made
    links = [attrs for _, attrs in page.tags if "download" in attrs]
    kept = [base64.b64decode(link["href"].partition("base64,")[2]) for link in links]
    assert kept == [store.get(row.artefacts["heads.txt"]) for row in rows]


def test_drawings_take_the_pages_colours(made):
    svg = made[2][made[2].index("<svg") : made[2].index("</svg>")]
    assert "var(--blue)" in svg
    assert "var(--ink)" in svg
    assert set(re.findall(r"#[0-9a-f]{6}\b", svg)) == set()
    assert ">heads<" in svg


def test_every_drawing_says_what_it_shows(made):
    _, rows, text, _ = made
    assert "<svg" in text
    assert len(re.findall(r'<svg[^>]*role="img"[^>]*>\s*<title>Heads by step</title>', text)) == text.count("<svg")
    [svg] = plot(lambda axes: axes.plot([1, 2]), *rows, title='<b>"1 & 2"').panels
    assert "<title>&lt;b&gt;" in svg


def test_the_verdict_is_the_first_sentence(made):
    *_, text, _ = made
    body = text[text.index("<h1>") :]
    assert body.index("Heads came up") < body.index("How often a coin shows heads") < body.index("<dl")


def test_a_legend_covers_no_axes():
    def paint(left, right):
        for name in ("a line with a long name", "another", "a third of them", "the last line of this panel"):
            left.plot([1, 2], label=name)
        right.plot([1, 2])

    with_legend, without = draw(paint, 2, (4.6, 3.2))
    for drawing in (with_legend, without):
        drawing.draw_without_rendering()
    [legend] = with_legend.legends
    [axes] = with_legend.axes
    assert not legend.get_window_extent().overlaps(axes.get_tightbbox())
    assert legend.get_window_extent().x0 >= 0
    assert legend.get_window_extent().x1 <= with_legend.bbox.x1
    assert axes.bbox.height == pytest.approx(without.axes[0].bbox.height, rel=0.1)
    assert without.legends == []


@pytest.mark.parametrize(
    ("columns", "kind"), [(2, ""), (5, "middling"), (14, "wide")], ids=["narrow", "middling", "wide"]
)
def test_a_table_too_wide_for_a_screen_names_the_column_beside_each_entry(made, columns, kind):
    store, rows, *_ = made
    table = Table("T", [f"column {k}" for k in range(columns)], [[cite(12345.0)] * columns])
    tags = Reader(render(Page("t", "s", [table]), rows, store)).tags
    [box] = [attrs for _, attrs in tags if attrs.get("class", "").split()[:1] == ["table"]]
    assert box["class"].split()[1:] == ([kind] if kind else [])
    assert [attrs["data-column"] for tag, attrs in tags if tag == "td"] == list(table.columns)


def test_the_same_rows_make_the_same_page(made):
    store, rows, text, _ = made
    assert render(Coin().page(rows), rows, store) == text


def test_two_drawings_do_not_share_clip_paths(made):
    store, rows, *_ = made
    twins = [plot(lambda axes: axes.plot([1, 2]), *rows, title="twin") for _ in range(2)]
    ids = Reader(render(Page("t", "s", twins), rows, store)).attributes("id")
    assert len(ids) == len(set(ids))


def test_a_drawing_may_have_panels(made):
    rows = made[1]

    def paint(left, right):
        left.plot([1, 2])
        right.plot([2, 1])

    assert [svg.count('id="axes_') for svg in plot(paint, *rows, title="both", panels=2).panels] == [1, 1]


def test_a_number_cannot_cite_a_row_that_is_not_shown(made):
    store, rows, *_ = made
    with pytest.raises(ValueError, match=f"the page cites row {rows[1].id[:12]}, not among the 1 rows shown"):
        render(Page("t", "s", [Text("heads: ", cite(3, rows[1]))]), rows[:1], store)


def test_a_table_line_has_an_entry_per_column():
    with pytest.raises(ValueError, match="table 'Heads' has 2 columns, but this line has 1: \\['a'\\]"):
        Table("Heads", ("coin", "heads"), [("a",)])


def test_a_download_is_an_artefact_of_its_row(made):
    with pytest.raises(ValueError, match=r"row \w+ has no artefact 'circuit.qasm'; it has: draw-.*heads\.txt"):
        Download("circuit.qasm", made[1][0])


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (cite(1234), "1,234"),
        (cite(0.123456), "0.1235"),
        (cite(0.5, form=".1%"), "50.0%"),
        (cite(None), "-"),
        (cite("tie"), "tie"),
        (cite(3, unit="gates"), "3 gates"),
    ],
)
def test_numbers_read_well(number, shown):
    assert str(number) == shown


def test_an_interval_has_the_numbers_form():
    assert cite(0.5, form=".0%", low=0.4, high=0.61).interval == "[40%, 61%]"
    assert cite(0.5).interval == ""
