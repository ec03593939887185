"""A row says which code on which machine made it; what cannot be known is None, not a guess."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from shared.lab.records.provenance import _code, provenance

MODULE = sys.modules["shared.lab.records.provenance"]
ROOT = Path(__file__).parents[2]


@pytest.fixture
def checkout(tmp_path):
    """A repository with one committed package file."""
    source = tmp_path / "checkout" / "shared" / "core.py"
    source.parent.mkdir(parents=True)
    source.write_text("x = 1\n")

    def git(*words):
        identity = ("-c", "user.name=a", "-c", "user.email=a@b")
        done = subprocess.run(["git", *identity, *words], cwd=tmp_path / "checkout", capture_output=True, check=True)
        return done.stdout.decode().strip()

    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "first")
    return SimpleNamespace(folder=tmp_path / "checkout", source=source, commit=git("rev-parse", "HEAD"))


@pytest.fixture
def installed(checkout, tmp_path, monkeypatch):
    """The package as `pip install FOLDER` leaves it: a copy elsewhere that remembers where it came from."""
    copy = tmp_path / "site-packages" / "shared" / "core.py"
    copy.parent.mkdir(parents=True)
    copy.write_bytes(checkout.source.read_bytes())
    origin = json.dumps({"url": checkout.folder.as_uri(), "dir_info": {}})
    metadata = SimpleNamespace(read_text=lambda name: origin if name == "direct_url.json" else None)
    monkeypatch.setattr(MODULE.importlib.metadata, "distribution", lambda name: metadata)
    monkeypatch.setattr(MODULE.importlib.metadata, "files", lambda name: [copy.relative_to(tmp_path / "site-packages")])
    monkeypatch.setattr(
        MODULE, "__file__", str(tmp_path / "site-packages" / "shared" / "lab" / "records" / "provenance.py")
    )
    return copy


@pytest.fixture(autouse=True)
def forget():
    _code.cache_clear()
    yield
    _code.cache_clear()


def test_a_checkout_is_its_commit_until_it_changes(checkout, monkeypatch):
    monkeypatch.setattr(MODULE, "__file__", str(checkout.folder / "shared" / "lab" / "records" / "provenance.py"))
    assert _code() == (checkout.commit, False)
    checkout.source.write_text("x = 2\n")
    _code.cache_clear()
    assert _code() == (checkout.commit, True)


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="the code under test is not in a checkout")
def test_the_code_under_test_is_at_the_commit_of_its_checkout():
    head = subprocess.run(["git", "-C", str(ROOT), "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    assert _code()[0] == head.stdout.strip()


def test_an_installed_copy_is_the_commit_it_came_from(checkout, installed):
    assert _code() == (checkout.commit, False)


def test_an_installed_copy_that_differs_says_so(checkout, installed):
    installed.write_text("x = 3\n")
    assert _code() == (checkout.commit, True)


def test_a_copy_of_nothing_known_has_no_commit(tmp_path, monkeypatch):
    monkeypatch.setattr(MODULE, "__file__", str(tmp_path / "shared" / "lab" / "records" / "provenance.py"))
    monkeypatch.setattr(MODULE, "_installed_from", lambda: None)
    assert _code() == (None, None)


def test_a_row_describes_code_versions_and_machine():
    now = provenance("qwedge run coin --seed 1")
    assert now["command"] == "qwedge run coin --seed 1"
    assert {"numpy", "pydantic"} <= now["versions"].keys()
    assert now["threads"] >= 1
    assert all(now[key] for key in ("python", "host", "system", "cpu"))
    assert json.loads(json.dumps(now)) == now
