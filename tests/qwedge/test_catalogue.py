"""The catalogue is plain text that agrees with the experiments it names."""

import tomllib
from pathlib import Path

import pytest

from qwedge.catalogue import EXPERIMENTS, extra_named, load

PYPROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_entry_says_what_its_experiment_says(name):
    entry = EXPERIMENTS[name]
    try:
        experiment = load(name)
    except ModuleNotFoundError as error:
        if "pip install" not in str(error):
            raise
        pytest.skip(str(error))
    assert (experiment.name, experiment.summary) == (name, entry.summary)
    settings = experiment.settings()
    for cell in experiment.cells(settings):
        assert list(experiment.cells(cell)) == [cell]


def test_extras_exist():
    named = {extra for entry in EXPERIMENTS.values() for extra in entry.extra.split(",")}
    assert named <= PYPROJECT["project"]["optional-dependencies"].keys()


def test_a_missing_extra_says_what_to_install(monkeypatch):
    def without_qiskit(reference):
        raise ModuleNotFoundError("No module named 'qiskit.circuit'", name="qiskit.circuit")

    monkeypatch.setattr("shared.lab.load_experiment", without_qiskit)
    with pytest.raises(ModuleNotFoundError, match=r"^`quantum` needs qiskit: pip install -e '\.\[quantum\]'$"):
        load("compvqc")


def test_a_missing_module_of_ours_is_a_bug(monkeypatch):
    def broken(reference):
        raise ModuleNotFoundError("No module named 'shared.gone'", name="shared.gone")

    monkeypatch.setattr("shared.lab.load_experiment", broken)
    with pytest.raises(ModuleNotFoundError, match=r"^No module named 'shared\.gone'$"):
        load("compvqc")


def test_a_module_missed_only_while_running_is_explained_too():
    with (
        pytest.raises(ModuleNotFoundError, match=r"^`quantum` needs no_such_module: pip install"),
        extra_named("compvqc"),
    ):
        import no_such_module  # noqa: F401


def test_what_is_missing_in_an_experiment_of_the_users_own_is_theirs():
    with pytest.raises(ModuleNotFoundError, match=r"^No module named 'no_such_module'$"), extra_named("mine:Mine"):
        import no_such_module  # noqa: F401
