"""The command `qwedge noise`: a noise robustness report of circuits, without settings files."""

import json
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import click


@click.command()
@click.argument("circuits", nargs=-1, required=True, metavar="CIRCUIT...")
@click.option(
    "--target", default="nairobi", show_default=True, help="A fake backend, a .json snapshot or a folder of snapshots."
)
@click.option(
    "--data",
    default="none",
    show_default=True,
    help="A data set (digits4, iris ...), a .npz or .csv file, or an energy (tfim4, h2, maxcut6 ...).",
)
@click.option("--encoding", default="auto", show_default=True, help="Encoding of the data: angle, amplitude or own.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the data split and of the shots.")
@click.option("--zne/--no-zne", default=None, help="Zero-noise extrapolation.  [default: if mitiq is installed]")
@click.option("--days", type=int, default=0, show_default=True, help="Days of synthetic drift.")
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Any setting of `qwedge list noise`.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder of rows, page and plots.  [default: runs/noise]")
@click.option("--quiet", is_flag=True, help="No progress on stderr.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
def noise(
    circuits: Sequence[str],
    target: str,
    data: str,
    encoding: str,
    seed: int,
    zne: bool | None,
    days: int,
    assignments: Sequence[str],
    out: Path | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Report how robust circuits are against noise and finite shots.

    Each CIRCUIT is an OpenQASM 2 or 3 file, a QPY file, or FOLDER/ID of a stored row of compvqc. The command prints the
    score, the change of <Z> and the margin against noise, the scores against shots, and where the error comes from.
    It writes rows.jsonl, index.html and the plots (SVG and PNG) to OUT. Several circuits are compared on one page.

    \b
    Example: qwedge noise circuit.qasm --target nairobi --data digits4 --out report
             qwedge noise dense.qasm compressed.qasm --target torino --data digits4
             qwedge noise runs/compvqc/3fa9
    """
    from qwedge.catalogue import extra_named, load
    from shared.lab import Store, print_page, read_settings, render, run, write_atomic

    experiment = load("noise")
    store = Store(out or Path("runs") / "noise")
    given = {"circuits": list(circuits), "target": target, "data": data, "encoding": encoding, "days": days}
    given["zne"] = find_spec("mitiq") is not None if zne is None else zne
    words = [*(f"{key}={json.dumps(value)}" for key, value in given.items()), *assignments]
    try:
        with extra_named("noise"):
            from quantum.noise.page import save_figures

            settings = read_settings(experiment.settings, None, words, seed)
            rows = run(experiment, experiment.cells(settings), store, quiet=quiet, invocation="qwedge run noise")
            page = experiment.page(rows)
            figures = save_figures(rows, store.folder)
    except KeyboardInterrupt:
        click.echo(f"qwedge: interrupted; finished rows are safe in {store.folder}, the same command goes on", err=True)
        sys.exit(130)
    path = store.folder / "index.html"
    write_atomic(path, render(page, rows, store).encode())
    if as_json:
        printed = {"page": str(path), "figures": list(map(str, figures)), "rows": [row.to_json_data() for row in rows]}
        return click.echo(json.dumps(printed, indent=2, ensure_ascii=False))
    print_page(page)
    click.echo(f"page: {path}", err=True)
