"""ARCHITECTURE.md names every folder that exists, none that does not, in the order that the layers allow."""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest

from qwedge.catalogue import ROOTS

ROOT = Path(__file__).parents[1]
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
LAYERS = {
    container.replace(".", "/"): contract["layers"]
    for contract in CONTRACTS
    for container in contract.get("containers", ())
}


def tree(page: str) -> Mapping[str, list[str]]:
    """What stands in the packages of a page's block `tree`: `package/path    folder module.py ...  # words`."""
    [block] = re.findall(r"^```tree\n(.*?)^```$", page, flags=re.MULTILINE | re.DOTALL)
    lines = [line.split("# ") for line in block.splitlines()]
    assert all(len(line) == 2 and line[1] for line in lines), "every line needs `# ` and words after it"
    paths = [places.split() for places, _ in lines]
    assert len({path for path, *_ in paths}) == len(paths), "a package stands twice"
    return {path: names for path, *names in paths}


def check(packages: Mapping[str, list[str]]) -> None:
    exist = {file.parent.relative_to(ROOT).as_posix() for root in ROOTS for file in (ROOT / root).rglob("__init__.py")}
    assert packages.keys() == exist
    for path, names in packages.items():
        modules = [name for name in names if name.endswith(".py")]
        assert all((ROOT / path / name).is_file() for name in modules)
        below = {package.rpartition("/")[2] for package in exist if package.rpartition("/")[0] == path}
        assert set(names) - set(modules) == below, f"folders of {path}"
        check_order(path, [name.removesuffix(".py") for name in names])


def check_order(path: str, names: list[str]) -> None:
    """From what imports nothing to what imports all: layers are listed the other way round."""
    level = {name.strip(): -at for at, layer in enumerate(LAYERS.get(path, ())) for name in layer.split("|")}
    levels = [level[name] for name in names if name in level]
    assert levels == sorted(levels), f"order of {path}"


PACKAGES = tree((ROOT / "ARCHITECTURE.md").read_text())


def test_the_tree_is_the_one_that_exists():
    check(PACKAGES)


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("fpga/folded", ["graph", "rtl"]),
        ("fpga/folded", ["graph", "rtl", "planning", "memory"]),
        ("fpga/folded", ["rtl", "graph", "planning"]),
        ("fpga", [*PACKAGES["fpga"], "flow.py"]),
        ("fpga/folding", []),
    ],
)
def test_a_tree_that_drifted_is_refused(path, names):
    with pytest.raises(AssertionError):
        check({**PACKAGES, path: names})


def test_a_package_that_is_not_named_is_missed():
    with pytest.raises(AssertionError):
        check({path: names for path, names in PACKAGES.items() if path != "vision/nets"})


def test_a_line_without_words_is_refused():
    with pytest.raises(AssertionError, match="words after it"):
        tree("```tree\nfpga   design\n```\n")
