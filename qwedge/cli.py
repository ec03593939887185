"""The command line: data on stdout, progress and errors on stderr, one line for bad input."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qwedge.catalogue import EXPERIMENTS, ROOTS, load
from qwedge.commands.classify import classify
from qwedge.commands.compile import compile_
from qwedge.commands.decode import decode
from qwedge.commands.execution import (
    as_json_option,
    execute,
    page_of,
    print_json,
    quiet_option,
    workers_option,
    write_page,
)
from qwedge.commands.interrupts import exit_code, signals_interrupt
from qwedge.commands.listing import described
from qwedge.commands.noise import noise
from qwedge.commands.profile import latency, profile
from qwedge.commands.stylize import stylize
from qwedge.commands.synth import synth
from qwedge.commands.upscale import upscale
from qwedge.shadowing import refuse_shadows

if TYPE_CHECKING:
    from shared.lab import Row


class _Commands(click.Group):
    """Commands whose errors are their own: click takes the end of a file for Ctrl-C, and ends without a word."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except EOFError as error:
            raise ValueError(f"a file ends before its contents do: {error}") from error
        except KeyboardInterrupt as interrupt:
            click.echo("qwedge: interrupted", err=True)
            sys.exit(exit_code(interrupt))


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--debug", is_flag=True, help="Show the traceback of an error in the input too.")
@click.version_option(package_name="qwedge", message="%(version)s")
def cli(debug: bool) -> None:
    """Compress models for the hardware they run on, and measure what that costs.

    \b
    Example: qwedge run compvqc --set task=digits4 --seed 1 --out runs/digits4
    """


_out = click.option("--out", type=click.Path(path_type=Path), help="Folder of rows and page.  [default: runs/NAME]")


@cli.command("list")
@click.argument("name", required=False)
@as_json_option
def list_(name: str | None, as_json: bool) -> None:
    """List the experiments, or the settings of one.

    \b
    Example: qwedge list
             qwedge list compvqc
    """
    if name is not None:
        return _list_settings(name, as_json)
    if as_json:
        return print_json([{"name": name, **entry._asdict()} for name, entry in EXPERIMENTS.items()])
    width = max(map(len, EXPERIMENTS))
    for name, entry in EXPERIMENTS.items():
        click.echo(f"{name:{width}}  {entry.summary}  [{entry.extra}]")


@cli.command()
@click.argument("name")
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Change one setting; may be repeated.")
@click.option("--config", type=click.Path(path_type=Path), metavar="FILE.toml", help="Read settings from a TOML file.")
@click.option("--seed", type=int, help="Root of all randomness.")
@_out
@click.option(
    "--engine",
    type=click.Choice(["local", "ray"]),
    default="local",
    show_default=True,
    help="Compute cells here, or spread them with Ray.",
)
@click.option(
    "--address", default="", metavar="HOST:PORT", help="A running Ray cluster; without it one is started here."
)
@workers_option
@quiet_option
@as_json_option
def run(
    name: str,
    assignments: Sequence[str],
    config: Path | None,
    seed: int | None,
    out: Path | None,
    engine: str,
    address: str,
    workers: int,
    quiet: bool,
    as_json: bool,
) -> None:
    """Run an experiment: tables, rows and a page.

    Prints the tables of experiment NAME on stdout, writes OUT/rows.jsonl and OUT/index.html. What is already in OUT
    is not computed again, so an interrupted run goes on where it was. NAME may be module:Class, an experiment of
    your own.

    \b
    Example: qwedge run compvqc --set target=FakeNairobiV2 --seed 1
             qwedge run f8net --set seeds=4 --workers 2
             qwedge run compvqc --config my.toml --engine ray --address 10.0.0.1:6379
    """
    if address and engine != "ray":
        raise ValueError(f"--address {address}: only --engine ray connects to a cluster")
    if workers > 1 and engine == "ray":
        raise ValueError(f"--workers {workers}: Ray has workers of its own; leave out --engine ray, or --workers")
    from shared.lab import Ray

    execute(
        name,
        assignments,
        config=config,
        seed=seed,
        out=out,
        engine=Ray(address) if engine == "ray" else None,
        workers=workers,
        quiet=quiet,
        as_json=as_json,
    )


@cli.command()
@click.argument("name")
@click.argument("id", required=False)
@_out
@as_json_option
def show(name: str, id: str | None, out: Path | None, as_json: bool) -> None:
    """Show the rows of an experiment, or one of them.

    ID is how the id of one row begins; without it every row in OUT is listed.

    \b
    Example: qwedge show compvqc
             qwedge show compvqc 3fa9 --json
    """
    from shared.lab import Number, Table, print_table

    rows = _rows(out or _default_folder(name.partition(":")[2] or name), id)
    if as_json:
        return print_json([row.to_json_data() for row in rows])
    if id is not None:
        return print_json(rows[0].to_json_data())
    columns = ("id", "seed", "started", "seconds", "command")
    lines = [
        (
            row.id[:12],
            Number(row.seed, ()),
            str(row.provenance.get("started", "")),
            Number(row.provenance.get("wall_s"), (), form=".1f"),
            row.command,
        )
        for row in rows
    ]
    print_table(Table("", columns, lines))


