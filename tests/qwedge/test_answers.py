"""Asking again is answered from what was kept, and only while nothing it depends on has changed."""

import json
import os
from pathlib import Path

import pytest
from lab_toys import Coin

from qwedge.catalogue import Entry
from shared.lab import hash_file


class FileCoin(Coin):
    """A coin that depends on a file, as experiments with data do."""

    name = "coin"

    def data(self, cell):
        return {path.name: hash_file(path) for path in (Path("box/weights.txt"),) if path.is_file()}


@pytest.fixture
def run(call, monkeypatch, tmp_path):
    """Runs a coin of the catalogue; the fourth thing returned is whether the experiment was loaded."""
    loaded = []
    monkeypatch.setenv("QWEDGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("qwedge.catalogue.EXPERIMENTS", {"coin": Entry("", "", "")})
    monkeypatch.setattr("qwedge.commands.execution.load", lambda name: loaded.append(name) or FileCoin())
    Path("box").mkdir()
    Path("box/weights.txt").write_text("even")
    Path("my.toml").write_text("throws = 20")

    def ask(*words):
        loaded.clear()
        code, out, err = call("run", "coin", "--config", "my.toml", *words)
        assert code == 0, err
        return out, err, bool(loaded)

    return ask


@pytest.mark.parametrize("words", [(), ("--json",)], ids=["tables", "json"])
def test_the_same_question_has_the_same_answer_without_the_experiment(run, words):
    (first, _, loaded), (second, said, again) = run(*words), run(*words)
    assert (loaded, again) == (True, False)
    assert json.loads(first) == json.loads(second) if words else first == second
    assert "1 of the rows are already in runs/coin" in said


def _touched(path, text):
    Path(path).write_text(text)
    os.utime(path, (1, 1))


CHANGES = {
    "a file that it reads": lambda patch: _touched("box/weights.txt", "bent"),
    "the configuration": lambda patch: _touched("my.toml", "throws = 20\nseed = 5"),
    "its rows": lambda patch: Path("runs/coin/rows.jsonl").unlink(),
    "its page": lambda patch: _touched("runs/coin/index.html", "edited"),
    "its page removed": lambda patch: Path("runs/coin/index.html").unlink(),
    "the code": lambda patch: patch.setattr("qwedge.commands.answers.code_state", lambda: "other"),
    "the environment": lambda patch: patch.setenv("QWEDGE_DATA", "elsewhere"),
    "what was kept": lambda patch: [path.write_text("torn") for path in Path("cache/answers").iterdir()],
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=list(CHANGES))
def test_an_answer_falls_with_whatever_it_depends_on(run, monkeypatch, change):
    run()
    assert not run()[2]
    change(monkeypatch)
    assert run()[2]


def test_a_file_that_comes_to_have_the_name_of_a_setting_is_noticed(run):
    run("--set", "name=fair")
    assert not run("--set", "name=fair")[2]
    Path("fair").write_text("now a file")
    assert run("--set", "name=fair")[2]


def test_an_experiment_of_the_users_own_is_always_loaded(call, monkeypatch, tmp_path):
    monkeypatch.setenv("QWEDGE_CACHE", str(tmp_path / "cache"))
    assert call("run", "lab_toys:Coin")[0] == call("run", "lab_toys:Coin")[0] == 0
    assert not (tmp_path / "cache" / "answers").exists()
