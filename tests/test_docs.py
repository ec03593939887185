"""What README, CONTRIBUTING and docs tell a reader to type exists: imports, commands, options, settings, benchmarks."""

import ast
import re
import shlex
from importlib import import_module
from pathlib import Path

import click
import pytest

from qwedge.catalogue import EXPERIMENTS, ROOTS, load
from qwedge.cli import cli

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/*.md"))]
FENCED = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def imports(page: str) -> list[str]:
    """Each name that the Python blocks of a page import, as `module` or `module:name`."""
    blocks = [
        re.sub(r"^(>>>|\.\.\.) ?", "", body, flags=re.M) for kind, body in FENCED.findall(page) if kind == "python"
    ]
    return sorted({name for block in blocks for name in _imported(_only_code(block))})


def _only_code(block: str) -> ast.Module:
    try:
        return ast.parse(block)
    except SyntaxError:  # a block with output between its lines: its imports alone
        lines = re.findall(r"^(?:from|import) (?:[^(\n]*\([^)]*\)|[^(\n]*)$", block, flags=re.MULTILINE)
        return ast.parse("\n".join(lines))


def _imported(tree: ast.Module) -> list[str]:
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names += [f"{node.module}:{alias.name}" for alias in node.names]
    return names


def commands(page: str) -> list[list[str]]:
    """The words after `qwedge` of each command line in a page, in blocks and between backticks."""
    shell = [line for kind, body in FENCED.findall(page) if kind != "python" for line in body.splitlines()]
    inline = re.findall(r"`(qwedge [^`]*)`", FENCED.sub("", page))
    lines = [line[at:] for line in [*shell, *inline] if (at := _command_at(line)) >= 0]
    return [shlex.split(re.split(r" (?:&&|\||>) ", line)[0], comments=True)[1:] for line in lines]


def _command_at(line: str) -> int:
    match = re.search(r"(?:^ *|&& )(qwedge (?=[a-z-]))", line)
    return match.start(1) if match else -1


IMPORTS = [(page.name, name) for page in PAGES for name in imports(page.read_text())]
COMMANDS = [(page.name, words) for page in PAGES for words in commands(page.read_text())]
BENCHMARKS = sorted({name for page in PAGES for name in re.findall(r"python -m benchmarks\.(\w+)", page.read_text())})


def check_import(reference: str) -> None:
    """Raises where a module or a name of ours is missing; a package that is not installed skips the test."""
    module, _, name = reference.partition(":")
    try:
        import_module(module)
        if name and not hasattr(import_module(module), name):
            import_module(f"{module}.{name}")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in ROOTS:
            raise
        pytest.skip(f"{reference} needs {error.name}, which is not installed")


def check_command(words: list[str]) -> None:
    """Raises where the command line knows no such verb, option, choice, experiment or setting; runs nothing."""
    context = click.Context(cli)
    verb, rest = words[0], words[1:]
    command = cli.get_command(context, verb)
    if command is None:
        raise click.UsageError(f"no verb {verb!r}")
    context = click.Context(command, info_name=verb)
    parsed, _, _ = command.make_parser(context).parse_args(list(rest))
    values = {
        name: value for name, value in parsed.items() if isinstance(value, str | list)
    }  # the others were not typed
    for parameter in command.params:
        if isinstance(parameter.type, click.Choice) and parameter.name in values:
            parameter.type.convert(values[parameter.name], parameter, context)
    name = values.get("name", verb)
    if "name" in values and ":" not in name and name not in ("NAME", *EXPERIMENTS):  # FILE:CLASS is the reader's own
        raise click.UsageError(f"no experiment {name!r}")
    if name in EXPERIMENTS and "assignments" in values:
        check_settings(name, values["assignments"])


def check_settings(name: str, assignments: list[str]) -> None:
    """Raises where the experiment has no such setting, or not of such a value."""
    from shared.lab import read_settings

    try:
        settings = load(name).settings
    except ModuleNotFoundError as error:
        pytest.skip(str(error))
    read_settings(settings, None, list(assignments), None)


@pytest.mark.parametrize(("page", "reference"), IMPORTS, ids=lambda it: it)
def test_what_a_page_imports_exists(page, reference):
    check_import(reference)


@pytest.mark.parametrize(("page", "words"), COMMANDS, ids=lambda it: it if isinstance(it, str) else " ".join(it))
def test_what_a_page_runs_can_be_parsed(page, words):
    check_command(words)


@pytest.mark.parametrize("name", [name for name in BENCHMARKS if name != "NAME"])
def test_a_benchmark_that_a_page_names_exists(name):
    assert any((ROOT / "benchmarks" / file).is_file() for file in (f"{name}.py", f"{name}/__main__.py"))


def test_every_import_and_command_is_extracted():
    assert len(IMPORTS) > 10
    assert len(COMMANDS) > 20
    page = "Text `qwedge list noise`.\n```sh\npip install x && qwedge run ofdm --seed 1  # why\n```\n"
    assert commands(page) == [["run", "ofdm", "--seed", "1"], ["list", "noise"]]
    assert imports("```python\n>>> from a.b import c\n>>> c\n3\n```\n") == ["a.b:c"]


@pytest.mark.parametrize(
    "line",
    [
        "runs compvqc",
        "run compvqc --sed 1",
        "run compvqc --engine spark",
        "run compress",
        "run compvqc --set tasks=iris",
        "noise a.qasm --target",
    ],
)
def test_a_command_that_is_not_there_is_refused(line):
    with pytest.raises((click.UsageError, ValueError)):
        check_command(line.split())


@pytest.mark.parametrize("reference", ["shared.core.admms", "shared.core:ADMMS", "shared.gone:x"])
def test_an_import_that_is_not_there_is_refused(reference):
    with pytest.raises(ModuleNotFoundError):
        check_import(reference)
