"""The command line: data on stdout, the rest on stderr; bad input is one line, exit code 2, and nothing written."""

import json
import re

import click
import pytest

from qwedge.catalogue import EXPERIMENTS
from qwedge.cli import cli
from shared.lab import Row, Store

COIN = "lab_toys:Coin"


@pytest.fixture
def qwedge(call, monkeypatch):
    """The command line, on a terminal so wide that no table wraps."""
    monkeypatch.setenv("COLUMNS", "200")
    return call


@pytest.fixture
def rows(qwedge):
    assert qwedge("run", COIN, "--set", "seeds=3", "--out", "out", "--quiet")[0] == 0
    return Store("out").rows()


def test_run_prints_the_table_and_writes_rows_and_page(qwedge, tmp_path):
    code, out, err = qwedge("run", COIN, "--set", "seeds=2", "--seed", "7")
    assert code == 0
    assert "Heads by seed" in out
    assert "page: runs/coin/index.html" in err
    assert [row.seed for row in Store(tmp_path / "runs" / "coin").rows()] == [7, 8]
    page = (tmp_path / "runs" / "coin" / "index.html").read_text()
    assert "A coin, thrown" in page


def test_run_with_json_prints_only_json(qwedge):
    code, out, err = qwedge("run", COIN, "--out", "out", "--json", "--quiet")
    assert (code, err) == (0, "")
    printed = json.loads(out)
    assert [Row(**row) for row in printed["rows"]] == Store("out").rows()
    assert printed["page"] == "out/index.html"


def test_the_command_in_a_row_makes_that_row(qwedge):
    import shlex

    qwedge("run", COIN, "--set", "seeds=2", "--set", "name=my coin", "--set", "bias=0.25", "--out", "a", "--quiet")
    for row in Store("a").rows():
        words = shlex.split(row.command)
        assert words[0] == "qwedge"
        assert qwedge(*words[1:], "--out", "b", "--quiet")[0] == 0
    assert [(row.id, row.result) for row in Store("b").rows()] == [(row.id, row.result) for row in Store("a").rows()]


def test_two_workers_give_the_rows_of_one(qwedge):
    words = ("--set", "seeds=2", "--json", "--quiet")
    one, two = (qwedge("run", COIN, *words, "--out", f"out{n}", "--workers", str(n)) for n in (1, 2))
    assert (two[0], two[2]) == (0, "")
    results = [[(row["id"], row["result"]) for row in json.loads(out)["rows"]] for _, out, _ in (one, two)]
    assert results[0] == results[1]


def test_settings_come_from_a_file_too(qwedge, tmp_path):
    (tmp_path / "my.toml").write_text("throws = 7\nsteps = 2\n")
    code, out, _ = qwedge("run", COIN, "--config", "my.toml", "--set", "steps=3", "--out", "out", "--json", "--quiet")
    assert code == 0
    assert {"throws": 7, "steps": 3}.items() <= json.loads(out)["rows"][0]["settings"].items()


def test_list_names_the_experiments(qwedge):
    code, out, _ = qwedge("list")
    assert code == 0
    assert out.startswith("compvqc  ")
    assert json.loads(qwedge("list", "--json")[1])[0].keys() == {"name", "reference", "summary", "extra"}


def test_list_explains_the_settings_of_one(qwedge):
    out = qwedge("list", COIN)[1]
    line = next(line for line in out.splitlines() if "bias" in line)
    assert line.split()[:3] == ["bias", "0.5", "number"]
    assert "chance of heads" in line
    assert json.loads(qwedge("list", COIN, "--json")[1])["properties"]["bias"]["default"] == 0.5


def test_show_lists_rows_or_one_row(qwedge, rows):
    out = qwedge("show", "coin", "--out", "out")[1]
    assert all(row.id[:12] in out and row.command in out for row in rows)
    assert json.loads(qwedge("show", "coin", rows[1].id[:8], "--out", "out")[1]) == rows[1].to_json_data()
    assert json.loads(qwedge("show", "coin", "--out", "out", "--json")[1]) == [row.to_json_data() for row in rows]


