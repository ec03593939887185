"""Rows of whatever origin: what is not a row is refused in one line, and nothing that a row says is obeyed."""

import json
import os

import pytest
from lab_toys import Coin, CoinSettings

from shared.lab import Context, Page, Row, Store, Text, printable, render, run

DEEP = '{"id":' + "[" * 100_000
WRONG = {
    "id": 5,
    "experiment": None,
    "version": "1",
    "settings": [1],
    "seed": True,
    "result": "x",
    "artefacts": ["heads.txt"],
    "provenance": "x",
}
NAMES = [
    "../out.txt",
    "/tmp/out.txt",
    "..",
    ".",
    ".bashrc",
    "a/b",
    "a\\b",
    "nul\0",
    "line\nbreak",
    "",
    "x" * 300,
    "\x1b[2J",
]


@pytest.fixture(scope="module")
def genuine(tmp_path_factory):
    """The text of one row as the lab writes it."""
    folder = tmp_path_factory.mktemp("genuine")
    run(Coin(), [CoinSettings()], Store(folder))
    return (folder / "rows.jsonl").read_text()


@pytest.fixture
def qwedge(call, monkeypatch):
    """The command line, on a terminal so wide that no table wraps."""
    monkeypatch.setenv("COLUMNS", "200")
    return call


def damaged(genuine):
    """Name and text of rows that are none, each wrong in one place."""
    row = json.loads(genuine)
    for name, value in WRONG.items():
        yield f"{name} of another kind", json.dumps({**row, name: value})
        yield f"no {name}", json.dumps({key: entry for key, entry in row.items() if key != name})
    for name in ("command", "started", "cpu", "commit", "wall_s"):
        yield f"no {name}", json.dumps({**row, "provenance": {k: v for k, v in row["provenance"].items() if k != name}})
    yield "a wrong hash", json.dumps({**row, "artefacts": {"a.txt": "../../../etc/passwd"}})
    yield "a field too many", json.dumps({**row, "rights": "all"})
    yield "a result that the page cannot read", json.dumps({**row, "result": {"heads": None, "throws": 1}})
    yield "a number that is none", genuine.replace('"throws":100}', '"throws":NaN}')
    yield "a list for a row", "[1]"
    yield "nesting", DEEP + "]" * 100_000 + "}"


def test_what_is_not_a_row_is_one_line(qwedge, tmp_path, genuine):
    for index, (name, text) in enumerate(damaged(genuine)):
        folder = tmp_path / f"{index}"
        folder.mkdir()
        (folder / "rows.jsonl").write_text(text.strip() + "\n")
        code, out, err = qwedge("report", "lab_toys:Coin", "--out", str(folder))
        assert (code, out, err.count("\n")) == (2, "", 1), (name, err)
        assert "is not a row" in err or "is not a record" in err, (name, err)
        assert os.listdir(folder) == ["rows.jsonl"]


@pytest.mark.parametrize(
    "words", [("run", "lab_toys:Coin"), ("report", "lab_toys:Coin"), ("show", "coin"), ("show", "coin", "5", "--json")]
)
def test_every_verb_refuses_it(qwedge, tmp_path, genuine, words):
    (tmp_path / "rows.jsonl").write_text(json.dumps({**json.loads(genuine), "id": "5", "provenance": {}}) + "\n")
    for call in ((*words, "--out", "."), ("compare", ".", ".")):
        code, out, err = qwedge(*call)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert err.startswith("qwedge: rows.jsonl: row 5 is not a row: `provenance.command` is missing; restore or")


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_an_artefact_is_named_by_a_plain_file_name(tmp_path, genuine, name):
    with pytest.raises(ValueError, match="needs a plain file name"):
        Context(Store(tmp_path), "cell", 0, lambda *note: None).artefact(name, b"")
    row = json.loads(genuine)
    (tmp_path / "rows.jsonl").write_text(json.dumps({**row, "artefacts": {name: "0" * 64}}) + "\n")
    with pytest.raises(ValueError, match=r"is not a row: the artefact .* needs a plain file name"):
        Store(tmp_path).rows()
    with pytest.raises(ValueError, match="needs a plain file name"):
        Store(tmp_path).write_out(Row(**{**row, "artefacts": {name: "0" * 64}}))


@pytest.mark.parametrize("name", ["rows.jsonl", "index.html", "artefacts", "steps"])
def test_artefacts_are_not_written_over_the_store(tmp_path, genuine, name):
    store = Store(tmp_path)
    row = Row(**{**json.loads(genuine), "artefacts": {"a.txt": store.put(b"a"), name: store.put(b"b")}})
    store.append(row)
    with pytest.raises(ValueError, match=f"an artefact '{name}', a name that the store needs itself"):
        store.write_out(store.rows()[0])
    assert not (tmp_path / "a.txt").exists()


def test_artefacts_are_written_out_under_their_names_never_through_a_link(tmp_path, genuine):
    store = Store(tmp_path / "store")
    store.append(Row(**{**json.loads(genuine), "artefacts": {"net (1).txt": store.put(b"inside")}}))
    (tmp_path / "outside").write_bytes(b"outside")
    (tmp_path / "store" / "net (1).txt").symlink_to(tmp_path / "outside")
    [path] = store.write_out(store.rows()[0])
    assert path.read_bytes() == b"inside"
    assert (tmp_path / "outside").read_bytes() == b"outside"


EVIL = "\x1b]0;owned\x07\x1b[31mred\x9b2J\u202e[bold]<script>"


def test_stored_text_is_shown_and_not_obeyed(qwedge, tmp_path):
    assert qwedge("run", "lab_toys:Coin", "--out", ".")[0] == 0
    row = json.loads((tmp_path / "rows.jsonl").read_text())
    row["settings"]["name"] = row["provenance"]["command"] = row["provenance"]["commit"] = EVIL
    (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n")
    for words in (
        ("show", "coin"),
        ("show", "coin", row["id"][:4]),
        ("show", "coin", "--json"),
        ("run", "lab_toys:Coin"),
    ):
        code, out, err = qwedge(*words, "--out", str(tmp_path))
        assert code == 0, err
        assert not {"\x1b", "\x07", "\x9b", "\u202e"} & set(out + err)
    shown = json.loads(qwedge("show", "coin", "--json", "--out", str(tmp_path))[1])
    assert shown == [row]
    assert "<script>" not in (tmp_path / "index.html").read_text().split("</style>")[1].replace("<script type", "")


def test_a_title_is_text(tmp_path):
    assert "<script>alert" not in render(Page("<script>alert(1)</script>", EVIL, (Text(EVIL),)), [], Store(tmp_path))


def test_printable_text_stays_as_it_is():
    text = "naïve λ → 5 µs\tand\nmore"
    assert printable(text) == text