@cli.command()
@click.argument("first", type=click.Path(path_type=Path))
@click.argument("second", type=click.Path(path_type=Path))
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the bootstrap.")
@as_json_option
def compare(first: Path, second: Path, seed: int, as_json: bool) -> None:
    """Compare two sets of rows, pair by pair.

    Prints the difference FIRST - SECOND of every number in the results, with its interval. FIRST and SECOND are
    folders of rows, or FOLDER/ID for the one row whose id begins with ID. Rows are paired where their settings
    agree, except for the settings in which the two sets differ.

    \b
    Example: qwedge compare runs/torino runs/nairobi
             qwedge compare runs/compvqc/3fa9 runs/compvqc/b07c --json
    """
    import numpy as np

    from shared.lab import compare as compare_rows
    from shared.lab import differences_table, print_table

    differences = compare_rows(_rows_at(first), _rows_at(second), np.random.default_rng(seed))
    if as_json:
        return print_json([difference._asdict() for difference in differences])
    print_table(differences_table(differences, str(first), str(second)))


@cli.command()
@click.argument("name")
@_out
@as_json_option
def report(name: str, out: Path | None, as_json: bool) -> None:
    """Make the page again, from all rows in OUT.

    \b
    Example: qwedge report compvqc --out runs/compvqc
    """
    from shared.lab import Store

    experiment = load(name)
    folder = out or _default_folder(experiment.name)
    store = Store.existing(folder)
    rows = [row for row in store.rows(experiment.name) if row.version == experiment.version]
    if not rows:
        raise ValueError(f"{folder} has no rows of {experiment.name} version {experiment.version}; run it first")
    path = write_page(page_of(experiment, rows), rows, store)
    if as_json:
        return print_json({"page": str(path), "rows": len(rows)})
    click.echo(str(path))


cli.add_command(classify)
cli.add_command(compile_)
cli.add_command(profile)
cli.add_command(latency)
cli.add_command(decode)
cli.add_command(noise)
cli.add_command(stylize)
cli.add_command(synth)
cli.add_command(upscale)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 when done, 2 after one line on stderr for bad input.

    128 and the number of the signal when stopped by Ctrl-C, SIGTERM or SIGHUP.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        refuse_shadows(ROOTS)
    except ValueError as error:  # nothing of `shared` can be imported
        click.echo(f"qwedge: {error}", err=True)
        sys.exit(2)
    try:
        with signals_interrupt():
            cli.main(words, prog_name="qwedge", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        sys.exit(0)
    except click.ClickException as error:
        _fail(error.format_message())
    except KeyboardInterrupt as interrupt:
        sys.exit(exit_code(interrupt))
    except BrokenPipeError:
        # The reader of a pipe, such as `head`, went away: no message can reach it, and flushing at exit must not fail.
        sys.stdout = None
        sys.exit(0)
    except (ValueError, OSError, ModuleNotFoundError) as error:
        if "--debug" in words or (isinstance(error, ModuleNotFoundError) and "pip install" not in str(error)):
            raise
        _fail(_text(error))
    except (RecursionError, MemoryError, OverflowError) as error:
        if "--debug" in words:
            raise
        _fail(_TOO_LARGE[type(error)])


# However each reader guards itself, what is left ends here and not in a traceback.
_TOO_LARGE = {
    RecursionError: "the input is nested too deeply; --debug shows where",
    OverflowError: "a number in the input is too large; --debug shows where",
    MemoryError: "the input, or what it asks for, does not fit into memory; --debug shows where",
}


def _text(error: Exception) -> str:
    from shared.lab.records.os_errors import os_error_text

    return os_error_text(error) if isinstance(error, OSError) else str(error)


def _fail(message: str) -> None:
    from shared.lab.records.printable import printable

    click.echo(f"qwedge: {printable(' '.join(message.split()))}", err=True)
    sys.exit(2)


def _default_folder(name: str) -> Path:
    return Path("runs") / name


def _list_settings(name: str, as_json: bool) -> None:
    from shared.lab import print_table, settings_table

    settings = described(name)
    if as_json:
        return print_json(settings["schema"])
    print_table(settings_table(settings["title"], settings["schema"]))


def _rows(folder: Path, id: str | None = None) -> "list[Row]":
    """The rows in `folder`, or the one whose id begins with `id`."""
    from shared.lab import Store

    store = Store.existing(folder)
    return store.rows() if id is None else [store.find(id)]


def _rows_at(place: Path) -> "list[Row]":
    """The rows of FOLDER, or the one row of FOLDER/ID."""
    if (place / "rows.jsonl").exists() or not (place.parent / "rows.jsonl").exists():
        return _rows(place)
    return _rows(place.parent, place.name)
