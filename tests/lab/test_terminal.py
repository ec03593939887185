"""Laws of the terminal: no word of a page is broken where there is room for it, and nothing is left out."""

import json
import re

import pytest
from lab_toys import Coin, CoinSettings

from shared.lab import Figure, KeyFigures, Number, Page, Store, Table, Text, cite, print_page, print_table, run
from shared.lab.pages.printed import printed_data, printed_page

WIDTHS = (60, 80, 200)

COLUMNS = ("method", "share of the bit errors", "clocks per sample", "multipliers", "block RAMs", "note")
LINES = [
    (
        "train-small: line ansatz from scratch",
        cite(0.5, form=".1%", low=0.41, high=0.58),
        cite(80_000),
        "-",
        cite(3),
        "",
    ),
    ("pytket_approximate", cite(0.25, form=".1%", low=0.2, high=0.3), cite(1_250), "4 x 4", cite(0), "no worse"),
]
TABLES = {
    "one column": Table("T", ("name",), [("aa176edb",)]),
    "narrow": Table("T", COLUMNS[:2], [line[:2] for line in LINES], note="A note of several words under the table."),
    "wide": Table("T", COLUMNS, LINES, note="Requantise: rounding to the next format."),
    "two words longer than a narrow screen": Table("T", ("a" * 40, "b" * 40), [("c" * 39, "d" * 38)]),
}


@pytest.fixture
def printed(monkeypatch, capsys):
    """What a call prints on a terminal of so many columns."""

    def call(width, show, *values):
        monkeypatch.setenv("COLUMNS", str(width))
        show(*values)
        return capsys.readouterr().out

    return call


def words(*texts):
    return set(" ".join(map(str, texts)).split())


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", TABLES)
def test_a_table_breaks_no_word_and_keeps_within_the_terminal(printed, name, width):
    table = TABLES[name]
    out = printed(width, print_table, table)
    assert max(map(len, out.splitlines())) <= width
    cells = [cell for line in table.lines for cell in line]
    intervals = [cell.interval for cell in cells if not isinstance(cell, str)]
    shown = {word.rstrip(":") for word in out.split()}
    assert {word.rstrip(":") for word in words(*table.columns, *cells, *intervals, table.note)} <= shown
    assert "…" not in out


@pytest.mark.parametrize("width", WIDTHS)
def test_a_number_stays_beside_its_interval(printed, width):
    out = printed(width, print_table, TABLES["wide"])
    assert "50.0% [41.0%, 58.0%]" in out


@pytest.mark.parametrize("width", WIDTHS)
def test_each_line_begins_with_its_name_in_every_part(printed, width):
    out = printed(width, print_table, TABLES["wide"])
    parts = len(re.findall("─ $", out, re.MULTILINE))
    assert parts == {60: 2, 80: 2, 200: 1}[width]
    assert out.count("pytket_approximate") == out.count("method") == parts
    for column in ("multipliers", "note"):
        assert out.count(f"{column} ") == 1


@pytest.mark.parametrize("width", WIDTHS)
def test_a_page_breaks_no_word(printed, tmp_path, width):
    coin = Coin()
    page = coin.page(run(coin, coin.cells(CoinSettings(seeds=2, name="threepenny-bit")), Store(tmp_path)))
    out = printed(width, print_page, page)
    texts = [*page.verdict.parts, page.summary, page.title]
    for block in page.blocks:
        match block:
            case KeyFigures(figures):
                texts += [part for figure in figures for part in figure]
            case Text(parts):
                texts += parts
            case Table():
                texts += [*block.columns, block.note, *(cell for line in block.lines for cell in line)]
    assert words(*texts) <= words(out)


def test_the_verdict_stands_above_the_summary(printed):
    page = Page("Title", "Summary.", [], verdict=Text("Ours is level with theirs (", cite(0.01, form=".0%"), ")."))
    assert printed(80, print_page, page).splitlines() == ["Title", "Ours is level with theirs (1%).", "Summary."]


def test_a_page_kept_as_json_data_prints_as_it_did(capsys):
    number = Number(0.25, ("ab",), ".1%", "of all", 0.2, 0.3)
    blocks = [
        KeyFigures([("share", number), ("word", Number("none", ()))]),
        Text("Text with ", number, title="Heading"),
        Figure("drawing", ["<svg/>"]),
        Table("Table", ("name", "share"), [("first", number), ("second", Number(None, ()))], "A note.", (1,)),
    ]
    page = Page("Title", "Summary.", blocks, verdict=Text("Level (", number, ")."))
    print_page(page)
    printed = capsys.readouterr().out
    print_page(printed_page(json.loads(json.dumps(printed_data(page)))))
    assert capsys.readouterr().out == printed
