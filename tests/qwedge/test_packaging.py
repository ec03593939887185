"""What is installed is what is imported: every package of ours, with its data, and neither tests nor benchmarks."""

import re
import tomllib
from pathlib import Path

from setuptools.discovery import PackageFinder

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LISTED = PYPROJECT["tool"]["setuptools"]["packages"]
PLACES = ("shared", "quantum", "wireless", "fpga", "vision", "mobile", "qwedge")


def test_every_package_is_listed_and_nothing_else():
    found = PackageFinder.find(str(ROOT), include=[pattern for place in PLACES for pattern in (place, f"{place}.*")])
    assert sorted(LISTED) == sorted(found)
    assert not {name.partition(".")[0] for name in LISTED} & {"tests", "benchmarks", "docs"}


def test_every_data_file_is_in_the_wheel():
    patterns = PYPROJECT["tool"]["setuptools"]["package-data"]
    kept = {
        path
        for name, globs in patterns.items()
        for each in globs
        for path in (ROOT / name.replace(".", "/")).glob(each)
    }
    sources = {path for name in LISTED for path in (ROOT / name.replace(".", "/")).rglob("*") if path.is_file()}
    assert {path for path in sources if path.suffix != ".py" and path.parent.name != "__pycache__"} == kept


def test_every_pin_has_its_reason():
    text = (ROOT / "pyproject.toml").read_text()
    pins = re.findall(r'^    "[^"]*[=<>][^"]*",(.*)$', text, flags=re.MULTILINE)
    assert len(pins) > 15
    assert [pin for pin in pins if not re.match(r"\s+# \S+", pin)] == []


def test_all_holds_every_extra():
    extras = PYPROJECT["project"]["optional-dependencies"]
    [everything] = extras["all"]
    assert set(re.fullmatch(r"qwedge\[(.*)\]", everything)[1].split(",")) == extras.keys() - {"all"}