def test_compare_folders_and_single_rows(qwedge, rows):
    qwedge("run", COIN, "--set", "seeds=3", "--set", "bias=0.9", "--out", "other", "--quiet")
    [*_, after] = json.loads(qwedge("compare", "out", "other", "--json")[1])
    assert (after["pairs"], after["verdict"]) == (3, "tie")
    out = qwedge("compare", f"out/{rows[0].id[:8]}", f"out/{rows[1].id[:8]}")[1]
    assert "one pair: no verdict" in out


def test_report_makes_the_page_again_from_every_row(qwedge, rows, tmp_path):
    qwedge("run", COIN, "--seed", "9", "--out", "out", "--quiet")
    page = tmp_path / "out" / "index.html"
    assert rows[0].id[:12] not in page.read_text()
    code, out, _ = qwedge("report", COIN, "--out", "out")
    assert (code, out) == (0, "out/index.html\n")
    assert all(row.id[:12] in page.read_text() for row in rows)
    assert json.loads(qwedge("report", COIN, "--out", "out", "--json")[1]) == {"page": "out/index.html", "rows": 4}


@pytest.mark.parametrize("verb", sorted(cli.commands))
def test_help_has_an_example_on_each_verb(qwedge, verb):
    code, out, _ = qwedge(verb, "--help")
    assert code == 0
    assert f"Example: qwedge {verb}" in out
    prints_data = verb in {
        "list",
        "run",
        "show",
        "compare",
        "report",
        "classify",
        "decode",
        "noise",
        "compile",
        "profile",
        "latency",
        "stylize",
        "synth",
        "upscale",
    }
    assert ("--json" in out) == prints_data


