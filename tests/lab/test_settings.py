"""Laws of settings: file, command line and object are three views of the same fields."""

import math
import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from shared.lab import Settings, cell_id, command_line, read_settings


class Target(BaseModel, frozen=True, extra="forbid"):
    name: str = "line"
    qubits: int = 4
    error: float | None = None


class Trial(Settings):
    steps: int = 10
    rate: float = 0.1
    task: str = "digits4"
    budget: float = math.inf
    note: str | None = None
    seeds: tuple[int, ...] = (1, 2)
    exact: bool = False
    target: Target = Target()


# TOML holds 64-bit integers; a lone surrogate is not text.
integers = st.integers(-(2**63), 2**63 - 1)
texts = st.text(st.characters(codec="utf-8"))
trials = st.builds(
    Trial,
    seed=st.integers(0, 2**63 - 1),
    steps=integers,
    rate=st.floats(allow_nan=False),
    task=texts,
    budget=st.floats(allow_nan=False),
    note=st.none() | texts,
    seeds=st.lists(integers).map(tuple),
    exact=st.booleans(),
    target=st.builds(Target, name=texts, qubits=integers, error=st.none() | st.floats(allow_nan=False)),
)


@given(trials)
def test_the_command_of_settings_gives_these_settings(trial):
    words = shlex.split(command_line("qwedge run trial", trial))
    assert words[:3] == ["qwedge", "run", "trial"]
    assignments = [words[index + 1] for index, word in enumerate(words) if word == "--set"]
    seed = int(words[words.index("--seed", -2) + 1])
    assert read_settings(Trial, None, assignments, seed) == trial


def test_the_command_names_only_what_was_changed():
    assert command_line("qwedge run trial", Trial(steps=3, seed=2)) == "qwedge run trial --set steps=3 --seed 2"


def test_later_wins_file_then_assignment_then_seed(tmp_path):
    config = tmp_path / "trial.toml"
    config.write_text('steps = 5\nrate = 0.5\nseed = 7\n[target]\nname = "ring"\n')
    settings = read_settings(Trial, config, ["rate=0.25", "target.qubits=6"], seed=9)
    assert settings == Trial(steps=5, rate=0.25, seed=9, target=Target(name="ring", qubits=6))


@pytest.mark.parametrize("text", ["42", "true", "1.5", "none-such", "2024-01-01", "a b", '"quoted"'])
def test_a_string_field_takes_text_as_it_stands(text):
    assert read_settings(Trial, assignments=[f"task={text}"]).task == text.strip('"')


def test_plain_settings_read_back_with_infinities():
    trial = Trial(budget=math.inf, target=Target(error=-math.inf))
    assert (trial.to_json_data()["budget"], trial.to_json_data()["target"]["error"]) == ("Infinity", "-Infinity")
    assert Trial.model_validate(trial.to_json_data()) == trial


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("stepz=3", r"unknown setting `stepz`: did you mean `steps`\?"),
        ("zzz=3", r"unknown setting `zzz`: it must be one of seed, steps, rate"),
        ("target.nam=3", r"unknown setting `target\.nam`"),
        ("steps=many", r"steps='many': input should be a valid integer"),
        ("steps.x=1", r"steps=.*: input should be a valid integer"),
        ("steps=1\nseed=2", r"steps='1\\nseed=2': input should be a valid integer"),
        ("seed=-1", r"seed=-1: input should be greater than or equal to 0"),
        ("steps", r"--set steps: needs key=value, such as --set seed=3"),
    ],
)
def test_faults_are_one_clear_line(assignment, message):
    with pytest.raises(ValueError, match=message) as caught:
        read_settings(Trial, assignments=[assignment])
    assert "\n" not in str(caught.value)


def test_a_value_cannot_also_be_a_table():
    with pytest.raises(ValueError, match="`steps` holds a value, not a table; set `steps` itself"):
        read_settings(Trial, assignments=["steps=3", "steps.x=1"])


def test_a_setting_without_default_is_asked_for():
    class Needy(Settings):
        path: str

    with pytest.raises(ValueError, match=r"`path` has no default: give it with --set path=\.\.\."):
        read_settings(Needy)


def test_a_file_that_is_not_toml_is_named(tmp_path):
    config = tmp_path / "trial.toml"
    config.write_text("steps: 5")
    with pytest.raises(ValueError, match=r"trial\.toml is not a TOML file"):
        read_settings(Trial, config)


def test_settings_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        Trial().steps = 3


def test_a_changed_data_file_is_another_cell():
    from lab_toys import Coin, CoinSettings

    class Weighed(Coin):
        def data(self, cell):
            return {"weights.csv": self.sha256}

    light, heavy = Weighed(), Weighed()
    light.sha256, heavy.sha256 = "aa", "bb"
    assert cell_id(light, CoinSettings()) != cell_id(heavy, CoinSettings())
