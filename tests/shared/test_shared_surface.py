"""What `import shared` shows, what its docstrings claim, and what it loads."""

import doctest
import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import shared
from shared.core import menus

MODULES = [
    "shared",
    "shared.core.admm",
    "shared.core.calibration",
    "shared.core.menu",
    "shared.core.menus.fixed_point",
    "shared.core.menus.levels",
    "shared.core.menus.product",
    "shared.core.menus.sparsity",
    "shared.core.price",
    "shared.core.relax",
    "shared.core.search",
    "shared.core.solver",
    "shared.core.table",
    "shared.core.task",
    "shared.core.testing",
]
ALIASES = {"Progress"}  # types without a name of their own


def public(module):
    """The public names a module defines itself."""
    home = importlib.import_module(module)
    nouns = inspect.getmembers(home, lambda noun: inspect.isclass(noun) or inspect.isfunction(noun))
    return {name for name, noun in nouns if noun.__module__ == module and not name.startswith("_")}


def test_every_public_name_is_re_exported():
    files = ("admm", "calibration", "menu", "price", "relax", "solver", "table", "task")
    homes = [f"shared.core.{name}" for name in files]
    homes += [module for module in MODULES if module.startswith("shared.core.menus.")]
    path = {"BlockSparsity", "Bytes", "ChannelSparsity", "Compressed", "FixedPointWeights", "MACs"}
    path |= {"ParameterTask", "compress"}  # of shared.weights: the way from a net
    internal = {"brief", "require_methods"}  # for the errors of solvers
    internal |= {"calibration", "kept", "stated"}  # for prices of one's own
    assert set(shared.__all__) - ALIASES - path == set().union(*map(public, homes)) - internal
    assert set(menus.__all__) == set().union(*(public(home) for home in homes if home.startswith("shared.core.menus.")))


def test_every_name_is_there_and_listed():
    assert all(getattr(shared, name).__name__ == name for name in set(shared.__all__) - ALIASES)
    assert set(shared.__all__) <= set(dir(shared))
    with pytest.raises(AttributeError, match="module 'shared' has no attribute 'Levls'"):
        shared.Levls  # noqa: B018


@pytest.mark.parametrize("module", MODULES)
def test_examples_in_docstrings(module):
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    assert doctest.testmod(importlib.import_module(module), optionflags=flags).failed == 0


# Records, protocols and types.
WITHOUT_EXAMPLE = {"AbstractAdditivePrice", "Choices", "DifferentiableTask", "Point", "Price", "Progress"}
WITHOUT_EXAMPLE |= {"Solution", "Solver", "Task"}


@pytest.mark.parametrize("name", sorted(set(shared.__all__) - WITHOUT_EXAMPLE))
def test_every_public_noun_has_an_example(name):
    noun = getattr(shared, name)
    texts = [noun.__doc__ or "", *(member.__doc__ or "" for member in vars(noun).values())]
    assert any(">>>" in text for text in texts if isinstance(text, str))


def loaded_by(statement):
    code = f"{statement}\nimport sys\nprint(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
    root = Path(shared.__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    return set(done.stdout.split())


FRAMEWORKS = {
    "qiskit",
    "pennylane",
    "pytket",
    "tensorflow",
    "keras",
    "sklearn",
    "ray",
    "matplotlib",
    "pydantic",
    "rich",
}


def test_the_core_loads_torch_and_numpy_and_no_other_framework():
    names = loaded_by("import shared; [getattr(shared, name) for name in shared.__all__]; import shared.core.testing")
    assert {"torch", "numpy"} <= names
    assert not names & (FRAMEWORKS | {"pytest", "hypothesis"})


def test_naming_the_package_alone_loads_no_torch():
    assert "torch" not in loaded_by("import shared")