def test_help_says_every_verb_in_a_whole_sentence(qwedge, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    [commands] = re.findall(r"Commands:\n(.*)", qwedge("--help")[1], flags=re.DOTALL)
    assert all(line.endswith(".") and not line.endswith("...") for line in commands.splitlines() if line), commands


def test_no_words_means_help(qwedge):
    code, out, _ = qwedge()
    assert code == 0
    assert "Example: qwedge run compvqc" in out


BAD = [
    (("run", "compvq"), "no experiment 'compvq': did you mean `compvqc`? It must be one of compvqc, noise,"),
    (("list", "json:loads"), "json:loads is not a subclass of shared.lab.Experiment"),
    (("list", "pathlib:Path"), "pathlib:Path is not a subclass of shared.lab.Experiment"),
    (("list", ".x:y"), "no experiment at .x:y: that is not the name of a class in a module; needs module:Class"),
    (("list", ":"), "no experiment at :: that is not the name of a class in a module; needs module:Class"),
    (("list", "lab_toys:"), "no experiment at lab_toys:: that is not the name of a class"),
    (
        ("list", "shared.lab:Experiment"),
        "shared.lab:Experiment does not define name and settings and version and page and run",
    ),
    (("run", COIN, "--set", "name=" + "[" * 3000), "--set ...=[[[[[[[[[[[[[[[[[[[[... is nested too deeply"),
    (("run", "nothing"), f"no experiment 'nothing': use one of {', '.join(EXPERIMENTS)}, or your own as module:Class"),
    (("run", "no_module:Coin"), "no experiment at no_module:Coin: No module named 'no_module'"),
    (("run", "lab_toys:Dice"), "no experiment at lab_toys:Dice: module 'lab_toys' has no attribute 'Dice'"),
    (("run", COIN, "--set", "throw=3"), "unknown setting `throw`: did you mean `throws`?"),
    (("run", COIN, "--set", "throws=many"), "throws='many': input should be a valid integer"),
    (("run", COIN, "--set", "name=bent"), "name=bent: this coin cannot be thrown; use a flat one"),
    (("run", COIN, "--seed", "-1"), "seed=-1: input should be greater than or equal to 0"),
    (("run", COIN, "--config", "no.toml"), "no.toml: no such file or directory"),
    (("run", COIN, "--engine", "slurm"), "'slurm' is not one of 'local', 'ray'"),
    (("run", COIN, "--address", "a:1"), "--address a:1: only --engine ray connects to a cluster"),
    (("run", COIN, "--workers", "2", "--engine", "ray"), "--workers 2: Ray has workers of its own; leave out --engine"),
    (("run", COIN, "--workers", "0"), "0 is not in the range x>=1"),
    (("run",), "Missing argument 'NAME'"),
    (("fly",), "No such command 'fly'"),
    (("show", "coin"), "runs/coin has no rows.jsonl; name a folder that `qwedge run --out` has written"),
    (("report", COIN), "runs/coin has no rows.jsonl"),
    (("compare", "a", "b"), "a has no rows.jsonl"),
]


@pytest.mark.parametrize(("words", "message"), BAD, ids=lambda case: " ".join(case) if isinstance(case, tuple) else "")
def test_bad_input_is_one_line_and_writes_nothing(qwedge, tmp_path, words, message):
    code, out, err = qwedge(*words)
    assert (code, out) == (2, "")
    assert err.startswith("qwedge: ")
    assert message in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_an_id_must_name_one_row(qwedge, rows):
    code, _, err = qwedge("show", "coin", "zzz", "--out", "out")
    assert (code, err) == (2, "qwedge: 0 of the 3 rows in out have an id beginning with zzz; needs one\n")


def test_debug_shows_where_an_error_came_from(qwedge):
    with pytest.raises(ValueError, match="this coin cannot be thrown"):
        qwedge("--debug", "run", COIN, "--set", "name=bent")


def test_a_bug_is_not_called_bad_input(qwedge, monkeypatch):
    from lab_toys import Coin

    monkeypatch.setattr(Coin, "run", lambda self, cell, context: {}["no such key"])
    with pytest.raises(KeyError):
        qwedge("run", COIN)


def test_every_option_is_explained():
    for command in cli.commands.values():
        for option in command.params:
            assert isinstance(option, click.Argument) or option.help


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("def broken(:", "importing it ends with SyntaxError: "),
        ("1 / 0", "importing it ends with ZeroDivisionError: division by zero"),
        ("raise SystemExit(3)", "importing it ends with SystemExit: 3"),
        ("import no_such_module", "No module named 'no_such_module'"),
        (
            "from shared.lab import Experiment\nclass Mine(Experiment):\n run = page = None",
            "does not define name and settings and version, which",
        ),
    ],
)
def test_a_module_that_is_no_experiment_is_one_line(qwedge, tmp_path, body, words):
    name = f"mine_{abs(hash(body))}"
    (tmp_path / f"{name}.py").write_text(body)
    code, out, err = qwedge("list", f"{name}:Mine")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert words in err


def test_nested_settings_in_a_file_are_refused(qwedge, tmp_path):
    (tmp_path / "deep.toml").write_text("name = " + "[" * 3000)
    assert qwedge("run", COIN, "--config", "deep.toml")[::2] == (
        2,
        "qwedge: deep.toml is nested too deeply for settings\n",
    )


def test_a_folder_and_a_file_in_each_others_place_are_one_line(qwedge, tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "out" / "rows.jsonl").mkdir(parents=True)
    assert qwedge("run", COIN, "--config", ".")[2] == "qwedge: .: is a directory\n"
    for out in ("file", "file/out"):
        err = qwedge("run", COIN, "--out", out)[2]
        assert err.endswith("file: not a directory, and rows are to be kept there\n")
    assert qwedge("show", "coin", "--out", "out")[2] == "qwedge: out/rows.jsonl: is a directory\n"
