"""Laws of the store: a row is there whole or not at all, once, and for good."""

import json
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.lab import JsonLog, Row, Store, write_atomic

PROVENANCE = {"command": "qwedge run coin", "started": "2026-01-01", "cpu": "none", "commit": None, "wall_s": 0.5}


def row(id: str, **changes) -> Row:
    fields = {"id": id, "experiment": "coin", "version": 1, "settings": {"seed": 0}, "seed": 0, "result": {"heads": 3}}
    return Row(**{**fields, "provenance": PROVENANCE, **changes})


def test_rows_come_back_as_they_were_given(tmp_path):
    given_ = [
        row("a" * 64),
        row("b" * 64, result={"text": "naïve \u2028 \n line", "none": None}, artefacts={"x": "0" * 64}),
    ]
    store = Store(tmp_path)
    assert [store.append(each) for each in given_] == [True, True]
    assert store.rows() == given_ == Store(tmp_path).rows()


def test_a_row_is_never_doubled(tmp_path):
    first, second = Store(tmp_path), Store(tmp_path)
    assert first.append(row("a"))
    assert not second.append(row("a", result={"heads": 4}))
    assert not first.append(row("a"))
    assert Store(tmp_path).rows() == [row("a")]


def test_rows_of_one_experiment(tmp_path):
    store = Store(tmp_path)
    store.append(row("a"))
    store.append(row("b", experiment="dice"))
    assert [each.id for each in store.rows("dice")] == ["b"]


def test_a_row_is_found_by_the_beginning_of_its_id(tmp_path):
    store = Store(tmp_path)
    assert not store.exists()
    for id in ("ab1", "ab2", "c"):
        store.append(row(id))
    assert store.exists()
    assert Store.existing(tmp_path).find("ab2") == row("ab2")
    assert store.find("c") == row("c")
    for prefix, count in (("ab", 2), ("x", 0)):
        with pytest.raises(
            ValueError, match=rf"^{count} of the 3 rows in .* have an id beginning with {prefix}; needs one$"
        ):
            store.find(prefix)


def test_a_folder_without_rows_is_named(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"none has no rows\.jsonl; name a folder that `qwedge run --out` has written"
    ):
        Store.existing(tmp_path / "none")


def test_files_of_two_machines_may_be_joined(tmp_path):
    for name, ids in (("here", "ab"), ("there", "bc")):
        for id in ids:
            Store(tmp_path / name).append(row(id, result={"made": name}))
    both = b"".join((tmp_path / name / "rows.jsonl").read_bytes() for name in ("here", "there"))
    (tmp_path / "rows.jsonl").write_bytes(both)
    made = [(each.id, each.result["made"]) for each in Store(tmp_path).rows()]
    assert made == [("a", "here"), ("b", "here"), ("c", "there")]


def test_nothing_is_written_by_looking(tmp_path):
    store = Store(tmp_path / "out")
    assert store.rows() == []
    assert store.steps("a").read() == []
    assert not (tmp_path / "out").exists()


def test_a_torn_line_is_ignored_then_repaired_wherever_it_tore(tmp_path):
    whole = Store(tmp_path / "whole")
    whole.append(row("a"))
    size = (tmp_path / "whole" / "rows.jsonl").stat().st_size
    whole.append(row("b"))
    data = (tmp_path / "whole" / "rows.jsonl").read_bytes()
    path = tmp_path / "torn" / "rows.jsonl"
    path.parent.mkdir()
    for kept in range(size, len(data)):
        path.write_bytes(data[:kept])
        store = Store(path.parent)
        assert [each.id for each in store.rows()] == ["a"], kept
        assert store.append(row("b"))
        assert path.read_bytes() == data, kept


def test_a_damaged_line_is_named_not_skipped(tmp_path):
    store = Store(tmp_path)
    store.append(row("a"))
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"id": oops}\n' + path.read_bytes())
    with pytest.raises(
        ValueError, match=r"rows\.jsonl has a line that is not a record with `id`: .*oops.*restore or delete"
    ):
        Store(tmp_path).rows()


def test_a_line_of_another_shape_is_no_row(tmp_path):
    (tmp_path / "rows.jsonl").write_text('{"id":"abc"}\n')
    with pytest.raises(ValueError, match=r"row abc is not a row: .*missing"):
        Store(tmp_path).rows()


def test_a_file_replaced_by_a_shorter_one_is_read_again(tmp_path):
    store = Store(tmp_path)
    for id in "abc":
        store.append(row(id))
    path = tmp_path / "rows.jsonl"
    path.write_bytes(path.read_bytes().splitlines(keepends=True)[2])
    assert [each.id for each in store.rows()] == ["c"]


def test_writers_at_the_same_time_lose_and_double_nothing(tmp_path):
    def write(own: int) -> None:
        store = Store(tmp_path)
        for index in range(20):
            store.append(row(f"shared {index}"))
            store.append(row(f"own {own} {index}"))

    threads = [threading.Thread(target=write, args=(own,)) for own in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ids = [json.loads(line)["id"] for line in (tmp_path / "rows.jsonl").read_bytes().splitlines()]
    assert sorted(ids) == sorted(
        {*(f"shared {i}" for i in range(20)), *(f"own {o} {i}" for o in range(4) for i in range(20))}
    )


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers()), max_size=12))
def test_lines_keep_the_first_of_each_key(tmp_path_factory, records):
    lines = JsonLog(tmp_path_factory.mktemp("lines") / "steps.jsonl", key="key")
    first = {}
    for key, value in records:
        assert lines.append({"key": key, "value": value}) == (key not in first)
        first.setdefault(key, value)
    assert {record["key"]: record["value"] for record in lines.read()} == first


def test_artefacts_are_named_by_their_content(tmp_path):
    store = Store(tmp_path)
    sha256 = store.put(b"circuit")
    assert store.put(b"circuit") == sha256
    assert store.get(sha256) == b"circuit"
    assert [path.name for path in (tmp_path / "artefacts").rglob("*") if path.is_file()] == [sha256]


def test_a_changed_artefact_is_found_out(tmp_path):
    store = Store(tmp_path)
    sha256 = store.put(b"circuit")
    store.artefact_path(sha256).write_bytes(b"other")
    with pytest.raises(ValueError, match="is not what was stored"):
        store.get(sha256)


def test_a_finished_row_drops_its_steps(tmp_path):
    store = Store(tmp_path)
    store.steps("a").append({"key": "train", "value": 1})
    store.append(row("a"))
    assert store.steps("a").read() == []
    assert list((tmp_path / "steps").iterdir()) == []


@pytest.mark.parametrize("replaced", [b'{"key":"x","value":1}\n', b'{"key":"longer than before","value":123456}\n' * 3])
def test_a_file_removed_and_begun_again_is_read_again(tmp_path, replaced):
    path = tmp_path / "steps.jsonl"
    slow = JsonLog(path, key="key")
    slow.append({"key": "a", "value": 1})
    path.unlink()
    path.write_bytes(replaced)
    assert slow.append({"key": "b", "value": 2})
    assert [record["key"] for record in JsonLog(path, key="key").read()] == [
        json.loads(replaced.splitlines()[0])["key"],
        "b",
    ]


def test_a_full_disk_names_the_file_and_leaves_nothing(tmp_path, monkeypatch):
    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match=r"No space left on device: '.*page\.html'"):
        write_atomic(tmp_path / "page.html", b"text")
    assert list(tmp_path.iterdir()) == []
