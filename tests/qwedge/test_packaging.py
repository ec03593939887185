"""What is installed is what is imported: every package of ours, with its data, and neither tests nor benchmarks."""

import configparser
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from setuptools.discovery import PackageFinder

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
FIND = PYPROJECT["tool"]["setuptools"]["packages"]["find"]
ROOTS = ("shared", "quantum", "wireless", "vision", "mobile", "fpga", "qwedge")
"""The domains, what they share and the command line. Whoever adds one adds it here, and is told where else."""

LISTED = PackageFinder.find(str(ROOT), include=FIND["include"])
TOX = configparser.ConfigParser(interpolation=None)
TOX.read(ROOT / "tox.ini")
OTHER_PYTHONS = TOX["testenv:core{312,313}"]
README_COMMANDS = re.search(r"^## Two commands$.*?```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.M | re.S)[1]


def needs(*lists: list[str]) -> list[Requirement]:
    """The requirements of these lists that are not extras of ours."""
    parsed = [Requirement(line) for lines in lists for line in lines]
    return [requirement for requirement in parsed if requirement.name != "qwedge"]


DEPENDENCIES = needs(PYPROJECT["project"]["dependencies"])
EXTRAS = needs(*PYPROJECT["project"]["optional-dependencies"].values())
TOOLS = needs(["tox"], *[TOX[name]["deps"].split() for name in TOX.sections() if "deps" in TOX[name]])
PINS = {
    canonicalize_name(pin.name): pin
    for line in (ROOT / "constraints.txt").read_text().splitlines()
    if (text := line.partition("#")[0].strip())
    for pin in [Requirement(text)]
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The names of the files in a wheel that setuptools builds from a copy of what we ship."""
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    for name in (*ROOTS, "tests", "benchmarks", "docs"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    # As `pip wheel --no-deps --no-build-isolation .`, without what pip does around it.
    build = "import setuptools.build_meta as backend; print(backend.build_wheel('dist'))"
    done = subprocess.run([sys.executable, "-c", build], cwd=source, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(source / "dist" / done.stdout.split()[-1]) as file:
        return set(file.namelist())


def test_the_wheel_holds_the_roots_and_nothing_else(wheel):
    version = PYPROJECT["project"]["version"]
    assert {name.partition("/")[0] for name in wheel} == {*ROOTS, f"qwedge-{version}.dist-info"}


def test_the_wheel_holds_every_file_of_the_roots(wheel):
    files = {
        path.relative_to(ROOT).as_posix()
        for root in ROOTS
        for path in (ROOT / root).rglob("*")
        if path.is_file() and path.parent.name != "__pycache__"
    }
    assert {name for name in wheel if ".dist-info/" not in name} == files
    for data in (
        "fpga/simulation/cells/driver.cc",
        "mobile/kernels/kernels.c",
        "mobile/codegen/bench.c",
        "shared/lab/pages/templates/page.html",
    ):
        assert data in wheel
    assert any(re.fullmatch(r"wireless/ofdm/neural/pretrained/.*\.safetensors", name) for name in wheel)


def test_every_root_says_that_it_is_typed(wheel):
    assert {f"{root}/py.typed" for root in ROOTS} <= wheel


def test_every_folder_of_the_roots_is_a_package():
    folders = {file.parent.relative_to(ROOT) for root in ROOTS for file in (ROOT / root).rglob("*.py")}
    assert sorted(LISTED) == sorted(".".join(folder.parts) for folder in folders)


def test_every_list_of_roots_names_the_same():
    from qwedge import catalogue

    tool = PYPROJECT["tool"]
    package_data = tool["setuptools"]["package-data"]
    lists = {
        "packages": [name for name in FIND["include"] if not name.endswith(".*")],
        "below": [name.removesuffix(".*") for name in FIND["include"] if name.endswith(".*")],
        "typed": [name for name, files in package_data.items() if "py.typed" in files],
        "isort": tool["ruff"]["lint"]["isort"]["known-first-party"],
        "mypy": tool["mypy"]["packages"],
        "import-linter": tool["importlinter"]["root_packages"],
        "pytest": [name for name in tool["pytest"]["ini_options"]["testpaths"] if name != "tests"],
        "compiled": re.search(r"compileall -q (.*)", OTHER_PYTHONS["commands"])[1].split(),
        "catalogue": catalogue.ROOTS,
    }
    assert {name: sorted(roots) for name, roots in lists.items()} == dict.fromkeys(lists, sorted(ROOTS))


def test_every_range_has_its_reason():
    text = (ROOT / "pyproject.toml").read_text()
    ranges = re.findall(r'^    "[^"]*[=<>][^"]*",(.*)$', text, flags=re.MULTILINE)
    assert len(ranges) == len(DEPENDENCIES) + len(EXTRAS)
    assert [line for line in ranges if not re.match(r"\s+# \S+", line)] == []


def test_requirements_are_ranges_with_both_ends():
    # A project that adds this one must be left a choice; a release that nobody has tried must not be chosen.
    for requirement in (*DEPENDENCIES, *EXTRAS):
        assert {specifier.operator for specifier in requirement.specifier} == {">=", "<"}, str(requirement)


@pytest.mark.parametrize("requirement", [*DEPENDENCIES, *EXTRAS, *TOOLS], ids=str)
def test_what_is_required_is_pinned_within_its_range(requirement):
    [pin] = PINS[canonicalize_name(requirement.name)].specifier
    assert pin.operator == "=="
    assert pin.version in requirement.specifier


def test_what_is_required_by_what_is_required_is_pinned():
    """Of everything that is installed here, so an environment without extras checks less."""
    waiting, checked = [*DEPENDENCIES, *EXTRAS, *TOOLS], set()
    while waiting:
        requirement = waiting.pop()
        key = canonicalize_name(requirement.name), frozenset(requirement.extras)
        if key in checked:
            continue
        checked.add(key)
        try:
            further = distribution(requirement.name).requires or []
        except PackageNotFoundError:
            continue
        assert key[0] in PINS
        environments = [{"extra": extra} for extra in (*requirement.extras, "")]
        for each in map(Requirement, further):
            if each.marker is None or any(each.marker.evaluate(environment) for environment in environments):
                waiting.append(each)
    assert len(checked) > len({requirement.name for requirement in (*DEPENDENCIES, *TOOLS)})


def test_both_commands_and_every_environment_use_the_pins():
    installs = [*README_COMMANDS.splitlines(), TOX["testenv"]["install_command"]]
    assert len(installs) == 3
    assert all(" -m pip install -c constraints.txt " in install for install in installs)
    assert not [name for name in TOX.sections() if name != "testenv" and "install_command" in TOX[name]]


def test_other_pythons_are_tested_with_every_dependency_but_torch():
    """A build of torch for another Python may be a CUDA build: who tests there brings one."""
    names = {requirement.name for requirement in needs(OTHER_PYTHONS["deps"].split())}
    assert names == {requirement.name for requirement in DEPENDENCIES} - {"torch"} | {
        "pytest",
        "hypothesis",
        "setuptools",
    }


def test_all_holds_every_extra():
    extras = PYPROJECT["project"]["optional-dependencies"]
    [everything] = extras["all"]
    assert set(re.fullmatch(r"qwedge\[(.*)\]", everything)[1].split(",")) == extras.keys() - {"all"}
