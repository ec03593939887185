"""One cache folder, by one rule."""

from pathlib import Path

from shared.lab import cache_folder


def test_the_folder_is_the_environments_else_the_users(monkeypatch, tmp_path):
    monkeypatch.setenv("QWEDGE_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("QWEDGE_CACHE")
    assert cache_folder() == Path.home() / ".cache" / "qwedge"


def test_the_folder_stays_where_it_was_when_the_process_moves(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("QWEDGE_CACHE", "kept")
    assert cache_folder() == tmp_path / "kept"
