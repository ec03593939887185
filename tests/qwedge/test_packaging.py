"""What is installed is what is imported: every package of ours, with its data, and neither tests nor benchmarks."""

import re
import tomllib
from pathlib import Path

from setuptools.discovery import PackageFinder

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
FIND = PYPROJECT["tool"]["setuptools"]["packages"]["find"]
ROOTS = ("shared", "quantum", "wireless", "vision", "fpga", "qwedge")
"""The domains, what they share and the command line. Whoever adds one adds it here, and is told where else."""

LISTED = PackageFinder.find(str(ROOT), include=FIND["include"])


def test_the_wheel_holds_the_roots_and_nothing_else():
    assert {name.partition(".")[0] for name in LISTED} == set(ROOTS)
    folders = {file.parent.relative_to(ROOT) for root in ROOTS for file in (ROOT / root).rglob("*.py")}
    assert sorted(LISTED) == sorted(".".join(folder.parts) for folder in folders)


def test_every_list_of_roots_names_the_same():
    from qwedge import catalogue

    tool = PYPROJECT["tool"]
    lists = {
        "packages": [name for name in FIND["include"] if not name.endswith(".*")],
        "below": [name.removesuffix(".*") for name in FIND["include"] if name.endswith(".*")],
        "isort": tool["ruff"]["lint"]["isort"]["known-first-party"],
        "mypy": tool["mypy"]["packages"],
        "import-linter": tool["importlinter"]["root_packages"],
        "pytest": [name for name in tool["pytest"]["ini_options"]["testpaths"] if name != "tests"],
        "catalogue": catalogue.ROOTS,
    }
    assert {name: sorted(roots) for name, roots in lists.items()} == dict.fromkeys(lists, sorted(ROOTS))


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
